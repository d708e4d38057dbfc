#include "transmitter/delivery/notices.hpp"

#include "rules_support.hpp"
#include "transmitter/delivery/poll_select.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using store::stream_status;

namespace {

store::stream_event told(std::string status, std::string reason, std::string jti) {
    store::stream_event e;
    e.jti = std::move(jti);
    e.type = events::stream_updated_type;
    e.event = events::to_json(events::stream_updated{std::move(status), std::move(reason)});
    return e;
}

strings pushed(stream_under_test& t, instant now = at(0ms)) {
    return t.push(now);
}

strings polled(stream_under_test& t) {
    strings out;
    for (const auto& set : select_for_poll(t.state, 10, t.terms, true, at(0ms).steady).sets)
        out.push_back(set.jti);
    return out;
}

}  // namespace

TEST_CASE("on a stream that we have paused only what says so goes (SSF 1.0 section 8.1.5)") {
    for (const bool push : {true, false}) {
        stream_under_test t;
        t.commit(1, 1, 1);
        t.state.specials.push_back(special(stream_special::kind::verification, "v"));
        t.state.specials.push_back(special_of(told("paused", "inactivity", "p")));
        t.state.quiet = true;
        review_notices(t.state, stream_status::paused, true);
        CHECK((push ? pushed(t) : polled(t)) == strings{"p"});
        t.accept("p");
        CHECK((push ? pushed(t) : polled(t)).empty());
        CHECK_FALSE(next_push_time(t.state, at(0ms).steady).has_value());
        t.state.quiet = false;
        review_notices(t.state, stream_status::enabled, false);
        CHECK((push ? pushed(t) : polled(t)).size() == 2);
    }
}

TEST_CASE("on a stream that its receiver has paused nothing goes at all") {
    stream_under_test t;
    t.state.specials.push_back(special_of(told("paused", "events were dropped: x", "p")));
    t.state.quiet = true;
    review_notices(t.state, stream_status::paused, false);
    CHECK(pushed(t).empty());
    CHECK(polled(t).empty());
}

TEST_CASE("what has not been told of a pause before it ends is no longer true, and settled") {
    stream_under_test t;
    t.state.specials.push_back(special_of(told("paused", "inactivity", "p")));
    review_notices(t.state, stream_status::paused, true);
    review_notices(t.state, stream_status::enabled, false);
    CHECK(t.state.specials.empty());
    CHECK(t.state.effects.settled_events == strings{"p"});
}

TEST_CASE("news of dropped events are never settled unsent, and say the true status") {
    stream_under_test t;
    t.state.specials.push_back(special_of(told("paused", "events were dropped: held", "p")));
    CHECK(tells_loss(t.state));
    review_notices(t.state, stream_status::paused, true);
    CHECK_FALSE(t.state.specials.front().tells_status);
    review_notices(t.state, stream_status::enabled, false);
    REQUIRE(t.state.specials.size() == 1);
    CHECK(t.state.specials.front().event.find(R"("enabled")") != std::string::npos);
}

TEST_CASE("news of a changed entry wait for the end of a pause, and are not lost with it") {
    stream_under_test t;
    t.state.specials.push_back(
        special_of(told("paused", std::string(changed_reason) + ": aud", "c")));
    t.state.quiet = true;
    review_notices(t.state, stream_status::paused, true);
    CHECK(pushed(t).empty());
    t.state.quiet = false;
    review_notices(t.state, stream_status::enabled, false);
    CHECK(pushed(t) == strings{"c"});
    CHECK(t.state.specials.front().event.find(R"("enabled")") != std::string::npos);
}

TEST_CASE("the news of a pause goes when what was under way has been answered") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    CHECK(pushed(t).size() == 2);
    t.state.specials.push_back(special_of(told("paused", "maintenance", "p")));
    t.state.quiet = true;
    review_notices(t.state, stream_status::paused, true);
    CHECK(pushed(t).empty());
    t.accept(jti_of(1));
    CHECK(pushed(t).empty());
    t.fail(jti_of(2), at(0ms));  // a receiver that hangs does not keep it back for ever
    CHECK(pushed(t, at(1min)) == strings{"p"});
}

TEST_CASE("a held relation probes with the news of the pause, at its own pace") {
    stream_under_test t;
    t.commit(1, 1, 1);
    pushed(t);
    t.fail(jti_of(1));
    t.state.specials.push_back(special_of(told("paused", "delivery failed", "p")));
    t.state.quiet = true;
    review_notices(t.state, stream_status::paused, true);
    CHECK(pushed(t).empty());
    CHECK(pushed(t, at(1min)) == strings{"p"});
    t.accept("p", at(1min));
    CHECK_FALSE(t.state.receiver.held);
}

TEST_CASE("an event of the stream's own that is refused as the probe does not stop the stream") {
    stream_under_test t;
    t.commit(1, 1, 1);
    pushed(t);
    t.fail(jti_of(1));
    stream_special stale = special_of(told("enabled", "changed", "v"));
    SUBCASE("a verification") {
        stale.what = stream_special::kind::verification;
    }
    SUBCASE("a stream-updated") {}
    SUBCASE("a heartbeat") {
        stale.what = stream_special::kind::heartbeat;
        stale.stored = false;
    }
    t.state.specials.push_back(stale);
    REQUIRE(pushed(t, at(1min)) == strings{"v"});
    t.reject("v", at(1min));
    CHECK(t.state.receiver.held);
    CHECK(pushed(t, at(1min)).empty());
    const auto next = next_push_time(t.state, at(1min).steady);
    REQUIRE(next);
    CHECK(*next <= at(1min + 1s).steady);
    CHECK(pushed(t, at(1min + 1s)) == strings{jti_of(1)});
    t.accept(jti_of(1), at(1min + 1s));
    CHECK_FALSE(t.state.receiver.held);
}

TEST_CASE("a relation that stays bad is given up after its time, and not before") {
    stream_under_test t;
    t.commit(1, 1, 1);
    pushed(t);
    t.fail(jti_of(1), at(0ms));
    CHECK_FALSE(given_up(t.state, 1h, at(59min)));
    pushed(t, at(60min));
    t.fail(jti_of(1), at(60min));
    CHECK(given_up(t.state, 1h, at(60min)));
    t.state.quiet = true;
    CHECK_FALSE(given_up(t.state, 1h, at(60min)));  // paused already
    t.state.quiet = false;
    pushed(t, at(62min));
    t.accept(jti_of(1), at(62min));
    CHECK_FALSE(given_up(t.state, 1h, at(10h)));
}

TEST_CASE("with another endpoint everything unsettled is sent again at once") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    pushed(t);
    t.fail(jti_of(1));
    CHECK(t.state.receiver.held);
    restart_relation(t.state);
    CHECK(t.state.in_flight == 0);
    CHECK_FALSE(t.state.receiver.held);
    CHECK(pushed(t).size() == 2);
}

TEST_CASE("disabling drops what waits, raises continuity if that was anything, keeps its news") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    t.state.specials.push_back(special_of(told("disabled", "abuse", "d")));
    review_notices(t.state, stream_status::disabled, true);
    drop_everything(t.state, false);
    CHECK(t.state.unsettled.empty());
    CHECK(t.state.in_flight == 0);
    CHECK(t.state.effects.lost.size() == 1);
    REQUIRE(t.state.specials.size() == 1);
    CHECK(t.state.specials.front().jti == "d");
    CHECK(t.state.effects.settled_events == strings{"v"});

    stream_under_test idle;
    drop_everything(idle.state, false);
    CHECK(idle.state.effects.lost.empty());
    drop_everything(idle.state, true);  // signals nobody had looked at
    CHECK(idle.state.effects.lost.size() == 1);
}
