#include "receiver/teardown/report.hpp"

#include <doctest/doctest.h>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"

using namespace mission;
using namespace mission::receiver;

namespace {

const mission_key key{"https://mas.example", "0123456789012345678901"};
const wall_time now = from_milliseconds(1'800'000'000'000);

task_record task(const std::string& name, ms::outcome_kind last, const std::string& evidence) {
    task_record t;
    t.handler = "drop-role";
    t.why = ms::effect::revoked;
    t.mission = key;
    t.version = 3;
    t.name = name;
    t.data = "a secret of the host";
    t.attempts = 2;
    t.last = last;
    t.evidence = evidence;
    t.finished = last == ms::outcome_kind::acknowledged;
    t.created = t.updated = now;
    return t;
}

teardown_account account() {
    teardown_account a;
    a.mission = key;
    a.why = ms::effect::revoked;
    a.version = 3;
    a.since = now - std::chrono::seconds(2);
    a.acknowledged = 1;
    a.open = 1;
    a.named = {task("role-7", ms::outcome_kind::timed_out, "no answer"),
               task("role-1", ms::outcome_kind::acknowledged, "role gone")};
    return a;
}

std::string text(const json::value& v, const char* name) {
    return std::string(json::find_string(v, name).value_or("?"));
}

}  // namespace

TEST_CASE("a report says what is gone, what is not, and nothing that the host has kept") {
    const auto said = report_detail(account(), now);
    const auto d = json::parse(said).value();
    CHECK(text(d, "effect") == "revoked");
    CHECK(json::find_int(d, "version") == 3);
    CHECK(json::find_bool(d, "complete") == false);
    CHECK(json::find_int(d, "total") == 2);
    CHECK(json::find_int(d, "acknowledged") == 1);
    CHECK(json::find_int(d, "unconfirmed") == 1);
    CHECK(json::find_int(d, "not_listed") == 0);
    REQUIRE(d["tasks"].Size() == 2);
    CHECK(text(d["tasks"][0], "name") == "role-7");
    CHECK(text(d["tasks"][0], "outcome") == "timed_out");
    CHECK(text(d["tasks"][0], "evidence") == "no answer");
    CHECK(json::find_int(d["tasks"][0], "attempts") == 2);
    CHECK(text(d["tasks"][1], "outcome") == "acknowledged");
    CHECK(said.find("secret of the host") == std::string::npos);
    auto all = account();
    all.open = 0;
    all.released = 1;
    all.named[0].cancelled = true;
    const auto whole = json::parse(report_detail(all, now)).value();
    CHECK(json::find_bool(whole, "complete") == true);
    CHECK(text(whole["tasks"][0], "outcome") == "released");
}

TEST_CASE("what a transmitter takes is never exceeded, and what is left out is counted") {
    auto a = account();
    a.named.clear();
    a.open = 100'000;
    for (std::size_t n = 0; n < account_tasks_named; ++n) {
        a.named.push_back(task(std::string(100, 'n'), ms::outcome_kind::failed,
                               std::string(4000, '\x01') + "\xff"));
        a.named.back().handler = std::string(100, 'h');
    }
    const auto said = report_detail(a, now);
    CHECK(said.size() <= limits::report_detail_bytes);
    const auto d = json::parse(said).value();
    CHECK(d["tasks"].Size() > 5);
    CHECK(json::find_int(d, "not_listed").value() + static_cast<std::int64_t>(d["tasks"].Size()) ==
          100'001);
}

TEST_CASE("evidence that quotes a token is told without it") {
    auto a = account();
    a.named[0].evidence = "401 for eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl";
    CHECK(report_detail(a, now).find("eyJ") == std::string::npos);
}

TEST_CASE("the evidence is a JWS of the client's key that says the same as the report") {
    for (const auto alg : {jose::alg::es256, jose::alg::rs256}) {
        const report_author by{"pam", *jose::private_key::generate(alg)};
        const auto r = make_report(account(), by, "https://mas.example", now, "random-1").value();
        CHECK(r.key == "random-1");
        CHECK(r.mission == key);
        CHECK_FALSE(r.complete);
        const auto body = json::parse(r.body).value();
        CHECK(text(body, "kind") == "teardown");
        const auto evidence = text(body, "evidence");
        CHECK(evidence.size() <= limits::report_evidence_bytes);
        const auto token = jose::parse_compact(evidence).value();
        CHECK(token.typ == report_typ);
        jose::key_set keys;
        keys.add(by.key.to_public());
        CHECK(jose::verify(token, keys, std::array{alg}, false).has_value());
        const auto claims = json::parse(token.payload).value();
        CHECK(text(claims, "iss") == "pam");
        CHECK(text(claims, "sub") == "pam");
        CHECK(text(claims, "aud") == "https://mas.example");
        CHECK(text(claims, "jti") == "random-1");
        CHECK(text(claims, "mission_id") == key.id);
        CHECK(text(claims, "kind") == "teardown");
        CHECK(json::find_int(claims, "iat") == 1'800'000'000);
        CHECK(claims["detail"] == body["detail"]);
    }
}

TEST_CASE("the largest report fits into what is taken, with the largest keys") {
    auto a = account();
    a.named.clear();
    for (std::size_t n = 0; n < account_tasks_named; ++n)
        a.named.push_back(
            task(std::string(400, 'n'), ms::outcome_kind::failed, std::string(4000, 'e')));
    const report_author by{"pam", *jose::private_key::generate(jose::alg::rs256)};
    const auto r = make_report(a, by, "https://mas.example", now, "x").value();
    const auto body = json::parse(r.body).value();
    CHECK(text(body, "evidence").size() + 700 <= limits::report_evidence_bytes);
}

TEST_CASE("where a report goes") {
    CHECK(report_url("", "https://mas.example", "abc") ==
          "https://mas.example/missions/abc/reports");
    CHECK(report_url("", "https://mas.example/tenant/", "abc") ==
          "https://mas.example/tenant/missions/abc/reports");
    CHECK(report_url("https://r.example/of/{mission_id}/x", "https://mas.example", "a b") ==
          "https://r.example/of/a%20b/x");
}

TEST_CASE("an answer says whether a report is taken, refused, tried again or pointless") {
    const std::string ours = R"({"error":"not_found","error_description":"x"})";
    CHECK(fate_of(202, "") == report_fate::sent);
    CHECK(fate_of(200, "{}") == report_fate::sent);
    for (const int status : {400, 409, 413, 415, 422})
        CHECK(fate_of(status, "{}") == report_fate::refused);
    CHECK(fate_of(403, "{}") == report_fate::forbidden);
    CHECK(fate_of(404, ours) == report_fate::refused);
    for (const char* body : {"", "<html>", R"({"error":"other"})", "[]", "7"})
        CHECK(fate_of(404, body) == report_fate::absent);
    CHECK(fate_of(405, "") == report_fate::absent);
    CHECK(fate_of(501, "") == report_fate::absent);
    for (const int status : {301, 302, 401, 408, 425, 429, 500, 502, 503, 504})
        CHECK(fate_of(status, ours) == report_fate::later);
}
