// Events that are not about missions, without a network: stored, acknowledged, run, in that order;
// and what is remembered of them is bounded.
#include "receiver/inbox/inbox.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "base/limits.hpp"
#include "events/set.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/engine/seen_jtis.hpp"
#include "tests/receiver/held_state.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;

namespace {

const std::string issuer = "https://mas.example";

class no_jitter final : public random_source {
  public:
    void fill(std::span<std::byte> out) noexcept override {
        std::fill(out.begin(), out.end(), std::byte{0});
    }
};

struct bench {
    held_state disk;
    no_jitter random;
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::unique_ptr<task_runner> runner = make_task_runner(random);
    std::unique_ptr<inbox> events_in = make_inbox(random);
    std::vector<std::function<void()>> jobs;  // what the host was asked to run
    std::vector<std::pair<event_record, bool>> recorded;
    std::unique_ptr<engine> e;
    std::optional<set_outcome> last;

    ~bench() {
        run();
        rt->stop();
    }
    void start() {
        inbox::hooks h;
        h.execute = [this](std::function<void()> job) { jobs.push_back(std::move(job)); };
        h.record = [this](const event_record& r, bool erase) { recorded.emplace_back(r, erase); };
        events_in->start(*rt, std::move(h));
        engine::hooks eh;
        eh.events = events_in.get();
        e = std::make_unique<engine>(disk, *runner, 100, std::move(eh));
        e->set_issuers(issuer, {});
    }
    void deliver(const std::string& jti, const std::string& subject = "x") {
        events::set_claims c;
        c.iss = issuer;
        c.aud = "me";
        c.iat = 1700000000;
        c.jti = jti;
        c.sub_id = events::subject::opaque(subject);
        c.type = "urn:x:t";
        c.event = R"({"a":1})";
        auto set = events::decode(events::encode(c));
        REQUIRE(set.has_value());
        last.reset();
        e->receive(std::move(*set), [this](set_outcome o) { last = std::move(o); });
    }
    void run() {
        auto now = std::move(jobs);
        jobs.clear();
        for (auto& job : now)
            job();
    }
};

}  // namespace

TEST_CASE("an event is stored with its jti, then acknowledged, then run") {
    bench b;
    int calls = 0;
    b.events_in->add_handler("h", {}, [&](const ms::security_event& e) {
        ++calls;
        CHECK(e.jti == "j1");
        CHECK(e.attempt == 1);
        return ms::outcome::done();
    });
    b.start();
    b.deliver("j1");
    CHECK_FALSE(b.last.has_value());
    CHECK(b.jobs.empty());
    const auto unit = b.disk.take();
    // One unit: neither is ever there without the other.
    REQUIRE(unit.write.events.size() == 1);
    CHECK(unit.write.events[0].event == R"({"a":1})");
    REQUIRE(unit.write.jtis.size() == 1);
    CHECK(unit.write.jtis[0].jti == "j1");
    unit.committed();
    unit.answered({});
    CHECK(b.last->fate == set_fate::acknowledge);
    b.run();
    CHECK(calls == 1);
    REQUIRE(b.recorded.size() == 1);
    CHECK(b.recorded[0].second);  // the row goes
    CHECK(b.events_in->open_count() == 0);
}

TEST_CASE("an event that cannot be stored is not acknowledged and not run") {
    bench b;
    b.events_in->add_handler("h", {},
                             [](const ms::security_event&) { return ms::outcome::done(); });
    b.start();
    b.deliver("j1");
    b.disk.take().answered(error{errc::store_full});
    CHECK(b.last->fate == set_fate::retry);
    CHECK(b.jobs.empty());
}

TEST_CASE("the same SET again is acknowledged behind the first, and not run twice") {
    bench b;
    b.events_in->add_handler("h", {},
                             [](const ms::security_event&) { return ms::outcome::done(); });
    b.start();
    b.deliver("j1");
    b.deliver("j1");
    CHECK_FALSE(b.last.has_value());
    const auto first = b.disk.take(), second = b.disk.take();
    CHECK(second.write.events.empty());
    first.committed();
    second.answered({});
    CHECK(b.last->fate == set_fate::acknowledge);
    CHECK(b.jobs.size() == 1);
    CHECK(b.e->counts().sets_duplicate == 1);
}

TEST_CASE("a try that fails is kept with its count, and made again after a growing pause") {
    bench b;
    int calls = 0;
    b.events_in->add_handler("h", {}, [&](const ms::security_event&) {
        return ++calls < 3 ? ms::outcome::failed("down") : ms::outcome::done();
    });
    b.start();
    b.deliver("j1");
    b.disk.take().committed();
    b.run();
    REQUIRE(b.recorded.size() == 1);
    CHECK_FALSE(b.recorded[0].second);
    CHECK(b.recorded[0].first.attempts == 1);
    CHECK(b.recorded[0].first.evidence == "down");
    CHECK(b.events_in->open_count() == 1);

    no_jitter random;
    CHECK(event_retry_delay(1, random) == std::chrono::milliseconds(100));
    CHECK(event_retry_delay(2, random) == std::chrono::milliseconds(200));
    CHECK(event_retry_delay(5, random) == std::chrono::milliseconds(1600));
    CHECK(event_retry_delay(1000, random) == std::chrono::milliseconds(30'000));
}

TEST_CASE("there are so many places for events: without one a SET has to come again") {
    no_jitter random;
    auto in = make_inbox(random);
    in->add_handler("h", {}, [](const ms::security_event&) { return ms::outcome::done(); });
    SUBCASE("in number") {
        for (std::size_t n = 0; n < limits::inbox_events; ++n)
            REQUIRE(in->reserve(1));
        CHECK_FALSE(in->reserve(1));
    }
    SUBCASE("in octets") {
        CHECK(in->reserve(limits::inbox_bytes - 1));
        CHECK_FALSE(in->reserve(2));
        CHECK(in->reserve(1));
    }
}

TEST_CASE("without a place an event is neither stored nor remembered") {
    bench b;
    b.events_in->add_handler("h", {},
                             [](const ms::security_event&) { return ms::outcome::done(); });
    b.start();
    REQUIRE(b.events_in->reserve(limits::inbox_bytes));
    b.deliver("j1");
    REQUIRE(b.last.has_value());
    CHECK(b.last->fate == set_fate::retry);
    CHECK(b.disk.units.empty());
    CHECK(b.e->counts().sets_duplicate == 0);
    b.deliver("j1");  // not taken for known
    CHECK(b.last->fate == set_fate::retry);
}

TEST_CASE("known jtis are of one issuer, and the oldest go by age and by number") {
    seen_jtis seen;
    const wall_time start = from_numeric_date(1'700'000'000);
    CHECK(seen.add("a", "1", start));
    CHECK_FALSE(seen.add("a", "1", start));
    CHECK(seen.has("a", "1"));
    CHECK_FALSE(seen.has("b", "1"));
    CHECK_FALSE(seen.has("a1", ""));  // no other way to cut the same octets
    // For longer than a transmitter holds a SET.
    CHECK(limits::seen_jti_kept >= std::chrono::hours(7 * 24));
    seen.add("a", "2", start + limits::seen_jti_kept);
    CHECK(seen.has("a", "1"));
    seen.add("a", "3", start + limits::seen_jti_kept + std::chrono::seconds(1));
    CHECK_FALSE(seen.has("a", "1"));
    CHECK(seen.has("a", "2"));
    for (std::size_t n = 0; seen.size() < limits::seen_jti; ++n)
        seen.add("c", std::to_string(n), start + limits::seen_jti_kept);
    seen.add("c", "one more", start + limits::seen_jti_kept);
    CHECK(seen.size() == limits::seen_jti);
    CHECK_FALSE(seen.has("a", "2"));
    CHECK(seen.has("c", "0"));
}
