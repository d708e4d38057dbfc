#include <doctest/doctest.h>

#include "tools/missionctl/session.hpp"

using namespace mission;
using namespace mission::tools;

namespace {

const jose::private_key& key() {
    static const auto k = jose::private_key::generate(jose::alg::es256).value();
    return k;
}

status_expectation expected() {
    status_expectation e;
    e.issuer = "https://mas.example";
    e.audience = e.subject = "operator";
    e.nonce = "n1";
    e.mission_id = "mis_0123456789abcdefghij";
    e.algs = {"ES256"};
    e.now = from_numeric_date(1'000'000);
    return e;
}

std::string claims(std::string iss = "https://mas.example", std::string aud = "operator",
                   std::string sub = "operator", std::string nonce = "n1",
                   std::string mission = "mis_0123456789abcdefghij", std::int64_t iat = 999'999,
                   std::int64_t exp = 1'000'060) {
    return R"({"iss":")" + iss + R"(","aud":")" + aud + R"(","sub":")" + sub + R"(","nonce":")" +
           nonce + R"(","iat":)" + std::to_string(iat) + R"(,"exp":)" + std::to_string(exp) +
           R"(,"mission":{"id":")" + mission + R"(","state":"revoked","version":2}})";
}

errc verdict(const std::string& payload, const status_expectation& e = expected(),
             std::string_view typ = "mission-status-response+jwt",
             const jose::private_key& signed_by = key()) {
    jose::key_set keys;
    keys.add(key().to_public());
    const auto jws = jose::sign_compact(signed_by, typ, payload).value();
    const auto answer = verify_status(jws, keys, e);
    return answer ? errc{} : answer.error().code;
}

}  // namespace

TEST_CASE("a status answer is believed when every check holds") {
    CHECK(verdict(claims()) == errc{});
}

TEST_CASE("each check of the status draft refuses an answer by itself") {
    CHECK(verdict(claims("https://other.example")) == errc::wrong_issuer);
    CHECK(verdict(claims("https://mas.example", "somebody")) == errc::wrong_audience);
    CHECK(verdict(claims("https://mas.example", "operator", "somebody")) == errc::bad_claims);
    CHECK(verdict(claims("https://mas.example", "operator", "operator", "n2")) == errc::bad_claims);
    CHECK(verdict(claims("https://mas.example", "operator", "operator", "n1",
                         "mis_another0123456789abc")) == errc::bad_claims);
    CHECK(verdict(claims(), expected(), "JWT") == errc::wrong_typ);
    CHECK(verdict("{}") == errc::wrong_issuer);
}

TEST_CASE("iat and exp have thirty seconds of tolerance") {
    const auto at = [](std::int64_t iat, std::int64_t exp) {
        return verdict(claims("https://mas.example", "operator", "operator", "n1",
                              "mis_0123456789abcdefghij", iat, exp));
    };
    CHECK(at(1'000'030, 1'000'090) == errc{});
    CHECK(at(1'000'031, 1'000'090) == errc::issued_in_future);
    CHECK(at(999'900, 999'970) == errc{});
    CHECK(at(999'900, 999'969) == errc::token_expired);
}

TEST_CASE("an outcome that was asked for again may be an old one") {
    auto e = expected();
    e.may_have_expired = true;
    CHECK(verdict(claims("https://mas.example", "operator", "operator", "n1",
                         "mis_0123456789abcdefghij", 990'000, 990'060),
                  e) == errc{});
}

TEST_CASE("another's key, and an algorithm that is not advertised, are refused") {
    auto foreign = jose::private_key::generate(jose::alg::es256).value();
    CHECK(verdict(claims(), expected(), "mission-status-response+jwt", foreign) ==
          errc::unknown_kid);
    foreign.set_kid(key().kid());
    CHECK(verdict(claims(), expected(), "mission-status-response+jwt", foreign) ==
          errc::bad_signature);
    auto e = expected();
    e.algs = {"RS256", "none", "HS256"};
    CHECK(verdict(claims(), e) == errc::alg_not_allowed);
}
