#include "receiver/sidecar/authzen.hpp"

#include <doctest/doctest.h>

#include "base/json.hpp"
#include "known_missions.hpp"

using namespace mission;
using namespace mission::receiver::sidecar;
using sidecar_test::known_missions;

namespace {

const std::string alive = sidecar_test::active_mission, dead = sidecar_test::revoked_mission;

std::string item(const std::string& mission, const std::string& action = "invoices.read") {
    return R"({"subject":{"type":"agent","id":"a","properties":{"mission_id":")" + mission +
           R"("}},"action":{"name":")" + action +
           R"("},"resource":{"type":"api","id":"https://erp.example"}})";
}

json::document answer_of(const std::string& body, bool batch, const settings& s = {}) {
    known_missions missions;
    auto parsed = authzen::parse(body, batch);
    if (!parsed) FAIL(parsed.error().message());
    auto out = json::parse(authzen::answer(
        *parsed, [&](const authzen::evaluation& e) { return authzen::decide(e, missions, s); }));
    REQUIRE(out.has_value());
    return std::move(*out);
}

std::string problem(const std::string& body, bool batch = true) {
    const auto parsed = authzen::parse(body, batch);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code == errc::invalid_request);
    return parsed.error().detail;
}

std::vector<bool> decisions(const json::document& d) {
    std::vector<bool> out;
    for (const auto& one : d["evaluations"].GetArray())
        out.push_back(one["decision"].GetBool());
    return out;
}

std::string batch_of(const std::string& semantic, const std::vector<std::string>& items) {
    std::string list;
    for (const auto& i : items)
        list += (list.empty() ? "" : ",") + i;
    return R"({"options":{"evaluations_semantic":")" + semantic + R"("},"evaluations":[)" + list +
           "]}";
}

}  // namespace

TEST_CASE("one evaluation is decided by the mission that the subject names") {
    const auto yes = answer_of(item(alive), false);
    CHECK(yes["decision"].GetBool());
    CHECK(json::find_string(yes["context"], "mission_state") == "active");
    CHECK(yes["context"]["mission_version"].GetInt() == 3);
    CHECK_FALSE(yes["context"]["authority_checked"].GetBool());
    const auto no = answer_of(item(dead), false);
    CHECK_FALSE(no["decision"].GetBool());
    CHECK(json::find_string(no["context"], "reason") == "revoked");
    CHECK(json::find_string(no["context"]["reason_admin"], "403") == "mission revoked");
    CHECK(no["context"]["reason_user"].HasMember("403"));
}

TEST_CASE("the mission may be the subject, or in the context, and all of them have to agree") {
    const auto with = [](const std::string& subject, const std::string& context) {
        return R"({"subject":)" + subject + R"(,"action":{"name":"x"},)" +
               R"("resource":{"type":"t","id":"r"},"context":)" + context + "}";
    };
    const std::string nobody = R"({"type":"user","id":"u"})";
    CHECK(answer_of(with(R"({"type":"mission","id":")" + alive + R"("})", "{}"), false)["decision"]
              .GetBool());
    CHECK(answer_of(with(nobody, R"({"mission_id":")" + alive + R"("})"), false)["decision"]
              .GetBool());
    CHECK(answer_of(with(nobody, R"({"mission":{"id":")" + alive + R"("}})"), false)["decision"]
              .GetBool());
    const auto both = answer_of(with(R"({"type":"mission","id":")" + alive + R"("})",
                                     R"({"mission_id":")" + dead + R"("})"),
                                false);
    CHECK_FALSE(both["decision"].GetBool());
    CHECK(json::find_string(both["context"], "reason") == "conflicting_references");
    const auto none = answer_of(with(nobody, "{}"), false);
    CHECK_FALSE(none["decision"].GetBool());
    CHECK(json::find_string(none["context"], "reason") == "missing_reference");
    const auto number = answer_of(with(nobody, R"({"mission_id":7})"), false);
    CHECK(json::find_string(number["context"], "reason") == "malformed_reference");
}

TEST_CASE("what is asked for can be held against the mission's authority") {
    settings s;
    s.authzen = authzen_authority::resource_id;
    CHECK(answer_of(item(alive), false, s)["decision"].GetBool());
    const auto other = answer_of(item(alive, "invoices.delete"), false, s);
    CHECK_FALSE(other["decision"].GetBool());
    CHECK(json::find_string(other["context"], "reason") == "not_granted");
    CHECK(other["context"]["authority_checked"].GetBool());
    s.authzen = authzen_authority::configured;
    s.resource = "https://other.example";
    CHECK_FALSE(answer_of(item(alive), false, s)["decision"].GetBool());
}

TEST_CASE("a batch is answered in order, all of it, by default") {
    const auto d = answer_of(
        R"({"evaluations":[)" + item(alive) + "," + item(dead) + "," + item(alive) + "]}", true);
    CHECK(decisions(d) == std::vector{true, false, true});
    CHECK_FALSE(d.HasMember("decision"));
    CHECK(decisions(answer_of(batch_of("execute_all", {item(dead), item(alive)}), true)) ==
          std::vector{false, true});
}

TEST_CASE("deny_on_first_deny ends with the first denial") {
    CHECK(decisions(answer_of(
              batch_of("deny_on_first_deny", {item(alive), item(dead), item(alive)}), true)) ==
          std::vector{true, false});
    CHECK(decisions(answer_of(batch_of("deny_on_first_deny", {item(alive), item(alive)}), true)) ==
          std::vector{true, true});
    // An evaluation that cannot be read is a denial.
    CHECK(decisions(answer_of(batch_of("deny_on_first_deny", {"{}", item(alive)}), true)) ==
          std::vector{false});
}

TEST_CASE("permit_on_first_permit ends with the first permit") {
    CHECK(decisions(answer_of(
              batch_of("permit_on_first_permit", {item(dead), item(alive), item(dead)}), true)) ==
          std::vector{false, true});
}

TEST_CASE("defaults stand in for what an evaluation leaves out, and are replaced whole") {
    const auto d = answer_of(
        R"({"subject":{"type":"mission","id":")" + alive +
            R"("},"action":{"name":"read"},"resource":{"type":"t","id":"1"},"evaluations":[{},)" +
            R"({"resource":{"type":"t","id":"2"}},)" + R"({"subject":{"type":"mission","id":")" +
            dead + R"("}},)" + R"({"subject":{"type":"user","id":"u"}}]})",
        true);
    CHECK(decisions(d) == std::vector{true, true, false, false});
    CHECK(json::find_string(d["evaluations"][3]["context"], "reason") == "missing_reference");
}

TEST_CASE("an evaluation that cannot be read is an error of its own, the others are answered") {
    const auto d = answer_of(R"({"evaluations":[{"action":{"name":"x"}},7,)" + item(alive) +
                                 R"(,{"subject":{"type":"user"},"action":{"name":"x"},)" +
                                 R"("resource":{"type":"t","id":"r"}}]})",
                             true);
    CHECK(decisions(d) == std::vector{false, false, true, false});
    for (const unsigned i : {0u, 1u, 3u}) {
        CHECK(d["evaluations"][i]["context"]["error"]["status"].GetInt() == 400);
        CHECK(d["evaluations"][i]["context"]["error"]["message"].IsString());
    }
}

TEST_CASE("evaluations that are absent or empty are one evaluation") {
    const auto one = item(alive);
    CHECK(answer_of(one, true)["decision"].GetBool());
    auto empty = one;
    empty.insert(1, R"("evaluations":[],)");
    CHECK(answer_of(empty, true)["decision"].GetBool());
    // And the single endpoint knows no batches: the member is one of those it ignores.
    auto ignored = one;
    ignored.insert(1, R"("evaluations":[{}],)");
    CHECK(answer_of(ignored, false)["decision"].GetBool());
}

TEST_CASE("a payload that cannot be read is refused as a whole") {
    for (const std::string body :
         {"", "x", "[]", "7", "null", R"({"evaluations":{}})", R"({"evaluations":"x"})",
          R"({"subject":7,"evaluations":[{}]})", R"({"options":[],"evaluations":[{}]})",
          R"({"options":{"evaluations_semantic":"some"},"evaluations":[{}]})",
          R"({"options":{"evaluations_semantic":7},"evaluations":[{}]})", R"({"a":1,"a":2})"})
        CHECK_MESSAGE(!problem(body).empty(), body);
    CHECK(problem(R"({"subject":{"type":"user","id":"u"}})", false) == "action is missing");
    CHECK(problem(R"({"subject":{"type":"user","id":"u","properties":[]}})", false) ==
          "subject.properties is no object");
    std::string many = R"({"evaluations":[{})";
    for (int i = 0; i < 1000; ++i)
        many += ",{}";
    CHECK(problem(many + "]}").find("more than 1000") != std::string::npos);
    CHECK(problem(std::string(300'000, ' ')).find("JSON") != std::string::npos);
    CHECK(problem(R"({"context":)" + std::string(40, '[') + std::string(40, ']') + "}")
              .find("JSON") != std::string::npos);
}

TEST_CASE("the metadata names the endpoints beneath the point's own URL") {
    const auto d = json::parse(authzen::metadata("https://pdp.example"));
    REQUIRE(d.has_value());
    CHECK(json::find_string(*d, "policy_decision_point") == "https://pdp.example");
    CHECK(json::find_string(*d, "access_evaluation_endpoint") ==
          "https://pdp.example/access/v1/evaluation");
    CHECK(json::find_string(*d, "access_evaluations_endpoint") ==
          "https://pdp.example/access/v1/evaluations");
}
