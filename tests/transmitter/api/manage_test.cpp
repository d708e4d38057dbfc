#include <filesystem>
#include <fstream>

#include "tests/transmitter/api/manage_support.hpp"
#include "transmitter/keys/private_file.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

const std::string bob = R"({"iss":"https://idp.example","sub":"bob"})";

std::string names(const json::value& object) {
    std::string out;
    for (const auto& m : object.GetObject())
        out += std::string(out.empty() ? "" : " ") + m.name.GetString();
    return out;
}

}  // namespace

TEST_CASE("an enumeration answers a signed page of summaries, and nothing beyond them") {
    manage_world f;
    const auto id = f.create();
    const auto a = f.enumerate("operator", "{}", R"("nonce":"n-1")");
    const auto claims = f.managed(a);
    CHECK(json::find_string(claims, "iss") == f.issuer());
    CHECK(json::find_string(claims, "aud") == "operator");
    CHECK(json::find_string(claims, "sub") == "operator");
    CHECK(json::find_string(claims, "nonce") == "n-1");
    CHECK(json::find_int(claims, "exp").value() > json::find_int(claims, "iat").value());
    REQUIRE(claims["missions"].Size() == 1);
    const auto& m = claims["missions"][0];
    CHECK(names(m) == "id state version subject client_id created_at expires_at");
    CHECK(json::find_string(m, "id") == id);
    CHECK(json::find_string(m, "state") == "active");
    CHECK(json::find_int(m, "version") == 1);
    CHECK(json::find_string(m["subject"], "sub") == "bob");
    CHECK(json::find_string(m, "client_id") == "agent-7");
    CHECK(json::find_string(m, "expires_at") == "2099-01-01T00:00:00Z");
    CHECK_FALSE(json::find(claims, "cursor"));
}

TEST_CASE("a mission matches when it satisfies every member of the filter") {
    manage_world f;
    const auto one = f.create();
    const auto two = f.create_other({{"agent-7", "agent-9"}, {"bob", "carol"}});
    const auto three = f.create_other({{"\"acme\"", "\"globex\""}}, "2030-01-01T00:00:00Z");
    f.lifecycle("operator", two, "suspend");
    using list = std::vector<std::string>;
    const auto found = [&](const std::string& filter) {
        CAPTURE(filter);
        return f.ids(f.managed(f.enumerate("operator", filter)));
    };
    CHECK(found("{}") == list{one, two, three});
    CHECK(found(R"({"subject":)" + bob + "}") == list{one, three});
    CHECK(found(R"({"client_id":"agent-9"})") == list{two});
    CHECK(found(R"({"tenant":"globex"})") == list{three});
    CHECK(found(R"({"state":["suspended"]})") == list{two});
    CHECK(found(R"({"state":["suspended","active"],"tenant":"acme"})") == list{one, two});
    CHECK(found(R"({"expiring_before":"2031-01-01T00:00:00Z"})") == list{three});
    CHECK(found(R"({"expiring_before":"2030-01-01T00:00:00Z"})").empty());
    CHECK(found(R"({"created_after":"2099-01-01T00:00:00Z"})").empty());
    CHECK(found(R"({"created_before":"2099-01-01T00:00:00Z"})").size() == 3);
    CHECK(found(R"({"created_before":"2001-01-01T00:00:00Z"})").empty());
    CHECK(found(R"({"parent":")" + one + "\"}").empty());
}

TEST_CASE(
    "states that are none of ours, an empty list and owners match nothing, never everything") {
    manage_world f;
    f.create();
    for (const std::string filter :
         {R"({"state":["discharged"]})", R"({"state":[]})", R"({"owner":"urn:group:ops"})",
          R"({"owner":{"iss":"https://idp.example","sub":"alice"}})"}) {
        CAPTURE(filter);
        CHECK(f.ids(f.managed(f.enumerate("operator", filter))).empty());
        const auto dry = f.managed(f.dry_run("operator", "revoke", filter));
        CHECK(json::find_int(dry, "match_count") == 0);
    }
    // A state of ours beside a strange one still counts.
    CHECK(f.ids(f.managed(f.enumerate("operator", R"({"state":["odd","active"]})"))).size() == 1);
}

TEST_CASE("what cannot be read is refused, an unknown member of the filter above all") {
    manage_world f;
    for (const std::string filter :
         {R"({"agent":"agent-7"})", R"({"tenant":7})", R"({"state":"active"})", R"({"state":[1]})",
          R"({"subject":"bob"})", R"({"subject":{"iss":"x"}})",
          R"({"subject":{"iss":"x","sub":"y","more":1}})", R"({"parent":"short"})",
          R"({"created_after":"yesterday"})", R"({"created_after":"2026-13-01T00:00:00Z"})",
          R"([])", "7", "null"}) {
        CAPTURE(filter);
        check_refusal(f.enumerate("operator", filter), 400, "invalid_request");
    }
    const std::string filter = R"(,"filter":{})";
    for (const std::string& members :
         {R"("operation":"enumerate")" + filter,               // no purpose
          R"("operation":"enumerate","purpose":"")" + filter,  //
          R"("operation":"enumerate","purpose":"a\nb")" + filter,
          R"("operation":"enumerate","purpose":"p","limit":0)" + filter,
          R"("operation":"enumerate","purpose":"p","limit":1.5)" + filter,
          R"("operation":"enumerate","purpose":"p","mode":"dry_run")" + filter,
          R"("operation":"enumerate","purpose":"p","cursor":"zzz")" + filter,
          R"("operation":"discharge","mode":"dry_run","reason":"r")" + filter,
          R"("operation":"revoke","reason":"r")" + filter,      // no mode
          R"("operation":"revoke","mode":"dry_run")" + filter,  // no reason
          R"("operation":"revoke","mode":"dry_run","reason":"r","bulk_token":"x")" + filter,
          R"("operation":"revoke","mode":"dry_run","reason":"r","limit":3)" + filter,
          R"("operation":"revoke","mode":"dry_run","reason":"r","on_expiry":"revoke")" + filter,
          R"("operation":"revoke","mode":"dry_run","reason":"r","on_expiry":"revoke",)"
          R"("suspend_until":"2098-01-01T00:00:00Z")" +
              filter,
          R"("operation":"suspend","mode":"dry_run","reason":"r","on_expiry":"revoke",)"
          R"("suspend_until":"2001-01-01T00:00:00Z")" +
              filter,
          std::string(R"("operation":"enumerate","purpose":"p")")}) {
        CAPTURE(members);
        check_refusal(f.manage("operator", members), 400, "invalid_request");
    }
    check_refusal(f.manage("operator", R"("operation":"enumerate","purpose":"p","filter":{},)"
                                       R"("nonce":"")"),
                  400, "invalid_request");
    CHECK(f.post_json("/mission/manage", "[]").status == 400);
    CHECK(f.post_json("/mission/manage", "{").status == 400);
    net::headers form;
    form.set("content-type", "application/x-www-form-urlencoded");
    CHECK(f.send("POST", f.url("/mission/manage"), form, "operation=enumerate").status == 415);
}

TEST_CASE("only who has the grant and a proof of its own manages missions") {
    manage_world f;
    f.create();
    const std::string look = R"("operation":"enumerate","purpose":"p","filter":{},"nonce":"n")";
    check_refusal(f.post_json("/mission/manage", "{" + look + "}"), 401, "unauthorized");
    // A plain bearer token is weaker than what the lifecycle endpoint takes.
    check_refusal(f.post_json("/mission/manage", "{" + look + "}", f.token("operator")), 401,
                  "unauthorized");
    // Its audience tells a client of missions; it gives it none to manage.
    check_refusal(f.enumerate("stranger", "{}"), 403, "forbidden");
    // Status and lifecycle are no management.
    check_refusal(f.enumerate("poor", "{}"), 403, "forbidden");
    CHECK(f.manage("operator", look).status == 200);
}

TEST_CASE(
    "a bearer token without the scope is refused as a client that has no grant, and audited") {
    manage_world f([](config& c) {
        c.auth.allow_bearer = true;
        for (auto& k : c.clients)
            if (k.id == "crm") k.missions.what = mission_visibility::kind::all;
    });
    const std::string look = R"({"operation":"enumerate","purpose":"p","filter":{},"nonce":"n"})";
    check_refusal(f.post_json("/mission/manage", look, f.token("crm")), 403, "forbidden");
    const auto entries = f.audited("manage.enumerate");
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].actor == "crm");
    CHECK(entries[0].outcome == "refused: forbidden");
    CHECK(f.post_json("/mission/manage", look, f.token("operator")).status == 200);
}

TEST_CASE("a token that a mission has given rise to manages none") {
    manage_world f([](config& c) { c.auth.allow_bearer = true; });
    const auto ca = f.folder() + "/ca.pem";
    REQUIRE(write_private_file(ca, f.ca_pem()));
    // Another's authorization server, whose keys happen to be ours.
    f.restart([&](config& c) {
        token_issuer_config as;
        as.issuer = "https://as.example";
        as.jwks_uri = f.url("/jwks.json");
        as.audience = f.issuer();
        as.ca_file = ca;
        c.auth.issuers.push_back(as);
        for (auto& k : c.clients)
            if (k.id == "operator") k.token_issuer = as.issuer;
    });
    std::optional<jose::private_key> key;  // of those that the JWKS has
    for (const auto& e :
         std::filesystem::directory_iterator(f.folder() + "/keys/" + issuer_folder(f.issuer()))) {
        if (e.path().extension() != ".pem") continue;
        std::ifstream in(e.path());
        auto one = jose::private_key::from_pem(std::string(std::istreambuf_iterator<char>(in), {}));
        if (one && one->algorithm() == jose::alg::es256) key = std::move(*one);
    }
    REQUIRE(key);
    const auto now = to_numeric_date(system_clock().now());
    const auto look = [&](const std::string& more) {
        const auto token = jose::sign_compact(
            *key, "at+jwt",
            R"({"iss":"https://as.example","aud":")" + f.issuer() +
                R"(","client_id":"operator","sub":"operator","scope":"mission_management","iat":)" +
                std::to_string(now) + R"(,"exp":)" + std::to_string(now + 60) + more + "}");
        REQUIRE(token);
        return f.post_json("/mission/manage",
                           R"({"operation":"enumerate","purpose":"p","filter":{},"nonce":"n"})",
                           *token);
    };
    CHECK(look("").status == 200);
    check_refusal(look(R"(,"mission":{"id":"m"})"), 401, "unauthorized");
}

TEST_CASE("an agent never manages missions, whatever its entry says") {
    manage_world f;
    CHECK(f.enumerate("operator", "{}").status == 200);
    const auto id = f.create_other({{"agent-7", "operator"}});
    check_refusal(f.enumerate("operator", "{}"), 403, "forbidden");
    check_refusal(f.dry_run("operator", "revoke", "{}"), 403, "forbidden");
    // Also once that mission has ended.
    f.lifecycle("operator", id, "complete");
    check_refusal(f.enumerate("operator", "{}"), 403, "forbidden");
}

TEST_CASE("a filter that could match beyond the client's scope is refused, whatever there is") {
    manage_world f;
    const auto mine = f.create();
    const auto by_agent = f.create_other({{"agent-7", "agent-9"}, {"\"acme\"", "\"globex\""}});
    f.create_other({{"\"acme\"", "\"globex\""}});
    using list = std::vector<std::string>;
    CHECK(f.ids(f.managed(f.enumerate("erp", R"({"tenant":"acme"})"))) == list{mine});
    CHECK(f.ids(f.managed(f.enumerate("erp", R"({"client_id":"agent-9"})"))) == list{by_agent});
    // The empty one is everything within the scope.
    CHECK(f.ids(f.managed(f.enumerate("erp", "{}"))) == list{mine, by_agent});
    for (const std::string filter :
         {R"({"tenant":"globex"})", R"({"tenant":"nobody"})", R"({"client_id":"agent-7"})",
          R"({"state":["active"]})", R"({"subject":{"iss":"x","sub":"y"}})"}) {
        CAPTURE(filter);
        check_refusal(f.enumerate("erp", filter), 403, "forbidden");
        check_refusal(f.dry_run("erp", "revoke", filter), 403, "forbidden");
    }
    // An operation that the entry does not name: also for what lies within.
    check_refusal(f.dry_run("erp", "resume", R"({"tenant":"acme"})"), 403, "forbidden");
}

TEST_CASE("pages follow each other by a cursor of this client and this filter alone") {
    manage_world f;
    std::vector<std::string> all;
    for (int i = 0; i < 5; ++i)
        all.push_back(f.create());
    std::vector<std::string> seen;
    std::string cursor;
    int pages = 0;
    do {
        const auto page = f.managed(
            f.enumerate("operator", R"({"tenant":"acme"})",
                        R"("limit":2)" + (cursor.empty() ? "" : R"(,"cursor":")" + cursor + "\"")));
        for (auto& id : f.ids(page))
            seen.push_back(id);
        cursor = json::find_string(page, "cursor").value_or("");
        if (++pages == 1) {
            const auto with = R"("cursor":")" + cursor + "\"";
            check_refusal(f.enumerate("erp", R"({"tenant":"acme"})", with), 400, "invalid_request");
            check_refusal(f.enumerate("operator", "{}", with), 400, "invalid_request");
            check_refusal(
                f.enumerate("operator", R"({"tenant":"acme"})", R"("cursor":")" + cursor + "A\""),
                400, "invalid_request");
        }
    } while (!cursor.empty() && pages < 10);
    CHECK(pages == 3);
    CHECK(seen == all);
    // Exactly full: nothing remains, so there is no cursor.
    CHECK_FALSE(json::find(f.managed(f.enumerate("operator", "{}", R"("limit":5)")), "cursor"));
}

TEST_CASE("no summary shows a state that has passed, and no filter matches one") {
    manual_clock time(system_clock().now());
    manage_world f({}, &time);
    const auto id = f.create(to_rfc3339(time.now() + std::chrono::seconds(30)));
    const auto longer = f.create(to_rfc3339(time.now() + std::chrono::hours(1)));
    // The clock's own look is hundreds of milliseconds away.
    time.advance(std::chrono::seconds(31));
    CHECK(f.ids(f.managed(f.enumerate("operator", R"({"state":["active"]})"))) ==
          std::vector<std::string>{longer});
    const auto page = f.managed(f.enumerate("operator", R"({"state":["expired"]})"));
    REQUIRE(f.ids(page) == std::vector<std::string>{id});
    CHECK(json::find_int(page["missions"][0], "version") == 2);
}

TEST_CASE("a repeated nonce gets the first answer, and another request with it is refused") {
    manage_world f;
    f.create();
    const auto first = f.enumerate("operator", "{}", R"("nonce":"once")");
    f.create();
    const auto again = f.enumerate("operator", "{}", R"("nonce":"once")");
    CHECK(f.managed(first) == f.managed(again));
    check_refusal(f.enumerate("operator", R"({"tenant":"acme"})", R"("nonce":"once")"), 400,
                  "invalid_request");
    // Nonces are a client's own.
    CHECK(f.managed(f.enumerate("erp", "{}", R"("nonce":"once")"))["missions"].Size() == 2);
}

TEST_CASE("every request is audited, refused ones with what they asked for") {
    manage_world f;
    f.create();
    f.enumerate("operator", R"({"tenant":"acme"})");
    f.enumerate("stranger", R"({"tenant":"acme"})");
    f.enumerate("operator", R"({"nonsense":1})");
    const auto entries = f.audited("manage.enumerate");
    REQUIRE(entries.size() == 3);
    CHECK(entries[0].actor == "operator");
    CHECK(entries[0].origin.find("private_key_jwt") != std::string::npos);
    CHECK(entries[0].outcome == "done");
    const auto detail = json::parse(entries[0].detail);
    REQUIRE(detail);
    CHECK(json::find_string(*detail, "purpose") == "a look");
    CHECK(json::find_string((*detail)["filter"], "tenant") == "acme");
    CHECK(json::find_int(*detail, "count") == 1);
    CHECK(entries[1].actor == "stranger");
    CHECK(entries[1].outcome == "refused: forbidden");
    CHECK(entries[1].detail.find("acme") != std::string::npos);
    CHECK(entries[2].outcome == "refused: invalid_request");
    CHECK(entries[2].detail.find("nonsense") != std::string::npos);
}

TEST_CASE("who asks too often is told to wait, and others are not") {
    manage_world f([](config& c) { c.missions.manage_rate = 1; });
    int refused = 0;
    for (int i = 0; i < 12; ++i) {
        const auto a = f.enumerate("operator", "{}");
        if (a.status != 429) continue;
        ++refused;
        check_refusal(a, 429, "rate_limited");
        CHECK_FALSE(a.fields.get("retry-after").empty());
        CHECK(a.number("retry_after") >= 1);
    }
    CHECK(refused >= 6);
    CHECK(f.enumerate("erp", "{}").status == 200);
}

TEST_CASE("metadata names the endpoint, and that it is a resource of its own") {
    manage_world f;
    for (const std::string document :
         {"/.well-known/ssf-configuration", "/.well-known/oauth-authorization-server"}) {
        const auto m = f.get(document);
        CHECK(m.text("mission_management_endpoint") == f.url("/mission/manage"));
        CHECK(json::find(m.json, "mission_management_endpoint_auth_methods_supported"));
        CHECK(json::find(m.json, "mission_status_signing_alg_values_supported"));
    }
    CHECK(f.get("/.well-known/oauth-protected-resource/mission/manage").text("resource") ==
          f.url("/mission/manage"));
}
