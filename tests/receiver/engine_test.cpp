// The engine without a network: what is shown when, and what is acknowledged when.
#include "receiver/engine/engine.hpp"

#include <doctest/doctest.h>

#include <future>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "events/mission_event.hpp"
#include "jose/jws.hpp"
#include "receiver/subscribe/intake.hpp"
#include "receiver/teardown/pool.hpp"
#include "tests/receiver/held_state.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;

namespace {

const std::string issuer = "https://mas.example";
const std::string id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";

struct bench {
    held_state disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::vector<mission_key> asked;
    std::unique_ptr<engine> e;

    bench() {
        engine::hooks h;
        h.ask_status = [this](const mission_key& k, bool) { asked.push_back(k); };
        e = std::make_unique<engine>(disk, *runner, 100, std::move(h));
        e->set_issuers(issuer, {});
        e->set_max_stale(std::chrono::seconds(60));
        join();
    }

    void join() {
        std::vector<std::string> types;
        for (const auto n : events::mission_event_names) {
            types.push_back(std::string(events::event_type_base) + std::string(n));
        }
        e->on_stream({"s", types, true});
        disk.commit_all();
        heartbeat(1);
        disk.commit_all();
    }

    std::optional<set_outcome> deliver(const std::string& type, const std::string& event,
                                       const events::subject& sub, const std::string& jti) {
        events::set_claims c;
        c.iss = issuer;
        c.aud = "me";
        c.iat = to_numeric_date(system_clock().now());
        c.jti = jti;
        c.sub_id = sub;
        c.type = type;
        c.event = event;
        auto set = events::decode(events::encode(c));
        REQUIRE(set.has_value());
        last.reset();
        e->receive(std::move(*set), [this](set_outcome o) { last = std::move(o); });
        return last;
    }
    void heartbeat(std::int64_t continuity) {
        events::verification v;
        v.as_of = system_clock().now();
        v.continuity = continuity;
        v.log_epoch = "e1";
        deliver(std::string(events::verification_type), events::to_json(v),
                events::stream_subject("s"), "h" + std::to_string(continuity));
    }
    void mission(std::int64_t version, const char* state, const char* log_epoch = "e1") {
        events::mission_change c;
        c.mission_id = id;
        c.issuer = issuer;
        c.log_epoch = log_epoch;
        c.state = state;
        if (version > 1) c.prior_state = "active";
        c.version = version;
        c.authority_hash = "sha-256:x";
        c.committed_at = system_clock().now();
        c.expires_at = system_clock().now() + std::chrono::hours(1);
        c.agent_client_id = "agent";
        deliver(events::event_type(c, events::form::ours),
                events::event_body(c, events::form::ours),
                events::event_subject(c, events::form::ours), log_epoch + std::to_string(version));
    }
    void status(std::int64_t version, const char* state, engine::asked_at when,
                const char* log_epoch = "e1", std::optional<std::string> authority = {}) {
        status_word w;
        w.id = id;
        w.issuer = issuer;
        w.state = state;
        w.version = version;
        w.log_epoch = log_epoch;
        w.authority = std::move(authority);
        e->on_status({issuer, id}, w, when, nullptr);
        disk.commit_all();
    }
    engine::asked_at ask() { return e->status_asked({issuer, id}); }
    standing now() { return e->table().check(issuer, id, coarse_now()).what; }

    std::optional<set_outcome> last;
};

}  // namespace

TEST_CASE("a permission is shown and acknowledged only after it is on disk") {
    bench b;
    b.mission(1, "active");
    CHECK(b.now() == standing::unknown);
    CHECK_FALSE(b.last.has_value());
    b.disk.commit_all();
    CHECK(b.now() == standing::active);
    CHECK(b.last->fate == set_fate::acknowledge);
}

TEST_CASE("a denial is shown before it is on disk, and acknowledged after") {
    bench b;
    b.mission(1, "active");
    b.disk.commit_all();
    b.mission(2, "suspended");
    CHECK(b.now() == standing::suspended);
    CHECK_FALSE(b.last.has_value());
    // And a resume behind it is not shown by the earlier commit.
    b.mission(3, "active");
    auto first = std::move(b.disk.units.front());
    b.disk.units.erase(b.disk.units.begin());
    first.committed();
    CHECK(b.now() == standing::suspended);
    b.disk.commit_all();
    CHECK(b.now() == standing::active);
}

TEST_CASE("a permission is shown once it is on disk, though another one waits behind it") {
    bench b;
    b.mission(1, "active");
    b.status(1, "active", b.ask());
    b.disk.commit_all();
    b.mission(2, "suspended");
    b.disk.commit_all();
    b.mission(3, "active");
    b.e->on_status({issuer, id}, errc::unavailable, b.ask(), nullptr);
    status_word w;
    w.id = id;
    w.issuer = issuer;
    w.state = "active";
    w.version = 4;
    w.log_epoch = "e1";
    b.e->on_status({issuer, id}, w, b.ask(), nullptr);
    REQUIRE(b.disk.units.size() == 2);
    auto first = std::move(b.disk.units.front());
    b.disk.units.erase(b.disk.units.begin());
    first.committed();
    CHECK(b.now() == standing::active);
    CHECK(b.e->table().check(issuer, id, coarse_now()).version == 3);
    b.disk.commit_all();
    CHECK(b.e->table().check(issuer, id, coarse_now()).version == 4);
    // What is behind a denial stays behind it: the commit of an older permission shows nothing.
    b.mission(5, "active");
    b.mission(6, "revoked");
    CHECK(b.now() == standing::revoked);
    first = std::move(b.disk.units.front());
    b.disk.units.erase(b.disk.units.begin());
    first.committed();
    CHECK(b.now() == standing::revoked);
}

TEST_CASE("a view tells when the version was committed, as the event or the status says") {
    bench b;
    b.mission(1, "active");
    b.disk.commit_all();
    const auto told = b.e->view({issuer, id})->committed_at;
    REQUIRE(told);
    CHECK(*told > system_clock().now() - std::chrono::minutes(1));
    status_word w;
    w.id = id;
    w.issuer = issuer;
    w.state = "revoked";
    w.version = 2;
    w.log_epoch = "e1";
    w.committed_at = from_milliseconds(1'700'000'000'123);
    b.e->on_status({issuer, id}, w, b.ask(), nullptr);
    b.disk.commit_all();
    CHECK(b.e->view({issuer, id})->committed_at == from_milliseconds(1'700'000'000'123));
    w.version = 3;  // of another service, that does not say
    w.committed_at.reset();
    b.e->on_status({issuer, id}, w, b.ask(), nullptr);
    b.disk.commit_all();
    CHECK_FALSE(b.e->view({issuer, id})->committed_at);
}

TEST_CASE("a duplicate is acknowledged only once what it repeats is on disk") {
    bench b;
    b.mission(1, "active");
    auto unit = std::move(b.disk.units.front());
    b.disk.units.clear();
    unit.answered(error{errc::store_full});
    CHECK(b.last->fate == set_fate::retry);
    b.mission(1, "active");
    CHECK_FALSE(b.last.has_value());  // waits behind the unit that failed
    CHECK(b.now() == standing::unknown);
}

TEST_CASE("while too much waits for the disk nothing is begun") {
    bench b;
    b.disk.accepting = false;
    b.mission(1, "active");
    CHECK(b.last->fate == set_fate::retry);
    CHECK_FALSE(b.e->view({issuer, id}).has_value());
}

TEST_CASE("a status asked for before the epoch began confirms nothing in it") {
    bench b;
    const auto asked = b.e->status_asked({issuer, id});
    b.heartbeat(2);
    b.disk.commit_all();
    status_word w;
    w.id = id;
    w.issuer = issuer;
    w.state = "active";
    w.version = 1;
    w.log_epoch = "e1";
    b.e->on_status({issuer, id}, w, asked, nullptr);
    b.disk.commit_all();
    CHECK(b.now() == standing::stale);
    b.e->on_status({issuer, id}, w, b.e->status_asked({issuer, id}), nullptr);
    b.disk.commit_all();
    CHECK(b.now() == standing::active);
}

TEST_CASE("a gap asks for Status at once") {
    bench b;
    b.mission(1, "active");
    b.mission(4, "active");
    REQUIRE(b.asked.size() == 1);
    CHECK(b.asked[0].id == id);
    CHECK(b.now() == standing::gap);
    CHECK(b.e->wants_status({issuer, id}));
}

TEST_CASE("an unknown event is acknowledged, counted, and a duplicate counted as such") {
    bench b;
    b.deliver("urn:something:else", "{}", events::subject::opaque("x"), "u1");
    b.disk.commit_all();
    CHECK(b.last->fate == set_fate::acknowledge);
    b.deliver("urn:something:else", "{}", events::subject::opaque("x"), "u1");
    b.disk.commit_all();
    CHECK(b.last->fate == set_fate::acknowledge);
    CHECK(b.e->counts().unknown_events == 1);
    CHECK(b.e->counts().sets_duplicate == 1);
}

TEST_CASE("a denial of another log_epoch outlives an answer that was under way when it came") {
    bench b;
    b.mission(1, "active");
    b.disk.commit_all();
    const auto asked = b.ask();
    b.mission(7, "revoked", "e2");
    b.disk.commit_all();
    b.status(1, "active", asked);
    CHECK(b.now() == standing::revoked);
    CHECK(b.e->wants_status({issuer, id}));
    b.status(1, "active", b.ask());
    CHECK(b.now() == standing::active);
}

TEST_CASE("a mission that a SET told of is not lost by an older not_found") {
    bench b;
    const auto asked = b.ask();
    b.mission(1, "active");
    b.disk.commit_all();
    b.e->on_status({issuer, id}, error{errc::mission_not_found}, asked, nullptr);
    b.disk.commit_all();
    CHECK(b.now() == standing::active);
    b.e->on_status({issuer, id}, error{errc::mission_not_found}, b.ask(), nullptr);
    b.disk.commit_all();
    CHECK(b.now() == standing::unknown);
}

TEST_CASE("another log_epoch's authority of the same version replaces the old one") {
    bench b;
    const std::string wide = R"([{"type":"t","resource":"r","actions":["read","write"]}])";
    b.status(1, "active", b.ask(), "e1", wide);
    REQUIRE(b.e->authorities().of(issuer, id)->permits("r", "write"));
    b.status(1, "active", b.ask(), "e2", R"([{"type":"t","resource":"r","actions":["read"]}])");
    CHECK(b.e->authorities().of(issuer, id)->permits("r", "read"));
    CHECK_FALSE(b.e->authorities().of(issuer, id)->permits("r", "write"));
}

TEST_CASE("a denial of another log_epoch pauses what is held, and after a restart ends nothing") {
    bench b;
    ms::handler_options o;
    o.name = "h";
    o.on = {ms::effect::stale, ms::effect::revoked};
    b.runner->add_handler(o, [](const ms::task&) { return ms::outcome::done(); });
    state_snapshot rows;
    record r;
    r.key = {issuer, id};
    r.state = "active";
    r.version = 1;
    r.log_epoch = "e1";
    SUBCASE("live") {
        b.e->load({{r}, {{r.key, "thing", ""}}, {}, {}, {}});
        b.join();
        b.status(1, "active", b.ask());
        b.mission(7, "revoked", "e2");
        b.disk.commit_all();
        const auto tasks = b.runner->list(false);
        CHECK(b.now() == standing::revoked);
        REQUIRE(tasks.size() == 1);
        CHECK(tasks[0].why == ms::effect::stale);
    }
    SUBCASE("restart") {
        r.gap = true;
        r.denied_as = "revoked";
        b.e->load({{r}, {{r.key, "thing", ""}}, {}, {}, {}});
        CHECK(b.runner->list(false).empty());
    }
}

TEST_CASE("a mission event that is dropped for a critical member leaves its mission in doubt") {
    bench b;
    b.e->set_critical_members({"habitat"});
    b.mission(1, "active");
    b.disk.commit_all();
    REQUIRE(b.now() == standing::active);
    b.asked.clear();

    events::mission_change c;
    c.mission_id = id;
    c.issuer = issuer;
    c.log_epoch = "e1";
    c.state = "revoked";
    c.prior_state = "active";
    c.version = 2;
    c.authority_hash = "sha-256:x";
    c.committed_at = system_clock().now();
    c.expires_at = system_clock().now() + std::chrono::hours(1);
    c.agent_client_id = "agent";
    auto subject = events::event_subject(c, events::form::ours);
    subject.complex.emplace("habitat", events::subject::opaque("moon"));
    b.deliver(events::event_type(c, events::form::ours), events::event_body(c, events::form::ours),
              subject, "dropped");
    // At once, and whatever heartbeats say from here on.
    CHECK(b.now() == standing::gap);
    b.disk.commit_all();
    CHECK(b.last->fate == set_fate::acknowledge);
    b.heartbeat(2);
    CHECK(b.now() == standing::gap);
    CHECK(b.asked.size() >= 1);
    CHECK(b.e->wants_status({issuer, id}));
    b.status(2, "revoked", b.ask());
    CHECK(b.now() == standing::revoked);
}

TEST_CASE(
    "a Status that was fresh for long because the clock was ahead is not so after a restart") {
    const auto restarted = [](std::chrono::seconds until, const char* bound) {
        held_state disk;
        auto runner = make_task_runner(system_random());
        engine e(disk, *runner, 100, {});
        record r;
        r.key = {issuer, id};
        r.state = "active";
        r.version = 1;
        r.log_epoch = "e1";
        r.fresh_until = system_clock().now() + until;
        e.load({{r}, {}, {}, {{"max_stale_seconds", bound}}, {}});
        return e.table().check(issuer, id, coarse_now()).what;
    };
    CHECK(restarted(std::chrono::seconds(50), "60") == standing::active);
    CHECK(restarted(std::chrono::hours(24), "60") == standing::stale);
    CHECK(restarted(std::chrono::seconds(50), "nonsense") == standing::stale);
    CHECK(restarted(std::chrono::seconds(50), "") == standing::stale);
}

TEST_CASE("the bound of freshness is kept, so that the next run can tell what exceeds it") {
    bench b;
    b.e->set_max_stale(std::chrono::seconds(45));
    CHECK(b.e->setting("max_stale_seconds") == "45");
}

TEST_CASE("settings that are no numbers stop nobody from starting, and begin an epoch") {
    bench b;
    b.e->load({{}, {}, {}, {{"continuity", "x"}, {"epoch", "7y"}}, {}});
    CHECK_FALSE(b.e->freshness().kept().continuity.has_value());
}

TEST_CASE("what is kept of a mission is bounded: a reason is cut, anything else refused") {
    bench b;
    events::mission_change c;
    c.mission_id = id;
    c.issuer = issuer;
    c.log_epoch = "e1";
    c.state = "revoked";
    c.version = 3;
    c.authority_hash = "sha-256:x";
    c.committed_at = system_clock().now();
    c.expires_at = system_clock().now() + std::chrono::hours(1);
    c.agent_client_id = "agent";
    const auto deliver = [&](const char* jti) {
        b.deliver(events::event_type(c, events::form::ours),
                  events::event_body(c, events::form::ours),
                  events::event_subject(c, events::form::ours), jti);
        b.disk.commit_all();
        return b.last->fate;
    };
    const std::string much(limits::set_text_bytes + 1, 'x');
    auto* text = &c.log_epoch;
    SUBCASE("log_epoch") {}
    SUBCASE("state") {
        text = &c.state;
    }
    SUBCASE("successor") {
        text = &c.successor.emplace();
    }
    const auto before = *text;
    *text = much;
    CHECK(deliver("a") == set_fate::reject);
    CHECK(b.now() == standing::unknown);
    *text = before;
    c.reason = std::string(limits::reason_bytes - 1, 'x') + "\u00e4\u00f6";
    CHECK(deliver("b") == set_fate::acknowledge);
    CHECK(b.now() == standing::revoked);
    // Not half of a character.
    CHECK(b.e->view({issuer, id})->reason == std::string(limits::reason_bytes - 1, 'x'));
}

TEST_CASE("what a transmitter gives as its reason is one bounded line of text in the log") {
    held_state disk;
    auto runner = make_task_runner(system_random());
    std::vector<std::string> lines;
    engine::hooks h;
    h.log = [&](ms::log_level, std::string_view, const std::vector<ms::log_field>& fields) {
        for (const auto& f : fields)
            lines.push_back(f.value);
    };
    engine e(disk, *runner, 100, std::move(h));
    e.note_status("paused", "\x1b[2J\nforged line" + std::string(100'000, 'x'));
    REQUIRE(!lines.empty());
    for (const auto& line : lines) {
        CHECK(line.size() < 400);
        CHECK(line.find_first_of("\x1b\n") == std::string::npos);
    }
}

namespace {

// Keys can be had again, though they could not for longer than anybody waits.
class recovered_link final : public link {
  public:
    void discover(std::function<void(result<transmitter_metadata>)>) override {}
    std::optional<transmitter_metadata> metadata() const override { return std::nullopt; }
    void send(call, std::function<void(result<net::http_response>)>) override {}
    std::shared_ptr<const jose::key_set> keys() const override { return now; }
    void refetch_keys(std::function<void(result<void>)> done) override {
        if (!reachable) return done(errc::keys_unavailable);
        now = fetched;
        given_up = false;
        done({});
    }
    bool keys_given_up() const override { return given_up; }
    bool keys_aged() const override { return false; }
    error unexpected_answer(const net::http_response&, std::string_view) const override {
        return errc::http_status;
    }
    void ask_status(const mission_key&, const std::string&,
                    std::function<void(result<status_word>)>) override {}
    std::chrono::milliseconds asked_to_wait() const override { return {}; }
    void stop() override {}

    std::shared_ptr<const jose::key_set> now, fetched;
    bool reachable = true, given_up = true;
};

}  // namespace

TEST_CASE("a SET is refused for want of keys only after they were asked for once more") {
    bench b;
    auto key = *jose::private_key::generate(jose::alg::es256);
    key.set_kid("k1");
    jose::key_set set;
    set.add(key.to_public());
    recovered_link l;
    l.fetched = std::make_shared<const jose::key_set>(std::move(set));
    auto sets = make_intake(l, *b.e);
    sets->set_audience("me");
    const auto token = *jose::sign_compact(
        key, "secevent+jwt",
        R"({"iss":")" + issuer +
            R"(","aud":"me","iat":1,"jti":"x","sub_id":{"format":"opaque","id":"s"},)"
            R"("events":{"urn:x":{}}})");
    set_outcome got{set_fate::retry, {}};
    l.reachable = false;
    sets->accept(token, {}, [&](set_outcome o) { got = std::move(o); });
    CHECK(got.fate == set_fate::reject);
    l.reachable = true;
    sets->accept(token, {}, [&](set_outcome o) { got = std::move(o); });
    b.disk.commit_all();
    CHECK(got.fate == set_fate::acknowledge);
}
