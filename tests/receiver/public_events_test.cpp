#include <doctest/doctest.h>

#include <fstream>
#include <mission_signals/events.hpp>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>

#include "base/json.hpp"
#include "events/catalog.hpp"

using namespace mission_signals;
namespace ev = mission_signals::events;
using namespace std::chrono_literals;

namespace {

constexpr const char* caep = "https://schemas.openid.net/secevent/caep/event-type/";
constexpr const char* risc = "https://schemas.openid.net/secevent/risc/event-type/";
constexpr const char* somebody = R"({"format":"email","email":"ann@example.com"})";

security_event of(std::string type, std::string body, std::string subject = somebody) {
    security_event e;
    e.type = std::move(type);
    e.event = std::move(body);
    e.subject = std::move(subject);
    return e;
}

template <class Event>
Event read_as(const security_event& e) {
    const ev::any_event read = ev::read(e);
    if (const auto* lost = std::get_if<ev::unreadable>(&read)) FAIL(lost->why);
    const auto* one = std::get_if<Event>(&read);
    REQUIRE_MESSAGE(one, e.type << " reads as alternative " << read.index());
    return *one;
}

std::string why_unreadable(const security_event& e) {
    const ev::any_event read = ev::read(e);
    const auto* lost = std::get_if<ev::unreadable>(&read);
    REQUIRE_MESSAGE(lost, e.type << " " << e.event << " reads as alternative " << read.index());
    CHECK(lost->type == e.type);
    CHECK(!lost->why.empty());
    return lost->why;
}

mission::json::document vectors_of(std::string_view schema) {
    std::ifstream file(std::string(MISSION_SCHEMA_VECTORS "/") + std::string(schema) + ".json");
    REQUIRE_MESSAGE(file.good(), "no vectors for " << schema);
    std::ostringstream text;
    text << file.rdbuf();
    return mission::json::parse(text.str()).value();
}

// The alternative of any_event by its name on the wire, written out once more on purpose.
struct expected {
    const char* name;
    std::size_t (*index)();
};
template <class Event>
std::size_t index_of() {
    return ev::any_event(Event{}).index();
}
const expected caep_types[] = {
    {"session-revoked", index_of<ev::session_revoked>},
    {"token-claims-change", index_of<ev::token_claims_change>},
    {"credential-change", index_of<ev::credential_change>},
    {"assurance-level-change", index_of<ev::assurance_level_change>},
    {"device-compliance-change", index_of<ev::device_compliance_change>},
    {"session-established", index_of<ev::session_established>},
    {"session-presented", index_of<ev::session_presented>},
    {"risk-level-change", index_of<ev::risk_level_change>},
};
const expected risc_types[] = {
    {"account-credential-change-required", index_of<ev::account_credential_change_required>},
    {"account-purged", index_of<ev::account_purged>},
    {"account-disabled", index_of<ev::account_disabled>},
    {"account-enabled", index_of<ev::account_enabled>},
    {"identifier-changed", index_of<ev::identifier_changed>},
    {"identifier-recycled", index_of<ev::identifier_recycled>},
    {"credential-compromise", index_of<ev::credential_compromise>},
    {"opt-in", index_of<ev::opt_in>},
    {"opt-out-initiated", index_of<ev::opt_out_initiated>},
    {"opt-out-cancelled", index_of<ev::opt_out_cancelled>},
    {"opt-out-effective", index_of<ev::opt_out_effective>},
    {"recovery-activated", index_of<ev::recovery_activated>},
    {"recovery-information-changed", index_of<ev::recovery_information_changed>},
    {"sessions-revoked", index_of<ev::sessions_revoked>},
};

void reads_its_vectors(const char* prefix, const char* family, const expected& type) {
    const auto vectors = vectors_of(std::string(family) + "-" + type.name);
    REQUIRE(vectors["valid"].Size() > 0);
    for (const auto& v : vectors["valid"].GetArray()) {
        const auto read = ev::read(of(prefix + std::string(type.name), mission::json::write(v)));
        CHECK_MESSAGE(read.index() == type.index(), type.name << ": " << mission::json::write(v));
    }
}

const ev::subject& about_of(const ev::any_event& e) {
    static const ev::subject none;
    return std::visit(
        [](const auto& one) -> const ev::subject& {
            if constexpr (requires { one.about; })
                return one.about;
            else
                return none;
        },
        e);
}

}  // namespace

TEST_CASE("every valid vector of every CAEP and RISC type reads as its type") {
    for (const expected& type : caep_types)
        reads_its_vectors(caep, "caep", type);
    for (const expected& type : risc_types)
        reads_its_vectors(risc, "risc", type);
}

TEST_CASE("every type of the catalog has an alternative of its own") {
    std::set<std::size_t> seen;
    for (const expected& type : caep_types)
        seen.insert(type.index());
    for (const expected& type : risc_types)
        seen.insert(type.index());
    std::size_t standard = 0;
    for (const auto& kind : mission::events::event_catalog())
        if (kind.family == mission::events::event_family::caep ||
            kind.family == mission::events::event_family::risc)
            ++standard;
    CHECK(seen.size() == standard);
    CHECK(std::variant_size_v<ev::any_event> == standard + 2);
}

TEST_CASE("every event tells whom it is about") {
    const std::string needed =
        R"({"claims":{"a":1},"credential_type":"pin","change_type":"update","namespace":"x",)"
        R"("current_level":"HIGH","previous_status":"compliant","current_status":"not-compliant",)"
        R"("principal":"USER"})";
    for (const auto& kind : mission::events::event_catalog()) {
        if (kind.family == mission::events::event_family::ssf) continue;
        const auto read = ev::read(of(std::string(kind.uri), needed));
        CHECK_MESSAGE(about_of(read).member("email") == "ann@example.com", kind.uri);
    }
}

TEST_CASE("what every CAEP event may say is told of each") {
    const auto e = read_as<ev::session_revoked>(
        of(std::string(caep) + "session-revoked",
           R"({"event_timestamp":1615304991,"initiating_entity":"policy","later":[1],)"
           R"("reason_admin":{"en":"C076E822"},"reason_user":{"en":"no","es-410":"nada"}})"));
    CHECK(e.event_timestamp == ev::timestamp(1615304991s));
    CHECK(e.initiating_entity == "policy");
    CHECK(e.reason_admin == ev::language_map{{"en", "C076E822"}});
    CHECK(e.reason_user == ev::language_map{{"en", "no"}, {"es-410", "nada"}});

    const auto bare = read_as<ev::session_revoked>(of(std::string(caep) + "session-revoked", "{}"));
    CHECK(!bare.event_timestamp);
    CHECK(!bare.initiating_entity);
    CHECK(bare.reason_admin.empty());
}

TEST_CASE("the last second of the year 9999 is told as it is") {
    const auto e = read_as<ev::session_revoked>(
        of(std::string(caep) + "session-revoked", R"({"event_timestamp":253402300799})"));
    REQUIRE(e.event_timestamp);
    CHECK(e.event_timestamp->time_since_epoch() == 253402300799s);
}

TEST_CASE("the members of each CAEP event are told under their names") {
    const std::string type = caep;
    const auto claims = read_as<ev::token_claims_change>(
        of(type + "token-claims-change", R"({"claims":{"role":"ro"}})"));
    CHECK(claims.claims == R"({"role":"ro"})");

    const auto credential = read_as<ev::credential_change>(
        of(type + "credential-change",
           R"({"credential_type":"fido2-roaming","change_type":"create","friendly_name":"f",)"
           R"("x509_issuer":"i","x509_serial":"s","fido2_aaguid":"g"})"));
    CHECK(credential.credential_type == "fido2-roaming");
    CHECK(credential.change_type == "create");
    CHECK(credential.friendly_name == "f");
    CHECK(credential.x509_issuer == "i");
    CHECK(credential.x509_serial == "s");
    CHECK(credential.fido2_aaguid == "g");

    const auto assurance = read_as<ev::assurance_level_change>(
        of(type + "assurance-level-change",
           R"({"namespace":"NIST-AAL","current_level":"nist-aal2","previous_level":"nist-aal1",)"
           R"("change_direction":"increase"})"));
    CHECK(assurance.name_space == "NIST-AAL");
    CHECK(assurance.current_level == "nist-aal2");
    CHECK(assurance.previous_level == "nist-aal1");
    CHECK(assurance.change_direction == "increase");

    const auto device = read_as<ev::device_compliance_change>(
        of(type + "device-compliance-change",
           R"({"previous_status":"compliant","current_status":"not-compliant"})"));
    CHECK(device.previous_status == "compliant");
    CHECK(device.current_status == "not-compliant");

    const auto established = read_as<ev::session_established>(
        of(type + "session-established",
           R"({"fp_ua":"ua","acr":"AAL2","amr":["otp","pwd"],"ext_id":"x"})"));
    CHECK(established.fp_ua == "ua");
    CHECK(established.acr == "AAL2");
    CHECK(established.amr == std::vector<std::string>{"otp", "pwd"});
    CHECK(established.ext_id == "x");

    const auto presented = read_as<ev::session_presented>(
        of(type + "session-presented", R"({"fp_ua":"ua","ext_id":"x"})"));
    CHECK(presented.fp_ua == "ua");
    CHECK(presented.ext_id == "x");

    const auto risk = read_as<ev::risk_level_change>(
        of(type + "risk-level-change",
           R"({"risk_reason":"PASSWORD_FOUND","principal":"USER","current_level":"HIGH",)"
           R"("previous_level":"LOW"})"));
    CHECK(risk.risk_reason == "PASSWORD_FOUND");
    CHECK(risk.principal == "USER");
    CHECK(risk.current_level == "HIGH");
    CHECK(risk.previous_level == "LOW");
}

TEST_CASE("the members of the RISC events that have any are told under their names") {
    const std::string type = risc;
    CHECK(read_as<ev::account_disabled>(of(type + "account-disabled", R"({"reason":"hijacking"})"))
              .reason == "hijacking");
    CHECK(!read_as<ev::account_disabled>(of(type + "account-disabled", "{}")).reason);
    CHECK(read_as<ev::identifier_changed>(
              of(type + "identifier-changed", R"({"new-value":"bob@example.com"})"))
              .new_value == "bob@example.com");
    const auto found = read_as<ev::credential_compromise>(
        of(type + "credential-compromise",
           R"({"credential_type":"password","event_timestamp":12,"reason_admin":"in a dump",)"
           R"("reason_user":{"en":"change it"}})"));
    CHECK(found.credential_type == "password");
    CHECK(found.event_timestamp == ev::timestamp(12s));
    CHECK(found.reason_admin == ev::language_map{{"und", "in a dump"}});
    CHECK(found.reason_user == ev::language_map{{"en", "change it"}});
}

TEST_CASE("a value outside a closed list is told as it came") {
    CHECK(read_as<ev::risk_level_change>(of(std::string(caep) + "risk-level-change",
                                            R"({"principal":"USER","current_level":"EXTREME"})"))
              .current_level == "EXTREME");
}

TEST_CASE("a malformed session-revoked is unreadable, and never nothing") {
    const std::string type = std::string(caep) + "session-revoked";
    for (const char* body : {"", "[]", "null", "true", "{", "{}{}", "{\"a\":1,\"a\":2}", "\"{}\"",
                             R"({"event_timestamp":"1615304991"})", R"({"reason_user":{"en":7}})",
                             R"({"event_timestamp":1615304991000})", R"({"initiating_entity":1})"})
        why_unreadable(of(type, body));
    CHECK(why_unreadable(of(type, R"({"reason_admin":"why"})")).find("reason_admin") !=
          std::string::npos);
}

TEST_CASE("an event about nobody who can be told is unreadable") {
    const std::string type = std::string(caep) + "session-revoked";
    for (
        const char* subject :
        {"", "null", "{}", "[]", R"("ann@example.com")", R"({"email":"ann@example.com"})",
         R"({"format":"email"})", R"({"format":"email","email":7})",
         R"({"format":"aliases","identifiers":[]})",
         R"({"format":"complex","user":{"format":"complex","user":{"format":"opaque","id":"1"}}})"})
        CHECK(why_unreadable(of(type, "{}", subject)).find("sub_id") == 0);
}

TEST_CASE("a missing member of each event that needs one is unreadable and named") {
    const std::pair<std::string, const char*> needs[] = {
        {std::string(caep) + "token-claims-change", "claims"},
        {std::string(caep) + "credential-change", "credential_type"},
        {std::string(caep) + "assurance-level-change", "namespace"},
        {std::string(caep) + "device-compliance-change", "previous_status"},
        {std::string(caep) + "risk-level-change", "principal"},
        {std::string(risc) + "credential-compromise", "credential_type"}};
    for (const auto& [type, member] : needs)
        CHECK_MESSAGE(why_unreadable(of(type, "{}")).find(member) != std::string::npos, type);
}

TEST_CASE("no event of any standard type reads as unknown, whatever its body is") {
    for (const auto& kind : mission::events::event_catalog()) {
        if (kind.family == mission::events::event_family::ssf) continue;
        for (const char* body : {"", "7", "[{}]", "{\"a\":"})
            why_unreadable(of(std::string(kind.uri), body));
    }
}

TEST_CASE("types that are neither CAEP's nor RISC's are unknown, by their name, unread") {
    for (const std::string type :
         {"", "urn:example:door-opened", "https://schemas.openid.net/secevent/caep/event-type/",
          "https://schemas.openid.net/secevent/caep/event-type/session-revoked/",
          "https://schemas.openid.net/secevent/caep/event-type/Session-Revoked",
          "https://schemas.openid.net/secevent/ssf/event-type/verification"}) {
        const auto read = ev::read(of(type, "not JSON", "nor this"));
        REQUIRE_MESSAGE(std::holds_alternative<ev::unknown>(read), type);
        CHECK(std::get<ev::unknown>(read).type == type);
    }
}

TEST_CASE("an identifier that changed or passed on is an address or a number, or unreadable") {
    const char* phone = R"({"format":"phone_number","phone_number":"+12065550100"})";
    const char* opaque = R"({"format":"opaque","id":"7"})";
    for (const std::string name : {"identifier-changed", "identifier-recycled"}) {
        const auto read = ev::read(of(risc + name, "{}", phone));
        CHECK(about_of(read).member("phone_number") == "+12065550100");
        why_unreadable(of(risc + name, "{}", opaque));
    }
    const auto purged =
        read_as<ev::account_purged>(of(std::string(risc) + "account-purged", "{}", opaque));
    CHECK(purged.about.member("id") == "7");
}

TEST_CASE("sub_id is the subject, whatever an older event says inside") {
    const std::string type = std::string(caep) + "session-revoked";
    const std::string inside = R"({"subject":{"format":"email","email":"bob@example.com"}})";
    CHECK(read_as<ev::session_revoked>(of(type, inside)).about.member("email") ==
          "ann@example.com");
    CHECK(why_unreadable(of(type, inside, "{}")).find("sub_id") == 0);
}

TEST_CASE("a complex subject is told by its parts, and addresses and aliases by theirs") {
    const auto e = read_as<ev::session_revoked>(
        of(std::string(caep) + "session-revoked", "{}",
           R"({"format":"complex","session":{"format":"opaque","id":"s1"},)"
           R"("user":{"format":"aliases","identifiers":[{"format":"email","email":"a@b.c"},)"
           R"({"format":"iss_sub","iss":"https://i","sub":"u"}]},)"
           R"("device":{"format":"ip-addresses","ip-addresses":["10.0.0.1","::1"]}})"));
    CHECK(e.about.is_complex());
    CHECK(e.about.complex.size() == 3);
    CHECK(e.about.member("id").empty());
    CHECK(e.about.part("tenant") == nullptr);
    const ev::subject* session = e.about.part("session");
    REQUIRE(session);
    CHECK(session->format == "opaque");
    CHECK(session->member("id") == "s1");
    CHECK(!session->is_complex());
    const ev::subject* user = e.about.part("user");
    REQUIRE(user);
    REQUIRE(user->identifiers.size() == 2);
    CHECK(user->identifiers[0].member("email") == "a@b.c");
    CHECK(user->identifiers[1].member("iss") == "https://i");
    CHECK(user->identifiers[1].member("sub") == "u");
    const ev::subject* device = e.about.part("device");
    REQUIRE(device);
    CHECK(device->addresses == std::vector<std::string>{"10.0.0.1", "::1"});
}

TEST_CASE("the subject of an event of somebody else's type can be read alone") {
    const auto s = ev::read_subject(R"({"format":"urn:example:badge","number":"17"})");
    REQUIRE(s);
    CHECK(s->format == "urn:example:badge");
    CHECK(s->member("number") == "17");
    CHECK(s == ev::read_subject(R"({"number":"17","format":"urn:example:badge"})"));
    CHECK(!ev::read_subject(""));
    CHECK(!ev::read_subject("{}"));
}

TEST_CASE("equal events compare equal, and differ by subject as by member") {
    const std::string type = std::string(caep) + "session-revoked";
    const auto one = ev::read(of(type, R"({"initiating_entity":"user"})"));
    CHECK(one == ev::read(of(type, R"({"initiating_entity":"user"})")));
    CHECK(one != ev::read(of(type, R"({"initiating_entity":"admin"})")));
    CHECK(one !=
          ev::read(of(type, R"({"initiating_entity":"user"})", R"({"format":"opaque","id":"1"})")));
}
