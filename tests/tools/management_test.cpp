#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <sstream>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "tools/missionctl/commands.hpp"

using namespace mission;
using namespace mission::tools;

namespace {

const std::string issuer = "https://mas.example";
const std::string id = "mis_0123456789abcdefghij";

invocation parsed(const std::vector<std::string>& arguments) {
    const auto p = parse_command_line(arguments);
    if (const auto* u = std::get_if<usage>(&p)) FAIL(u->text);
    return std::get<invocation>(p);
}

int refused(const std::vector<std::string>& arguments) {
    const auto p = parse_command_line(arguments);
    REQUIRE(std::holds_alternative<usage>(p));
    return std::get<usage>(p).status;
}

net::http_response ok(std::string body) {
    net::http_response r;
    r.body = std::move(body);
    return r;
}

// What a test has to say about the paths it cares for; metadata, keys and tokens answer themselves.
class world final : public blocking_http {
  public:
    struct state {
        std::vector<json::document> managed;  // requests of /mission/manage
        std::vector<net::client_request> others;
        std::vector<std::string> claims;  // of their answers, in turn, without the envelope
        std::map<std::string, std::string> pages;
        std::string typ = "mission-management-response+jwt";
        std::string nonce;  // of the answers; empty: the request's
    };
    explicit world(std::shared_ptr<state> s) : state_(std::move(s)) {}

    result<net::http_response> send(net::client_request r) override {
        const std::string path = r.url.substr(issuer.size());
        if (path == "/.well-known/ssf-configuration")
            return ok(
                R"({"issuer":")" + issuer + R"(","jwks_uri":")" + issuer +
                R"(/jwks.json","mission_management_endpoint":")" + issuer +
                R"(/mission/manage","mission_status_signing_alg_values_supported":["ES256"]})");
        if (path == "/.well-known/oauth-authorization-server")
            return ok(R"({"token_endpoint":")" + issuer + R"(/oauth/token"})");
        if (path == "/oauth/token") return ok(R"({"access_token":"t0"})");
        if (path == "/jwks.json") {
            jose::key_set keys;
            keys.add(key_.to_public());
            return ok(keys.to_json());
        }
        if (path == "/mission/manage") return manage(r);
        state_->others.push_back(r);
        if (const auto page = state_->pages.find(path); page != state_->pages.end())
            return ok(page->second);
        net::http_response missing;
        missing.status = 404;
        return missing;
    }

  private:
    net::http_response manage(const net::client_request& r) {
        auto body = json::parse(r.body).value();
        const auto nonce = state_->nonce.empty()
                               ? std::string(json::find_string(body, "nonce").value())
                               : state_->nonce;
        state_->managed.push_back(std::move(body));
        REQUIRE(!state_->claims.empty());
        const auto claims = state_->claims.front();
        state_->claims.erase(state_->claims.begin());
        return ok(jose::sign_compact(key_, state_->typ,
                                     R"({"iss":")" + issuer +
                                         R"(","aud":"ops","sub":"ops","nonce":")" + nonce +
                                         R"(","iat":1000000,"exp":1000060,)" + claims + "}")
                      .value());
    }

    std::shared_ptr<state> state_;
    jose::private_key key_ = jose::private_key::generate(jose::alg::es256).value();
};

struct bench {
    manual_clock time{from_numeric_date(1'000'000)};
    std::shared_ptr<world::state> state = std::make_shared<world::state>();
    std::ostringstream out, err;

    int run(const std::vector<std::string>& arguments, const std::string& typed = "") {
        settings s;
        s.server = issuer;
        s.client_id = "ops";
        s.private_key_pem = jose::private_key::generate(jose::alg::es256).value().to_pem();
        auto opened = session::open(std::move(s), std::make_unique<world>(state), time,
                                    [](std::chrono::milliseconds) {});
        REQUIRE(opened.has_value());
        std::istringstream in(typed);
        out.str("");
        err.str("");
        return run_command(parsed(arguments), **opened, in, out, err, time.now());
    }
    std::string sent(std::size_t n, const char* member) const {
        const auto* v = json::find(state->managed.at(n), member);
        return v ? json::write(*v) : std::string();
    }
};

const std::string dry = R"("operation":"revoke","match_count":2,"bulk_token":"secret",)"
                        R"("bulk_token_expires_at":"2030-01-01T00:00:00Z")";
const std::string done = R"("operation":"revoke","results":[)"
                         R"({"mission_id":"m1","outcome":"applied"},)"
                         R"({"mission_id":"m2","outcome":"already_terminal"}])";
const std::vector<std::string> bulk_revoke{"mission", "manage",  "bulk",     "revoke",
                                           "--agent", "finance", "--reason", "IR-1"};

std::vector<std::string> with(std::vector<std::string> words,
                              const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

// Lines of an audit whose chain holds.
std::vector<std::string> audit_lines(int count) {
    std::vector<std::string> out;
    std::string previous;
    for (int i = 1; i <= count; ++i) {
        auto entry = json::parse(R"({"action":"mission.create","actor":"ops","seq":)" +
                                 std::to_string(i) + R"(,"at":"2026-11-02T09:00:00Z","issuer":")" +
                                 issuer + R"(","outcome":"done","target":"m","version":1,)" +
                                 R"("previous":")" + previous + "\"}")
                         .value();
        previous = jose::base64url_encode(jose::view(jose::sha256(json::canonical(entry).value())));
        json::add(entry, "hash", std::string_view(previous), entry.GetAllocator());
        out.push_back(json::canonical(entry).value());
    }
    return out;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const auto& line : lines)
        out += line + "\n";
    return out;
}

}  // namespace

TEST_CASE("the commands for families, evidence and management are recognised") {
    CHECK(parsed({"mission", "tree", id}).what == verb::mission_tree);
    CHECK(parsed({"mission", "tree", id, "--from-root"}).from_root);
    CHECK(parsed({"mission", "history", id}).what == verb::mission_history);
    CHECK(parsed({"mission", "reports", id}).what == verb::mission_reports);
    const auto r = parsed({"mission", "report", id, "anomaly", "--detail", "odd"});
    CHECK(r.what == verb::mission_report);
    CHECK(r.kind == "anomaly");
    CHECK(refused({"mission", "report", id, "boredom"}) == 2);
    CHECK(refused({"mission", "report", id}) == 2);
    const auto e = parsed({"mission", "manage", "enumerate", "--purpose", "p", "--state", "active",
                           "--state", "suspended", "--agent", "a"});
    CHECK(e.what == verb::manage_enumerate);
    CHECK(e.states == std::vector<std::string>{"active", "suspended"});
    CHECK(refused({"mission", "manage", "enumerate"}) == 2);
    const auto c = parsed({"mission", "create", "-", "--parent", id, "--predecessor", id});
    CHECK(c.parent == id);
    CHECK(c.predecessor == id);
    CHECK(parsed({"mission", "scope", id, "x.json", "--change", "extended"}).change == "extended");
    CHECK(refused({"mission", "scope", id, "x.json", "--change", "bent"}) == 2);
    CHECK(parsed({"audit", "--mission", id}).mission_id == id);
    CHECK(parsed({"report", "list", "--status", "open"}).what == verb::report_list);
    CHECK(parsed({"report", "decide", "r1", "dismiss", "--reason", "known"}).decision == "dismiss");
    CHECK(refused({"report", "decide", "r1", "dismiss"}) == 2);
    CHECK(refused({"report", "decide", "r1", "extend", "--reason", "x"}) == 2);
    CHECK(refused({"audit", "--mission", id, "--verify"}) == 2);
}

TEST_CASE("a bulk operation without a filter or a reason is a usage error") {
    CHECK(refused({"mission", "manage", "bulk", "revoke", "--reason", "r"}) == 2);
    CHECK(refused({"mission", "manage", "bulk", "revoke", "--agent", "a"}) == 2);
    CHECK(refused({"mission", "manage", "bulk", "discharge", "--agent", "a", "--reason", "r"}) ==
          2);
    CHECK(
        parsed({"mission", "manage", "bulk", "revoke", "--filter", "{}", "--reason", "r"}).filter ==
        "{}");
    // Half of a person would match more than was meant.
    CHECK(refused(with(bulk_revoke, {"--subject-iss", "https://idp.example"})) == 2);
    CHECK(refused(with(bulk_revoke, {"--subject-sub", "bob"})) == 2);
    CHECK(refused(with(bulk_revoke, {"--yes"})) == 2);
    CHECK(refused(with(bulk_revoke, {"--until", "1h"})) == 2);
}

TEST_CASE("without --execute a bulk operation only counts") {
    bench b;
    b.state->claims = {dry};
    CHECK(b.run(bulk_revoke) == 0);
    REQUIRE(b.state->managed.size() == 1);
    CHECK(b.sent(0, "mode") == R"("dry_run")");
    CHECK(b.sent(0, "operation") == R"("revoke")");
    CHECK(b.sent(0, "filter") == R"({"client_id":"finance"})");
    CHECK(b.sent(0, "reason") == R"("IR-1")");
    CHECK(b.out.str().find("revoke matches 2 missions") != std::string::npos);
    CHECK(b.out.str().find("nothing was done") != std::string::npos);
}

TEST_CASE("an execution asks first, and does nothing unless somebody agrees") {
    for (const std::string typed : {"", "n\n", "\n", "maybe\n"}) {
        bench b;
        b.state->claims = {dry};
        CHECK(b.run(with(bulk_revoke, {"--execute"}), typed) == 1);
        CHECK(b.state->managed.size() == 1);
        CHECK(b.err.str().find("revoke 2 missions? [y/N]") != std::string::npos);
    }
    bench b;
    b.state->claims = {dry, done};
    CHECK(b.run(with(bulk_revoke, {"--execute"}), "y\n") == 0);
    REQUIRE(b.state->managed.size() == 2);
    CHECK(b.sent(1, "mode") == R"("execute")");
    CHECK(b.sent(1, "bulk_token") == R"("secret")");
    for (const char* member : {"operation", "filter", "reason"})
        CHECK(b.sent(0, member) == b.sent(1, member));
    CHECK(b.sent(0, "nonce") != b.sent(1, "nonce"));
    CHECK(b.out.str().find("m1       applied") != std::string::npos);
    CHECK(b.out.str().find("revoke: 1 already_terminal, 1 applied") != std::string::npos);
}

TEST_CASE("--yes executes without asking, and an error of one mission is status 1") {
    bench b;
    b.state->claims = {dry, R"("operation":"revoke","results":[)"
                            R"({"mission_id":"m1","outcome":"error","detail":"store"}])"};
    CHECK(b.run(with(bulk_revoke, {"--execute", "--yes", "--json"})) == 1);
    const auto answer = json::parse(b.out.str());
    REQUIRE(answer.has_value());
    CHECK((*answer)["results"].Size() == 1);
    CHECK(b.err.str().empty());
}

TEST_CASE("a review shows what the token pins, to the last page") {
    bench b;
    const std::string one = R"("missions":[{"id":"m1","state":"active","version":1,"subject":)"
                            R"({"iss":"i","sub":"bob"},"client_id":"finance"}],"cursor":"c1")";
    const std::string two = R"("missions":[{"id":"m2","state":"suspended","version":4,)"
                            R"("subject":{"iss":"i","sub":"eve"},"client_id":"finance"}])";
    b.state->claims = {dry, one, two};
    CHECK(b.run(with(bulk_revoke, {"--review"})) == 0);
    REQUIRE(b.state->managed.size() == 3);
    CHECK(b.sent(1, "operation") == R"("enumerate")");
    CHECK(b.sent(1, "bulk_token") == R"("secret")");
    CHECK(b.sent(1, "purpose") == R"("IR-1")");
    CHECK(b.sent(1, "filter") == b.sent(0, "filter"));
    CHECK(b.sent(2, "cursor") == R"("c1")");
    CHECK(b.out.str().find("m1") != std::string::npos);
    CHECK(b.out.str().find("eve at i") != std::string::npos);
}

TEST_CASE("an answer that is signed for something else is not believed") {
    for (const bool by_typ : {true, false}) {
        bench b;
        b.state->claims = {dry};
        if (by_typ)
            b.state->typ = "mission-status-response+jwt";
        else
            b.state->nonce = "another";
        CHECK(b.run(bulk_revoke) == 1);
        CHECK(b.out.str().empty());
    }
}

TEST_CASE("an enumeration sends the filter that was typed, and names the cursor") {
    bench b;
    b.state->claims = {R"("missions":[{"id":"m1","state":"active","version":1}],"cursor":"c9")"};
    CHECK(b.run({"mission",   "manage",
                 "enumerate", "--purpose",
                 "triage",    "--subject-iss",
                 "i",         "--subject-sub",
                 "s",         "--tenant",
                 "t",         "--state",
                 "active",    "--parent",
                 id,          "--created-after",
                 "1h",        "--expiring-before",
                 "2h",        "--limit",
                 "5"}) == 0);
    CHECK(b.sent(0, "filter") == R"({"subject":{"iss":"i","sub":"s"},"tenant":"t","parent":")" +
                                     id + R"(","state":["active"],"created_after":")" +
                                     to_rfc3339(from_numeric_date(1'000'000 - 3600)) +
                                     R"(","expiring_before":")" +
                                     to_rfc3339(from_numeric_date(1'000'000 + 7200)) + "\"}");
    CHECK(b.sent(0, "limit") == "5");
    CHECK(b.out.str().find("more: --cursor c9") != std::string::npos);
}

TEST_CASE("a family is drawn from one mission downwards, page after page") {
    bench b;
    const auto mission = [](const std::string& name, const std::string& more) {
        return R"({"mission_id":")" + name + R"(","state":"active","version":1,"agent":)" +
               R"({"client_id":"agent-)" + name.substr(0, 1) + "\"}" + more + "}";
    };
    const auto of = [](const std::string& name, const std::string& cursor = "") {
        return "/missions?parent=" + name + "&limit=1000" +
               (cursor.empty() ? "" : "&cursor=" + cursor);
    };
    auto& pages = b.state->pages;
    pages["/missions/" + id] = mission(id, R"(,"purpose":"the quarter")");
    pages[of(id)] = R"({"missions":[)" + mission("b", "") + R"(],"next_cursor":"n"})";
    pages[of(id, "n")] = R"({"missions":[)" + mission("c", R"(,"own_state":"suspended")") + "]}";
    pages[of("b")] = R"({"missions":[)" + mission("d", "") + "]}";
    pages[of("c")] = pages[of("d")] = R"({"missions":[]})";
    CHECK(b.run({"mission", "tree", id}) == 0);
    CHECK(b.out.str() == id + "  active  v1  agent-m  \"the quarter\"  <\n"
                              "├── b  active  v1  agent-b\n"
                              "│   └── d  active  v1  agent-d\n"
                              "└── c  active  v1 (itself suspended)  agent-c\n");
    CHECK(b.run({"mission", "tree", id, "--json"}) == 0);
    const auto drawn = json::parse(b.out.str());
    REQUIRE(drawn.has_value());
    CHECK((*drawn)["children"].Size() == 2);
    CHECK(json::find_string((*drawn)["children"][0]["children"][0]["mission"], "mission_id") ==
          "d");
}

TEST_CASE("an audit is printed as it came, and verified entry by entry") {
    const auto lines = audit_lines(4);
    const std::string first = "/admin/audit", rest = "/admin/audit?cursor=2",
                      end = "/admin/audit?cursor=4";
    bench b;
    const auto serve = [&](const std::vector<std::string>& all) {
        b.state->pages[first] = joined({all[0], all[1]});
        b.state->pages[rest] = joined({all.begin() + 2, all.end()});
        b.state->pages[end] = "";
    };
    serve(lines);
    CHECK(b.run({"audit", "--json"}) == 0);
    CHECK(b.out.str() == joined(lines));
    CHECK(b.run({"audit"}) == 0);
    CHECK(b.out.str().find("mission.create") != std::string::npos);
    CHECK(b.run({"audit", "--verify"}) == 0);
    CHECK(b.out.str().find("4 entries up to 4") != std::string::npos);

    auto changed = lines;
    changed[2].replace(changed[2].find("\"ops\""), 5, "\"eve\"");
    serve(changed);
    CHECK(b.run({"audit", "--verify"}) == 1);
    CHECK(b.err.str().find("entry 3 was changed") != std::string::npos);
    auto missing = lines;
    missing.erase(missing.begin() + 1);
    b.state->pages[first] = joined(missing);
    CHECK(b.run({"audit", "--verify"}) == 1);
    CHECK(b.err.str().find("entry 3 does not follow") != std::string::npos);
    // What was cut off at the beginning.
    b.state->pages[first] = joined({lines[1]});
    CHECK(b.run({"audit", "--verify"}) == 1);
}

TEST_CASE("a mission shows its end, its family, its reports and who has torn down") {
    bench b;
    b.state->pages["/missions/" + id] =
        R"({"mission_id":")" + id + R"(","state":"revoked","version":2,
        "ended":{"at":"2026-11-02T09:00:00Z","state":"revoked","reason":"enough",
                 "by":{"actor":"ops","action":"lifecycle.revoke"}},
        "family":{"parent":"p","depth":1,"children":3,"ancestors":[{"mission_id":"p",
                  "approver":{"iss":"i","sub":"anna"},"approved_at":"2026-11-01T09:00:00Z"}]},
        "reports":{"open":1,"acted":0,"dismissed":0},
        "teardown":[{"client_id":"pam","at":"2026-11-02T09:00:01Z","status":"reported",
                     "verified":false,"detail":"gone"}]})";
    CHECK(b.run({"mission", "get", id}) == 0);
    for (const char* text : {"ended revoked at 2026-11-02T09:00:00Z by ops: enough", "anna at i",
                             "children: 3", "1 open", "pam", "gone"})
        CHECK_MESSAGE(b.out.str().find(text) != std::string::npos, text);
}
