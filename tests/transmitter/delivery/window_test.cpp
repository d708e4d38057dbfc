#include "transmitter/delivery/window.hpp"

#include "rules_support.hpp"
#include "transmitter/delivery/cursor.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("a signal in two forms is settled when both are") {
    window w;
    w.add(entry(1, 1, 1, 2));
    CHECK_FALSE(w.settle(jti_of(1, 0)));
    CHECK(w.position() == 0);
    CHECK(w.settle(jti_of(1, 1)));
    CHECK(w.position() == 1);
    CHECK(w.empty());
}

TEST_CASE("the position is before the oldest unsettled signal") {
    window w;
    for (store::seq_t seq = 1; seq <= 3; ++seq)
        w.add(entry(seq, static_cast<int>(seq), 1));
    w.scan_to(10);
    w.settle(jti_of(2));
    CHECK(w.position() == 0);
    w.settle(jti_of(1));
    CHECK(w.position() == 2);
    const auto c = w.cursor(store::stream_row{1});
    CHECK(c.acked_seq == 2);
    CHECK(is_settled(c, 10));
    CHECK_FALSE(is_settled(c, 3));
    w.settle(jti_of(3));
    CHECK(w.position() == 10);
}

TEST_CASE("the oldest unsettled version of a mission is known, and that a later one waits") {
    window w;
    w.add(entry(1, 7, 1));
    w.add(entry(2, 8, 1));
    w.add(entry(3, 7, 2));
    CHECK(w.oldest_of_mission(*w.find(1)));
    CHECK_FALSE(w.oldest_of_mission(*w.find(3)));
    CHECK(w.has_later_version(*w.find(1)));
    CHECK_FALSE(w.has_later_version(*w.find(2)));
    w.settle(jti_of(1));
    CHECK(w.oldest_of_mission(*w.find(3)));
    CHECK(w.oldest(store::mission_row{7})->seq == 3);
    CHECK(w.oldest(store::mission_row{9}) == nullptr);
}

TEST_CASE("an unknown jti settles nothing") {
    window w;
    w.add(entry(1, 1, 1));
    CHECK_FALSE(w.settle("nobody"));
    w.settle(jti_of(1));
    CHECK_FALSE(w.settle(jti_of(1)));  // again
}
