#include "tests/transmitter/auth/auth_bench.hpp"

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "transmitter/auth/dpop.hpp"

// RFC 9449 section 4.3, each rule broken once.

using namespace mission;
using namespace mission::transmitter;
using testing::signing_key;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);
const std::string url = "https://rs.example/t/ssf/streams";

bool good(std::string_view proof, std::string_view token = {}) {
    const auto r = verify_proof(proof, {"GET", url, token, now});
    if (!r) CHECK(r.error() == errc::invalid_dpop_proof);
    return r.has_value();
}

std::string claims(std::string_view htm, std::string_view htu, std::string_view iat,
                   std::string_view jti = R"("1")") {
    return R"({"htm":")" + std::string(htm) + R"(","htu":")" + std::string(htu) + R"(","iat":)" +
           std::string(iat) + R"(,"jti":)" + std::string(jti) + "}";
}

}  // namespace

TEST_CASE("a proof shows the thumbprint of its key") {
    const signing_key k;
    const auto r =
        verify_proof(k.proof("GET", url, now, "token", "j1"), {"GET", url, "token", now});
    REQUIRE(r);
    CHECK(r->jkt == k.jkt());
    CHECK(r->jti == "j1");
    CHECK(r->issued == now);
}

TEST_CASE("method and target are the request's") {
    const signing_key k;
    CHECK(good(k.proof("GET", url, now)));
    CHECK_FALSE(good(k.proof("POST", url, now)));
    CHECK_FALSE(good(k.proof("get", url, now)));
    // Rule 9: query and fragment are ignored; case of the host and the default port do not matter.
    CHECK(good(k.proof("GET", url + "?a=b", now)));
    CHECK(good(k.proof("GET", url + "#f", now)));
    CHECK(good(k.proof("GET", "HTTPS://RS.example:443/t/ssf/streams", now)));
    CHECK(good(k.proof("GET", "https://rs.example/t/ssf/stream%73", now)));
    for (const char* other :
         {"https://rs.example/t/ssf/status", "https://other.example/t/ssf/streams",
          "http://rs.example/t/ssf/streams", "https://rs.example:8443/t/ssf/streams",
          "https://rs.example/t/ssf%2Fstreams", "https://rs.example/t/ssf/streams/", "/ssf/streams",
          ""}) {
        CAPTURE(other);
        CHECK_FALSE(good(k.proof("GET", other, now)));
    }
}

TEST_CASE("a proof is good from half a minute before iat until a minute and a half after") {
    const signing_key k;
    using std::chrono::seconds;
    CHECK(good(k.proof("GET", url, now + seconds(30))));
    CHECK_FALSE(good(k.proof("GET", url, now + seconds(31))));
    CHECK(good(k.proof("GET", url, now - seconds(89))));
    CHECK_FALSE(good(k.proof("GET", url, now - seconds(90))));
    for (const char* iat : {"\"1800000000\"", "-1", "1e300", "null", "9223372036854775807"}) {
        CAPTURE(iat);
        const auto p = *jose::sign_compact(k.key, "dpop+jwt", claims("GET", url, iat),
                                           "\"jwk\":" + k.key.to_public().to_jwk());
        CHECK_FALSE(good(p));
    }
}

TEST_CASE("with an access token the proof names its hash") {
    const signing_key k;
    CHECK(good(k.proof("GET", url, now, "token"), "token"));
    CHECK_FALSE(good(k.proof("GET", url, now, "other"), "token"));
    CHECK_FALSE(good(k.proof("GET", url, now), "token"));
}

TEST_CASE("typ, alg, key and signature of a proof") {
    const signing_key k, other;
    const auto t = std::to_string(to_numeric_date(now));
    const auto jwk = "\"jwk\":" + k.key.to_public().to_jwk();
    const auto made = [&](std::string_view typ, std::string_view header) {
        return *jose::sign_compact(k.key, typ, claims("GET", url, t), header);
    };
    CHECK(good(made("dpop+jwt", jwk)));
    CHECK_FALSE(good(made("JWT", jwk)));
    CHECK_FALSE(good(made("dpop+jwt", "")));
    CHECK_FALSE(good(made("dpop+jwt", "\"jwk\":" + other.key.to_public().to_jwk())));
    CHECK_FALSE(good(made("dpop+jwt", R"("jwk":{"kty":"oct","k":"AAAA"})")));
    // Rule 7: no private key in the header.
    auto spilled = k.key.to_public().to_jwk();
    spilled.pop_back();
    CHECK_FALSE(good(made("dpop+jwt", "\"jwk\":" + spilled + R"(,"d":"AAAA"})")));
    const auto none = jose::base64url_encode(R"({"typ":"dpop+jwt","alg":"none",)" + jwk + "}") +
                      "." + jose::base64url_encode(claims("GET", url, t)) + ".eA";
    CHECK_FALSE(good(none));
    for (const char* text : {"", "x", "a.b.c", "a.b"})
        CHECK_FALSE(good(text));
}

TEST_CASE("a proof has a jti of reasonable length") {
    const signing_key k;
    const auto t = std::to_string(to_numeric_date(now));
    const auto made = [&](const std::string& jti) {
        return *jose::sign_compact(k.key, "dpop+jwt", claims("GET", url, t, jti),
                                   "\"jwk\":" + k.key.to_public().to_jwk());
    };
    CHECK(good(made("\"" + std::string(255, 'a') + "\"")));
    CHECK_FALSE(good(made("\"" + std::string(256, 'a') + "\"")));
    CHECK_FALSE(good(made("\"\"")));
    CHECK_FALSE(good(made("7")));
}

TEST_CASE("PS256 and EdDSA keys prove as well") {
    for (const auto a : {jose::alg::rs256, jose::alg::ps256, jose::alg::eddsa}) {
        const signing_key k{*jose::private_key::generate(a)};
        CHECK(good(k.proof("GET", url, now)));
    }
}
