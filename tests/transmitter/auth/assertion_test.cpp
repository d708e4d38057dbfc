#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <ctime>
#include <limits>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "transmitter/auth/client_assertion.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

struct bench {
    jose::private_key key = *jose::private_key::generate(jose::alg::es256);
    jose::private_key rsa = *jose::private_key::generate(jose::alg::rs256);
    client_config client;
    wall_time now = system_clock().now();
    jti_guard replays{now};

    bench() {
        client.id = "c1";
        client.jwks.add(key.to_public());
        client.jwks.add(rsa.to_public());
    }

    std::string claims(std::string_view more = "", std::string_view aud = "\"https://as/token\"",
                       std::int64_t exp = 60, std::string_view iss = "c1",
                       std::string_view sub = "c1") {
        const auto t = to_numeric_date(now);
        return R"({"iss":")" + std::string(iss) + R"(","sub":")" + std::string(sub) +
               R"(","aud":)" + std::string(aud) + R"(,"iat":)" + std::to_string(t) + R"(,"exp":)" +
               std::to_string(t + exp) + R"(,"jti":")" + jose::random_id(9) + "\"" +
               std::string(more) + "}";
    }

    std::string sign(const std::string& payload, const char* typ = "JWT") {
        return *jose::sign_compact(key, typ, payload);
    }

    errc judge(const std::string& assertion) {
        const assertion_rules rules{
            {"https://as/token", "https://as"},
            [this](std::string_view id) { return id == "c1" ? &client : nullptr; },
            now};
        const auto r = verify_client_assertion(assertion, rules, replays);
        if (!r) return r.error().code;
        CHECK(*r == &client);
        return errc{};
    }
};

std::string unsigned_token(std::string_view header, std::string_view payload,
                           std::string_view signature) {
    return jose::base64url_encode(header) + "." + jose::base64url_encode(payload) + "." +
           jose::base64url_encode(signature);
}

constexpr errc good{};

}  // namespace

TEST_CASE("a good assertion is accepted, by ES256 and RS256") {
    bench b;
    CHECK(b.judge(b.sign(b.claims())) == good);
    CHECK(b.judge(*jose::sign_compact(b.rsa, "JWT", b.claims())) == good);
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\""))) == good);
    CHECK(b.judge(b.sign(b.claims("", R"(["https://x","https://as/token"])"))) == good);
    CHECK(b.judge(b.sign(b.claims(), "client-authentication+jwt")) == good);
    auto forged = *jose::private_key::generate(jose::alg::es256);
    CHECK(b.judge(*jose::sign_compact(forged, "client-authentication+jwt", b.claims())) ==
          errc::bad_signature);
    const auto untyped = jose::base64url_encode(std::string_view(R"({"alg":"ES256"})")) + "." +
                         jose::base64url_encode(b.claims());
    CHECK(b.judge(untyped + "." + jose::base64url_encode(*b.key.sign(untyped))) == good);
}

TEST_CASE("PS256 and EdDSA are taken of clients that have such a key, and of no other") {
    bench b;
    const auto rsa = *jose::private_key::from_pem(b.rsa.to_pem(), jose::alg::ps256);
    const auto ed = *jose::private_key::generate(jose::alg::eddsa);
    CHECK(b.judge(*jose::sign_compact(ed, "JWT", b.claims())) == errc::bad_signature);
    // The registered key is for RS256 alone, as its JWK says.
    CHECK(b.judge(*jose::sign_compact(rsa, "JWT", b.claims())) == errc::bad_signature);
    b.client.jwks.add(rsa.to_public());
    b.client.jwks.add(ed.to_public());
    CHECK(b.judge(*jose::sign_compact(ed, "JWT", b.claims())) == good);
    CHECK(b.judge(*jose::sign_compact(rsa, "JWT", b.claims())) == good);
    const auto other = *jose::private_key::generate(jose::alg::eddsa);
    auto forged = other;
    forged.set_kid(ed.kid());
    CHECK(b.judge(*jose::sign_compact(forged, "JWT", b.claims())) == errc::bad_signature);
}

TEST_CASE("a client that is not there costs the work of one that is") {
    bench b;
    const auto stranger = *jose::private_key::generate(jose::alg::es256);
    const auto spent = [&](const std::string& id, const std::string& kid) {
        auto key = stranger;
        key.set_kid(kid);
        // Processor time of this thread alone, the least of many: what the code has to do.
        std::int64_t least = std::numeric_limits<std::int64_t>::max();
        for (int i = 0; i < 60; ++i) {
            const auto text = *jose::sign_compact(key, "client-authentication+jwt",
                                                  b.claims("", "\"https://as\"", 60, id, id));
            timespec start{}, end{};
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
            CHECK(b.judge(text) != good);
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
            least = std::min(
                least, (end.tv_sec - start.tv_sec) * 1'000'000'000 + (end.tv_nsec - start.tv_nsec));
        }
        return least;
    };
    const auto known = spent("c1", b.key.kid());
    // Without the decoy these take the time of parsing alone.
    CHECK(spent("nobody", b.key.kid()) > known / 2);
    CHECK(spent("c1", "no-such-kid") > known / 2);
}

TEST_CASE("alg none is refused, with and without a signature") {
    bench b;
    CHECK(b.judge(unsigned_token(R"({"alg":"none"})", b.claims(), "x")) == errc::alg_not_allowed);
    CHECK(b.judge(jose::base64url_encode(std::string_view(R"({"alg":"none"})")) + "." +
                  jose::base64url_encode(b.claims()) + ".") == errc::malformed_token);
}

TEST_CASE("HS256 with the public key as its secret is refused") {
    bench b;
    const auto input = jose::base64url_encode(std::string_view(R"({"alg":"HS256","typ":"JWT"})")) +
                       "." + jose::base64url_encode(b.claims());
    const auto mac = jose::hmac_sha256(b.key.to_public().to_pem(), input);
    CHECK(b.judge(input + "." + jose::base64url_encode(jose::view(mac))) == errc::alg_not_allowed);
}

TEST_CASE("an algorithm that is not the key's is refused") {
    bench b;
    b.client.jwks = {};
    b.client.jwks.add(b.key.to_public());
    CHECK(b.judge(*jose::sign_compact(b.rsa, "JWT", b.claims())) == errc::bad_signature);
    CHECK(b.judge(unsigned_token(R"({"alg":5})", b.claims(), "x")) == errc::malformed_token);
    CHECK(b.judge(unsigned_token(R"({"alg":"PS256"})", b.claims(), "x")) == errc::bad_signature);
    CHECK(b.judge(unsigned_token(R"({"alg":"ES384"})", b.claims(), "x")) == errc::alg_not_allowed);
}

TEST_CASE("a signature of another key, or none, or a cut one is refused") {
    bench b;
    const auto other = *jose::private_key::generate(jose::alg::es256);
    CHECK(b.judge(*jose::sign_compact(other, "JWT", b.claims())) == errc::bad_signature);
    auto forged = other;
    forged.set_kid(b.key.kid());
    CHECK(b.judge(*jose::sign_compact(forged, "JWT", b.claims())) == errc::bad_signature);
    auto cut = b.sign(b.claims());
    cut.resize(cut.size() - 8);
    CHECK(b.judge(cut) != good);
    CHECK(b.judge(unsigned_token(R"({"alg":"ES256"})", b.claims(), std::string(64, '\0'))) ==
          errc::bad_signature);
    CHECK(b.judge("") == errc::malformed_token);
    CHECK(b.judge("a.b") == errc::malformed_token);
}

TEST_CASE("another audience is refused") {
    bench b;
    CHECK(b.judge(b.sign(b.claims("", "\"https://as/token/\""))) == errc::wrong_audience);
    CHECK(b.judge(b.sign(b.claims("", "[]"))) == errc::wrong_audience);
    CHECK(b.judge(b.sign(b.claims("", "7"))) == errc::wrong_audience);
}

TEST_CASE("issuer and subject are the one client") {
    bench b;
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\"", 60, "c1", "c2"))) == errc::bad_claims);
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\"", 60, "c2", "c2"))) == errc::wrong_issuer);
    b.client.jwks = {};
    CHECK(b.judge(b.sign(b.claims())) == errc::wrong_issuer);
}

TEST_CASE("times are bounded both ways") {
    bench b;
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\"", -31))) == errc::token_expired);
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\"", -20))) == good);
    CHECK(b.judge(b.sign(b.claims("", "\"https://as\"", 3600))) == errc::bad_claims);
    CHECK(b.judge(b.sign(b.claims(R"(,"nbf":)" + std::to_string(to_numeric_date(b.now) + 100)))) ==
          errc::issued_in_future);
    const auto t = std::to_string(to_numeric_date(b.now));
    const auto raw = [&](const std::string& times) {
        return b.sign(R"({"iss":"c1","sub":"c1","aud":"https://as","jti":")" + jose::random_id(9) +
                      "\"" + times + "}");
    };
    CHECK(b.judge(raw("")) == errc::bad_claims);
    CHECK(b.judge(raw(R"(,"exp":"soon")")) == errc::bad_claims);
    CHECK(b.judge(raw(R"(,"exp":1e300)")) == errc::bad_claims);
    CHECK(b.judge(raw(R"(,"exp":)" + t + R"(,"iat":99999999999)")) == errc::issued_in_future);
    CHECK(b.judge(raw(R"(,"exp":9223372036854775807)")) == errc::bad_claims);
}

TEST_CASE("a jti is accepted once") {
    bench b;
    const auto assertion = b.sign(b.claims());
    CHECK(b.judge(assertion) == good);
    CHECK(b.judge(assertion) == errc::token_replayed);
    const auto t = std::to_string(to_numeric_date(b.now) + 30);
    CHECK(b.judge(b.sign(R"({"iss":"c1","sub":"c1","aud":"https://as","exp":)" + t + "}")) ==
          errc::bad_claims);
}

TEST_CASE("a forged assertion does not use up a jti") {
    bench b;
    const auto payload = b.claims();
    auto forged = *jose::private_key::generate(jose::alg::es256);
    CHECK(b.judge(*jose::sign_compact(forged, "JWT", payload)) == errc::bad_signature);
    CHECK(b.judge(b.sign(payload)) == good);
}

TEST_CASE("duplicate members, a foreign typ, too many octets are refused") {
    bench b;
    CHECK(b.judge(b.sign(b.claims(R"(,"iss":"c1")"))) == errc::malformed_token);
    CHECK(b.judge(b.sign(b.claims(), "secevent+jwt")) == errc::wrong_typ);
    CHECK(b.judge(b.sign(b.claims(R"(,"x":")" + std::string(20'000, 'a') + "\""))) ==
          errc::too_large);
}

TEST_CASE("jtis are remembered until they expire, per client, and within bounds") {
    const wall_time now = from_milliseconds(1'800'000'000'000);
    using std::chrono::seconds;
    jti_guard g(now, 1500);
    CHECK(g.accept("a", "1", now, now + seconds(60), now));
    CHECK_FALSE(g.accept("a", "1", now, now + seconds(60), now));
    CHECK(g.accept("b", "1", now, now + seconds(60), now));
    CHECK(g.accept("a1", "", now, now + seconds(60), now));
    CHECK(g.accept("a", "11", now, now + seconds(60), now));
    result<void> r;
    for (int i = 0; i < 1500; ++i)
        r = g.accept("c", std::to_string(i), now, now + seconds(60), now);
    REQUIRE_FALSE(r);
    CHECK(r.error().code == errc::rate_limited);
    const auto later = now + seconds(200);
    CHECK(g.accept("c", "0", later, later + seconds(60), later));
    CHECK(g.accept("a", "1", later, later + seconds(60), later));
}

TEST_CASE("an assertion older than the process is refused: its jti may have been forgotten") {
    const wall_time now = from_milliseconds(1'800'000'000'000);
    using std::chrono::seconds;
    jti_guard g(now);
    CHECK(g.accept("a", "1", now - seconds(31), now + seconds(60), now).error().code ==
          errc::token_replayed);
    CHECK(g.accept("a", "2", now - seconds(29), now + seconds(60), now));
}
