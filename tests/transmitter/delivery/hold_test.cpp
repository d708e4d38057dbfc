#include "transmitter/delivery/hold.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("a hold ends by count or by age, whichever comes first") {
    CHECK(hold_limit(100, 1000, 0) == 0);
    CHECK(hold_limit(1500, 1000, 0) == 500);
    CHECK(hold_limit(1500, 1000, 700) == 700);
    CHECK(hold_limit(1500, 1000, 300) == 500);
}

TEST_CASE("a stream whose hold is overrun moves on with continuity raised (I3)") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    t.commit(3, 3, 1);
    t.push();
    CHECK(overrun(t.state, 2));
    CHECK(t.state.unsettled.position() == 2);
    CHECK(t.state.effects.cursor_moved);
    CHECK(t.state.effects.lost.size() == 1);
    CHECK(t.state.in_flight == 1);
    t.accept(jti_of(1));  // an answer that comes too late is of no consequence
    CHECK(t.state.in_flight == 1);
}

TEST_CASE("signals nobody has looked at count as lost") {
    stream_under_test t;
    CHECK(overrun(t.state, 5));
    CHECK(t.state.unsettled.position() == 5);
    CHECK(t.state.effects.lost.size() == 1);
}

TEST_CASE("a stream within its hold loses nothing") {
    stream_under_test t;
    t.commit(3, 1, 1);
    CHECK_FALSE(overrun(t.state, 2));
    CHECK(t.state.unsettled.size() == 1);
    CHECK(t.state.effects.lost.empty());
}

TEST_CASE("the log is cut behind the smallest cursor, and some history stays") {
    CHECK(trim_limit(50'000, {45'000, 20'000}) == 20'000);
    CHECK(trim_limit(50'000, {50'000}) == 50'000 - limits::kept_behind_cursors);
    CHECK(trim_limit(50, {50}) == 0);
    CHECK(trim_limit(50'000, {}) == 50'000 - limits::kept_behind_cursors);
}
