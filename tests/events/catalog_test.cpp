#include "events/catalog.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "events/caep.hpp"
#include "events/mission_event.hpp"
#include "events/risc.hpp"

using namespace mission;
using namespace mission::events;

namespace {

json::document body(const std::string& text) {
    return json::parse(text).value();
}
const subject alice = subject::email("alice@example.com");
const subject session = subject::opaque("s-1");

// Empty when the event may be sent, otherwise what the refusal says.
std::string refusal(std::string_view type, const std::string& event, const subject& about = alice) {
    const event_kind* kind = find_event_kind(type);
    REQUIRE(kind != nullptr);
    const auto checked = check_event(*kind, about, body(event));
    if (checked) return {};
    CHECK(checked.error() == errc::invalid_request);
    CHECK(!checked.error().detail.empty());
    return checked.error().detail;
}
std::string caep_type(std::string_view name) {
    return std::string(caep_base) + std::string(name);
}
std::string risc_type(std::string_view name) {
    return std::string(risc_base) + std::string(name);
}
bool names(const std::string& detail, std::string_view member) {
    return detail.find(member) != std::string::npos;
}

}  // namespace

TEST_CASE("the catalog has the 8 types of CAEP, the 14 of RISC and the 2 of SSF, each once") {
    std::set<std::string_view> uris, schemas;
    std::size_t caep = 0, risc = 0, ssf = 0, deprecated = 0;
    for (const event_kind& k : event_catalog()) {
        uris.insert(k.uri);
        schemas.insert(k.schema);
        caep += k.family == event_family::caep ? 1 : 0;
        risc += k.family == event_family::risc ? 1 : 0;
        ssf += k.family == event_family::ssf ? 1 : 0;
        deprecated += k.deprecated ? 1 : 0;
        CHECK(k.uri.ends_with("/event-type/" + std::string(k.name)));
        CHECK(find_event_kind(k.uri) == &k);
    }
    CHECK(caep == 8);
    CHECK(risc == 14);
    CHECK(ssf == 2);
    CHECK(deprecated == 1);
    CHECK(uris.size() == event_catalog().size());
    CHECK(schemas.size() == event_catalog().size());
}

TEST_CASE("a type is found by its whole URI and by nothing like it") {
    CHECK(find_event_kind(caep_type("session-revoked"))->family == event_family::caep);
    CHECK(find_event_kind(verification_type)->family == event_family::ssf);
    CHECK(find_event_kind(stream_updated_type)->schema == "event-stream-updated");
    CHECK(find_event_kind(caep_type("session-revoked/")) == nullptr);
    CHECK(find_event_kind(caep_type("Session-revoked")) == nullptr);
    CHECK(find_event_kind("session-revoked") == nullptr);
    CHECK(find_event_kind("") == nullptr);
    CHECK(find_event_kind(lifecycle_change_type) == nullptr);
}

TEST_CASE("the deprecated type of RISC is known and not to be sent") {
    const event_kind* kind = find_event_kind(risc_type("sessions-revoked"));
    REQUIRE(kind != nullptr);
    CHECK(kind->deprecated);
    CHECK(names(refusal(kind->uri, "{}"), "CAEP session-revoked"));
}

TEST_CASE("CAEP's closed lists hold for whoever sends") {
    const auto revoked = caep_type("session-revoked");
    for (const char* who : {"admin", "user", "policy", "system"})
        CHECK(refusal(revoked, std::string(R"({"initiating_entity":")") + who + "\"}").empty());
    CHECK(names(refusal(revoked, R"({"initiating_entity":"robot"})"), "initiating_entity"));

    const auto credential = [](const std::string& change) {
        return refusal(caep_type("credential-change"),
                       R"({"credential_type":"password","change_type":")" + change + "\"}");
    };
    for (const char* change : {"create", "revoke", "update", "delete"})
        CHECK(credential(change).empty());
    CHECK(names(credential("rotate"), "change_type"));

    const auto level = [](const std::string& more) {
        return refusal(caep_type("assurance-level-change"),
                       R"({"namespace":"NIST-AAL","current_level":"nist-aal2")" + more + '}');
    };
    CHECK(level("").empty());
    CHECK(level(R"(,"previous_level":"nist-aal1")").empty());
    CHECK(level(R"(,"change_direction":"decrease")").empty());
    CHECK(names(level(R"(,"change_direction":"up")"), "change_direction"));

    const auto compliance = [](const std::string& before, const std::string& after) {
        return refusal(
            caep_type("device-compliance-change"),
            R"({"previous_status":")" + before + R"(","current_status":")" + after + "\"}");
    };
    CHECK(compliance("compliant", "not-compliant").empty());
    CHECK(names(compliance("unknown", "compliant"), "previous_status"));
    CHECK(names(compliance("compliant", "ok"), "current_status"));

    const auto risk = [](const std::string& now, const std::string& more) {
        return refusal(caep_type("risk-level-change"),
                       R"({"principal":"USER","current_level":")" + now + '"' + more + '}');
    };
    CHECK(risk("HIGH", R"(,"previous_level":"MEDIUM")").empty());
    CHECK(names(risk("low", ""), "current_level"));
    CHECK(names(risk("LOW", R"(,"previous_level":"NONE")"), "previous_level"));
}

TEST_CASE("every credential type that CAEP lists is taken, and what two sides agree on") {
    CHECK(std::size(caep::credential_types) == 10);
    for (const std::string_view type : caep::credential_types) {
        CHECK(
            refusal(caep_type("credential-change"),
                    R"({"credential_type":")" + std::string(type) + R"(","change_type":"create"})")
                .empty());
        CHECK(refusal(risc_type("credential-compromise"),
                      R"({"credential_type":")" + std::string(type) + "\"}")
                  .empty());
    }
    CHECK(refusal(caep_type("credential-change"),
                  R"({"credential_type":"badge","change_type":"create"})")
              .empty());
    // RISC 1.0 section 2.7 closes the list.
    CHECK(names(refusal(risc_type("credential-compromise"), R"({"credential_type":"badge"})"),
                "credential_type"));
}

TEST_CASE("a required member that is missing is named") {
    CHECK(names(refusal(caep_type("token-claims-change"), "{}"), "claims"));
    CHECK(names(refusal(caep_type("token-claims-change"), R"({"claims":{}})"), "claims"));
    CHECK(names(refusal(caep_type("credential-change"), R"({"change_type":"create"})"),
                "credential_type"));
    CHECK(
        names(refusal(caep_type("risk-level-change"), R"({"current_level":"LOW"})"), "principal"));
    CHECK(names(refusal(risc_type("credential-compromise"), "{}"), "credential_type"));
}

TEST_CASE("identifier events are about an email address or a phone number") {
    for (const char* name : {"identifier-changed", "identifier-recycled"}) {
        CHECK(refusal(risc_type(name), "{}", alice).empty());
        subject phone;
        phone.format = "phone_number";
        phone.members["phone_number"] = "+12065550100";
        CHECK(refusal(risc_type(name), "{}", phone).empty());
        CHECK(names(refusal(risc_type(name), "{}", session), "subject"));
        CHECK(names(refusal(risc_type(name), "{}", subject::iss_sub("i", "s")), "subject"));
        CHECK(names(refusal(risc_type(name), "{}", subject::complex_of({{"user", alice}})),
                    "subject"));
    }
    CHECK(refusal(risc_type("account-disabled"), "{}", session).empty());
}

TEST_CASE("identifier-changed names the old value as its subject and another one as the new") {
    CHECK(refusal(risc_type("identifier-changed"), R"({"new-value":"roe@example.com"})").empty());
    CHECK(names(refusal(risc_type("identifier-changed"), R"({"new-value":"alice@example.com"})"),
                "new-value"));
}

TEST_CASE("account-disabled gives one of RISC's reasons or none") {
    CHECK(refusal(risc_type("account-disabled"), "{}").empty());
    CHECK(refusal(risc_type("account-disabled"), R"({"reason":"hijacking"})").empty());
    CHECK(refusal(risc_type("account-disabled"), R"({"reason":"bulk-account"})").empty());
    CHECK(names(refusal(risc_type("account-disabled"), R"({"reason":"boredom"})"), "reason"));
}

TEST_CASE("an inner subject says the same as sub_id, or the event is refused") {
    const auto type = caep_type("session-revoked");
    CHECK(refusal(type, R"({"subject":{"format":"email","email":"alice@EXAMPLE.com"}})").empty());
    CHECK(names(refusal(type, R"({"subject":{"format":"email","email":"bob@example.com"}})"),
                "subject"));
    CHECK(!refusal(type, R"({"subject":"alice"})").empty());
}

TEST_CASE("SSF's own events are checked as their readers read them") {
    CHECK(refusal(verification_type, R"({"state":"x"})").empty());
    CHECK(!refusal(verification_type, R"({"state":7})").empty());
    CHECK(refusal(stream_updated_type, R"({"status":"paused"})").empty());
    CHECK(!refusal(stream_updated_type, "{}").empty());
}
