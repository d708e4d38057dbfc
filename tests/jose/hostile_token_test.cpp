// What an attacker sends in place of a token.
#include <doctest/doctest.h>

#include <string>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "vectors.hpp"

using namespace mission;
using namespace mission::jose;
using namespace mission::jose::vectors;

namespace {

constexpr alg allowed[] = {alg::es256, alg::rs256};

struct fixture {
    private_key key = private_key::generate(alg::es256).value();
    key_set keys = set_of(key.to_public());
    std::string token = signer(key, "secevent+jwt").sign(R"({"a":1})").value();

    std::string part(int n) const {
        const auto first = token.find('.'), second = token.find('.', first + 1);
        if (n == 0) return token.substr(0, first);
        return n == 1 ? token.substr(first + 1, second - first - 1) : token.substr(second + 1);
    }
    errc verdict(const std::string& text) const {
        const auto parsed = parse_compact(text);
        if (!parsed) return parsed.error().code;
        const auto verified = verify(*parsed, keys, allowed);
        return verified ? errc{} : verified.error().code;
    }
    std::string header(const std::string& json) const {
        return base64url_encode(json) + '.' + part(1) + '.' + part(2);
    }
    errc header_verdict(const std::string& json) const { return verdict(header(json)); }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "the untouched token passes, so that the others fail for their reason") {
    CHECK(verdict(token) == errc{});
}

TEST_CASE_FIXTURE(fixture, "alg none is not allowed in any spelling, with or without a signature") {
    for (const char* none : {"none", "None", "NONE", "nOnE", "es256", ""}) {
        const std::string head = base64url_encode(std::string(R"({"alg":")") + none +
                                                  R"(","kid":")" + key.kid() + "\"}");
        const errc with = verdict(head + '.' + part(1) + '.' + part(2));
        CHECK((with == errc::alg_not_allowed ||
               (std::string(none).empty() && with == errc::malformed_token)));
        CHECK(verdict(head + '.' + part(1) + '.') == errc::malformed_token);
    }
}

TEST_CASE_FIXTURE(fixture, "HS256 with the public key as its secret is not allowed") {
    for (const std::string& secret : {key.to_public().to_pem(), key.to_public().to_jwk()}) {
        const std::string input =
            base64url_encode(R"({"alg":"HS256","kid":")" + key.kid() + "\"}") + '.' + part(1);
        const auto mac = hmac_sha256(secret, input);
        CHECK(verdict(input + '.' + base64url_encode(view(mac))) == errc::alg_not_allowed);
    }
}

TEST_CASE_FIXTURE(fixture, "an algorithm that is known but not on the list is not allowed") {
    const auto ed = private_key::generate(alg::eddsa).value();
    keys.add(ed.to_public());
    CHECK(verdict(sign_compact(ed, "secevent+jwt", "{}").value()) == errc::alg_not_allowed);
}

TEST_CASE_FIXTURE(fixture,
                  "a wrong kid is unknown, and a foreign key under a known kid is no signature") {
    auto other = private_key::generate(alg::es256).value();
    CHECK(verdict(sign_compact(other, "secevent+jwt", "{}").value()) == errc::unknown_kid);
    other.set_kid(key.kid());
    CHECK(verdict(sign_compact(other, "secevent+jwt", "{}").value()) == errc::bad_signature);
    CHECK(header_verdict(R"({"alg":"ES256"})") == errc::unknown_kid);
    CHECK(header_verdict(R"({"alg":"ES256","kid":"../../dev/null"})") == errc::unknown_kid);
}

TEST_CASE_FIXTURE(fixture, "a token that brings its own key is verified with ours alone") {
    auto other = private_key::generate(alg::es256).value();
    other.set_kid(key.kid());
    const auto token_with_key =
        sign_compact(other, "secevent+jwt", "{}", "\"jwk\":" + other.to_public().to_jwk()).value();
    CHECK(verdict(token_with_key) == errc::bad_signature);
}

TEST_CASE_FIXTURE(fixture, "a truncated token is malformed or does not verify, at every length") {
    for (std::size_t n = 0; n < token.size(); ++n) {
        const errc code = verdict(token.substr(0, n));
        CHECK((code == errc::malformed_token || code == errc::bad_signature));
    }
}

TEST_CASE_FIXTURE(fixture, "a changed character anywhere is noticed") {
    for (std::size_t i = 0; i < token.size(); ++i) {
        std::string changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        CHECK(verdict(changed) != errc{});
    }
}

TEST_CASE_FIXTURE(
    fixture, "a re-encoded token is malformed: padding, unused bits, plain base64, white space") {
    CHECK(verdict(token + "==") == errc::malformed_token);
    CHECK(verdict(token + '\n') == errc::malformed_token);
    CHECK(verdict(' ' + token) == errc::malformed_token);
    CHECK(verdict(part(0) + '.' + part(1) + "=." + part(2)) == errc::malformed_token);
    // 64 octets are 86 characters, the last of which has four unused bits.
    std::string loose = token;
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    loose.back() = alphabet[alphabet.find(loose.back()) + 1];
    CHECK(verdict(loose) == errc::malformed_token);
}

TEST_CASE_FIXTURE(fixture, "there are exactly two dots and three parts that are not empty") {
    CHECK(verdict(token + '.') == errc::malformed_token);
    CHECK(verdict(token + ".AAAA.AAAA") == errc::malformed_token);  // five parts: a JWE
    CHECK(verdict('.' + token) == errc::malformed_token);
    CHECK(verdict(part(0) + "..." + part(2)) == errc::malformed_token);
    CHECK(verdict(part(0) + ".." + part(2)) == errc::malformed_token);
    CHECK(verdict(part(0) + '.' + part(1)) == errc::malformed_token);
    CHECK(verdict("..") == errc::malformed_token);
    CHECK(verdict("") == errc::malformed_token);
    CHECK(verdict(std::string(300'000, 'A')) == errc::too_large);
    CHECK(verdict(std::string(200'000, '.')) == errc::malformed_token);
}

TEST_CASE_FIXTURE(fixture, "duplicate header members are refused, escaped ones included") {
    CHECK(header_verdict(R"({"alg":"ES256","alg":"none"})") == errc::duplicate_member);
    CHECK(header_verdict(R"({"alg":"ES256","kid":"a","\u006bid":"b"})") == errc::duplicate_member);
}

TEST_CASE_FIXTURE(fixture, "crit and b64 are refused, whatever they say") {
    CHECK(header_verdict(R"({"alg":"ES256","crit":["exp"],"exp":1})") == errc::malformed_token);
    CHECK(header_verdict(R"({"alg":"ES256","crit":[]})") == errc::malformed_token);
    CHECK(header_verdict(R"({"alg":"ES256","b64":true})") == errc::malformed_token);
    // Signed by the right key all the same.
    CHECK(verdict(sign_compact(key, "t", "{}", R"("crit":["x"],"x":1)").value()) ==
          errc::malformed_token);
}

TEST_CASE_FIXTURE(fixture, "a header is a JSON object with members of the right types") {
    for (const char* json :
         {"", "null", "[]", "7", "\"alg\"", "{", R"({"alg":"ES256"}x)", R"({"kid":"a"})",
          R"({"alg":7})", R"({"alg":null})", R"({"alg":"ES256","kid":7})",
          R"({"alg":"ES256","typ":{}})", R"({"alg":"ES256","jwk":"x"})", "{\"alg\":\"ES256\xff\"}"})
        CHECK(header_verdict(json) == errc::malformed_token);
    CHECK(header_verdict(R"({"alg":"ES256","kid":")" + std::string(257, 'k') + "\"}") ==
          errc::malformed_token);
    const std::string deep =
        "{\"alg\":\"ES256\",\"x\":" + std::string(9, '[') + std::string(9, ']') + '}';
    CHECK(header_verdict(deep) == errc::malformed_token);
}

TEST_CASE_FIXTURE(fixture, "an ES256 signature of zeros, of another length or in DER is none") {
    const auto with = [&](const std::string& signature) {
        return verdict(part(0) + '.' + part(1) + '.' + base64url_encode(signature));
    };
    const std::string good = base64url_decode(part(2)).value();
    const std::string zero(32, '\0');
    CHECK(with(good) == errc{});
    CHECK(with(zero + zero) == errc::bad_signature);
    CHECK(with(zero + good.substr(32)) == errc::bad_signature);
    CHECK(with(good.substr(0, 32) + zero) == errc::bad_signature);
    CHECK(with(std::string(64, '\xff')) == errc::bad_signature);
    CHECK(with(good.substr(0, 63)) == errc::bad_signature);
    CHECK(with(good + '\0') == errc::bad_signature);
    CHECK(with(good + good) == errc::bad_signature);
    CHECK(with("\x30\x06\x02\x01\x01\x02\x01\x01") == errc::bad_signature);
    CHECK(with(std::string(1000, '\x01')) == errc::bad_signature);
}

TEST_CASE_FIXTURE(fixture, "an RSA signature of another length than the key's is none") {
    const auto rsa = private_key::generate(alg::rs256).value();
    const auto good = rsa.sign("text").value();
    CHECK(rsa.to_public().verify(alg::rs256, "text", good));
    CHECK_FALSE(rsa.to_public().verify(alg::rs256, "text", good.substr(1)));
    CHECK_FALSE(rsa.to_public().verify(alg::rs256, "text", '\0' + good));
    CHECK_FALSE(rsa.to_public().verify(alg::rs256, "text", ""));
    CHECK_FALSE(rsa.to_public().verify(alg::rs256, "text", std::string(256, '\0')));
}

TEST_CASE_FIXTURE(fixture, "a remembered header does not lend its fields to another one") {
    REQUIRE(parse_compact(token)->kid == key.kid());
    auto other = private_key::generate(alg::es256).value();
    const std::string second = sign_compact(other, "other+jwt", "{}").value();
    CHECK(parse_compact(second)->kid == other.kid());
    CHECK(parse_compact(second)->typ == "other+jwt");
    CHECK(parse_compact(token)->typ == "secevent+jwt");
    CHECK(header_verdict("") == errc::malformed_token);
    CHECK(parse_compact(token)->kid == key.kid());
}
