// POST /signals, over TLS and down to the SET.
#include <doctest/doctest.h>

#include "events/mission_event.hpp"
#include "tests/transmitter/delivery/shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

const std::string caep = "https://schemas.openid.net/secevent/caep/event-type/";
const std::string risc = "https://schemas.openid.net/secevent/risc/event-type/";
const std::string ssf = "https://schemas.openid.net/secevent/ssf/event-type/";
const std::string person = R"({"format":"email","email":"ann@example.com"})";
const std::string why = R"({"reason_admin":{"en":"incident 7"}})";

void with_emitter(config& c) {
    for (auto& one : c.clients) {
        if (one.id == "operator") {
            one.scopes.emplace_back("signals.emit");
            one.signals_to = "all";
        }
        if (one.id == "crm") one.scopes.emplace_back("signals.emit");
        if (one.id == "erp") one.events = {caep + "session-revoked", "https://x.example/e"};
    }
    c.foreign_events.push_back(
        {"https://x.example/e", R"({"type":"object","required":["level"]})"});
}

std::string body_of(const std::string& type, const std::string& event, const std::string& subject,
                    const std::string& audience = R"(["erp"])", const std::string& rest = {}) {
    return R"({"type":")" + type + R"(","subject":)" + subject + R"(,"event":)" + event +
           R"(,"audience":)" + audience + rest + "}";
}

answer emit(transmitter_fixture& f, const std::string& body, const std::string& client = "operator",
            const std::string& key = {}) {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    h.set("content-type", "application/json");
    if (!key.empty()) h.set("idempotency-key", key);
    return f.send("POST", f.url("/signals"), std::move(h), body);
}

std::string stream_of(transmitter_fixture& f) {
    const auto a = f.post_json(
        "/ssf/streams",
        R"({"events_requested":[")" + caep + R"(session-revoked","https://x.example/e"]})",
        f.token("erp"));
    REQUIRE(a.status == 201);
    return a.text("stream_id");
}

}  // namespace

TEST_CASE("an emitted event reaches the streams of its audience as it was given") {
    transmitter_fixture f(with_emitter);
    const auto id = stream_of(f);
    const auto a =
        emit(f, body_of(caep + "session-revoked", why, person, R"(["erp"])", R"(,"txn":"txn-7")"));
    CHECK(a.status == 202);
    CHECK(a.text("txn") == "txn-7");
    CHECK_FALSE(a.text("signal_id").empty());
    const auto sets = heard(f, "erp", id, "{}");
    REQUIRE(sets.size() == 1);
    CHECK(sets.front().type == caep + "session-revoked");
    CHECK(sets.front().claims.find("txn-7") != std::string::npos);
    CHECK(sets.front().claims.find("ann@example.com") != std::string::npos);
    CHECK(sets.front().claims.find("event_timestamp") != std::string::npos);
}

TEST_CASE("session-revoked and credential-change need a reason_admin that says something") {
    transmitter_fixture f(with_emitter);
    for (const auto* event : {"{}", R"({"reason_admin":{}})", R"({"reason_admin":{"en":""}})",
                              R"({"reason_admin":"text"})"}) {
        CAPTURE(event);
        CHECK(emit(f, body_of(caep + "session-revoked", event, person)).status == 400);
    }
    const std::string change = R"("credential_type":"password","change_type":"revoke")";
    CHECK(emit(f, body_of(caep + "credential-change", "{" + change + "}", person)).status == 400);
    CHECK(emit(f, body_of(caep + "credential-change",
                          "{" + change + R"(,"reason_admin":{"en":"x"}})", person))
              .status == 202);
}

TEST_CASE("types that are the transmitter's own, unknown or deprecated are refused") {
    transmitter_fixture f(with_emitter);
    for (const auto& type : {ssf + "verification", ssf + "stream-updated",
                             std::string(events::event_type_base) + "mission-revoked",
                             std::string(events::lifecycle_change_type),
                             std::string("https://y.example/e"), caep + "no-such-event"}) {
        CAPTURE(type);
        CHECK(emit(f, body_of(type, why, person)).status == 400);
    }
    const auto old = emit(f, body_of(risc + "sessions-revoked", "{}", person));
    CHECK(old.status == 400);
    CHECK(old.text("description").find("session-revoked") != std::string::npos);
}

TEST_CASE("foreign events are checked against their configured schema") {
    transmitter_fixture f(with_emitter);
    const auto id = stream_of(f);
    CHECK(emit(f, body_of("https://x.example/e", "{}", person)).status == 400);
    CHECK(emit(f, body_of("https://x.example/e", R"({"level":3})", person)).status == 202);
    const auto sets = heard(f, "erp", id, "{}");
    REQUIRE(sets.size() == 1);
    CHECK(sets.front().type == "https://x.example/e");
    CHECK(sets.front().claims.find("event_timestamp") == std::string::npos);
}

TEST_CASE("RISC identifier events are about an address or a number, and a changed one") {
    transmitter_fixture f(with_emitter);
    const std::string changed = R"({"new-value":"bea@example.com"})";
    CHECK(emit(f, body_of(risc + "identifier-changed", changed, person)).status == 202);
    CHECK(
        emit(f, body_of(risc + "identifier-changed", R"({"new-value":"ann@example.com"})", person))
            .status == 400);
    CHECK(emit(f, body_of(risc + "identifier-changed", changed, R"({"format":"opaque","id":"x"})"))
              .status == 400);
    CHECK(emit(f, body_of(risc + "identifier-recycled", "{}", R"({"format":"opaque","id":"x"})"))
              .status == 400);
}

TEST_CASE("everybody is addressed by whom that was granted to, and nobody that does not exist") {
    transmitter_fixture f(with_emitter);
    const auto type = caep + "session-revoked";
    CHECK(emit(f, body_of(type, why, person, "\"all\"")).status == 202);
    CHECK(emit(f, body_of(type, why, person, "\"all\""), "crm").status == 403);
    CHECK(emit(f, body_of(type, why, person, R"(["erp"])"), "crm").status == 202);
    for (const auto* audience : {"[]", R"("erp")", "null", "5", R"([5])", R"(["nobody"])"}) {
        CAPTURE(audience);
        CHECK(emit(f, body_of(type, why, person, audience)).status == 400);
    }
}

TEST_CASE("token, scope and body are judged in that order; each member is checked") {
    transmitter_fixture f(with_emitter);
    CHECK(f.post_json("/signals", "nonsense").status == 401);
    CHECK(f.post_json("/signals", "nonsense", f.token("erp")).status == 403);
    const auto type = caep + "session-revoked";
    for (const auto& body :
         {std::string("nonsense"), std::string("[]"), std::string("{}"), body_of(type, why, "{}"),
          body_of(type, why, "\"x\""), body_of(type, "[]", person),
          body_of(type, R"({"subject":{"format":"opaque","id":"x"},"reason_admin":{"en":"x"}})",
                  person),
          body_of(type, why, person, R"(["erp"])", R"(,"txn":5)"),
          body_of(type, why, person, R"(["erp"])", R"(,"txn":"")"),
          body_of(type, R"({"reason_admin":{"en":"x"},"initiating_entity":"robot"})", person)}) {
        CAPTURE(body);
        CHECK(emit(f, body).status == 400);
    }
}

TEST_CASE("a subject that would fill a SET beyond what receivers take is refused") {
    transmitter_fixture f(with_emitter);
    const auto id = stream_of(f);
    const auto subject_of = [](std::size_t members) {
        std::string out = R"({"format":"complex")";
        for (std::size_t i = 0; i < members; ++i)
            out += ",\"m" + std::to_string(i) + R"(":{"format":"opaque","id":")" +
                   std::string(2000, 'x') + "\"}";
        return out + "}";
    };
    const auto type = caep + "session-revoked";
    CHECK(emit(f, body_of(type, why, subject_of(17))).status == 400);
    CHECK(emit(f, body_of(type, why, subject_of(15))).status == 202);
    const auto sets = heard(f, "erp", id, "{}");
    REQUIRE(sets.size() == 1);
    CHECK(sets.front().claims.size() < limits::token_bytes / 2);
}

TEST_CASE("the same Idempotency-Key gives the first answer, and another request under it none") {
    transmitter_fixture f(with_emitter);
    const auto id = stream_of(f);
    const auto body = body_of(caep + "session-revoked", why, person);
    const auto first = emit(f, body, "operator", "key-1");
    CHECK(first.status == 202);
    CHECK(emit(f, body, "operator", "key-1").body == first.body);
    CHECK(heard(f, "erp", id, "{}").size() == 1);
    CHECK(emit(f, body_of(caep + "session-revoked", why, R"({"format":"opaque","id":"x"})"),
               "operator", "key-1")
              .status == 400);
    CHECK(emit(f, body, "crm", "key-1").text("signal_id") != first.text("signal_id"));
}
