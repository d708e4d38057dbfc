#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "base/limits.hpp"
#include "transmitter/missions/authorization_types.hpp"
#include "transmitter/missions/extension.hpp"

using namespace mission;
using namespace mission::transmitter;
using events::mission_state;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);
constexpr std::chrono::hours hour{1};
const extension_rules allowed{true};

json::document parsed(std::string_view text) {
    auto d = json::parse(text);
    REQUIRE_MESSAGE(d, std::string(text));
    return std::move(*d);
}

std::string set_of(std::string_view actions, std::string_view more = "") {
    return R"([{"type":"mission_resource_access","resource":"https://erp.example","actions":)" +
           std::string(actions) + "}" + std::string(more) + "]";
}

store::mission_state held(mission_state s = mission_state::active) {
    store::mission_state m;
    m.state = s;
    m.version = 3;
    m.authority_revision = 2;
    m.expires_at = now + hour;
    return m;
}

result<std::optional<proposal>> extend(const store::mission_state& m, std::string_view present,
                                       std::string_view wanted,
                                       std::optional<wall_time> end = std::nullopt,
                                       extension_rules rules = allowed) {
    const auto p = parsed(present);
    const auto w = wanted.empty() ? json::document() : parsed(wanted);
    scope_request r;
    if (!wanted.empty()) r.authorization_details = &w;
    r.expires_at = end;
    r.reason = "more";
    return judge_extension(m, p, r, rules, now);
}

std::string refusal(const authorization_types& types, std::string_view set) {
    const auto ok = types.check(parsed(set));
    if (ok) return "";
    CHECK(ok.error().code == errc::invalid_request);
    return ok.error().detail.substr(0, ok.error().detail.find(':'));
}

}  // namespace

TEST_CASE("an extension is a version with the wider set, and keeps state and approval") {
    for (const auto s : {mission_state::active, mission_state::suspended}) {
        auto m = held(s);
        if (s == mission_state::suspended) {
            m.suspend_until = now + std::chrono::minutes(5);
            m.on_expiry = events::on_expiry::resume;
        }
        const auto p = extend(m, set_of(R"(["a"])"), set_of(R"(["a","b"])"), now + 2 * hour);
        REQUIRE(p);
        REQUIRE(*p);
        CHECK((*p)->change == "extended");
        CHECK((*p)->authority_changed);
        CHECK((*p)->next.version == 4);
        CHECK((*p)->next.authority_revision == 3);
        CHECK((*p)->next.state == s);
        CHECK((*p)->next.suspend_until == m.suspend_until);
        CHECK((*p)->next.expires_at == now + 2 * hour);
        CHECK((*p)->authorization_details == set_of(R"(["a","b"])"));
    }
}

TEST_CASE("a later end alone is an extension without a new set") {
    const auto p = extend(held(), set_of(R"(["a"])"), "", now + 2 * hour);
    REQUIRE(p);
    REQUIRE(*p);
    CHECK((*p)->next.authority_revision == 2);
    CHECK_FALSE((*p)->authority_changed);
    CHECK_FALSE((*p)->authorization_details);
}

TEST_CASE("what stands already is no change") {
    const auto p = extend(held(), set_of(R"(["a"])"), set_of(R"(["a"])"), now + hour);
    REQUIRE(p);
    CHECK_FALSE(*p);
}

TEST_CASE("an extension takes nothing away") {
    const auto code = [](const auto& r) { return r ? errc{} : r.error().code; };
    CHECK(code(extend(held(), set_of(R"(["a","b"])"), set_of(R"(["b","c"])"))) ==
          errc::invalid_request);
    CHECK(code(extend(held(), set_of(R"(["a"])"), "[]")) == errc::invalid_request);
    CHECK(code(extend(held(), set_of(R"(["a"])", R"(,{"type":"x"})"), set_of(R"(["a","b"])"))) ==
          errc::invalid_request);
    CHECK(code(extend(held(), set_of(R"(["a"])"), set_of(R"(["a","b"])"),
                      now + std::chrono::minutes(5))) == errc::invalid_request);
}

TEST_CASE(
    "an extension needs the issuer's leave, the version that was seen, and a living mission") {
    const auto code = [](const auto& r) { return r ? errc{} : r.error().code; };
    CHECK(code(extend(held(), set_of(R"(["a"])"), set_of(R"(["a","b"])"), {}, {false})) ==
          errc::extension_not_allowed);
    for (const auto s : {mission_state::revoked, mission_state::completed, mission_state::expired,
                         mission_state::superseded, mission_state::cascaded})
        CHECK(code(extend(held(s), set_of(R"(["a"])"), set_of(R"(["a","b"])"))) ==
              errc::mission_conflict);
    scope_request r;
    r.expected_version = 2;
    r.expires_at = now + 2 * hour;
    CHECK(judge_extension(held(), parsed("[]"), r, allowed, now).error().code ==
          errc::stale_version);
}

TEST_CASE("the built-in type is held to the draft, and the place at fault is named") {
    const auto types = authorization_types::from(config{}).value();
    const auto one = [](std::string_view members) {
        return R"([{"type":"mission_resource_access",)" + std::string(members) + "}]";
    };
    const std::string at = "/authorization_details/0";
    const std::string whole = R"("resource":"https://a","actions":["a"])";
    CHECK(refusal(types, one(whole)).empty());
    CHECK(refusal(types, one(R"("resource":"https://a","actions":["a.b:c_d-e","a.*"])")).empty());
    CHECK(refusal(types, one(R"("actions":["a"])")) == at + "/resource");
    CHECK(refusal(types, one(R"("resource":7,"actions":["a"])")) == at + "/resource");
    CHECK(refusal(types, one(R"("resource":"https://a")")) == at + "/actions");
    CHECK(refusal(types, one(R"("resource":"https://a","actions":[])")) == at + "/actions");
    for (const char* bad : {"a b", "*", ".*", "a/b", "", "a*", "é"}) {
        CAPTURE(bad);
        CHECK(refusal(types, one(R"("resource":"https://a","actions":["ok",")" + std::string(bad) +
                                 "\"]")) == at + "/actions/1");
    }
    CHECK(refusal(types, one(whole + R"(,"resource_match":"glob")")) == at + "/resource_match");
    CHECK(refusal(types, one(R"("resource":"https://a?x","actions":["a"],)"
                             R"("resource_match":"prefix")")) == at + "/resource");
    CHECK(refusal(types, one(whole + R"(,"constraints":[])")) == at + "/constraints");
    CHECK(refusal(types, one(whole + R"(,"constraints":{"max_amount":{"amount":"-1",)"
                                     R"("currency":"EUR"}})")) == at + "/constraints/max_amount");
    CHECK(refusal(types, one(whole + R"(,"constraints":{"whatever":1})")).empty());
    CHECK(refusal(types, "{}") == "/authorization_details");
    CHECK(refusal(types, "[1]") == at);
    CHECK(refusal(types, "[{}]") == at + "/type");
}

TEST_CASE(
    "a declared type is held to its schema, an unknown one refused unless the operator says") {
    config c;
    c.authorization_types.push_back(
        {"account_information",
         R"({"type":"object","required":["policy"],"properties":{"policy":{"type":"string"}}})"});
    const auto types = authorization_types::from(c).value();
    CHECK(refusal(types, R"([{"type":"account_information","policy":"p"}])").empty());
    CHECK(refusal(types, R"([{"type":"account_information","policy":7}])") ==
          "/authorization_details/0/policy");
    CHECK(refusal(types, R"([{"type":"account_information"}])") == "/authorization_details/0");
    CHECK(refusal(types, R"([{"type":"unknown"}])") == "/authorization_details/0/type");
    c.missions.accept_unknown_types = true;
    const auto open = authorization_types::from(c).value();
    CHECK(refusal(open, R"([{"type":"unknown"}])").empty());
    CHECK(refusal(open, R"([{"type":"account_information","policy":7}])") ==
          "/authorization_details/0/policy");
    c.authorization_types[0].schema_json = "{";
    CHECK(authorization_types::from(c).error().code == errc::bad_configuration);
}
