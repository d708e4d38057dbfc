#include <doctest/doctest.h>

#include <algorithm>

#include "tests/transmitter/printing.hpp"

#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

namespace {

void check_error(const answer& a, int status, std::string_view code,
                 std::optional<std::string> nonce = std::nullopt) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("error") == code);
    CHECK_FALSE(a.text("error_description").empty());
    CHECK(a.fields.get("cache-control") == "no-store");
    CHECK(a.json.HasMember("nonce") == nonce.has_value());
    if (nonce) CHECK(a.text("nonce") == *nonce);
}

std::string state(const json::document& claims) {
    return std::string(json::find_string(claims["mission"], "state").value_or(""));
}
std::int64_t version(const json::document& claims) {
    return json::find_int(claims["mission"], "version").value_or(-1);
}

}  // namespace

TEST_CASE("a mission is suspended, resumed and completed, each with a signed answer") {
    transmitter_fixture f;
    const auto id = f.create();
    auto claims = f.claims(
        f.lifecycle("operator", id, "suspend", {{"nonce", "n-1"}, {"reason", "audit \xc3\xa4"}}));
    CHECK(schemas::validate("mission-status-claims", claims));
    CHECK(state(claims) == "suspended");
    CHECK(version(claims) == 2);
    CHECK(json::find_string(claims, "nonce") == "n-1");
    CHECK(json::find_string(claims, "sub") == "operator");
    CHECK(json::find_string(claims, "aud") == "operator");
    CHECK(json::find_string(claims, "iss") == f.issuer());
    CHECK(state(f.claims(f.lifecycle("operator", id, "resume"))) == "active");
    claims = f.claims(f.lifecycle("operator", id, "complete"));
    CHECK(state(claims) == "completed");
    CHECK(version(claims) == 4);
}

TEST_CASE("leading to the present state is success without a new version") {
    transmitter_fixture f;
    const auto id = f.create();
    CHECK(version(f.claims(f.lifecycle("operator", id, "revoke"))) == 2);
    CHECK(version(f.claims(f.lifecycle("operator", id, "revoke"))) == 2);
}

TEST_CASE("what is not legal from the present state is a conflict and changes nothing") {
    transmitter_fixture f;
    const auto id = f.create();
    check_error(f.lifecycle("operator", id, "resume", {{"nonce", "r"}}), 409, "conflict", "r");
    f.lifecycle("operator", id, "complete");
    for (const auto* op : {"suspend", "resume", "revoke"})
        CHECK(f.lifecycle("operator", id, op).status == 409);
    CHECK(version(f.claims(f.status("operator", id))) == 2);
}

TEST_CASE("another expected_version is stale_version") {
    transmitter_fixture f;
    const auto id = f.create();
    check_error(f.lifecycle("operator", id, "revoke", {{"expected_version", "2"}, {"nonce", "x"}}),
                409, "stale_version", "x");
    CHECK(version(f.claims(f.lifecycle("operator", id, "revoke", {{"expected_version", "1"}}))) ==
          2);
}

TEST_CASE("an operation repeated with its nonce gives the first outcome with its claims") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto first = f.lifecycle("operator", id, "suspend", {{"nonce", "once"}});
    CHECK(f.lifecycle("operator", id, "resume").status == 200);
    // A delayed repetition does not suspend again, and its answer is the old one.
    const auto again = f.lifecycle("operator", id, "suspend", {{"nonce", "once"}});
    const auto was = f.claims(first), is = f.claims(again);
    CHECK(was == is);
    CHECK(state(f.claims(f.status("operator", id))) == "active");
    // Other members with the nonce are refused, and do nothing.
    check_error(f.lifecycle("operator", id, "revoke", {{"nonce", "once"}}), 400, "invalid_request",
                "once");
    check_error(f.lifecycle("operator", id, "suspend", {{"nonce", "once"}, {"reason", "x"}}), 400,
                "invalid_request", "once");
    CHECK(version(f.claims(f.status("operator", id))) == 3);
    // The nonce is per client and per mission.
    const auto other = f.create();
    CHECK(version(f.claims(f.lifecycle("operator", other, "suspend", {{"nonce", "once"}}))) == 2);
    CHECK(version(f.claims(f.lifecycle("erp", id, "suspend", {{"nonce", "once"}}))) == 4);
}

TEST_CASE("a refusal is an outcome too: its repetition is refused the same way") {
    transmitter_fixture f;
    const auto id = f.create();
    const auto first = f.lifecycle("operator", id, "resume", {{"nonce", "r"}});
    CHECK(first.status == 409);
    f.lifecycle("operator", id, "suspend");
    const auto again = f.lifecycle("operator", id, "resume", {{"nonce", "r"}});
    CHECK(again.status == 409);
    CHECK(again.body == first.body);
}

TEST_CASE("an operation is answered once across a restart") {
    transmitter_fixture f(
        [](config& c) { c.store_url = "sqlite:" + c.signing_directory + "/../t.db"; });
    const auto id = f.create();
    const auto was = f.claims(f.lifecycle("operator", id, "revoke", {{"nonce", "n"}}));
    f.restart();
    CHECK(f.claims(f.lifecycle("operator", id, "revoke", {{"nonce", "n"}})) == was);
    CHECK(version(f.claims(f.status("operator", id))) == 2);
}

TEST_CASE("who may not is told what an unknown mission is told, byte for byte") {
    transmitter_fixture f([](config& c) { c.clients[1].lifecycle = {"suspend"}; });
    const auto id = f.create();
    const auto unknown =
        f.lifecycle("operator", "0123456789012345678901", "revoke", {{"nonce", "n"}});
    check_error(unknown, 404, "not_found", "n");
    const auto invisible = f.lifecycle("stranger", id, "revoke", {{"nonce", "n"}});
    const auto forbidden = f.lifecycle("erp", id, "revoke", {{"nonce", "n"}});
    for (const auto* a : {&invisible, &forbidden}) {
        CHECK(a->status == unknown.status);
        CHECK(a->body == unknown.body);
        CHECK(a->fields.get("content-type") == unknown.fields.get("content-type"));
    }
    CHECK(f.lifecycle("erp", id, "suspend").status == 200);
}

TEST_CASE("not authenticated is 401 unauthorized, and a secret or a token is no authentication") {
    transmitter_fixture f;
    const auto id = f.create();
    const transmitter_fixture::field_list form{
        {"mission_id", id}, {"operation", "revoke"}, {"nonce", "n"}};
    check_error(f.post_form("/mission/lifecycle", form), 401, "unauthorized", "n");
    auto secret = form;
    secret.emplace_back("client_id", "crm");
    secret.emplace_back("client_secret", "crm-secret");
    check_error(f.post_form("/mission/lifecycle", secret), 401, "unauthorized", "n");
    net::headers h;
    h.set("authorization", "Bearer " + f.token("operator"));
    const auto bearer = f.send("POST", f.url("/mission/lifecycle"), h, net::encode_form(form));
    check_error(bearer, 401, "unauthorized", "n");
    CHECK(bearer.fields.get("www-authenticate").starts_with("Bearer"));
    // A token bound by DPoP would do as well (RFC 9449 section 7.1).
    CHECK(std::any_of(bearer.fields.begin(), bearer.fields.end(), [](const auto& field) {
        return field.first == "www-authenticate" && field.second.starts_with("DPoP algs=");
    }));
    // An assertion for another endpoint is none for this one.
    auto wrong = form;
    wrong.emplace_back("client_assertion_type",
                       "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    wrong.emplace_back("client_assertion", f.assertion("operator", f.url("/mission/status")));
    check_error(f.post_form("/mission/lifecycle", wrong), 401, "unauthorized", "n");
    wrong.back().second = f.assertion("operator", f.issuer());
    check_error(f.post_form("/mission/lifecycle", wrong), 401, "unauthorized", "n");
    // Each assertion once.
    auto used = f.with_assertion("operator", "/mission/lifecycle", form);
    CHECK(f.post_form("/mission/lifecycle", used).status == 200);
    check_error(f.post_form("/mission/lifecycle", used), 401, "unauthorized", "n");
}

TEST_CASE("allow_bearer lets a plain token with the scope in") {
    transmitter_fixture f([](config& c) { c.auth.allow_bearer = true; });
    const auto id = f.create();
    net::headers h;
    h.set("authorization", "Bearer " + f.token("operator"));
    const auto form =
        net::encode_form({{"mission_id", id}, {"operation", "revoke"}, {"nonce", "n"}});
    CHECK(state(f.claims(f.send("POST", f.url("/mission/lifecycle"), h, form))) == "revoked");
    h.set("authorization", "Bearer poor-static-token");
    CHECK(f.send("POST", f.url("/mission/lifecycle"), h, form).status == 404);
    h.set("authorization", "Bearer x");
    CHECK(f.send("POST", f.url("/mission/lifecycle"), h, form).status == 401);
}

TEST_CASE("malformed members are invalid_request and name the member") {
    transmitter_fixture f;
    const auto id = f.create();
    struct bad {
        std::string operation;
        transmitter_fixture::field_list more;
        std::string_view place;
    };
    const bad all[] = {
        {"destroy", {}, "operation"},
        {"", {}, "operation"},
        {"revoke", {{"reason", std::string(1025, 'r')}}, "reason"},
        {"revoke", {{"reason", "\xff"}}, "reason"},
        {"suspend", {{"suspend_until", "2098-01-01T00:00:00Z"}}, "on_expiry"},
        {"suspend", {{"on_expiry", "resume"}}, "suspend_until"},
        {"suspend", {{"suspend_until", "soon"}, {"on_expiry", "resume"}}, "suspend_until"},
        {"suspend",
         {{"suspend_until", "2098-01-01T00:00:00Z"}, {"on_expiry", "complete"}},
         "on_expiry"},
        {"suspend",
         {{"suspend_until", "2020-01-01T00:00:00Z"}, {"on_expiry", "resume"}},
         "suspend_until"},
        {"revoke",
         {{"suspend_until", "2098-01-01T00:00:00Z"}, {"on_expiry", "resume"}},
         "suspend_until"},
        {"revoke", {{"expected_version", "x"}}, "expected_version"},
        {"revoke", {{"expected_version", "0"}}, "expected_version"},
        {"revoke", {{"expected_version", "99999999999999999999"}}, "expected_version"},
    };
    for (const auto& b : all) {
        CAPTURE(b.place);
        auto more = b.more;
        more.emplace_back("nonce", "n" + std::string(b.place) + std::to_string(&b - all));
        const auto a = f.lifecycle("operator", id, b.operation, more);
        CHECK(a.status == 400);
        CHECK(a.text("error") == "invalid_request");
        CHECK(a.text("error_description").find(b.place) != std::string::npos);
    }
    CHECK(version(f.claims(f.status("operator", id))) == 1);
    check_error(f.lifecycle("operator", "short", "revoke", {{"nonce", "n"}}), 400,
                "invalid_request", "n");
}

TEST_CASE("a nonce that is missing or malformed is never echoed") {
    transmitter_fixture f;
    const auto id = f.create();
    for (const std::string& nonce :
         {std::string(), std::string(256, 'n'), std::string("\xc3("), std::string("a\nb")}) {
        CAPTURE(nonce);
        check_error(f.lifecycle("operator", id, "revoke", {{"nonce", nonce}}), 400,
                    "invalid_request");
    }
    std::string longest;
    for (int i = 0; i < 255; ++i)
        longest += "\xc3\xa4";
    CHECK(f.lifecycle("operator", id, "revoke", {{"nonce", longest}}).status == 200);
    check_error(f.post_form("/mission/lifecycle",
                            f.with_assertion("operator", "/mission/lifecycle",
                                             {{"mission_id", id}, {"operation", "revoke"}})),
                400, "invalid_request");
    const auto twice = f.send("POST", f.url("/mission/lifecycle"), {}, "nonce=a&nonce=b");
    check_error(twice, 400, "invalid_request");
    net::headers h;
    h.set("content-type", "application/json");
    check_error(f.send("POST", f.url("/mission/lifecycle"), h, "{}"), 415, "invalid_request");
}
