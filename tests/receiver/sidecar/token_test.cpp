#include "receiver/sidecar/token.hpp"

#include <doctest/doctest.h>

#include "base/json.hpp"
#include "known_missions.hpp"
#include "receiver/sidecar/verdict_cache.hpp"

using namespace mission;
using namespace mission::receiver::sidecar;

namespace {

const std::string as = "https://as.example", api = "https://erp.example";
const wall_time now = from_numeric_date(1'800'000'000);

jose::private_key make_key(jose::alg a = jose::alg::es256) {
    auto k = jose::private_key::generate(a);
    REQUIRE(k.has_value());
    return std::move(*k);
}

struct issued {
    jose::private_key key = make_key();
    jose::key_set keys;
    token_issuer rules;

    issued() {
        keys.add(key.to_public());
        rules.issuer = as;
        rules.audience = api;
        rules.algs = {jose::alg::es256};
    }
    std::string token(const std::string& claims, std::string_view typ = "at+jwt") const {
        auto t = jose::sign_compact(key, typ, claims);
        REQUIRE(t.has_value());
        return *t;
    }
    result<token_claims> read(const std::string& text) const {
        auto peeked = peek_token(text);
        if (!peeked) return peeked.error();
        return verify_token(*peeked, rules, keys, now);
    }
    errc error_of(const std::string& text) const {
        const auto r = read(text);
        return r ? errc{} : r.error().code;
    }
};

const std::string mission_claim = R"("mission":{"id":"m-1","issuer":"https://missions.example"})";

std::string claims(const std::string& more, std::int64_t exp = 1'800'000'060) {
    return R"({"iss":"https://as.example","aud":"https://erp.example","iat":1800000000,"exp":)" +
           std::to_string(exp) + (more.empty() ? "" : ",") + more + "}";
}

}  // namespace

TEST_CASE("a good token names its mission and the issuer beside it") {
    const issued w;
    const auto r = w.read(w.token(claims(mission_claim)));
    REQUIRE(r.has_value());
    CHECK(r->mission_id == "m-1");
    CHECK(r->mission_issuer == "https://missions.example");
    CHECK(to_numeric_date(r->expires) == 1'800'000'090);  // with the skew
}

TEST_CASE("the claim's path is configured, and a token without it names nothing") {
    issued w;
    CHECK(w.read(w.token(claims("")))->mission_id.empty());
    CHECK(w.read(w.token(claims(R"("mission":7)")))->mission_id.empty());
    CHECK(w.error_of(w.token(claims(R"("mission":{"id":7})"))) == errc::bad_claims);
    CHECK(w.error_of(w.token(claims(R"("mission":{"id":"m","issuer":7})"))) == errc::bad_claims);
    w.rules.claim = {"https://names.example/mission_id"};
    const auto r = w.read(w.token(claims(R"("https://names.example/mission_id":"m-2")")));
    CHECK(r->mission_id == "m-2");
    CHECK(r->mission_issuer.empty());
}

TEST_CASE("every check of a token has its own error") {
    const issued w, other;
    CHECK(w.error_of("x") == errc::malformed_token);
    CHECK(w.error_of("a.b.c") == errc::malformed_token);
    CHECK(w.error_of(std::string(10'000, 'a')) == errc::too_large);
    CHECK(w.error_of(w.token(claims(mission_claim), "JWT")) == errc::wrong_typ);
    CHECK(w.error_of(w.token(claims(mission_claim), "secevent+jwt")) == errc::wrong_typ);
    CHECK(w.error_of(w.token(claims(mission_claim), "application/AT+JWT")) == errc{});
    CHECK(w.error_of(other.token(claims(mission_claim))) == errc::unknown_kid);
    auto tampered = w.token(claims(mission_claim));
    tampered.back() = tampered.back() == 'A' ? 'Q' : 'A';
    CHECK(w.error_of(tampered) == errc::bad_signature);
    CHECK(w.error_of(w.token(R"({"aud":"https://erp.example","exp":1800000060})")) ==
          errc::malformed_token);  // no `iss`: nobody's keys fit
    CHECK(w.error_of(w.token(R"({"iss":"https://as.example","exp":1800000060})")) ==
          errc::wrong_audience);
    CHECK(
        w.error_of(w.token(
            R"({"iss":"https://as.example","aud":["x","https://erp.example"],"exp":1800000060})")) ==
        errc{});
    CHECK(w.error_of(w.token(claims(mission_claim, 1'799'999'970))) == errc::token_expired);
    CHECK(w.error_of(w.token(claims(mission_claim, 1'799'999'971))) == errc{});
    CHECK(w.error_of(w.token(R"({"iss":"https://as.example","aud":"https://erp.example"})")) ==
          errc::bad_claims);
    CHECK(w.error_of(w.token(
              R"({"iss":"https://as.example","aud":"https://erp.example","exp":"soon"})")) ==
          errc::bad_claims);
    CHECK(w.error_of(w.token(claims(R"("nbf":1800000031)"))) == errc::issued_in_future);
    CHECK(w.error_of(w.token(claims(R"("nbf":1800000030)"))) == errc{});
}

TEST_CASE("an algorithm that is not configured is refused, whatever the key can") {
    issued w;
    w.rules.algs = {jose::alg::rs256};
    CHECK(w.error_of(w.token(claims(mission_claim))) == errc::alg_not_allowed);
    // {"alg":"none"}
    CHECK(w.error_of("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0."
                     "eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUifQ.") != errc{});
}

TEST_CASE("a token bound to a key is no bearer token, unless somebody else checks its holder") {
    issued w;
    const auto bound = w.token(claims(mission_claim + R"(,"cnf":{"jkt":"x"})"));
    CHECK(w.error_of(bound) == errc::bad_claims);
    w.rules.allow_bound = true;
    CHECK(w.error_of(bound) == errc{});
}

TEST_CASE("jti and typ are asked for as configured") {
    issued w;
    w.rules.require_jti = true;
    CHECK(w.error_of(w.token(claims(mission_claim))) == errc::bad_claims);
    CHECK(w.error_of(w.token(claims(mission_claim + R"(,"jti":"j")"))) == errc{});
    w.rules.types = {"jwt"};
    CHECK(w.error_of(w.token(claims(R"("jti":"j")"), "JWT")) == errc{});
    CHECK(w.error_of(w.token(claims(R"("jti":"j")"))) == errc::wrong_typ);
}

TEST_CASE("a token is found behind its scheme, in a field of its own, or in a cookie") {
    CHECK(token_in_field("authorization", "Bearer abc") == "abc");
    CHECK(token_in_field("authorization", "bEARER   abc") == "abc");
    CHECK(token_in_field("authorization", "DPoP abc") == "abc");
    for (const char* none : {"Basic abc", "Bearer", "Bearerabc", "", "abc"})
        CHECK_MESSAGE(token_in_field("authorization", none).empty(), none);
    CHECK(token_in_field("x-token", "abc") == "abc");
    bool twice = false;
    CHECK(token_in_cookie("a=1; session=abc; b=2", "session", twice) == "abc");
    CHECK(token_in_cookie("xsession=1;session2=2", "session", twice).empty());
    CHECK_FALSE(twice);
    (void)token_in_cookie("session=a; session=b", "session", twice);
    CHECK(twice);
}

TEST_CASE(
    "a verdict is kept until the token expires, five minutes at most, and not by a later clock") {
    verdict_cache cache;
    const auto hash = jose::sha256("token");
    const auto keep = [&](std::chrono::seconds lifetime) {
        token_claims c;
        c.mission_id = "m";
        c.expires = now + lifetime;
        cache.put(hash, std::make_shared<const token_claims>(c), now);
    };
    using namespace std::chrono_literals;
    keep(60s);
    CHECK(cache.find(hash, now + 59s) != nullptr);
    CHECK(cache.find(jose::sha256("other"), now) == nullptr);
    CHECK(cache.find(hash, now + 60s) == nullptr);
    keep(3600s);
    CHECK(cache.find(hash, now + 299s) != nullptr);
    CHECK(cache.find(hash, now + 300s) == nullptr);
    keep(3600s);
    CHECK(cache.find(hash, now - 1s) == nullptr);
}

TEST_CASE("the cache of verdicts is bounded") {
    verdict_cache cache;
    token_claims c;
    c.expires = now + std::chrono::hours(1);
    const auto kept = std::make_shared<const token_claims>(c);
    std::size_t found = 0;
    for (int i = 0; i < 120'000; ++i)
        cache.put(jose::sha256(std::to_string(i)), kept, now);
    for (int i = 0; i < 120'000; ++i)
        found += cache.find(jose::sha256(std::to_string(i)), now) != nullptr;
    CHECK(found <= receiver::sidecar::limits::verdicts);
    CHECK(found > 0);
}
