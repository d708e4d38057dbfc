// What the engine relies on, and for how long: which SETs confirm, how old an answer may be, and
// what a state file is worth that may be an old copy. With a clock that the test sets.
#include <doctest/doctest.h>

#include "base/random.hpp"
#include "events/mission_event.hpp"
#include "receiver/engine/engine.hpp"
#include "tests/receiver/held_state.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;

namespace {

constexpr std::int64_t second = 1000, max_stale = 60 * second;
const std::string issuer = "https://mas.example";
const mission_key one{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"};
const mission_key other{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc91"};

struct bench {
    held_state disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    instant now{1'800'000'000'000, 5'000'000};
    std::unique_ptr<engine> e;
    int jti = 0;

    explicit bench(state_snapshot rows = {}, std::size_t most = 100) {
        engine::hooks h;
        h.now = [this] { return now; };
        h.ask_status = [](const mission_key&, bool) {};
        e = std::make_unique<engine>(disk, *runner, most, std::move(h));
        e->load(std::move(rows));
        e->set_issuers(issuer, {});
        e->set_max_stale(std::chrono::seconds(max_stale / second));
        disk.commit_all();
    }
    void pass(std::int64_t milliseconds) {
        now.wall += milliseconds;
        now.mono += milliseconds;
    }
    void join() {
        std::vector<std::string> types;
        for (const auto n : events::mission_event_names)
            types.push_back(std::string(events::event_type_base) + std::string(n));
        e->on_stream({"s", types, true});
        disk.commit_all();
    }
    bool written = true;  // at once
    std::optional<set_outcome> said;
    void deliver(const std::string& type, const std::string& event, const events::subject& sub,
                 std::int64_t iat) {
        events::set_claims c;
        c.iss = issuer;
        c.aud = "me";
        c.iat = iat;
        c.jti = std::to_string(++jti);
        c.sub_id = sub;
        c.type = type;
        c.event = event;
        auto set = events::decode(events::encode(c));
        REQUIRE(set.has_value());
        said.reset();
        e->receive(std::move(*set), [this](set_outcome o) { said = std::move(o); });
        if (!written) return;
        disk.commit_all();
        REQUIRE(said.has_value());
        REQUIRE(said->fate == set_fate::acknowledge);
    }
    // `age`: of what it says was settled.
    void heartbeat(std::int64_t age = 0, std::int64_t continuity = 1,
                   const char* log_epoch = "e1") {
        events::verification v;
        v.as_of = from_milliseconds(now.wall - age);
        v.continuity = continuity;
        v.log_epoch = log_epoch;
        deliver(std::string(events::verification_type), events::to_json(v),
                events::stream_subject("s"), now.wall / second);
    }
    void mission(const mission_key& key, std::int64_t version, const char* state,
                 std::int64_t age = 0, const char* log_epoch = "e1") {
        events::mission_change c;
        c.mission_id = key.id;
        c.issuer = issuer;
        c.log_epoch = log_epoch;
        c.state = state;
        if (version > 1) c.prior_state = "active";
        c.version = version;
        c.authority_hash = "sha-256:x";
        c.committed_at = from_milliseconds(now.wall - age);
        c.expires_at = from_milliseconds(now.wall + 3'600 * second);
        c.agent_client_id = "agent";
        deliver(events::event_type(c, events::form::ours),
                events::event_body(c, events::form::ours),
                events::event_subject(c, events::form::ours), (now.wall - age) / second);
    }
    void status(std::int64_t version, const char* state, engine::asked_at asked,
                const char* log_epoch = "e1") {
        status_word w;
        w.id = one.id;
        w.issuer = issuer;
        w.state = state;
        w.version = version;
        w.log_epoch = log_epoch;
        w.issued_at = from_milliseconds(now.wall);
        w.fresh_until = w.issued_at + std::chrono::milliseconds(max_stale);
        e->on_status(one, w, asked, nullptr);
        disk.commit_all();
    }
    engine::asked_at ask() { return e->status_asked(one); }
    standing says(const mission_key& key) { return e->table().check(issuer, key.id, now).what; }
};

// A file as a run leaves it that was live until `live_until`, with a mission it had confirmed.
state_snapshot left_behind(std::int64_t live_until) {
    state_snapshot s;
    record r;
    r.key = one;
    r.state = "active";
    r.version = 3;
    r.log_epoch = "e1";
    r.confirmed_epoch = 4;
    s.missions.push_back(r);
    std::string types;
    for (const auto n : events::mission_event_names) {
        types += (types.empty() ? "" : " ") + std::string(events::event_type_base);
        types += n;
    }
    s.settings = {{"stream_id", "s"},
                  {"events_delivered", types},
                  {"all_subjects", "1"},
                  {"continuity", "1"},
                  {"log_epoch", "e1"},
                  {"epoch", "4"},
                  {"max_stale_seconds", std::to_string(max_stale / second)},
                  {"live_until", std::to_string(live_until)}};
    return s;
}

}  // namespace

TEST_CASE("a state that is older than the stream's last word is confirmed anew") {
    std::int64_t live_until = 0;
    bool doubt = true;
    SUBCASE("it is from a moment ago") {
        live_until = 1'800'000'000'000 + 40 * second;
        doubt = false;
    }
    SUBCASE("its time has passed") {
        live_until = 1'800'000'000'000 - 1;
    }
    SUBCASE("it never was live") {}
    SUBCASE("it is from a time that is not yet: the clock was set back") {
        live_until = 1'800'000'000'000 + 3'600 * second;
    }
    bench b(left_behind(live_until));
    // A heartbeat that was under way while the state was put back, and says nothing of that.
    b.heartbeat(20 * second);
    CHECK(b.says(one) == (doubt ? standing::stale : standing::active));
    // What was acknowledged and forgotten may come again: it is no first contact.
    b.mission(other, 1, "active", 10 * second);
    CHECK(b.says(other) == (doubt ? standing::stale : standing::active));
    const mission_key later{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc92"};
    b.mission(later, 1, "active");
    CHECK(b.says(later) == standing::active);
    b.status(3, "active", b.ask());
    CHECK(b.says(one) == standing::active);
}

TEST_CASE("an old state without missions makes no first contact of what came since") {
    bool doubt = true;
    auto state = left_behind(1'800'000'000'000 - 1);
    state.missions.clear();
    SUBCASE("its time has passed") {
        state.settings.emplace_back("settled_until",
                                    std::to_string(1'800'000'000'000 - 60 * second));
    }
    SUBCASE("it was no stream's yet") {
        state.settings.clear();
        doubt = false;
    }
    bench b(std::move(state));
    b.join();  // nothing new for the one that knew it
    b.heartbeat(20 * second);
    b.mission(other, 1, "active", 10 * second);
    CHECK(b.says(other) == (doubt ? standing::stale : standing::active));
}

TEST_CASE("a SET that was settled before the last heartbeat confirms nothing") {
    bench b;
    b.join();
    // Before the first one nobody knows what was settled.
    b.mission(other, 1, "active");
    b.pass(2 * second);
    b.heartbeat();
    CHECK(b.says(other) == standing::stale);
    b.mission(one, 1, "active", 5 * second);
    CHECK(b.says(one) == standing::stale);
    b.pass(2 * second);
    // In order, and later: nothing can lie between them.
    b.mission(one, 2, "active");
    CHECK(b.says(one) == standing::active);
    SUBCASE("in an epoch that began since not before the next heartbeat") {
        b.e->note_status("enabled", "");
        b.mission(one, 3, "active");
        CHECK(b.says(one) == standing::stale);
        b.heartbeat();
        CHECK(b.says(one) == standing::stale);
    }
    SUBCASE("one of another history than the heartbeats' never") {
        const mission_key foreign{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc92"};
        b.mission(foreign, 1, "active", 0, "e2");
        CHECK(b.says(foreign) == standing::stale);
    }
}

TEST_CASE("no answer is relied on for longer than max_stale from when it was asked for") {
    bench b;
    const auto asked = b.ask();
    b.pass(50 * second);
    b.status(1, "active", asked);
    CHECK(b.says(one) == standing::active);
    SUBCASE("by the monotonic clock, whatever the other one shows") {
        b.now.wall -= 1'000 * second;
    }
    SUBCASE("by both") {}
    b.pass(10 * second - 1);
    CHECK(b.says(one) == standing::active);
    b.pass(1);
    CHECK(b.says(one) == standing::stale);
}

TEST_CASE("a later SET does not renew what Status said, though the clock was set back") {
    bench b;
    b.status(1, "active", b.ask());
    b.pass(50 * second);
    b.now.wall -= 1'000 * second;
    b.mission(one, 2, "active");
    CHECK(b.says(one) == standing::active);
    b.pass(10 * second);
    CHECK(b.says(one) == standing::stale);
}

TEST_CASE("an answer of another history that was overtaken denies, and another one decides") {
    bench b;
    b.join();
    b.heartbeat();
    b.pass(2 * second);
    b.mission(one, 1, "active");
    REQUIRE(b.says(one) == standing::active);
    const auto asked = b.ask();
    b.mission(one, 2, "active");
    SUBCASE("a denial holds") {
        b.status(7, "revoked", asked, "e2");
        CHECK(b.says(one) == standing::revoked);
    }
    SUBCASE("a permission permits nothing") {
        b.status(7, "active", asked, "e2");
        CHECK(b.says(one) == standing::gap);
    }
    CHECK(b.e->wants_status(one));
    // Nor is this one an answer: it was asked for before the doubt came.
    b.status(2, "active", asked);
    CHECK(b.says(one) != standing::active);
    b.status(2, "active", b.ask());
    CHECK(b.says(one) == standing::active);
    CHECK_FALSE(b.e->wants_status(one));
}

TEST_CASE("a denial ages like a permission: it is asked about again, and holds meanwhile") {
    bench b;
    b.status(1, "suspended", b.ask());
    CHECK_FALSE(b.e->denial_aged(one));
    b.pass(max_stale);
    CHECK(b.e->denial_aged(one));
    CHECK(b.says(one) == standing::suspended);
    b.status(2, "revoked", b.ask());
    b.pass(max_stale);
    // What has ended is not asked about: nothing revives it.
    CHECK_FALSE(b.e->denial_aged(one));
    CHECK(b.says(one) == standing::revoked);
}

TEST_CASE("what has ended is asked about once its transmitter tells another history") {
    bench b;
    b.join();
    b.heartbeat();
    b.status(2, "revoked", b.ask());
    b.pass(max_stale);
    b.heartbeat();
    CHECK_FALSE(b.e->denial_aged(one));
    // Another epoch of the same history revives nothing, and nobody is asked.
    b.heartbeat(0, 2);
    CHECK_FALSE(b.e->denial_aged(one));
    b.heartbeat(0, 2, "e2");
    CHECK(b.e->denial_aged(one));
    CHECK(b.says(one) == standing::revoked);
    // Where it has ended as well that is the end of it.
    SUBCASE("ended there too") {
        b.status(1, "revoked", b.ask(), "e2");
        CHECK_FALSE(b.e->denial_aged(one));
        CHECK(b.says(one) == standing::revoked);
    }
    SUBCASE("not ended there") {
        b.status(1, "active", b.ask(), "e2");
        CHECK(b.says(one) == standing::active);
    }
}

TEST_CASE("an answer that was asked for before an event that found no room is overtaken by it") {
    bench b({}, 2);
    b.join();
    b.heartbeat();
    b.pass(2 * second);
    const mission_key third{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc92"};
    // Both places are taken by missions that are not on disk yet.
    b.written = false;
    b.mission(other, 1, "active");
    b.mission(third, 1, "active");
    const auto asked = b.ask();
    b.mission(one, 2, "revoked");
    REQUIRE(b.e->counts().missions_refused == 1);
    b.disk.commit_all();
    b.written = true;
    b.status(1, "active", asked);  // as it was when the question came
    CHECK(b.says(one) == standing::unknown);
    b.status(2, "revoked", b.ask());
    CHECK(b.says(one) == standing::revoked);
}

TEST_CASE("what finds no room is acknowledged behind the end of its row") {
    bench b({}, 2);
    b.join();
    b.heartbeat();
    b.pass(2 * second);
    const mission_key third{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc92"};
    const mission_key fourth{issuer, "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc93"};
    b.mission(one, 1, "active");
    b.mission(other, 1, "active");
    // Two more: both are forgotten, and neither of the new ones can be while it is not on disk.
    b.written = false;
    b.mission(third, 1, "active");
    b.mission(fourth, 1, "active");
    REQUIRE(b.e->counts().missions_evicted == 2);
    b.mission(one, 2, "revoked");
    CHECK(b.e->counts().missions_refused == 1);
    // Who dies now has its row, which permits: that SET has to come again.
    CHECK_FALSE(b.said.has_value());
    b.disk.commit_all();
    REQUIRE(b.said.has_value());
    CHECK(b.said->fate == set_fate::acknowledge);
}
