#include "jose/jws.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "jose/base64url.hpp"
#include "vectors.hpp"

using namespace mission;
using namespace mission::jose;
using namespace mission::jose::vectors;

namespace {
constexpr alg all[] = {alg::es256, alg::rs256, alg::ps256, alg::eddsa};
}

TEST_CASE("the tokens of RFC 7515 appendix A and RFC 8037 verify") {
    const auto rs = parse_compact(rs256_token);
    REQUIRE(rs.has_value());
    CHECK(rs->payload == payload);
    CHECK(rs->alg == "RS256");
    CHECK(verify(*rs, set_of(*public_of(rs256_jwk)), all, false).has_value());
    const auto es = parse_compact(es256_token);
    REQUIRE(es.has_value());
    CHECK(es->payload == payload);
    CHECK(verify(*es, set_of(*public_of(es256_jwk)), all, false).has_value());
    const auto ed = parse_compact(ed25519_token);
    REQUIRE(ed.has_value());
    CHECK(verify(*ed, set_of(*public_of('{' + ed25519_members + '}')), all, false).has_value());
    CHECK(verify(*es, set_of(*public_of(rs256_jwk)), all, false).error() == errc::bad_signature);
}

TEST_CASE("what was signed verifies, with every algorithm and size of payload") {
    for (const alg a : all) {
        const auto key = private_key::generate(a).value();
        CHECK(key.algorithm() == a);
        const signer s(key, "secevent+jwt");
        for (const std::size_t size :
             {std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{9000}}) {
            const std::string text = '{' + std::string(size - 2, ' ') + '}';
            const auto token = s.sign(text);
            REQUIRE(token.has_value());
            const auto parsed = parse_compact(*token);
            REQUIRE(parsed.has_value());
            CHECK(parsed->payload == text);
            CHECK(parsed->typ == "secevent+jwt");
            CHECK(parsed->alg == name(a));
            CHECK(parsed->kid == key.kid());
            CHECK(verify(*parsed, set_of(key.to_public()), all).has_value());
        }
    }
}

TEST_CASE("an ES256 signature is 64 octets, whatever the leading zeros of r and s") {
    const auto key = private_key::generate(alg::es256).value();
    // About one in 128 has a leading zero octet, which DER leaves out and JOSE does not.
    for (int i = 0; i < 600; ++i) {
        const std::string text = std::to_string(i);
        const auto signature = key.sign(text).value();
        CHECK(signature.size() == 64);
        CHECK(key.to_public().verify(alg::es256, text, signature));
    }
}

TEST_CASE("another text, key or algorithm does not verify") {
    const auto key = private_key::generate(alg::rs256).value();
    const auto pss = private_key::from_pem(key.to_pem(), alg::ps256).value();
    const auto signature = key.sign("text").value();
    const auto rsa = public_key::from_pem(key.to_public().to_pem()).value();
    CHECK(rsa.verify(alg::rs256, "text", signature));
    CHECK_FALSE(rsa.verify(alg::rs256, "texT", signature));
    CHECK_FALSE(rsa.verify(alg::ps256, "text", signature));
    CHECK(rsa.verify(alg::ps256, "text", pss.sign("text").value()));
    CHECK_FALSE(rsa.verify(alg::es256, "text", signature));
    // A key that names its algorithm is used for no other.
    CHECK_FALSE(key.to_public().verify(alg::ps256, "text", pss.sign("text").value()));
    CHECK_FALSE(
        private_key::generate(alg::rs256)->to_public().verify(alg::rs256, "text", signature));
}

TEST_CASE("a failed operation leaves the key usable") {
    const auto key = private_key::generate(alg::es256).value();
    const auto good = key.sign("text").value();
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(key.to_public().verify(alg::es256, "other", good));
        CHECK(key.to_public().verify(alg::es256, "text", good));
    }
}

TEST_CASE("one key signs and verifies on many threads at once") {
    for (const alg a : {alg::es256, alg::rs256}) {
        const auto key = private_key::generate(a).value();
        const signer s(key, "secevent+jwt");
        const key_set keys = set_of(key.to_public());
        std::atomic<int> good{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < 25; ++i) {
                    const std::string text = "{\"t\":" + std::to_string(t * 100 + i) + '}';
                    const auto token = s.sign(text).value();
                    const auto parsed = parse_compact(token).value();
                    if (parsed.payload == text && verify(parsed, keys, all).has_value()) ++good;
                }
            });
        for (auto& t : threads)
            t.join();
        CHECK(good == 100);
    }
}

TEST_CASE("signing into a buffer that is too small fails and writes nothing beyond it") {
    const auto key = private_key::generate(alg::es256).value();
    unsigned char small[63];
    CHECK_FALSE(key.sign_into("text", small).has_value());
    const auto rsa = private_key::generate(alg::rs256).value();
    unsigned char rsa_small[255];
    CHECK_FALSE(rsa.sign_into("text", rsa_small).has_value());
}

TEST_CASE("the keys of the token's kid are tried, all of them, and no other") {
    auto first = private_key::generate(alg::es256).value();
    auto second = private_key::generate(alg::es256).value();
    first.set_kid("k");
    second.set_kid("k");
    key_set both = set_of(first.to_public());
    both.add(second.to_public());
    const std::string token = sign_compact(second, "t", "{}").value();
    CHECK(verify(*parse_compact(token), both, all).has_value());
    CHECK(verify(*parse_compact(token), set_of(first.to_public()), all).error() ==
          errc::bad_signature);
    second.set_kid("other");
    const std::string stranger = sign_compact(second, "t", "{}").value();
    CHECK(verify(*parse_compact(stranger), both, all).error() == errc::unknown_kid);
    second.set_kid("");
    const std::string nameless = sign_compact(second, "t", "{}").value();
    CHECK(verify(*parse_compact(nameless), both, all).error() == errc::unknown_kid);
    CHECK(verify(*parse_compact(nameless), both, all, false).has_value());
}

TEST_CASE("extra header members are signed along, and a jwk header is handed out as text") {
    const auto key = private_key::generate(alg::es256).value();
    const std::string token =
        sign_compact(key, "dpop+jwt", "{}", "\"jwk\":" + key.to_public().to_jwk()).value();
    const auto parsed = parse_compact(token).value();
    CHECK(public_of(parsed.jwk)->thumbprint() == key.to_public().thumbprint());
    CHECK(verify(parsed, set_of(key.to_public()), all).has_value());
}
