// From an event to the tasks of what is held: what the disk and the number of holds change of it.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "events/mission_event.hpp"
#include "receiver/engine/engine.hpp"
#include "tests/receiver/held_state.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using ms::standing;
using receiver::testing::held_state;
using test::eventually;
using namespace std::chrono_literals;

namespace {

const std::string issuer = "https://mas.example";

std::string id_of(int n) {
    auto text = std::to_string(n);
    return "msn_" + std::string(20 - text.size(), '0') + text;
}

struct bench {
    held_state disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::vector<mission_key> asked;
    std::unique_ptr<engine> e;
    std::atomic<int> stopped{0};
    std::optional<set_outcome> last;
    int jtis = 0;
    std::chrono::milliseconds ahead{0};  // how far both clocks have moved on

    instant now() const {
        auto t = coarse_now();
        t.wall += ahead.count();
        t.mono += ahead.count();
        return t;
    }
    ms::answer check(const std::string& id) { return e->table().check(issuer, id, now()); }

    explicit bench(std::size_t missions) {
        ms::handler_options o;
        o.name = "h";
        o.on = ms::terminal_effects();
        o.on.push_back(ms::effect::suspended);
        o.concurrency = 1;
        runner->add_handler(o, [this](const ms::task&) {
            ++stopped;
            return ms::outcome::done();
        });
        engine::hooks h;
        h.now = [this] { return now(); };
        h.ask_status = [this](const mission_key& k, bool) { asked.push_back(k); };
        e = std::make_unique<engine>(disk, *runner, missions, std::move(h));
        e->set_issuers(issuer, {});
        e->set_max_stale(60s);
    }
    ~bench() { runner->stop(); }

    void run() {
        task_runner::hooks h;
        h.execute = [](std::function<void()> job) { job(); };
        h.record = [this](const task_record& t) {
            state_write unused;
            e->task_done(t, unused);
        };
        runner->start(std::move(h));
    }
    // A stream that carries all; then a heartbeat.
    void join() {
        std::vector<std::string> types;
        for (const auto n : events::mission_event_names)
            types.push_back(std::string(events::event_type_base) + std::string(n));
        e->on_stream({"s", types, true});
        disk.commit_all();
        heartbeat();
    }
    void heartbeat() {
        events::verification v;
        v.as_of = to_wall(now());
        v.continuity = 1;
        v.log_epoch = "e1";
        deliver(std::string(events::verification_type), events::to_json(v),
                events::stream_subject("s"));
        disk.commit_all();
    }
    void deliver(const std::string& type, const std::string& event, const events::subject& sub) {
        events::set_claims c;
        c.iss = issuer;
        c.aud = "me";
        c.iat = to_numeric_date(to_wall(now()));
        c.jti = "jti" + std::to_string(++jtis);
        c.sub_id = sub;
        c.type = type;
        c.event = event;
        auto set = events::decode(events::encode(c));
        REQUIRE(set.has_value());
        last.reset();
        e->receive(std::move(*set), [this](set_outcome o) { last = std::move(o); });
    }
    void mission(const std::string& id, std::int64_t version, const char* state) {
        events::mission_change c;
        c.mission_id = id;
        c.issuer = issuer;
        c.log_epoch = "e1";
        c.state = state;
        if (version > 1) c.prior_state = "active";
        c.version = version;
        c.authority_hash = "sha-256:x";
        c.committed_at = to_wall(now());
        c.expires_at = to_wall(now()) + 1h;
        c.agent_client_id = "agent";
        deliver(events::event_type(c, events::form::ours),
                events::event_body(c, events::form::ours),
                events::event_subject(c, events::form::ours));
    }
    void status(const std::string& id, std::int64_t version, const char* state) {
        status_word w;
        w.id = id;
        w.issuer = issuer;
        w.state = state;
        w.version = version;
        w.log_epoch = "e1";
        w.fresh_until = to_wall(now()) + 50s;
        const mission_key key{issuer, id};
        e->on_status(key, w, e->status_asked(key), nullptr);
        disk.commit_all();
    }
    state_snapshot held(int missions, int things) {
        state_snapshot s;
        for (int n = 0; n < missions; ++n) {
            for (int k = 0; k < things; ++k)
                s.holds.push_back({{issuer, id_of(n)}, "thing-" + std::to_string(k), "data"});
        }
        return s;
    }
};

}  // namespace

TEST_CASE("a disk that refuses keeps nothing running: what is held ends before it can be written") {
    bench b(100);
    b.e->load(b.held(1, 2));
    b.run();
    b.join();
    b.status(id_of(0), 1, "active");
    REQUIRE(b.check(id_of(0)).permitted());
    b.mission(id_of(0), 2, "revoked");
    CHECK(b.check(id_of(0)).what == standing::revoked);
    auto unit = b.disk.take();
    REQUIRE(unit.write.tasks.size() == 2);
    CHECK(b.stopped == 0);
    unit.answered(errc::store_full);
    REQUIRE(eventually([&] { return b.stopped == 2; }));
    // Not acknowledged: it comes again, should we die now.
    REQUIRE(b.last);
    CHECK(b.last->fate == set_fate::retry);
    // Once the disk takes it nothing runs a second time.
    unit.committed();
    b.disk.commit_all();
    CHECK(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(b.stopped == 2);
    CHECK(b.e->held({}).empty());
}

TEST_CASE("a resume waits for the disk: it gives something back") {
    bench b(100);
    b.e->load(b.held(1, 1));
    b.run();
    b.join();
    b.status(id_of(0), 1, "active");
    b.mission(id_of(0), 2, "suspended");
    b.disk.commit_all();
    REQUIRE(eventually([&] { return b.stopped == 1; }));
    b.mission(id_of(0), 3, "active");
    CHECK_FALSE(b.check(id_of(0)).permitted());
}

TEST_CASE("what is held costs a change of another mission nothing") {
    constexpr int missions = 20'000;
    bench b(missions + 10);
    b.e->load(b.held(missions, 1));
    b.join();
    for (int n = 0; n < missions; ++n)
        b.status(id_of(n), 1, "active");
    const auto other = id_of(missions + 1);
    const auto begun = std::chrono::steady_clock::now();
    constexpr int changes = 2000;
    for (int version = 1; version <= changes; ++version) {
        b.mission(other, version, version % 2 ? "active" : "suspended");
        b.disk.commit_all();
    }
    // A look at all that is held at each change takes more than ten times as long.
    CHECK(std::chrono::steady_clock::now() - begun < 4s);
    CHECK(b.runner->open_count() == 0);
}

TEST_CASE(
    "what is held pauses when the stream falls silent, and continues when it is heard again") {
    bench b(100);
    std::atomic<int> stale{0}, fresh{0};
    ms::handler_options o;
    o.name = "pauses";
    o.on = {ms::effect::stale, ms::effect::fresh};
    b.runner->add_handler(o, [&](const ms::task& t) {
        ++(t.why == ms::effect::stale ? stale : fresh);
        return ms::outcome::done();
    });
    b.e->load(b.held(3, 1));
    b.run();
    b.join();
    for (int n = 0; n < 3; ++n)
        b.status(id_of(n), 1, "active");
    b.e->watch();
    const auto idle = [&] { return b.runner->open_count() == 0; };
    REQUIRE(eventually(idle));
    CHECK(stale == 0);
    fresh = 0;
    b.ahead += 70s;
    b.e->watch();
    REQUIRE(eventually([&] { return stale == 3 && idle(); }));
    // Said again and again it stays one pause each.
    b.e->watch();
    b.heartbeat();
    REQUIRE(eventually([&] { return fresh == 3 && idle(); }));
    CHECK(stale == 3);
    // Another heartbeat is news to nobody.
    b.heartbeat();
    REQUIRE(eventually(idle));
    CHECK(fresh == 3);
    CHECK(stale == 3);
}
