// Events that are not about missions: kept, handed to their handler, and never twice.
#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

const std::string revoked = std::string(events::caep_base) + "session-revoked";

struct seen_events {
    std::mutex m;
    std::vector<security_event> all;
    event_handler handler(outcome_kind first = outcome_kind::acknowledged) {
        return [this, first](const security_event& e) {
            std::lock_guard lock(m);
            all.push_back(e);
            return e.attempt == 1 && first != outcome_kind::acknowledged ? outcome{first, "not yet"}
                                                                         : outcome::done();
        };
    }
    std::size_t count() {
        std::lock_guard lock(m);
        return all.size();
    }
};

std::string raw_event(fake_transmitter& tx, const std::string& jti, const std::string& claims) {
    const auto now = to_numeric_date(system_clock().now());
    return tx.send_raw(
        jti, *jose::sign_compact(tx.key, "secevent+jwt",
                                 R"({"iss":")" + tx.issuer + R"(","aud":")" + tx.audience +
                                     R"(","iat":)" + std::to_string(now) + R"(,"jti":")" + jti +
                                     "\"," + claims + "}"));
}

}  // namespace

TEST_CASE("an event reaches its handler once, however often its SET comes, also after a restart") {
    poll_bench b;
    seen_events seen;
    auto prepare = [&](receiver& rx) { rx.on_event("sessions", {revoked}, seen.handler()); };
    const last_word end(b);
    b.start(b.options(), prepare);
    b.live();
    b.tx.caep("session-1", "j1");
    REQUIRE(eventually([&] { return seen.count() == 1 && b.tx.acknowledged("j1"); }));
    {
        std::lock_guard lock(seen.m);
        CHECK(seen.all[0].type == revoked);
        CHECK(seen.all[0].iss == b.tx.issuer);
        CHECK(seen.all[0].jti == "j1");
        CHECK(seen.all[0].subject.find("session-1") != std::string::npos);
        CHECK(seen.all[0].event.find("event_timestamp") != std::string::npos);
        CHECK(seen.all[0].issued_at.time_since_epoch() > 1h);
    }
    b.tx.caep("session-1", "j1");
    const auto second = b.tx.caep("session-2");
    REQUIRE(eventually([&] { return b.tx.acknowledged(second) && seen.count() == 2; }));
    b.start(b.options(), prepare);
    b.live();
    b.tx.caep("session-1", "j1");
    const auto third = b.tx.caep("session-3");
    REQUIRE(eventually([&] { return b.tx.acknowledged(third) && seen.count() == 3; }));
    CHECK(b.rx->current_status().sets_duplicate >= 1);
}

TEST_CASE("a handler that fails or throws is called again until it acknowledges") {
    poll_bench b;
    seen_events seen;
    std::atomic<int> thrown{0};
    const last_word end(b);
    b.start(b.options(), [&](receiver& rx) {
        rx.on_event("fails", {revoked}, seen.handler(outcome_kind::failed));
        rx.on_event("throws", {"urn:x:t"}, [&](const security_event&) -> outcome {
            if (++thrown < 3) throw std::runtime_error("no");
            return outcome::done();
        });
    });
    b.live();
    b.tx.caep("s", "j1");
    b.tx.caep("s", "j2", "urn:x:t");
    REQUIRE(eventually([&] { return seen.count() == 2 && thrown == 3; }));
    // Acknowledged long since: the SET does not wait for the handler.
    CHECK(b.tx.acknowledged("j1"));
    CHECK(eventually([&] { return b.rx->current_status().tasks_pending == 0; }));
    CHECK(seen.all[1].attempt == 2);
}

TEST_CASE("what was not done when the process ended is done in the next run") {
    poll_bench b;
    std::atomic<int> tries{0};
    seen_events seen;
    const last_word end(b);
    b.start(b.options(), [&](receiver& rx) {
        rx.on_event("h", {}, [&](const security_event&) {
            ++tries;
            return outcome::failed("down");
        });
    });
    b.live();
    const auto jti = b.tx.caep("s");
    REQUIRE(eventually([&] { return tries >= 1 && b.tx.acknowledged(jti); }));
    b.start(b.options(), [&](receiver& rx) { rx.on_event("h", {}, seen.handler()); });
    REQUIRE(eventually([&] { return seen.count() == 1; }));
    CHECK(seen.all[0].jti == jti);
    CHECK(seen.all[0].attempt > 1);
    b.start(b.options(), [&](receiver& rx) { rx.on_event("h", {}, seen.handler()); });
    b.live();
    CHECK(seen.count() == 1);
}

TEST_CASE("the handler of a type goes before the one for all; without any an event is counted") {
    poll_bench b;
    seen_events special, rest;
    const last_word end(b);
    SUBCASE("two handlers") {
        b.start(b.options(), [&](receiver& rx) {
            rx.on_event("rest", {}, rest.handler());
            rx.on_event("special", {revoked}, special.handler());
        });
        b.live();
        b.tx.caep("s");
        b.tx.caep("s", {}, "https://other.example/event");
        REQUIRE(eventually([&] { return special.count() == 1 && rest.count() == 1; }));
        CHECK(rest.all[0].type == "https://other.example/event");
        CHECK(b.rx->current_status().unknown_events == 0);
    }
    SUBCASE("none") {
        b.start(b.options());
        b.live();
        const auto jti = b.tx.caep("s");
        REQUIRE(eventually([&] { return b.tx.acknowledged(jti); }));
        CHECK(b.rx->current_status().unknown_events == 1);
    }
}

TEST_CASE("handlers of one name, or for one type, are refused") {
    poll_bench b;
    auto rx = make_receiver(b.options());
    auto nothing = [](const security_event&) { return outcome::done(); };
    rx->on_event("a", {"t"}, nothing);
    CHECK_THROWS_AS(rx->on_event("a", {"u"}, nothing), setup_error);
    CHECK_THROWS_AS(rx->on_event("b", {"v", "t"}, nothing), setup_error);
    CHECK_THROWS_AS(rx->on_event("", {"w"}, nothing), setup_error);
    CHECK_THROWS_AS(rx->on_event("c", {"w"}, nullptr), setup_error);
    rx->on_event("d", {}, nothing);
    CHECK_THROWS_AS(rx->on_event("e", {}, nothing), setup_error);
    rx->start();
    CHECK_THROWS_AS(rx->on_event("f", {"x"}, nothing), setup_error);
}

TEST_CASE("the inner subject of a CAEP event serves without sub_id, and has to agree with it") {
    poll_bench b;
    seen_events seen;
    const last_word end(b);
    b.start(b.options(), [&](receiver& rx) { rx.on_event("h", {}, seen.handler()); });
    b.live();
    const std::string inner = R"("subject":{"format":"email","email":"a@x.example"})";
    auto event = [&](const std::string& members) {
        return R"("events":{")" + revoked + R"(":{)" + members + "}}";
    };
    raw_event(b.tx, "inner", event(inner));
    raw_event(b.tx, "same", R"("sub_id":{"format":"email","email":"a@X.example"},)" + event(inner));
    raw_event(b.tx, "other", R"("sub_id":{"format":"opaque","id":"x"},)" + event(inner));
    raw_event(b.tx, "none", event(""));
    raw_event(b.tx, "broken",
              R"("sub_id":{"format":"opaque","id":"x"},)" + event(R"("subject":5)"));
    REQUIRE(eventually([&] {
        return b.tx.acknowledged("inner") && b.tx.acknowledged("same") &&
               !b.tx.error_of("other").empty() && !b.tx.error_of("none").empty() &&
               !b.tx.error_of("broken").empty();
    }));
    CHECK(b.tx.error_of("other") == "invalid_request");
    REQUIRE(eventually([&] { return seen.count() == 2; }));
    for (const auto& e : seen.all) {
        if (e.jti == "inner") CHECK(e.subject.find("a@x.example") != std::string::npos);
    }
    CHECK(seen.all[0].jti != seen.all[1].jti);
}

TEST_CASE("an event whose subject has a critical member we do not know changes nothing") {
    poll_bench b;
    b.tx.metadata_extra = R"(,"critical_subject_members":["tenant","starship"])";
    seen_events seen;
    const last_word end(b);
    b.start(b.options(), [&](receiver& rx) { rx.on_event("h", {}, seen.handler()); });
    b.live();
    auto about = [](const std::string& member) {
        return R"("sub_id":{"format":"complex","user":{"format":"opaque","id":"u"},")" + member +
               R"(":{"format":"opaque","id":"x"}},"events":{")" + revoked + R"(":{}})";
    };
    raw_event(b.tx, "unknown", about("starship"));
    raw_event(b.tx, "known", about("tenant"));
    raw_event(b.tx, "harmless", about("submarine"));
    REQUIRE(eventually([&] {
        return b.tx.acknowledged("unknown") && b.tx.acknowledged("known") &&
               b.tx.acknowledged("harmless") && seen.count() == 2;
    }));
    CHECK(b.logged("member=starship"));
    CHECK(b.rx->current_status().unknown_events == 1);

    // A mission's too; what has become of it, Status tells.
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    auto c = b.tx.change(id, 2, "revoked");
    auto sub = events::event_subject(c, events::form::ours);
    sub.complex["starship"] = events::subject::opaque("x");
    b.tx.set_status(id, {"revoked", "e1", 2, "[]"});
    b.tx.send_raw("m", b.tx.sign_event("m", events::event_type(c, events::form::ours),
                                       events::event_body(c, events::form::ours), sub));
    const auto statuses = b.tx.statuses.load();
    REQUIRE(eventually([&] { return b.tx.acknowledged("m"); }));
    CHECK(b.becomes(id, standing::revoked));
    CHECK(b.tx.statuses >= statuses);
}

TEST_CASE("events of one subject run one after the other, those of others beside them") {
    poll_bench b;
    std::mutex m;
    std::condition_variable cv;
    bool open = false;
    std::vector<std::string> order;
    auto o = b.options();
    o.worker_threads = 4;
    const last_word end(b);
    b.start(o, [&](receiver& rx) {
        rx.on_event("h", {}, [&](const security_event& e) {
            std::unique_lock lock(m);
            order.push_back(e.jti);
            if (e.jti == "a1") cv.wait(lock, [&] { return open; });
            return outcome::done();
        });
    });
    b.live();
    b.tx.caep("a", "a1");
    REQUIRE(eventually([&] { return b.tx.acknowledged("a1"); }));
    b.tx.caep("a", "a2");
    REQUIRE(eventually([&] { return b.tx.acknowledged("a2"); }));
    b.tx.caep("b", "b1");
    REQUIRE(eventually([&] {
        std::lock_guard lock(m);
        return order == std::vector<std::string>{"a1", "b1"};
    }));
    {
        std::lock_guard lock(m);
        open = true;
        cv.notify_all();
    }
    CHECK(eventually([&] {
        std::lock_guard lock(m);
        return order == std::vector<std::string>{"a1", "b1", "a2"};
    }));
}
