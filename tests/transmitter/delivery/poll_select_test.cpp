#include "transmitter/delivery/poll_select.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

struct answer {
    strings jtis;
    bool more = false;
    std::optional<steady_time> next;
};

answer poll(stream_under_test& t, std::size_t max = 100, instant now = at(0ms),
            bool log_has_more = false) {
    const auto s = select_for_poll(t.state, max, t.terms, log_has_more, now.steady);
    answer out{{}, s.more_available, s.next};
    for (const auto& set : s.sets)
        out.jtis.push_back(set.jti);
    return out;
}

}  // namespace

TEST_CASE("a poll is answered oldest first, up to maxEvents") {
    stream_under_test t;
    for (int i = 1; i <= 4; ++i)
        t.commit(i, i, 1);
    const auto first = poll(t, 3);
    CHECK(first.jtis == strings{jti_of(1), jti_of(2), jti_of(3)});
    CHECK(first.more);
    const auto second = poll(t, 3);
    CHECK(second.jtis == strings{jti_of(4)});
    CHECK_FALSE(second.more);
}

TEST_CASE("maxEvents 0 only acks") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    CHECK(apply_acks(t.state, {jti_of(1), "unknown"}, at(0ms)) == 1);
    const auto a = poll(t, 0);
    CHECK(a.jtis.empty());
    CHECK_FALSE(a.more);
    CHECK(t.state.unsettled.size() == 1);
}

TEST_CASE("an answer has at most one unsettled version of a mission: the oldest (I5)") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    t.commit(3, 7, 3);
    t.commit(4, 8, 1);
    const auto first = poll(t);
    CHECK(first.jtis == strings{jti_of(1), jti_of(4)});
    CHECK(first.more);
    CHECK(poll(t).jtis.empty());  // version 2 does not come before 1 is acknowledged
    apply_acks(t.state, {jti_of(1)}, at(0ms));
    CHECK(poll(t).jtis == strings{jti_of(2)});
}

TEST_CASE("acks apply before selection: the next version comes in the same answer") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    poll(t);
    apply_acks(t.state, {jti_of(1)}, at(1ms));
    CHECK(poll(t, 100, at(1ms)).jtis == strings{jti_of(2)});
}

TEST_CASE("an unacknowledged SET is offered again after the redelivery delay, not before") {
    stream_under_test t;
    t.commit(1, 1, 1);
    CHECK(poll(t, 100, at(0ms)).jtis == strings{jti_of(1)});
    const auto early = poll(t, 100, at(4'999ms));
    CHECK(early.jtis.empty());
    CHECK(early.next == at(5s).steady);
    CHECK(poll(t, 100, at(5s)).jtis == strings{jti_of(1)});
}

TEST_CASE("a SET that a poller did not live to see is offered at once") {
    stream_under_test t;
    t.commit(1, 1, 1);
    poll(t);
    not_sent(t.state, jti_of(1));
    CHECK(poll(t).jtis == strings{jti_of(1)});
}

TEST_CASE("both forms of a signal come in one answer and are settled one by one") {
    stream_under_test t;
    t.commit(1, 1, 1, 2);
    CHECK(poll(t).jtis == strings{jti_of(1, 0), jti_of(1, 1)});
    apply_acks(t.state, {jti_of(1, 0)}, at(0ms));
    CHECK(t.state.unsettled.size() == 1);
    CHECK(poll(t, 100, at(6s)).jtis == strings{jti_of(1, 1)});
}

TEST_CASE("maxEvents counts SETs: a signal of two forms may be cut") {
    stream_under_test t;
    t.commit(1, 1, 1, 2);
    const auto a = poll(t, 1);
    CHECK(a.jtis == strings{jti_of(1, 0)});
    CHECK(a.more);
    apply_acks(t.state, {jti_of(1, 0)}, at(0ms));
    CHECK(poll(t, 1).jtis == strings{jti_of(1, 1)});
}

TEST_CASE("moreAvailable tells of signals that are still in the log") {
    stream_under_test t;
    t.commit(1, 1, 1);
    CHECK(poll(t, 100, at(0ms), true).more);
    CHECK_FALSE(poll(t, 100, at(0ms), true).more);  // nothing in this answer
}

TEST_CASE("setErrs with a fault of the SET retries it, with its own gap") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    poll(t);
    apply_set_errors(t.state, {{jti_of(1), "invalid_request", "odd"}}, at(0ms), *t.random);
    CHECK_FALSE(t.state.receiver.held);
    CHECK(t.state.effects.exceptions.size() == 1);
    CHECK(poll(t, 100, at(1s)).jtis.empty());
    CHECK(poll(t, 100, at(2s)).jtis == strings{jti_of(1)});
}

TEST_CASE("setErrs with a fault of the relation hold the stream and probe with one SET") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    poll(t);
    apply_set_errors(t.state, {{jti_of(1), "invalid_key", "kid"}, {jti_of(2), "invalid_key", ""}},
                     at(0ms), *t.random);
    CHECK(t.state.receiver.held);
    const auto held = poll(t, 100, at(1ms));
    CHECK(held.jtis.empty());
    REQUIRE(held.next);
    const instant then{*held.next, wall(1)};
    CHECK(poll(t, 100, then).jtis == strings{jti_of(1)});
    CHECK(poll(t, 100, then).jtis.empty());
    apply_acks(t.state, {jti_of(1)}, then);
    CHECK_FALSE(t.state.receiver.held);
    CHECK(poll(t, 100, then).jtis == strings{jti_of(2)});
}

TEST_CASE("a probe decides on a poll stream as on a push stream") {
    stream_under_test t;
    t.commit(1, 1, 1);
    auto now = at(0ms);
    for (unsigned i = 0; i < limits::dead_letter_tries; ++i) {
        REQUIRE(poll(t, 100, now).jtis == strings{jti_of(1)});
        apply_set_errors(t.state, {{jti_of(1), "invalid_state", ""}}, now, *t.random);
        now.steady += 60s;
    }
    const auto probe = poll(t, 100, now).jtis;
    REQUIRE(probe.size() == 1);
    CHECK(probe[0] != jti_of(1));
    apply_acks(t.state, probe, now);
    CHECK(t.state.effects.dead == 1);
    CHECK(t.state.unsettled.empty());
}

TEST_CASE("setErrs of unknown SETs are ignored") {
    stream_under_test t;
    apply_set_errors(t.state, {{"x", "invalid_key", ""}, {"y", "invalid_request", ""}}, at(0ms),
                     *t.random);
    CHECK_FALSE(t.state.receiver.held);
    CHECK(t.state.effects.exceptions.empty());
}

TEST_CASE("a verification is in the next answer") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    CHECK(poll(t, 1).jtis == strings{"v"});
    CHECK(poll(t, 1).jtis == strings{jti_of(1)});
    apply_acks(t.state, {"v"}, at(0ms));
    CHECK(t.state.effects.settled_events == strings{"v"});
}

TEST_CASE("the number of SETs in an answer is limited, whatever is asked for") {
    stream_under_test t;
    for (int i = 1; i <= 1200; ++i)
        t.commit(i, i, 1);
    const auto a = poll(t, 1'000'000);
    CHECK(a.jtis.size() == limits::poll_max_events);
    CHECK(a.more);
}
