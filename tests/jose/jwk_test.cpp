#include <doctest/doctest.h>

#include <string>

#include "jose/base64url.hpp"
#include "jose/key.hpp"
#include "vectors.hpp"

using namespace mission;
using namespace mission::jose;
using namespace mission::jose::vectors;

namespace {
// Public halves alone; made for this test.
constexpr const char* rsa_1024_pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCviEpACsn17V3ZFjMYfxVHF40s\n"
    "pvC2bEeQj1kh83udj6QUIU0cuOXhdmXbxMfuhXtmM5QehxjBiPcNAX+xInN8AExc\n"
    "ZS4jVJkxaRFTOhJiE6NVeCHlGQ2bqNiZNGq7+t7CaOHm1O8JPWFqtOMePsTXXPST\n"
    "1pwCVJC0BtHuyCQ9ewIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* p384_pem =
    "-----BEGIN PUBLIC KEY-----\n"
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEihhwlHW8+lTGteBeYhqHbHgQIvlxPp81\n"
    "bRc2AihZQP1pVM01hPL3BG7dgxlL0+W6lLkeJEigCwhAWLvo3sTrENEGVQ3LjDL9\n"
    "oN5Z1eXh4GFowWx0e4e18gOLRPjZkszq\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* encrypted_pem =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgWp3QbL6iQXQICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEBK30cVxShmv6P63JK2Z3I8EgZA8\n"
    "pnm8MPgC8WeyGEXil8ua8/ZjX+LlZ1s9rAKGBlGAys4tWL8MEwBoE5eQmFQh7aXs\n"
    "6iHKNwGF1ci7iwdVfMnYUztPf0mRsDmYCZmnB89tOGG5LKOkVf8SRMqxLv6knBsL\n"
    "u22kQETNZua7VCCjS9Kv3szqzYbd7UhMDLc+WdQkllWWKnHhtr3XsV80cpjhN04=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

std::string rsa_jwk(std::size_t octets, const std::string& e = "AQAB") {
    return R"({"kty":"RSA","e":")" + e + R"(","n":")" +
           base64url_encode(std::string(octets, '\xff')) + "\"}";
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
}
}  // namespace

TEST_CASE("thumbprints are those of RFC 7638 and RFC 8037") {
    CHECK(public_of(thumbprint_jwk)->thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    CHECK(public_of('{' + ed25519_members + '}')->thumbprint() ==
          "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST_CASE("a public JWK comes back as it went") {
    for (const std::string& jwk : {thumbprint_jwk, es256_jwk, '{' + ed25519_members + '}'}) {
        const auto key = public_of(jwk);
        REQUIRE(key.has_value());
        const auto again = public_of(key->to_jwk());
        REQUIRE(again.has_value());
        CHECK(again->thumbprint() == key->thumbprint());
        CHECK(again->kid() == key->kid());
        CHECK(public_key::from_pem(key->to_pem())->thumbprint() == key->thumbprint());
    }
}

TEST_CASE("a printed JWK has the public members alone") {
    for (const alg a : {alg::es256, alg::rs256, alg::eddsa}) {
        const auto key = private_key::generate(a).value();
        const auto doc = json::parse(key.to_public().to_jwk());
        REQUIRE(doc.has_value());
        for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "k"})
            CHECK(json::find(*doc, member) == nullptr);
        CHECK(json::find_string(*doc, "use") == "sig");
        CHECK(json::find_string(*doc, "alg") == name(a));
        CHECK(json::find_string(*doc, "kid") == key.to_public().thumbprint());
    }
}

TEST_CASE("a public JWK that carries private members is refused") {
    CHECK(public_of(es256_private_jwk).error() == errc::key_malformed);
    for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
        CHECK(public_of('{' + es256_members + ",\"" + member + "\":\"AA\"}").error() ==
              errc::key_malformed);
    const auto allowed = public_key::from_jwk(*json::parse(es256_private_jwk), true);
    REQUIRE(allowed.has_value());
    CHECK(allowed->to_jwk().find(es256_d) == std::string::npos);
}

TEST_CASE("a point that is not on the curve is no key") {
    CHECK(public_of(replaced(es256_jwk, "f83OJ3", "f83OJ4")).error() == errc::key_malformed);
    const std::string zero(43, 'A');
    CHECK(public_of(R"({"kty":"EC","crv":"P-256","x":")" + zero + R"(","y":")" + zero + "\"}")
              .error() == errc::key_malformed);
}

TEST_CASE("coordinates have their full size") {
    CHECK(public_of(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})").error() ==
          errc::key_malformed);
    CHECK(public_of(replaced(es256_jwk, "f83OJ3D2", "AAAAf83OJ3D2")).error() ==
          errc::key_malformed);
}

TEST_CASE("RSA keys have 2048 to 8192 bits and a usable exponent") {
    CHECK(public_of(rsa_jwk(128)).error() == errc::key_too_weak);
    CHECK(public_of(rsa_jwk(255)).error() == errc::key_too_weak);
    CHECK(public_of(rsa_jwk(1025)).error() == errc::key_malformed);
    CHECK(public_of(rsa_jwk(1 << 16)).error() == errc::key_malformed);
    CHECK(public_of(rsa_jwk(256, "AQ")).error() == errc::key_malformed);    // 1
    CHECK(public_of(rsa_jwk(256, "AQAA")).error() == errc::key_malformed);  // even
    CHECK(public_of(rsa_jwk(256, base64url_encode(std::string(9, '\x7f')))).error() ==
          errc::key_malformed);
    CHECK(public_of(rsa_jwk(256, "AAEAAQ")).error() == errc::key_malformed);  // leading zero
    CHECK(public_key::from_pem(rsa_1024_pem).error() == errc::key_too_weak);
}

TEST_CASE("other kinds and uses of keys are refused as unsupported") {
    CHECK(public_key::from_pem(p384_pem).error() == errc::key_unsupported);
    CHECK(public_of(R"({"kty":"EC","crv":"P-384","x":"AA","y":"AA"})").error() ==
          errc::key_unsupported);
    CHECK(public_of(R"({"kty":"OKP","crv":"X25519","x":"AA"})").error() == errc::key_unsupported);
    CHECK(public_of(R"({"kty":"oct"})").error() == errc::key_unsupported);
    const auto with = [](const std::string& more) {
        return public_of('{' + es256_members + more + '}');
    };
    CHECK(with(R"(,"use":"enc")").error() == errc::key_unsupported);
    CHECK(with(R"(,"key_ops":["sign"])").error() == errc::key_unsupported);
    CHECK(with(R"(,"key_ops":["verify"])").has_value());
    CHECK(with(R"(,"alg":"ES384")").error() == errc::key_unsupported);
    CHECK(with(R"(,"alg":"RS256")").error() == errc::key_malformed);
    CHECK(with(R"(,"kid":7)").error() == errc::key_malformed);
    CHECK(with(",\"kid\":\"" + std::string(257, 'k') + '"').error() == errc::key_malformed);
}

TEST_CASE("what is no JWK at all is malformed") {
    for (const char* text : {"[]", "7", "{}", R"({"kty":7})", R"({"kty":"EC","crv":"P-256"})",
                             R"({"kty":"RSA","e":"AQAB"})", R"({"kty":"RSA","e":"AQAB","n":"!"})"})
        CHECK_FALSE(public_of(text).has_value());
}

TEST_CASE("a private key survives PEM and JWK, and its halves must belong together") {
    for (const alg a : {alg::es256, alg::rs256, alg::eddsa}) {
        const auto key = private_key::generate(a).value();
        const auto again = private_key::from_pem(key.to_pem());
        REQUIRE(again.has_value());
        CHECK(again->kid() == key.kid());
        CHECK(key.to_public().verify(a, "text", again->sign("text").value()));
    }
    CHECK(private_of(es256_private_jwk).has_value());
    CHECK(private_of('{' + ed25519_members + ",\"d\":\"" + ed25519_d + "\"}").has_value());
    CHECK_FALSE(private_of('{' + ed25519_members + ",\"d\":\"" + es256_d + "\"}").has_value());
    CHECK_FALSE(private_of(replaced(es256_private_jwk, "jpsQ", "jpsR")).has_value());
    CHECK_FALSE(private_of(es256_jwk).has_value());
}

TEST_CASE("broken and encrypted PEM is refused without asking anybody for a password") {
    CHECK(private_key::from_pem("").error() == errc::key_malformed);
    CHECK(private_key::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
              .error() == errc::key_malformed);
    CHECK(private_key::from_pem(encrypted_pem).error() == errc::key_unsupported);
    CHECK(public_key::from_pem("nothing").error() == errc::key_malformed);
    const auto ec = private_key::generate(alg::es256)->to_pem();
    CHECK(private_key::from_pem(ec, alg::rs256).error() == errc::key_unsupported);
}

TEST_CASE("a JWK Set keeps the keys it understands and both of one kid") {
    const std::string one = '{' + es256_members + R"(,"kid":"a"})";
    const auto set = key_set::parse("{\"keys\":[" + one + R"(,{"kty":"oct","k":"AA"},7,)" +
                                    es256_private_jwk + ',' + one + "]}");
    REQUIRE(set.has_value());
    CHECK(set->keys().size() == 2);
    CHECK(set->has("a"));
    CHECK_FALSE(set->has("b"));
    CHECK(key_set::parse(set->to_json())->keys().size() == 2);
    CHECK(key_set::parse(key_set{}.to_json())->keys().empty());
}

TEST_CASE("a JWK Set is bounded and well-formed") {
    CHECK(key_set::parse("[]").error() == errc::key_malformed);
    CHECK(key_set::parse(R"({"keys":{}})").error() == errc::key_malformed);
    CHECK(key_set::parse("{").error() == errc::not_json);
    CHECK(key_set::parse(R"({"keys":[],"keys":[]})").error() == errc::duplicate_member);
    std::string many = "{\"keys\":[0";
    for (int i = 0; i < 256; ++i)
        many += ",0";
    CHECK(key_set::parse(many + "]}").error() == errc::too_large);
}
