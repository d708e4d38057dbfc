// /auth and /envoy: what a proxy is told of a request.
#include "desk.hpp"
#include "jose/jws.hpp"
#include "receiver/sidecar/limits.hpp"

using namespace sidecar_test;

namespace {

const std::string as = "https://as.example";

fields named(const std::string& id) {
    return {{"X-Mission-Id", id}};
}

struct with_tokens : desk {
    jose::private_key key;

    with_tokens() : key(*jose::private_key::generate(jose::alg::es256)) {
        jose::key_set keys;
        keys.add(key.to_public());
        token_issuer i;
        i.issuer = as;
        i.audience = resource;
        i.algs = {jose::alg::es256};
        i.keys = std::make_shared<const jose::key_set>(std::move(keys));
        s.tokens = {i};
        s.references = {source::token, source::header};
        apply();
    }
    std::string bearer(const std::string& mission, const std::string& issuer = {},
                       std::int64_t lifetime = 60) const {
        const auto now = to_numeric_date(system_clock().now());
        const std::string about = mission.empty()  ? ""
                                  : issuer.empty() ? R"(,"mission":{"id":")" + mission + "\"}"
                                                   : R"(,"mission":{"id":")" + mission +
                                                         R"(","issuer":")" + issuer + "\"}";
        return "Bearer " + *jose::sign_compact(key, "at+jwt",
                                               R"({"iss":"https://as.example","aud":")" + resource +
                                                   R"(","exp":)" + std::to_string(now + lifetime) +
                                                   about + "}");
    }
};

}  // namespace

TEST_CASE("an active mission passes, and the answer says which and in what version") {
    desk d;
    const auto r = d.ask("GET", "/auth", named(active_mission));
    CHECK(r.status == 200);
    CHECK(r.fields.get("x-mission-id") == active_mission);
    CHECK(r.fields.get("x-mission-state") == "active");
    CHECK(r.fields.get("x-mission-version") == "3");
    CHECK(r.fields.get("x-mission-decision") == "permit");
    CHECK(r.fields.get("cache-control") == "no-store");
    CHECK(r.fields.count("www-authenticate") == 0);
}

TEST_CASE("whatever is not active is 403 with its reason") {
    desk d;
    CHECK(d.verdict(named(revoked_mission)) == "403 revoked");
    CHECK(d.verdict(named(stale_mission)) == "403 stale");
    CHECK(d.verdict(named("mis_nobody_knows_1234567")) == "403 unknown");
    for (const auto s : {ms::standing::suspended, ms::standing::completed, ms::standing::expired,
                         ms::standing::superseded, ms::standing::cascaded, ms::standing::ended,
                         ms::standing::gap}) {
        d.rx.set(active_mission, {s, 5});
        CHECK(d.verdict(named(active_mission)) == "403 " + std::string(ms::name(s)));
    }
    const auto r = d.ask("GET", "/auth", named(revoked_mission));
    const auto body = json::parse(r.body);
    CHECK(json::find_string(*body, "mission_id") == revoked_mission);
    CHECK(json::find_int(*body, "version") == 4);
    CHECK(json::find_string(*body, "description") == "mission revoked");
}

TEST_CASE("a request that names no mission is 401, with a challenge") {
    desk d;
    CHECK(d.verdict({}) == "401 missing_reference");
    CHECK(d.verdict({{"X-Mission-Id", ""}}) == "401 missing_reference");
    CHECK(d.ask("GET", "/auth").fields.get("www-authenticate") == "Bearer realm=\"mission\"");
}

TEST_CASE("a malformed id is denied and not echoed") {
    desk d;
    for (const auto& id : {std::string("short"), std::string("mis_with_a_space in_it_12345"),
                           std::string(129, 'a')}) {
        CHECK(d.verdict(named(id)) == "403 malformed_reference");
        CHECK(d.ask("GET", "/auth", named(id)).fields.count("x-mission-id") == 0);
    }
}

TEST_CASE("a header given twice is what somebody does who means two readers") {
    desk d;
    CHECK(d.verdict({{"X-Mission-Id", active_mission}, {"x-mission-id", active_mission}}) ==
          "403 conflicting_references");
    CHECK(d.verdict({{"X-Mission-Id", ""}, {"x-mission-id", active_mission}}) ==
          "403 conflicting_references");
}

TEST_CASE("a header from anybody but a trusted proxy denies") {
    desk d;
    CHECK(d.verdict(named(active_mission), "10.0.0.7") == "403 untrusted_proxy");
    CHECK(d.verdict(named(active_mission), "127.0.0.1") == "200 active");
    CHECK(d.verdict({}, "10.0.0.7") == "401 missing_reference");
}

TEST_CASE("a token names the mission, and is verified first") {
    with_tokens w;
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission)}}) == "200 active");
    CHECK(w.verdict({{"Authorization", w.bearer(revoked_mission)}}) == "403 revoked");
    // A token is as good from anywhere.
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission)}}, "10.0.0.7") == "200 active");
    CHECK(w.verdict({{"Authorization", w.bearer("")}}) == "401 missing_reference");
    CHECK(w.verdict({{"Authorization", "Bearer nonsense"}}) == "401 invalid_token");
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission) + "x"}}) == "401 invalid_token");
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission, "", -60)}}) == "401 token_expired");
    CHECK(w.ask("GET", "/auth", {{"Authorization", "Bearer nonsense"}})
              .fields.get("www-authenticate") ==
          "Bearer realm=\"mission\", error=\"invalid_token\"");
    const with_tokens other;
    CHECK(w.verdict({{"Authorization", other.bearer(active_mission)}}) == "401 invalid_token");
}

TEST_CASE("a second look at a token costs no verification, and still sees the mission as it is") {
    with_tokens w;
    const fields head{{"Authorization", w.bearer(active_mission)}};
    CHECK(w.verdict(head) == "200 active");
    w.rx.set(active_mission, {ms::standing::revoked, 4});
    CHECK(w.verdict(head) == "403 revoked");
}

TEST_CASE("header and token have to name one mission: never the laxer one") {
    with_tokens w;
    const auto both = [&](const std::string& header, const std::string& token) {
        return w.verdict({{"X-Mission-Id", header}, {"Authorization", w.bearer(token)}});
    };
    CHECK(both(active_mission, active_mission) == "200 active");
    CHECK(both(active_mission, revoked_mission) == "403 conflicting_references");
    CHECK(both(revoked_mission, active_mission) == "403 conflicting_references");
    // A bad token is not mended by a header.
    CHECK(w.verdict({{"X-Mission-Id", active_mission}, {"Authorization", "Bearer x"}}) ==
          "401 invalid_token");
    // Another scheme is somebody else's business.
    CHECK(w.verdict({{"X-Mission-Id", active_mission}, {"Authorization", "Basic eDp5"}}) ==
          "200 active");
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission)},
                     {"Authorization", w.bearer(revoked_mission)}}) ==
          "403 conflicting_references");
}

TEST_CASE("a token's mission issuer is the transmitter, or one that it may speak for") {
    with_tokens w;
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission, "https://missions.example")}}) ==
          "200 active");
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission, elsewhere)}}) ==
          "403 unknown_issuer");
    w.s.other_mission_issuers = {elsewhere};
    w.apply();
    CHECK(w.verdict({{"Authorization", w.bearer(active_mission, elsewhere)}}) == "200 active");
    CHECK(w.verdict({{"Authorization", w.bearer(revoked_mission, elsewhere)}}) == "403 revoked");
}

TEST_CASE("a token may come in a cookie") {
    with_tokens w;
    w.s.token_cookie = "session";
    w.apply();
    const auto token = w.bearer(active_mission).substr(7);
    CHECK(w.verdict({{"Cookie", "a=b; session=" + token}}) == "200 active");
    CHECK(w.verdict({{"Cookie", "session=" + token + "; session=x"}}) ==
          "403 conflicting_references");
    CHECK(w.verdict({{"Authorization", "Bearer " + token}}) == "401 missing_reference");
}

TEST_CASE("a certificate that the proxy tells names the mission") {
    desk d;
    d.s.references = {source::certificate};
    d.s.certificate = certificate_reference{.header = "x-forwarded-client-cert",
                                            .how = certificate_reference::form::xfcc,
                                            .what = certificate_reference::member::uri,
                                            .before = "urn:mission:",
                                            .after = ""};
    d.apply();
    const auto told = [&](const std::string& value, const std::string& peer = "unix") {
        return d.verdict({{"X-Forwarded-Client-Cert", value}}, peer);
    };
    CHECK(told("Hash=x;URI=urn:mission:" + active_mission) == "200 active");
    CHECK(told("Hash=x;URI=urn:mission:" + active_mission, "10.0.0.7") == "403 untrusted_proxy");
    CHECK(told("Hash=x;URI=urn:other:" + active_mission) == "401 missing_reference");
    CHECK(told("URI=urn:mission:" + active_mission + ";URI=urn:mission:" + revoked_mission) ==
          "403 conflicting_references");
    CHECK(told("x") == "403 malformed_reference");
    CHECK(d.verdict(named(active_mission)) == "401 missing_reference");  // not configured: not read
}

TEST_CASE("rules say which authority a request needs") {
    desk d;
    d.s.resource = resource;
    d.s.rules = {{{"GET"}, "/invoices/**", "", "invoices.read"},
                 {{"DELETE"}, "/invoices/*", "", "invoices.delete"},
                 {{"GET"}, "/ledger", "https://ledger.example", "invoices.read"},
                 {{}, "/open", "", ""}};
    const auto asks = [&](const char* method, const char* uri, const char* peer = "unix") {
        return d.verdict({{"X-Mission-Id", active_mission},
                          {"X-Original-Method", method},
                          {"X-Original-URI", uri}},
                         peer);
    };
    CHECK(asks("GET", "/invoices/7?x=1") == "200 active");
    CHECK(asks("DELETE", "/invoices/7") == "403 not_granted");
    CHECK(asks("GET", "/ledger") == "403 not_granted");
    CHECK(asks("POST", "/open") == "200 active");
    CHECK(asks("POST", "/invoices/7") == "403 no_rule");
    CHECK(asks("GET", "/invoices/../secret") == "403 unclear_path");
    CHECK(asks("GET", "/open", "10.0.0.7") == "403 untrusted_proxy");
    CHECK(d.verdict(named(active_mission)) == "403 missing_request");
    d.rx.set(doubtful_mission, {ms::standing::active, 1});
    CHECK(d.verdict({{"X-Mission-Id", doubtful_mission},
                     {"X-Original-Method", "GET"},
                     {"X-Original-URI", "/invoices/7"}}) == "403 authority_unknown");
    // Envoy keeps method and path: nothing else says what they are.
    CHECK(d.verdict(named(active_mission), "unix", "/envoy/invoices/7", "GET") == "200 active");
    CHECK(d.verdict(named(active_mission), "unix", "/envoy/invoices/7", "DELETE") ==
          "403 not_granted");
    CHECK(d.verdict({{"X-Mission-Id", active_mission}, {"X-Original-URI", "/open"}}, "unix",
                    "/envoy/invoices/7", "POST") == "403 no_rule");
}

TEST_CASE("resource and action may come in fields of the proxy") {
    desk d;
    d.s.resource = resource;
    d.s.action_header = "x-action";
    d.s.resource_header = "x-resource";
    const auto asks = [&](fields more, const char* peer = "unix") {
        more.emplace_back("X-Mission-Id", active_mission);
        return d.verdict(more, peer);
    };
    CHECK(asks({{"X-Action", "invoices.read"}}) == "200 active");
    CHECK(asks({{"X-Action", "invoices.delete"}}) == "403 not_granted");
    CHECK(asks({{"X-Action", "invoices.read"}, {"X-Resource", "https://x.example"}}) ==
          "403 not_granted");
    CHECK(asks({}) == "403 missing_action");
    CHECK(asks({{"X-Action", "invoices.read"}, {"X-Action", "x"}}) == "403 missing_action");
    CHECK(asks({{"X-Action", "invoices.read"}}, "10.0.0.7") == "403 untrusted_proxy");
}

TEST_CASE("an authority that is not known is asked for, once and without being told to") {
    desk d;
    d.s.resource = resource;
    d.s.rules = {{{}, "/**", "", "invoices.read"}};
    d.rx.set(doubtful_mission, {ms::standing::active, 1});
    const fields head{{"X-Mission-Id", doubtful_mission},
                      {"X-Original-Method", "GET"},
                      {"X-Original-URI", "/invoices"}};
    d.rx.teaches_authority = true;
    CHECK(d.verdict(head) == "200 active");
    CHECK(d.rx.asked == 1);
    CHECK(d.verdict(head) == "200 active");
    CHECK(d.rx.asked == 1);
    // A standing that is in doubt is not: nobody said `resolve`.
    CHECK(d.verdict({{"X-Mission-Id", stale_mission},
                     {"X-Original-Method", "GET"},
                     {"X-Original-URI", "/invoices"}}) == "403 stale");
    CHECK(d.rx.asked == 1);
}

// The shapes that Envoy's ext_authz filter sends with an HTTP service (path_prefix "/envoy"): the
// method and path of the request itself, fields that its configuration lets through.
TEST_CASE("ext_authz is answered for any method and path") {
    desk d;
    const fields head{{"host", "erp.example"},
                      {"content-length", "0"},
                      {"x-envoy-internal", "true"},
                      {"x-forwarded-for", "10.1.1.1"},
                      {"x-envoy-expected-rq-timeout-ms", "250"},
                      {"x-mission-id", active_mission}};
    for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
        for (const char* path : {"/envoy", "/envoy/", "/envoy/invoices/7", "/envoy/auth",
                                 "/envoy/healthz", "/envoy/missions/x"})
            CHECK_MESSAGE(d.verdict(head, "127.0.0.1", path, method) == "200 active", path);
    CHECK(d.verdict(named(revoked_mission), "unix", "/envoy/x", "POST") == "403 revoked");
    CHECK(d.ask("GET", "/envoyx", head).status == 404);
}

TEST_CASE("what is doubtful is asked for, where that is wanted, within its time") {
    desk d;
    CHECK(d.verdict(named(doubtful_mission)) == "403 unknown");
    CHECK(d.rx.asked == 0);
    d.s.resolve = true;
    d.apply();
    CHECK(d.verdict(named(doubtful_mission)) == "200 active");
    CHECK(d.rx.asked == 1);
    // What is known to have ended is not asked for.
    CHECK(d.verdict(named(revoked_mission)) == "403 revoked");
    CHECK(d.rx.asked == 1);
    d.rx.refusal = ms::cause::status_unreachable;
    const auto r = d.ask("GET", "/auth", named(stale_mission));
    CHECK(r.status == 403);
    CHECK(json::find_string(*json::parse(r.body), "cause") == "status_unreachable");
}

TEST_CASE("a Status that does not answer ends in a denial that says so") {
    desk d;
    d.s.resolve = true;
    d.s.resolve_wait = std::chrono::milliseconds(20);
    d.rx.silent = true;
    const auto r = d.ask("GET", "/auth", named(stale_mission));
    CHECK(r.status == 403);
    CHECK(json::find_string(*json::parse(r.body), "reason") == "stale");
    CHECK(json::find_string(*json::parse(r.body), "cause") == "timed_out");
    // The answer that comes too late changes nothing, and harms nobody.
    for (auto& late : d.rx.held_back)
        late({ms::standing::active, 9});
}

TEST_CASE("requests that wait are bounded: one more is denied at once") {
    desk d;
    d.s.resolve = true;
    d.s.resolve_wait = std::chrono::seconds(20);
    d.rx.silent = true;
    d.apply();
    std::vector<std::shared_ptr<kept_answer>> waiting;
    for (std::size_t i = 0; i < mission::receiver::sidecar::limits::waiting_requests; ++i)
        waiting.push_back(d.send("GET", "/auth", named(stale_mission)));
    CHECK_FALSE(waiting.front()->here());
    const auto r = d.ask("GET", "/auth", named(stale_mission));
    CHECK(json::find_string(*json::parse(r.body), "cause") == "status_limited");
    for (auto& done : d.rx.held_back)
        done({ms::standing::stale, 2});
    for (auto& w : waiting)
        CHECK(w->wait().status == 403);
    CHECK_FALSE(d.send("GET", "/auth", named(stale_mission))->here());  // room again
}
