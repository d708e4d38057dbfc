#include "transmitter/delivery/heartbeat.hpp"

#include "events/set.hpp"
#include "rules_support.hpp"
#include "transmitter/delivery/poll_select.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

void beat(stream_under_test& t, log_sample sample, std::int64_t continuity = 0) {
    make_heartbeat(t.state, sample, continuity, "epoch-1", sample.as_of, *t.random);
}

std::size_t pending(const stream_under_test& t) {
    return t.state.specials.size();
}

events::verification body_of(const stream_under_test& t) {
    const auto parsed = json::parse(t.state.specials.front().event);
    REQUIRE(parsed);
    const auto v = events::parse_verification(*parsed);
    REQUIRE(v);
    return *v;
}

}  // namespace

TEST_CASE("a sample speaks for the millisecond before its batch: the batch may go on") {
    // Descendants whose rows are not written yet are vouched for up to their cause alone.
    CHECK(sample_of(wall(10), 7, wall(4)).as_of == wall(4) - std::chrono::milliseconds{1});
    CHECK(sample_of(wall(10), 7, wall(12)).as_of == wall(10) - std::chrono::milliseconds{1});
    const auto s = sample_of(wall(10), 7);
    CHECK(s.as_of == wall(10) - 1ms);
    CHECK(s.head == 7);
}

TEST_CASE("a heartbeat carries as_of, continuity and log_epoch, and no state") {
    stream_under_test t;
    beat(t, {wall(10), 0}, 4);
    const auto v = body_of(t);
    CHECK(v.as_of == wall(10));
    CHECK(v.continuity == 4);
    CHECK(v.log_epoch == "epoch-1");
    CHECK_FALSE(v.state);
}

TEST_CASE("a heartbeat is sent only when everything up to its sample is settled") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    beat(t, {wall(10), 2});
    CHECK(t.push() == strings{jti_of(1), jti_of(2)});
    t.accept(jti_of(2));
    CHECK(t.push().empty());
    t.accept(jti_of(1));
    CHECK(t.push().size() == 1);  // now the heartbeat
}

TEST_CASE("signals after the sample do not hold a heartbeat back") {
    stream_under_test t;
    t.commit(1, 1, 1);
    beat(t, {wall(10), 0});
    CHECK(t.push().size() == 2);
}

TEST_CASE("a heartbeat waits for signals that are not in the window yet") {
    stream_under_test t;
    beat(t, {wall(10), 5});  // the stream has looked at nothing
    CHECK(t.push().empty());
    t.state.unsettled.scan_to(5);
    CHECK(t.push().size() == 1);
}

TEST_CASE("at most one heartbeat is pending, and a waiting one keeps its sample") {
    stream_under_test t;
    t.commit(1, 1, 1);
    beat(t, {wall(10), 1});
    beat(t, {wall(11), 9});
    CHECK(pending(t) == 1);
    CHECK(body_of(t).as_of == wall(10));
}

TEST_CASE("a heartbeat on its way is not replaced") {
    stream_under_test t;
    beat(t, {wall(10), 0});
    const auto sent = t.push();
    beat(t, {wall(11), 0});
    CHECK(pending(t) == 1);
    CHECK(t.state.specials.front().jti == sent.front());
}

TEST_CASE("a polled heartbeat that was never acknowledged gives way to a fresher one") {
    stream_under_test t;
    beat(t, {wall(10), 0});
    REQUIRE(select_for_poll(t.state, 10, t.terms, false, at(0ms).steady).sets.size() == 1);
    beat(t, {wall(40), 0});
    CHECK(pending(t) == 1);
    CHECK(body_of(t).as_of == wall(40));
}

TEST_CASE("a stream-updated goes before the first heartbeat after a raised continuity") {
    stream_under_test t;
    beat(t, {wall(10), 0}, 1);
    t.state.specials.push_back(special(stream_special::kind::stream_updated, "updated"));
    CHECK(t.push() == strings{"updated"});
    CHECK(t.push().empty());
    t.accept("updated");
    CHECK(t.push().size() == 1);
}

TEST_CASE("no heartbeat while a raised continuity is not durable") {
    stream_under_test t;
    beat(t, {wall(10), 0});
    t.state.continuity_pending = true;
    CHECK(t.push().empty());
    t.state.continuity_pending = false;
    t.state.effects.lost.push_back("something");
    CHECK(t.push().empty());
    t.state.effects.lost.clear();
    CHECK(t.push().size() == 1);
}

TEST_CASE("a heartbeat with an outdated continuity is dropped") {
    stream_under_test t;
    beat(t, {wall(10), 0}, 1);
    drop_heartbeat(t.state);
    CHECK(pending(t) == 0);
}

TEST_CASE("a refused heartbeat is not repeated: the next one says more") {
    stream_under_test t;
    beat(t, {wall(10), 0});
    const auto sent = t.push();
    t.reject(sent.front());
    CHECK(pending(t) == 0);
    CHECK(t.state.in_flight == 0);
}

TEST_CASE("the schedule gives each stream once, when due") {
    heartbeat_schedule schedule;
    const auto start = at(0ms).steady;
    schedule.set(store::stream_row{1}, start + 10ms);
    schedule.set(store::stream_row{2}, start + 5ms);
    schedule.set(store::stream_row{1}, start + 3ms);  // moved
    schedule.set(store::stream_row{3}, start + 50ms);
    CHECK(schedule.size() == 3);
    CHECK(schedule.take_due(start).empty());
    CHECK(schedule.take_due(start + 10ms) ==
          std::vector{store::stream_row{1}, store::stream_row{2}});
    schedule.remove(store::stream_row{3});
    CHECK(schedule.take_due(start + 1h).empty());
}
