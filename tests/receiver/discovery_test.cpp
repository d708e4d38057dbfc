// Where metadata may lie, who may be told a token, and what is believed.
#include "receiver/subscribe/discovery.hpp"

#include <doctest/doctest.h>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "receiver/subscribe/dpop.hpp"
#include "receiver/subscribe/http_calls.hpp"
#include "receiver/subscribe/poller.hpp"

using namespace mission;
using namespace mission::receiver;
namespace ms = mission_signals;
using texts = std::vector<std::string>;

TEST_CASE("metadata is looked for in every form, the specified one first") {
    const auto known = std::string("/.well-known/ssf-configuration");
    CHECK(*metadata_urls("https://h.example/a/b/") ==
          texts{"https://h.example" + known + "/a/b", "https://h.example/a/b" + known,
                "https://h.example" + known, "https://h.example/.well-known/risc-configuration/a/b",
                "https://h.example/a/b/.well-known/risc-configuration"});
    CHECK(*metadata_urls("https://h.example") ==
          texts{"https://h.example" + known, "https://h.example/.well-known/risc-configuration"});
    CHECK(metadata_urls("http://h.example").has_error());
    CHECK(metadata_urls("https://h.example/?q").has_error());
}

TEST_CASE("an issuer fits a metadata URL that could have been made of it") {
    const auto fits = issuer_fits_url;
    CHECK(fits("https://h.example", "https://h.example/.well-known/ssf-configuration"));
    CHECK(fits("https://h.example/", "https://h.example/.well-known/ssf-configuration"));
    CHECK(fits("https://h.example/a", "https://h.example/.well-known/ssf-configuration/a"));
    CHECK(fits("https://h.example/a", "https://h.example/a/.well-known/ssf-configuration"));
    CHECK(fits("https://h.example/a/", "https://h.example/a/.well-known/risc-configuration"));
    CHECK_FALSE(fits("https://h.example/b", "https://h.example/a/.well-known/ssf-configuration"));
    CHECK_FALSE(fits("https://h.example", "https://h.example/.well-known/ssf-configuration/a"));
    CHECK_FALSE(fits("https://g.example", "https://h.example/.well-known/ssf-configuration"));
    // No well-known string: the origin is all that can be compared.
    CHECK(fits("https://h.example/a", "https://h.example/metadata.json"));
    CHECK_FALSE(fits("https://g.example", "https://h.example/metadata.json"));
}

TEST_CASE("tokens go to the issuer's origin and to listed hosts, over https, and nowhere else") {
    const token_reach reach({"api.example", "other.example:8443", "https://third.example"});
    const std::string issuer = "https://h.example/a";
    for (const char* url :
         {"https://h.example/x", "https://api.example/x", "https://h.example:443/",
          "https://other.example:8443/x", "https://third.example/"}) {
        CHECK(reach.check(url, issuer, "it").has_value());
    }
    for (const char* url :
         {"http://h.example/x", "https://h.example:444/x", "https://evil.example/",
          "https://other.example/x", "https://h.example.evil.example/", "https://x@h.example/",
          "h.example", ""}) {
        CHECK(reach.check(url, issuer, "it").has_error());
    }
    CHECK(token_reach::valid_host("a.example:1"));
    for (const char* host : {"http://a.example", "a.example/path", "a b", ""})
        CHECK_FALSE(token_reach::valid_host(host));
}

TEST_CASE("an issuer that differs by a slash is another one, unless that is tolerated") {
    ms::options o;
    int told = 0;
    o.log = [&](ms::log_level, std::string_view, const std::vector<ms::log_field>&) { ++told; };
    const std::string text = R"({"issuer":"https://a.example/","jwks_uri":"https://a.example/j",)"
                             R"("configuration_endpoint":"https://a.example/s"})";
    quirk_log strict(o);
    CHECK(parse_metadata(text, "https://a.example", {}, &strict).error() == errc::wrong_issuer);
    o.quirks.issuer_slash = true;
    quirk_log lenient(o);
    CHECK(parse_metadata(text, "https://a.example", {}, &lenient).has_value());
    CHECK(parse_metadata(text, "https://a.example", {}, &lenient).has_value());
    CHECK(told == 1);  // once, however often
    CHECK(parse_metadata(text, "https://b.example", {}, &lenient).has_error());
}

TEST_CASE("every endpoint that is sent a token is checked, also the optional ones") {
    auto meta = [](const std::string& name, const std::string& url) {
        return R"({"issuer":"https://a.example","jwks_uri":"https://keys.example/j",)"
               R"("configuration_endpoint":"https://a.example/s",")" +
               name + R"(":")" + url + R"("})";
    };
    for (const char* name : {"status_endpoint", "add_subject_endpoint", "remove_subject_endpoint",
                             "verification_endpoint", "mission_status_endpoint"}) {
        CHECK(parse_metadata(meta(name, "https://a.example/x"), "").has_value());
        CHECK(parse_metadata(meta(name, "https://evil.example/x"), "").has_error());
        CHECK(parse_metadata(meta(name, "http://a.example/x"), "").has_error());
    }
    CHECK(parse_metadata(R"({"issuer":"https://a.example"})", "").has_error());
}

TEST_CASE("a protected resource's metadata serves only for that resource") {
    const std::string text = R"({"resource":"https://a.example","scopes_supported":["x"],)"
                             R"("authorization_servers":["https://as.example"]})";
    const auto found = parse_protected_resource(text, "https://a.example");
    REQUIRE(found.has_value());
    CHECK(found->scopes_supported == texts{"x"});
    CHECK(found->authorization_servers == texts{"https://as.example"});
    CHECK(parse_protected_resource(text, "https://b.example").has_error());
    CHECK(parse_protected_resource("[]", "https://a.example").has_error());
}

TEST_CASE("with a certificate the token endpoint's alias for it is used") {
    const std::string text =
        R"({"issuer":"https://a.example","token_endpoint":"https://a.example/t",)"
        R"("mtls_endpoint_aliases":{"token_endpoint":"https://a.example/mtls"}})";
    CHECK(*parse_token_endpoint(text, "https://a.example") == "https://a.example/t");
    CHECK(*parse_token_endpoint(text, "https://a.example", {}, nullptr, true) ==
          "https://a.example/mtls");
}

TEST_CASE("a proof names the request, the token and the key, and nothing of the query") {
    const auto key = *jose::private_key::generate(jose::alg::es256);
    const auto proof = *make_dpop_proof(
        key, {"POST", "https://a.example/mission/status?x=1#y", "token", "n-1", 1700000000, "j"});
    const auto parsed = *jose::parse_compact(proof);
    CHECK(parsed.typ == "dpop+jwt");
    CHECK(parsed.alg == "ES256");
    CHECK(parsed.kid.empty());
    const auto jwk = jose::public_key::from_jwk(*json::parse(parsed.jwk));
    REQUIRE(jwk.has_value());
    CHECK(jwk->thumbprint() == key.to_public().thumbprint());
    CHECK(jwk->verify(jose::alg::es256, parsed.signing_input, parsed.signature));
    CHECK(parsed.jwk.find("\"d\"") == std::string::npos);
    const auto claims = *json::parse(parsed.payload);
    CHECK(json::find_string(claims, "htm") == "POST");
    CHECK(json::find_string(claims, "htu") == "https://a.example/mission/status");
    CHECK(json::find_string(claims, "jti") == "j");
    CHECK(json::find_string(claims, "nonce") == "n-1");
    CHECK(json::find_int(claims, "iat") == 1700000000);
    const auto digest = jose::sha256("token");
    CHECK(json::find_string(claims, "ath") == jose::base64url_encode(jose::view(digest)));
    const auto first = *jose::parse_compact(
        *make_dpop_proof(key, {"POST", "https://a.example/t", "", "", 1, "j"}));
    CHECK(json::find(*json::parse(first.payload), "ath") == nullptr);
    CHECK(json::find(*json::parse(first.payload), "nonce") == nullptr);
}

TEST_CASE("a peer's words are bounded, on one line, and never our token") {
    net::http_response r;
    r.status = 400;
    r.body = R"({"error":"invalid_request","error_description":"no\n such\u0000 stream"})";
    CHECK(words_of(r) == "invalid_request, no  such\\x00 stream");
    r.body = "<html>\r\n\x1b[31mred " + std::string(5000, 'a');
    CHECK(words_of(r).size() < 320);
    CHECK(words_of(r).find('\x1b') == std::string::npos);
    r.body = "you sent Bearer s3cret";
    CHECK(words_of(r, {"s3cret"}) == "you sent Bearer [left out]");
    r.body = "client_secret=a%2Fb&client_id=c";
    CHECK(words_of(r, {"a/b"}) == "client_secret=[left out]&client_id=c");
    CHECK(unexpected(r, "it").message().find("it answered 400: client_secret") !=
          std::string::npos);
    r.status = 302;
    CHECK(unexpected(r, "it") == errc::redirect_refused);
}

TEST_CASE("what looks like a JWS is left out of a peer's words, whole or cut short") {
    CHECK(peer_words("got eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln, sorry") ==
          "got [left out], sorry");
    CHECK(peer_words("eyJhbGciOiJFUzI1NiIsInR5cC") == "[left out]");
    CHECK(peer_words("eyJ is how they begin, and eyJeyJ") == "eyJ is how they begin, and eyJeyJ");
}

TEST_CASE("of an answer that should have been an error, or another success, no body is shown") {
    net::http_response r;
    r.status = 201;
    r.body = R"({"access_token":"opaque-token","token_type":"Bearer"})";
    CHECK(unexpected(r, "it").message().find("opaque") == std::string::npos);
    r.body = R"({"error":"odd"})";
    CHECK(unexpected(r, "it").message().find("it answered 201: odd") != std::string::npos);
}

TEST_CASE("Retry-After is a number of seconds, bounded however long it is") {
    const auto of = [](const char* text) {
        net::http_response r;
        r.fields.add("retry-after", text);
        return retry_after_of(r);
    };
    CHECK(of("2") == std::chrono::seconds(2));
    CHECK(of("300000") == limits::retry_after_max);
    CHECK(of("99999999999999999999") == limits::retry_after_max);
    CHECK(of("-1").count() == 0);
    CHECK(of("Sat, 21 Nov 2026 17:00:00 GMT").count() == 0);
}

TEST_CASE("the issuer that a metadata URL was made of") {
    CHECK(issuer_of_url("https://a.example/.well-known/ssf-configuration") == "https://a.example");
    CHECK(issuer_of_url("https://a.example:8443/.well-known/ssf-configuration/t/1") ==
          "https://a.example:8443/t/1");
    CHECK(issuer_of_url("https://a.example/t/.well-known/risc-configuration") ==
          "https://a.example/t");
    CHECK(issuer_of_url("https://a.example/metadata.json").empty());
    CHECK(issuer_of_url("nonsense").empty());
}

TEST_CASE("a transmitter that does not hold a poll open is asked ever less often") {
    CHECK(idle_poll_delay(0).count() == 0);
    CHECK(idle_poll_delay(1).count() == 0);
    CHECK(idle_poll_delay(2) == std::chrono::milliseconds(100));
    CHECK(idle_poll_delay(4) == std::chrono::milliseconds(400));
    CHECK(idle_poll_delay(1000) == std::chrono::milliseconds(5000));
}
