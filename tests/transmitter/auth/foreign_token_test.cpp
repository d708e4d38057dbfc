#include "tests/transmitter/auth/auth_bench.hpp"

#include "jose/base64url.hpp"
#include "transmitter/auth/foreign_token.hpp"

// RFC 9068 tokens and RFC 7662 answers, judged without any network.

using namespace mission;
using namespace mission::transmitter;
using testing::signing_key;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);

token_issuer_config issuer() {
    token_issuer_config c;
    c.issuer = "https://as";
    c.audience = "https://rs";
    return c;
}

std::string claims(std::string_view more = "", std::string_view iss = "https://as",
                   std::int64_t lives = 60, std::string_view aud = R"("https://rs")") {
    const auto t = to_numeric_date(now);
    return R"({"iss":")" + std::string(iss) + R"(","aud":)" + std::string(aud) + R"(,"iat":)" +
           std::to_string(t) + R"(,"exp":)" + std::to_string(t + lives) + R"(,"jti":"1")" +
           std::string(more) + "}";
}

jose::key_set keys_of(const signing_key& k) {
    jose::key_set out;
    out.add(k.key.to_public());
    return out;
}

constexpr std::string_view client = R"(,"client_id":"c1")";

errc judge(const signing_key& signer, const jose::key_set& keys, std::string_view payload,
           std::string_view typ = "at+jwt", const token_issuer_config& c = issuer()) {
    const auto text = signer.sign(typ, payload);
    const auto jwt = peek_jwt(text);
    REQUIRE(jwt);
    const auto r = verify_jwt(jwt->token, c, keys, now);
    return r ? errc{} : r.error().code;
}

result<foreign_claims> read(std::string_view body) {
    return read_introspection(body, issuer(), now);
}

errc refused(std::string_view body) {
    const auto r = read(body);
    return r ? errc{} : r.error().code;
}

}  // namespace

TEST_CASE("a JWT access token is taken with its client, scopes, audiences and end") {
    const signing_key k;
    const auto text =
        k.sign("at+jwt", claims(R"(,"client_id":"c1","sub":"s","scope":"a b a","cnf":{"jkt":"J"})",
                                "https://as", 60, R"(["https://rs","https://other"])"));
    const auto jwt = peek_jwt(text);
    REQUIRE(jwt);
    CHECK(jwt->issuer == "https://as");
    const auto r = verify_jwt(jwt->token, issuer(), keys_of(k), now);
    REQUIRE(r);
    CHECK(r->client_id == "c1");
    CHECK(r->scopes == std::vector<std::string>{"a", "b"});
    CHECK(r->audiences == std::vector<std::string>{"https://rs", "https://other"});
    CHECK(r->expires == now + std::chrono::seconds(60));
    CHECK(r->good_until == r->expires);
    CHECK(r->jkt == "J");
    CHECK_FALSE(r->of_mission);
}

TEST_CASE("a token that carries a mission is told apart") {
    const signing_key k;
    const auto text = k.sign("at+jwt", claims(R"(,"client_id":"c1","mission":{"id":"m"})"));
    CHECK(verify_jwt(peek_jwt(text)->token, issuer(), keys_of(k), now)->of_mission);
    CHECK(read(R"({"active":true,"client_id":"c1","mission":{"id":"m"}})")->of_mission);
}

TEST_CASE("an at+jwt names its client; a user who is called like one is none") {
    const signing_key k;
    const auto keys = keys_of(k);
    // RFC 9068 section 2.2.
    CHECK(judge(k, keys, claims(R"(,"sub":"c1")")) == errc::bad_claims);
    CHECK(judge(k, keys, claims(R"(,"sub":"c1","azp":"c1")")) == errc::bad_claims);
    CHECK(judge(k, keys, claims(R"(,"sub":"c1","client_id":7)"), "application/at+jwt") ==
          errc::bad_claims);
    auto lenient = issuer();
    lenient.typ_jwt = true;
    CHECK(judge(k, keys, claims(R"(,"sub":"c1")"), "at+jwt", lenient) == errc::bad_claims);
}

TEST_CASE("where JWT is a token: client_id, else azp, else sub; scopes may be an array scp") {
    const signing_key k;
    auto lenient = issuer();
    lenient.typ_jwt = true;
    const auto read_jwt = [&](std::string_view more) {
        const auto text = k.sign("JWT", claims(more));
        return verify_jwt(peek_jwt(text)->token, lenient, keys_of(k), now).value();
    };
    CHECK(read_jwt(R"(,"azp":"z","sub":"s")").client_id == "z");
    CHECK(read_jwt(R"(,"sub":"s")").client_id == "s");
    CHECK(read_jwt(R"(,"sub":"s","client_id":"c","azp":"z")").client_id == "c");
    CHECK(read_jwt(R"(,"sub":"s","scp":["x","y z"])").scopes ==
          std::vector<std::string>{"x", "y", "z"});
    CHECK(read_jwt(R"(,"sub":"s")").scopes.empty());
}

TEST_CASE("a token of another kind is none: typ is at+jwt, and JWT only where configured") {
    const signing_key k;
    const auto keys = keys_of(k);
    CHECK(judge(k, keys, claims(client)) == errc{});
    CHECK(judge(k, keys, claims(client), "AT+JWT") == errc{});
    CHECK(judge(k, keys, claims(client), "JWT") == errc::wrong_typ);
    // RFC 8417 section 2.3: a SET is no access token, though it may have all the claims.
    CHECK(judge(k, keys, claims(client), "secevent+jwt") == errc::wrong_typ);
    auto lenient = issuer();
    lenient.typ_jwt = true;
    CHECK(judge(k, keys, claims(client), "JWT", lenient) == errc{});
    CHECK(judge(k, keys, claims(client), "secevent+jwt", lenient) == errc::wrong_typ);
    CHECK(judge(k, keys, claims(client), "dpop+jwt", lenient) == errc::wrong_typ);
}

TEST_CASE("signatures by ES256, RS256, PS256 and EdDSA are verified, and only listed ones") {
    for (const auto a : {jose::alg::es256, jose::alg::rs256, jose::alg::ps256, jose::alg::eddsa}) {
        CAPTURE(jose::name(a));
        const signing_key k{*jose::private_key::generate(a)};
        CHECK(judge(k, keys_of(k), claims(client)) == errc{});
        auto one = issuer();
        one.algs = {a == jose::alg::es256 ? "RS256" : "ES256"};
        CHECK(judge(k, keys_of(k), claims(client), "at+jwt", one) == errc::alg_not_allowed);
    }
}

TEST_CASE("another key, an unknown kid and an unsigned token are refused") {
    const signing_key k, other;
    CHECK(judge(other, keys_of(k), claims(client)) == errc::unknown_kid);
    auto forged = other;
    forged.key.set_kid(k.key.kid());
    CHECK(judge(forged, keys_of(k), claims(client)) == errc::bad_signature);
    const auto none = jose::base64url_encode(std::string_view(R"({"alg":"none","typ":"at+jwt"})")) +
                      "." + jose::base64url_encode(claims(client)) + ".eA";
    const auto jwt = peek_jwt(none);
    REQUIRE(jwt);
    CHECK(verify_jwt(jwt->token, issuer(), keys_of(k), now).error().code == errc::alg_not_allowed);
    CHECK_FALSE(peek_jwt("opaque"));
    CHECK_FALSE(peek_jwt("a.b.c"));
}

TEST_CASE("issuer, client, audience and times of a JWT are judged") {
    const signing_key k;
    const auto keys = keys_of(k);
    CHECK(judge(k, keys, claims(client, "https://as/")) == errc::wrong_issuer);
    CHECK(judge(k, keys, claims("")) == errc::bad_claims);
    CHECK(judge(k, keys, claims(client, "https://as", 60, "7")) == errc::bad_claims);
    CHECK(judge(k, keys, claims(client, "https://as", 60, "[]")) == errc::bad_claims);
    CHECK(judge(k, keys, claims(client, "https://as", 0)) == errc::token_expired);
    CHECK(judge(k, keys, claims(client, "https://as", 1)) == errc{});
    const auto ahead = std::to_string(to_numeric_date(now) + 31);
    CHECK(judge(k, keys, claims(std::string(client) + R"(,"nbf":)" + ahead)) ==
          errc::issued_in_future);
    const auto t = std::to_string(to_numeric_date(now));
    const std::string start = R"({"iss":"https://as","aud":"https://rs","client_id":"c")";
    CHECK(judge(k, keys, start + R"(,"iat":)" + t + "}") == errc::bad_claims);
    CHECK(judge(k, keys, start + R"(,"exp":9999999999})") == errc::bad_claims);
    CHECK(judge(k, keys, start + R"(,"iat":)" + t + R"(,"exp":"soon"})") == errc::bad_claims);
    CHECK(judge(k, keys, start + R"(,"iat":)" + t + R"(,"exp":1e300})") == errc::bad_claims);
    CHECK(judge(k, keys, start + R"(,"exp":9999999999,"iat":)" + ahead + "}") ==
          errc::issued_in_future);
}

TEST_CASE("a binding that cannot be proven makes the token useless, not unbound") {
    const signing_key k;
    const auto keys = keys_of(k);
    for (const char* cnf :
         {R"({"jwk":{}})", "{}", "7", R"({"jkt":5})", R"({"jkt":"a","kid":"b"})"}) {
        CAPTURE(cnf);
        CHECK(judge(k, keys, claims(std::string(client) + R"(,"cnf":)" + cnf)) == errc::bad_claims);
    }
}

TEST_CASE("an introspection answer counts for a minute at most, and never beyond exp") {
    const auto t = to_numeric_date(now);
    const auto r = read(R"({"active":true,"client_id":"c","scope":"a","exp":)" +
                        std::to_string(t + 600) + "}");
    REQUIRE(r);
    CHECK(r->expires == now + std::chrono::seconds(600));
    CHECK(r->good_until == now + std::chrono::seconds(60));
    const auto brief =
        read(R"({"active":true,"client_id":"c","exp":)" + std::to_string(t + 5) + "}");
    CHECK(brief->good_until == now + std::chrono::seconds(5));
    const auto endless = read(R"({"active":true,"client_id":"c"})");
    CHECK(endless->expires == now + std::chrono::seconds(60));
}

TEST_CASE("an introspection answer that says no, or nothing sensible, lets nobody in") {
    const auto t = to_numeric_date(now);
    CHECK(refused(R"({"active":false})") == errc::token_expired);
    CHECK(refused(R"({"active":true,"client_id":"c","exp":)" + std::to_string(t) + "}") ==
          errc::token_expired);
    CHECK(refused(R"({"active":true,"client_id":"c","iss":"https://b"})") == errc::wrong_issuer);
    CHECK(refused(R"({"active":true})") == errc::bad_claims);
    CHECK(refused(R"({"active":true,"sub":"c"})") == errc::bad_claims);  // a person, perhaps
    CHECK(refused(R"({"active":true,"client_id":"c","nbf":)" + std::to_string(t + 60) + "}") ==
          errc::issued_in_future);
    for (const char* body : {"", "[]", "{}", "true", R"({"active":"true"})", R"({"active":1})",
                             "<html></html>", R"({"active":true,"cli)"}) {
        CAPTURE(body);
        CHECK(refused(body) == errc::bad_response);
    }
}
