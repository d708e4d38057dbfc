// A receiver against a transmitter over TLS, polling.
#include <doctest/doctest.h>

#include <atomic>

#include "tests/receiver/fake_transmitter.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

std::string new_id() {
    return "msn_" + jose::random_id(18);
}

struct bench {
    temp_dir dir;
    fake_transmitter tx;
    std::unique_ptr<receiver> rx;

    void start(std::function<void(receiver&)> prepare = nullptr) {
        rx = make_receiver(tx.options(dir));
        if (prepare) prepare(*rx);
        rx->start();
    }
    void live() {
        REQUIRE(eventually([&] { return !tx.stream_id().empty(); }));
        tx.heartbeat();
        REQUIRE(rx->wait_live(20s));
    }
    bool becomes(const std::string& id, standing s) {
        return eventually([&] { return rx->missions().check(id).what == s; });
    }
};

}  // namespace

TEST_CASE("a mission is permitted, suspended, resumed and ended as the stream tells it") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    CHECK(b.rx->missions().check(id).what == standing::unknown);
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.send(b.tx.change(id, 2, "suspended"));
    REQUIRE(b.becomes(id, standing::suspended));
    b.tx.send(b.tx.change(id, 3, "active"));
    REQUIRE(b.becomes(id, standing::active));
    const auto last = b.tx.send(b.tx.change(id, 4, "completed"));
    REQUIRE(b.becomes(id, standing::completed));
    CHECK(b.rx->missions().check(id).version == 4);
    CHECK(eventually([&] { return b.tx.acknowledged(last); }));
    CHECK(b.tx.streams_created == 1);
    CHECK(b.tx.tokens == 1);
}

TEST_CASE("bad SETs are reported with their codes, and the good ones beside them go through") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    auto c = b.tx.change(id, 1, "active");
    const auto type = events::event_type(c, events::form::ours);
    const auto body = events::event_body(c, events::form::ours);
    const auto sub = events::event_subject(c, events::form::ours);
    const auto stranger = *jose::private_key::generate(jose::alg::es256);
    auto other = c;
    other.issuer = "https://other.example";

    b.tx.send_raw("iss", b.tx.sign_event("iss", type, body, sub, "https://evil.example"));
    b.tx.send_raw("aud", b.tx.sign_event("aud", type, body, sub, {}, "https://you.example"));
    b.tx.send_raw("key", *jose::sign_compact(stranger, "secevent+jwt", "{}"));
    b.tx.send_raw("none", "eyJhbGciOiJub25lIiwidHlwIjoic2VjZXZlbnQrand0Iiwia2lkIjoiayJ9.e30.AA");
    b.tx.send_raw("speak", b.tx.set_of(other, "speak"));
    b.tx.send_raw("names", b.tx.sign_event("names", type, body, events::subject::opaque("x")));
    b.tx.send_raw("text", "hello");
    b.tx.send_raw("jti", b.tx.set_of(c, "not-the-key"));
    const auto good = b.tx.send(c);
    REQUIRE(eventually([&] { return b.tx.acknowledged(good); }));
    REQUIRE(eventually([&] { return !b.tx.error_of("jti").empty(); }));
    CHECK(b.tx.error_of("iss") == "invalid_issuer");
    CHECK(b.tx.error_of("aud") == "invalid_audience");
    CHECK(b.tx.error_of("none") == "invalid_key");
    CHECK(b.tx.error_of("speak") == "access_denied");
    CHECK(b.tx.error_of("names") == "invalid_request");
    CHECK(b.tx.error_of("text") == "invalid_request");
    CHECK(b.tx.error_of("jti") == "invalid_request");
    // Keys were fetched a moment ago: it waits for the next fetch, neither taken nor refused.
    CHECK(b.tx.error_of("key").empty());
    CHECK_FALSE(b.tx.acknowledged("key"));
    CHECK(b.rx->missions().check(id).permitted());
}

TEST_CASE("a SET from the future is neither acknowledged nor rejected") {
    bench b;
    b.start();
    b.live();
    auto c = b.tx.change(new_id(), 1, "active");
    b.tx.send_raw("ahead",
                  b.tx.sign_event("ahead", events::event_type(c, events::form::ours),
                                  events::event_body(c, events::form::ours),
                                  events::event_subject(c, events::form::ours), {}, {}, 3600));
    const auto before = b.tx.polls.load();
    REQUIRE(eventually([&] { return b.tx.polls > before + 2; }));
    CHECK_FALSE(b.tx.acknowledged("ahead"));
    CHECK(b.tx.error_of("ahead").empty());
    CHECK_FALSE(b.rx->missions().check(c.mission_id).permitted());
}

TEST_CASE("a missed version denies until Status has told the state") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.status_down = true;
    b.tx.send(b.tx.change(id, 3, "active"));
    REQUIRE(b.becomes(id, standing::gap));
    b.tx.status_down = false;
    REQUIRE(b.becomes(id, standing::active));
    CHECK(b.rx->missions().check(id).version == 3);
}

TEST_CASE("resolve asks for what is unknown, once for many askers, and brings the authority") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 5,
                         R"([{"type":"mission_resource_access","resource":"r","actions":["a"]}])"});
    std::atomic<int> answers{0}, permitted{0};
    for (int i = 0; i < 20; ++i) {
        b.rx->missions().resolve(id, [&](answer a) {
            permitted += a.permitted();
            ++answers;
        });
    }
    REQUIRE(eventually([&] { return answers == 20; }));
    CHECK(permitted == 20);
    CHECK(b.tx.statuses <= 2);
    REQUIRE(b.rx->missions().authority_of(id));
    CHECK(b.rx->missions().authority_of(id)->permits("r", "a"));
    CHECK(b.rx->missions().resolve(new_id()).what == standing::unknown);
    CHECK(b.rx->missions().resolve("../../etc/passwd").what == standing::unknown);
}

TEST_CASE("another continuity makes every entry unconfirmed until Status confirms it") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.set_status(id, {"revoked", "e1", 2, "[]"});
    b.tx.heartbeat(2);
    // It was in use a moment ago, so nobody has to ask.
    CHECK(b.becomes(id, standing::revoked));
}

TEST_CASE("after a restart the stream is adopted, what was known is known, what was missed comes") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.rx.reset();
    const auto missed = b.tx.send(b.tx.change(id, 2, "revoked"));
    b.start();
    REQUIRE(b.becomes(id, standing::revoked));
    CHECK(eventually([&] { return b.tx.acknowledged(missed); }));
    CHECK(b.tx.streams_created == 1);
}

TEST_CASE("a transmitter that comes back is found again, also with its tokens forgotten") {
    bench b;
    b.start();
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.stop();
    b.tx.start();
    b.tx.send(b.tx.change(id, 2, "revoked"));
    CHECK(b.becomes(id, standing::revoked));
}

TEST_CASE("a redirect is not followed, an HTML answer is no answer") {
    bench b;
    b.start();
    b.live();
    SUBCASE("redirect") {
        b.tx.redirect_polls = true;
    }
    SUBCASE("html") {
        b.tx.html_polls = true;
    }
    const auto before = b.tx.polls.load();
    b.tx.heartbeat();
    REQUIRE(eventually([&] { return b.tx.polls > before + 1; }));
    CHECK(b.tx.redirected == 0);
    b.tx.redirect_polls = b.tx.html_polls = false;
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    CHECK(b.becomes(id, standing::active));
}

TEST_CASE("what is held is torn down with its mission, and cannot be held afterwards") {
    bench b;
    std::atomic<int> suspended{0}, ended{0};
    b.start([&](receiver& rx) {
        handler_options o;
        o.name = "vault";
        o.on = terminal_effects();
        o.on.push_back(effect::suspended);
        rx.on_effect(o, [&](const task& t) {
            CHECK(t.name == "credential");
            CHECK(t.data == "secret-7");
            (t.why == effect::suspended ? suspended : ended)++;
            return outcome::done("gone");
        });
    });
    b.live();
    const auto id = new_id();
    CHECK_FALSE(b.rx->hold(id, "credential", "secret-7"));
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    CHECK(b.rx->hold(id, "credential", "secret-7"));
    CHECK(b.rx->held(id).size() == 1);
    b.tx.send(b.tx.change(id, 2, "suspended"));
    REQUIRE(eventually([&] { return suspended == 1; }));
    b.tx.send(b.tx.change(id, 3, "revoked"));
    REQUIRE(eventually([&] { return ended == 1; }));
    CHECK(eventually([&] { return b.rx->held(id).empty(); }));
    CHECK_FALSE(b.rx->hold(id, "credential", "again"));
}

TEST_CASE("an ending that was missed altogether is found at start by Status") {
    bench b;
    std::atomic<int> ended{0};
    auto prepare = [&](receiver& rx) {
        handler_options o;
        o.name = "vault";
        o.on = terminal_effects();
        rx.on_effect(o, [&](const task&) {
            ++ended;
            return outcome::done();
        });
    };
    b.start(prepare);
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    REQUIRE(b.rx->hold(id, "c", "d"));
    b.rx.reset();
    b.tx.set_status(id, {"revoked", "e1", 2, "[]"});  // no SET for it, ever
    b.start(prepare);
    CHECK(eventually([&] { return ended == 1; }));
}

TEST_CASE("a held mission is paused when no heartbeat comes, and continued when one does") {
    bench b;
    b.tx.max_stale = 1s;
    std::atomic<int> stale{0}, fresh{0};
    b.start([&](receiver& rx) {
        handler_options o;
        o.name = "agent";
        o.on = {effect::stale, effect::fresh};
        rx.on_effect(o, [&](const task& t) {
            (t.why == effect::stale ? stale : fresh)++;
            return outcome::done();
        });
    });
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(eventually([&] {
        b.tx.heartbeat();
        return b.rx->missions().check(id).permitted() && b.rx->hold(id, "p", "d");
    }));
    b.tx.status_down = true;
    REQUIRE(b.becomes(id, standing::stale));
    REQUIRE(eventually([&] { return stale == 1; }));
    b.tx.heartbeat();
    REQUIRE(b.becomes(id, standing::active));
    CHECK(eventually([&] { return fresh == 1; }));
}

TEST_CASE("another configuration of our stream is refused with a clear word, or replaced") {
    bench b;
    b.start();
    b.live();
    b.rx.reset();
    auto o = b.tx.options(b.dir);
    o.events = {std::string(events::lifecycle_change_type)};
    b.rx = make_receiver(o);
    b.rx->start();
    REQUIRE(eventually([&] {
        return b.rx->last_setup_problem().find("another configuration") != std::string::npos;
    }));
    b.rx.reset();
    SUBCASE("replaced where the host says so") {
        o.replace_stream = true;
        b.rx = make_receiver(o);
        b.rx->start();
        CHECK(eventually([&] { return b.tx.streams_created == 2; }));
        CHECK(b.tx.streams_deleted == 1);
    }
    SUBCASE("updated where the transmitter can") {
        b.tx.patch_supported = true;
        b.rx = make_receiver(o);
        b.rx->start();
        CHECK(eventually([&] { return !b.rx->current_status().aud.empty(); }));
        CHECK(b.tx.streams_created == 1);
        CHECK(b.tx.streams_deleted == 0);
    }
}

TEST_CASE("options that can never work are refused by name") {
    temp_dir dir;
    options o;
    CHECK_THROWS_AS(make_receiver(o), setup_error);
    o.issuer = "http://mas.example";
    o.client_id = "c";
    o.client_secret = "s";
    CHECK_THROWS_AS(make_receiver(o), setup_error);
    o.issuer = "https://localhost:1";
    CHECK_NOTHROW(make_receiver(o));
    o.client_secret.clear();
    o.private_key_file = dir / "missing.pem";
    auto rx = make_receiver(o);
    CHECK_THROWS_AS(rx->start(), setup_error);
}
