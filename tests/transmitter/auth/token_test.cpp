#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "jose/base64url.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

namespace {

void check_error(const answer& a, int status, std::string_view code) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("error") == code);
    CHECK_FALSE(a.text("error_description").empty());
    CHECK(a.fields.get("cache-control") == "no-store");
    CHECK(a.fields.get("content-type") == "application/json");
}

answer basic(transmitter_fixture& f, const std::string& credentials,
             const transmitter_fixture::field_list& form) {
    net::headers h;
    h.set("content-type", "application/x-www-form-urlencoded");
    h.set("authorization", "Basic " + jose::base64_encode(credentials));
    return f.send("POST", f.url("/oauth/token"), h, net::encode_form(form));
}

}  // namespace

TEST_CASE("the token endpoint") {
    transmitter_fixture f;
    const transmitter_fixture::field_list grant{{"grant_type", "client_credentials"}};
    auto with = [&](transmitter_fixture::field_list more) {
        more.insert(more.begin(), grant.begin(), grant.end());
        return more;
    };

    SUBCASE("gives a bearer token for an assertion, with the client's scopes") {
        const auto a = f.post_form("/oauth/token", f.with_assertion("erp", "/oauth/token", grant));
        CAPTURE(a.body);
        CHECK(a.status == 200);
        CHECK(a.text("token_type") == "Bearer");
        CHECK(a.number("expires_in") == 3600);
        CHECK(a.text("scope").find("mission_status") != std::string::npos);
        CHECK(a.fields.get("cache-control") == "no-store");
        CHECK(f.get("/missions", a.text("access_token")).status == 200);
    }
    SUBCASE("takes the issuer as audience too, not another endpoint") {
        auto form = with(
            {{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
             {"client_assertion", f.assertion("erp", f.issuer())}});
        CHECK(f.post_form("/oauth/token", form).status == 200);
        form.back().second = f.assertion("erp", f.url("/mission/status"));
        check_error(f.post_form("/oauth/token", form), 401, "invalid_client");
    }
    SUBCASE("refuses an assertion the second time") {
        const auto form = f.with_assertion("erp", "/oauth/token", grant);
        CHECK(f.post_form("/oauth/token", form).status == 200);
        check_error(f.post_form("/oauth/token", form), 401, "invalid_client");
    }
    SUBCASE("takes a secret by post and by basic") {
        CHECK(f.post_form("/oauth/token",
                          with({{"client_id", "crm"}, {"client_secret", "crm-secret"}}))
                  .status == 200);
        CHECK(basic(f, "crm:crm-secret", grant).status == 200);
        CHECK(basic(f, "crm:crm%2Dsecret", grant).status == 200);
        CHECK(basic(f, "crm:crm-secret", with({{"client_id", "crm"}})).status == 200);
    }
    SUBCASE("refuses wrong secrets, unknown clients and contradictions") {
        const auto wrong = basic(f, "crm:wrong", grant);
        check_error(wrong, 401, "invalid_client");
        CHECK_FALSE(wrong.fields.get("www-authenticate").empty());
        check_error(basic(f, "nobody:x", grant), 401, "invalid_client");
        check_error(basic(f, "erp:", grant), 401, "invalid_client");  // has no secret
        check_error(basic(f, "nocolon", grant), 401, "invalid_client");
        check_error(f.post_form("/oauth/token", grant), 401, "invalid_client");
        check_error(basic(f, "crm:crm-secret", with({{"client_id", "erp"}})), 400,
                    "invalid_request");
        check_error(basic(f, "crm:crm-secret", with({{"client_secret", "crm-secret"}})), 400,
                    "invalid_request");
    }
    SUBCASE("narrows scopes and refuses what the client does not have") {
        const auto narrowed =
            f.post_form("/oauth/token", with({{"client_id", "crm"},
                                              {"client_secret", "crm-secret"},
                                              {"scope", "ssf.read mission_status"}}));
        CHECK(narrowed.text("scope") == "ssf.read mission_status");
        const auto denied = f.get("/missions", narrowed.text("access_token"));
        CHECK(denied.status == 403);
        CHECK(denied.text("err") == "insufficient_scope");
        CHECK(denied.fields.get("www-authenticate").find("insufficient_scope") !=
              std::string_view::npos);
        check_error(f.post_form("/oauth/token", with({{"client_id", "crm"},
                                                      {"client_secret", "crm-secret"},
                                                      {"scope", "signals.emit"}})),
                    400, "invalid_scope");
        check_error(
            f.post_form(
                "/oauth/token",
                with({{"client_id", "crm"}, {"client_secret", "crm-secret"}, {"scope", ""}})),
            400, "invalid_scope");
    }
    SUBCASE("names what is wrong with the request") {
        check_error(f.post_form("/oauth/token", {{"grant_type", "password"},
                                                 {"client_id", "crm"},
                                                 {"client_secret", "crm-secret"}}),
                    400, "unsupported_grant_type");
        check_error(
            f.post_form("/oauth/token", {{"client_id", "crm"}, {"client_secret", "crm-secret"}}),
            400, "invalid_request");
        check_error(f.post_form("/oauth/token", with({{"grant_type", "client_credentials"}})), 400,
                    "invalid_request");
        check_error(f.send("POST", f.url("/oauth/token?grant_type=client_credentials"), {}, ""),
                    400, "invalid_request");
    }
}

TEST_CASE("without token_endpoint there is none, nor its metadata") {
    transmitter_fixture f([](config& c) { c.auth.token_endpoint = false; });
    CHECK(f.post_form("/oauth/token", {}).status == 404);
    CHECK(f.get("/.well-known/oauth-authorization-server").status == 404);
}
