#include "receiver/verify/verify.hpp"

#include <doctest/doctest.h>

#include "jose/base64url.hpp"
#include "receiver/verify/status_answer.hpp"

using namespace mission;
using namespace mission::receiver;

namespace {

constexpr instant now{1'800'000'000'000, 1};
const std::string issuer = "https://mas.example";

struct signer {
    jose::private_key key = *jose::private_key::generate(jose::alg::es256);
    jose::key_set keys;
    signer() { keys.add(key.to_public()); }
    std::string sign(const std::string& payload, const char* typ = "secevent+jwt") const {
        return *jose::sign_compact(key, typ, payload);
    }
};

std::string claims(std::int64_t iat = 1'800'000'000, const std::string& iss = issuer,
                   const std::string& aud = "\"me\"") {
    return R"({"iss":")" + iss + R"(","aud":)" + aud + R"(,"iat":)" + std::to_string(iat) +
           R"(,"jti":"j1","sub_id":{"format":"opaque","id":"s"},"events":{"urn:x":{}}})";
}

// Everything, in the order of wire.md section 5.
errc check(const signer& s, const std::string& token) {
    const auto parsed = parse_set(token);
    if (parsed.has_error()) return parsed.error().code;
    if (auto r = verify_set(*parsed, s.keys); r.has_error()) return r.error().code;
    auto set = read_set(*parsed, issuer, "me", now);
    return set.has_error() ? set.error().code : errc{};
}

std::string forged(const std::string& header, const std::string& payload,
                   const std::string& signature) {
    return jose::base64url_encode(header) + "." + jose::base64url_encode(payload) + "." + signature;
}

}  // namespace

TEST_CASE("a SET that is as it should be passes every check") {
    signer s;
    CHECK(check(s, s.sign(claims())) == errc{});
    CHECK(check(s, s.sign(claims(1'800'000'000, issuer, R"(["other","me"])"))) == errc{});
}

TEST_CASE("each fault of a SET is refused, and named to the transmitter by its code") {
    signer s, stranger;
    const auto good = s.sign(claims());
    struct fault {
        std::string token;
        errc why;
        std::string_view code;
    };
    const auto signature = good.substr(good.rfind('.') + 1);
    const fault faults[] = {
        {"not a token", errc::malformed_token, "invalid_request"},
        {good.substr(0, good.size() - 4), errc::bad_signature, "authentication_failed"},
        {s.sign(claims(), "JWT"), errc::wrong_typ, "invalid_request"},
        {forged(R"({"typ":"secevent+jwt","alg":"none","kid":"k"})", claims(), signature),
         errc::alg_not_allowed, "invalid_key"},
        {forged(R"({"typ":"secevent+jwt","alg":"HS256","kid":"k"})", claims(), signature),
         errc::alg_not_allowed, "invalid_key"},
        {stranger.sign(claims()), errc::unknown_kid, "invalid_key"},
        {s.sign(claims(1'800'000'000, "https://evil.example")), errc::wrong_issuer,
         "invalid_issuer"},
        {s.sign(claims(1'800'000'000, issuer, "\"you\"")), errc::wrong_audience,
         "invalid_audience"},
    };
    for (const auto& f : faults) {
        CAPTURE(f.token);
        const auto got = check(s, f.token);
        // A cut signature may fail as text or as signature, depending on its last character.
        if (f.why != errc::bad_signature) CHECK(got == f.why);
        CHECK(got != errc{});
        CHECK(set_error_code(f.why) == f.code);
        CHECK(disposal_of(f.why) == disposal::reject);
        CHECK_FALSE(set_error_description(f.why).empty());
    }
}

TEST_CASE("a SET from more than five minutes ahead waits, it is not rejected") {
    signer s;
    CHECK(check(s, s.sign(claims(1'800'000'299))) == errc{});
    CHECK(check(s, s.sign(claims(1'800'000'301))) == errc::issued_in_future);
    CHECK(disposal_of(errc::issued_in_future) == disposal::retry);
    CHECK(disposal_of(errc::keys_unavailable) == disposal::retry);
    CHECK(disposal_of(errc::store_full) == disposal::retry);
}

namespace {

status_expectation expectation() {
    status_expectation e;
    e.issuer = issuer;
    e.audience = "me";
    e.client_id = "client";
    e.nonce = "n";
    e.mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";
    e.mission_issuer = issuer;
    e.algs = {"ES256"};
    e.max_stale = std::chrono::seconds(90);
    return e;
}

std::string answer_with(const std::string& from = {}, const std::string& to = {}) {
    std::string text =
        R"({"iss":"https://mas.example","aud":"me","sub":"client","nonce":"n","iat":1800000000,)"
        R"("exp":1800000060,"mission":{"id":"msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-",)"
        R"("issuer":"https://mas.example","state":"active","version":3,"log_epoch":"e",)"
        R"("fresh_until":"2030-01-01T00:00:00Z"},"authorization_details":[]})";
    if (!from.empty()) {
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
    }
    return text;
}

errc check_status(const signer& s, const std::string& payload,
                  const char* typ = "mission-status-response+jwt") {
    const auto token = s.sign(payload, typ);
    const auto e = expectation();
    const auto parsed = parse_status(token, e);
    if (parsed.has_error()) return parsed.error().code;
    const auto w = read_status(*parsed, e, now);
    return w.has_error() ? w.error().code : errc{};
}

}  // namespace

TEST_CASE("every check of the status draft refuses an answer of its own") {
    signer s;
    CHECK(check_status(s, answer_with()) == errc{});
    CHECK(check_status(s, answer_with(), "JWT") == errc::wrong_typ);
    CHECK(check_status(s, answer_with("https://mas.example\",\"aud", "https://x\",\"aud")) ==
          errc::wrong_issuer);
    CHECK(check_status(s, answer_with("\"aud\":\"me\"", "\"aud\":\"you\"")) ==
          errc::wrong_audience);
    CHECK(check_status(s, answer_with("\"client\"", "\"other\"")) == errc::bad_claims);
    CHECK(check_status(s, answer_with("\"n\"", "\"m\"")) == errc::bad_claims);
    CHECK(check_status(s, answer_with("msn_8", "msn_9")) == errc::bad_claims);
    CHECK(check_status(s, answer_with("\"aud\":\"me\"", R"("aud":["me"])")) == errc{});
    CHECK(check_status(s, answer_with("\"aud\":\"me\"", R"("aud":["me","you"])")) ==
          errc::wrong_audience);
    CHECK(check_status(s, answer_with(R"("issuer":"https://mas.example","state")",
                                      R"("issuer":"https://you.example","state")")) ==
          errc::bad_claims);
    // 30 seconds of skew, and not one more.
    CHECK(check_status(s, answer_with("1800000000", "1800000030")) == errc{});
    CHECK(check_status(s, answer_with("1800000000", "1800000031")) == errc::issued_in_future);
    CHECK(check_status(s, answer_with("1800000060", "1799999970")) == errc{});
    CHECK(check_status(s, answer_with("1800000060", "1799999969")) == errc::token_expired);
    CHECK(check_status(s, answer_with("\"version\":3", "\"version\":0")) == errc::bad_claims);

    auto e = expectation();
    e.algs = {"RS256"};
    const auto token = s.sign(answer_with(), "mission-status-response+jwt");
    CHECK(parse_status(token, e).error() == errc::alg_not_allowed);
    // Advertised or not: never without a signature, never with a shared secret.
    for (const char* alg : {"none", "HS256"}) {
        e.algs = {"ES256", "none", "HS256"};
        const auto head = std::string(R"({"typ":"mission-status-response+jwt","kid":"k","alg":")");
        CHECK(parse_status(forged(head + alg + "\"}", answer_with(), "AA"), e).error() ==
              errc::alg_not_allowed);
    }
}

TEST_CASE("a claim of a status answer that has to be compared may not be missing") {
    signer s;
    for (const char* claim :
         {R"("iss":"https://mas.example",)", R"("aud":"me",)", R"("sub":"client",)",
          R"("nonce":"n",)", R"("iat":1800000000,)", R"("exp":1800000060,)",
          R"("id":"msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-",)", R"("state":"active",)"}) {
        CAPTURE(claim);
        CHECK(check_status(s, answer_with(claim, "")) != errc{});
    }
}

TEST_CASE(
    "a child that its own state does not settle is not taken for active, an ended one is ended") {
    signer s;
    const auto with_parent = [](const char* parent, const char* state = "active") {
        return answer_with(R"("state":"active",)", R"("parent":)" + std::string(parent) +
                                                       R"(,"state":")" + state + R"(",)");
    };
    CHECK(check_status(s, with_parent(R"({"id":"p","cascade_mode":"immediate"})")) == errc{});
    CHECK(check_status(s, with_parent(R"({"id":"p"})")) == errc{});
    const auto* unknown = R"({"id":"p","cascade_mode":"consumer-verified"})";
    CHECK(check_status(s, with_parent(unknown)) == errc::bad_claims);
    CHECK(check_status(s, with_parent(R"({"id":"p","cascade_mode":1})")) == errc::bad_claims);
    CHECK(check_status(s, with_parent(unknown, "revoked")) == errc{});
    CHECK(check_status(s, with_parent(unknown, "suspended")) == errc{});
}

TEST_CASE("a status answer tells when it was made, and when its version was committed") {
    signer s;
    const auto token = s.sign(
        answer_with(R"("version":3,)", R"("version":3,"committed_at":"2027-01-15T07:59:59.250Z",)"),
        "mission-status-response+jwt");
    const auto parsed = parse_status(token, expectation());
    REQUIRE(parsed.has_value());
    const auto w = read_status(*parsed, expectation(), now);
    REQUIRE(w.has_value());
    CHECK(w->issued_at == from_numeric_date(1'800'000'000));
    CHECK(w->committed_at == from_milliseconds(1'799'999'999'250));
    CHECK(check_status(s, answer_with(R"("version":3,)", R"("version":3,"committed_at":7,)")) ==
          errc::bad_claims);
}

TEST_CASE("fresh_until is never taken beyond iat and the bound") {
    signer s;
    const auto token = s.sign(answer_with(), "mission-status-response+jwt");
    const auto parsed = parse_status(token, expectation());
    REQUIRE(parsed.has_value());
    const auto w = read_status(*parsed, expectation(), now);
    REQUIRE(w.has_value());
    CHECK(*w->fresh_until == from_numeric_date(1'800'000'090));
}
