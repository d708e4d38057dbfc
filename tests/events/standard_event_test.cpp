// CAEP and RISC events, read and written.
#include <doctest/doctest.h>

#include <string>

#include "events/caep.hpp"
#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "events/risc.hpp"

using namespace mission;
using namespace mission::events;

namespace {

std::string caep_type(std::string_view name) {
    return std::string(caep_base) + std::string(name);
}
std::string risc_type(std::string_view name) {
    return std::string(risc_base) + std::string(name);
}
template <class Event>
Event caep_read(std::string_view name, const std::string& text) {
    return std::get<Event>(parse_caep(caep_type(name), *json::parse(text)).value());
}
std::string caep_fault(std::string_view name, const std::string& text) {
    const auto e = parse_caep(caep_type(name), *json::parse(text));
    if (e) return {};
    CHECK(e.error() == errc::bad_claims);
    return e.error().detail;
}
std::string risc_fault(std::string_view name, const std::string& text) {
    const auto e = parse_risc(risc_type(name), *json::parse(text));
    if (e) return {};
    CHECK(e.error() == errc::bad_claims);
    return e.error().detail;
}

const std::string common =
    R"("event_timestamp":1615304991,"initiating_entity":"policy","reason_admin":{"de":"weil","en":"why"},"reason_user":{"en":"no","es-410":"no"})";

// The least and the most that each event says, as it is printed.
const std::pair<const char*, std::vector<std::string>> caep_texts[] = {
    {"session-revoked", {"{}", '{' + common + '}'}},
    {"token-claims-change",
     {R"({"claims":{"role":"ro-admin"}})",
      R"({"claims":{"trusted_network":false,"n":[1,{"a":null}]},)" + common + '}'}},
    {"credential-change",
     {R"({"credential_type":"password","change_type":"update"})",
      R"({"credential_type":"x509","change_type":"create","friendly_name":"Jane's","x509_issuer":"CN=ca","x509_serial":"01","fido2_aaguid":"accced6a",)" +
          common + '}'}},
    {"assurance-level-change",
     {R"({"namespace":"Retinal Scan","current_level":"hi-res-scan"})",
      R"({"namespace":"NIST-AAL","current_level":"nist-aal2","previous_level":"nist-aal1","change_direction":"increase",)" +
          common + '}'}},
    {"device-compliance-change",
     {R"({"previous_status":"compliant","current_status":"not-compliant"})",
      R"({"previous_status":"not-compliant","current_status":"compliant",)" + common + '}'}},
    {"session-established",
     {"{}",
      R"({"fp_ua":"abb0","acr":"AAL2","amr":["otp","pwd"],"ext_id":"12345",)" + common + '}'}},
    {"session-presented", {"{}", R"({"fp_ua":"abb0","ext_id":"12345",)" + common + '}'}},
    {"risk-level-change",
     {R"({"principal":"USER","current_level":"LOW"})",
      R"({"risk_reason":"PASSWORD_FOUND","principal":"DEVICE","current_level":"HIGH","previous_level":"LOW",)" +
          common + '}'}},
};
const std::pair<const char*, std::vector<std::string>> risc_texts[] = {
    {"account-credential-change-required", {"{}"}},
    {"account-purged", {"{}"}},
    {"account-disabled", {"{}", R"({"reason":"hijacking"})"}},
    {"account-enabled", {"{}"}},
    {"identifier-changed", {"{}", R"({"new-value":"john.roe@example.com"})"}},
    {"identifier-recycled", {"{}"}},
    {"credential-compromise",
     {R"({"credential_type":"password"})",
      R"({"credential_type":"pin","event_timestamp":1508184845,"reason_admin":{"en":"dump"},"reason_user":{"en":"choose"}})"}},
    {"opt-in", {"{}"}},
    {"opt-out-initiated", {"{}"}},
    {"opt-out-cancelled", {"{}"}},
    {"opt-out-effective", {"{}"}},
    {"recovery-activated", {"{}"}},
    {"recovery-information-changed", {"{}"}},
    {"sessions-revoked", {"{}"}},
};

}  // namespace

TEST_CASE("every event of CAEP comes back as it went, with the least and with the most it says") {
    CHECK(std::size(caep_texts) == std::variant_size_v<caep_event>);
    for (const auto& [name, texts] : caep_texts) {
        for (const std::string& text : texts) {
            const auto e = parse_caep(caep_type(name), *json::parse(text));
            REQUIRE_MESSAGE(e.has_value(), name << ": " << e.error().detail);
            CHECK(to_json(*e) == text);
            CHECK(type_of(*e) == caep_type(name));
            CHECK(parse_caep(type_of(*e), *json::parse(to_json(*e))).value() == *e);
        }
    }
}

TEST_CASE("every event of RISC comes back as it went") {
    CHECK(std::size(risc_texts) == std::variant_size_v<risc_event>);
    for (const auto& [name, texts] : risc_texts) {
        for (const std::string& text : texts) {
            const auto e = parse_risc(risc_type(name), *json::parse(text));
            REQUIRE_MESSAGE(e.has_value(), name << ": " << e.error().detail);
            CHECK(to_json(*e) == text);
            CHECK(type_of(*e) == risc_type(name));
        }
    }
}

TEST_CASE("the catalog's types are those that can be read, and only those") {
    for (const event_kind& k : event_catalog()) {
        const auto body = *json::parse("{}");
        const auto caep = parse_caep(k.uri, body);
        const auto risc = parse_risc(k.uri, body);
        CHECK((caep || caep.error().code != errc::not_found) == (k.family == event_family::caep));
        CHECK((risc || risc.error().code != errc::not_found) == (k.family == event_family::risc));
    }
}

TEST_CASE("the common members are read into their types") {
    const auto e = caep_read<caep::session_revoked>("session-revoked", '{' + common + '}');
    CHECK(e.common.event_timestamp == from_numeric_date(1615304991));
    CHECK(e.common.initiating_entity == "policy");
    CHECK(e.common.reason_admin == language_map{{"de", "weil"}, {"en", "why"}});
    CHECK(e.common.reason_user.at("es-410") == "no");
}

TEST_CASE("a timestamp is seconds, whole or not, and nothing else") {
    const auto at = [](const std::string& number) {
        return caep_read<caep::session_revoked>("session-revoked",
                                                "{\"event_timestamp\":" + number + '}')
            .common.event_timestamp;
    };
    CHECK(at("0") == wall_time{});
    CHECK(at("1615304991.25") == from_milliseconds(1615304991250));
    CHECK(at("1.5e9") == from_numeric_date(1500000000));
    caep::session_revoked late;
    late.common.event_timestamp = from_milliseconds(1615304991250);
    CHECK(to_json(late) == R"({"event_timestamp":1615304991.25})");
    for (const char* bad : {"\"1615304991\"", "-1", "1615304991000", "1e300", "null", "{}"})
        CHECK(caep_fault("session-revoked", "{\"event_timestamp\":" + std::string(bad) + '}')
                  .starts_with("\"event_timestamp\""));
}

TEST_CASE("what is left out stays left out: no level, no direction, no method is made up") {
    const auto level = caep_read<caep::assurance_level_change>(
        "assurance-level-change", R"({"namespace":"n","current_level":"2"})");
    CHECK(!level.previous_level);
    CHECK(!level.change_direction);
    const auto risk = caep_read<caep::risk_level_change>(
        "risk-level-change", R"({"principal":"USER","current_level":"LOW"})");
    CHECK(!risk.previous_level);
    const auto session = caep_read<caep::session_established>("session-established", "{}");
    CHECK(!session.acr);
    CHECK(session.amr.empty());
}

TEST_CASE("a value that a newer peer may name is kept as text") {
    CHECK(caep_read<caep::session_revoked>("session-revoked", R"({"initiating_entity":"agent"})")
              .common.initiating_entity == "agent");
    CHECK(caep_read<caep::credential_change>(
              "credential-change", R"({"credential_type":"badge","change_type":"rotate"})")
              .change_type == "rotate");
    const auto disabled =
        parse_risc(risc_type("account-disabled"), *json::parse(R"({"reason":"fraud"})")).value();
    CHECK(std::get<risc::account_disabled>(disabled).reason == "fraud");
    CHECK(!check_lists(disabled).has_value());
}

TEST_CASE("unknown members are ignored, the inner subject among them") {
    for (const auto& [name, texts] : caep_texts) {
        std::string text = texts.front();
        text.pop_back();
        text += (text == "{" ? "" : ",") + std::string(R"("later":{"a":[1]},"subject":{}})");
        const auto e = parse_caep(caep_type(name), *json::parse(text));
        REQUIRE_MESSAGE(e.has_value(), name);
        CHECK(to_json(*e) == texts.front());
    }
}

TEST_CASE("a member of a wrong type is named") {
    for (const auto& [name, texts] : caep_texts) {
        const auto full = *json::parse(texts.back());
        for (const auto& m : full.GetObject()) {
            const std::string member(json::view(m.name));
            for (const char* wrong : {"true", "[[]]", "null"}) {
                std::string text = "{";
                for (const auto& other : full.GetObject())
                    text += (text == "{" ? "\"" : ",\"") + std::string(json::view(other.name)) +
                            "\":" + (other.name == m.name ? wrong : json::write(other.value));
                CHECK_MESSAGE(caep_fault(name, text + '}').starts_with('"' + member + '"'),
                              name << ": " << text);
            }
        }
    }
    CHECK(risc_fault("account-disabled", R"({"reason":7})").starts_with("\"reason\""));
    CHECK(risc_fault("identifier-changed", R"({"new-value":{}})").starts_with("\"new-value\""));
    CHECK(risc_fault("credential-compromise", R"({"credential_type":7})")
              .starts_with("\"credential_type\""));
}

TEST_CASE("an event that is no object is refused, whatever its type") {
    for (const event_kind& k : event_catalog()) {
        for (const char* text : {"[]", "\"x\"", "7", "null"}) {
            const auto body = *json::parse(text);
            if (k.family == event_family::caep) CHECK(!parse_caep(k.uri, body).has_value());
            if (k.family == event_family::risc) CHECK(!parse_risc(k.uri, body).has_value());
        }
    }
}

TEST_CASE("a required member is required") {
    for (const auto& [name, texts] : caep_texts) {
        const auto least = *json::parse(texts.front());
        if (least.MemberCount() == 0) continue;
        for (const auto& m : least.GetObject()) {
            std::string text = "{";
            for (const auto& other : least.GetObject())
                if (other.name != m.name)
                    text += (text == "{" ? "\"" : ",\"") + std::string(json::view(other.name)) +
                            "\":" + json::write(other.value);
            CHECK_MESSAGE(
                caep_fault(name, text + '}').starts_with('"' + std::string(json::view(m.name))),
                name << ": " << text);
        }
    }
}

TEST_CASE("a reason of RISC may be a plain text: it is of no stated language") {
    const auto e = parse_risc(risc_type("credential-compromise"),
                              *json::parse(R"({"credential_type":"pin","reason_admin":"a dump"})"))
                       .value();
    CHECK(std::get<risc::credential_compromise>(e).reason_admin == language_map{{"und", "a dump"}});
    // CAEP says that it is an object.
    CHECK(!caep_fault("session-revoked", R"({"reason_admin":"a dump"})").empty());
}

TEST_CASE("a list is bounded, and so is the number of languages") {
    std::string amr = "\"m\"", languages = "\"a\":\"x\"";
    for (int i = 0; i < 64; ++i) {
        amr += ",\"m\"";
        languages += ",\"b-" + std::to_string(i) + "\":\"x\"";
    }
    CHECK(!caep_fault("session-established", "{\"amr\":[" + amr + "]}").empty());
    CHECK(!caep_fault("session-revoked", "{\"reason_user\":{" + languages + "}}").empty());
}
