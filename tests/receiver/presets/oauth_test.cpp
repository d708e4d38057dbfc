// What a server may answer that a good one does not; the good one is in tests/system.
#include <fstream>

#include "tests/net/support.hpp"
#include "tests/receiver/presets/sample.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission_signals;
namespace net = mission::net;

namespace {

struct server {
    std::mutex m;
    std::vector<std::pair<int, std::string>> answers;
    std::vector<std::pair<std::string, std::string>> extra;
    std::vector<net::http_request> seen;
    net::test::served at{net::test::plain_options(),
                         [this](net::http_request r, net::responder respond) {
                             net::http_response out;
                             {
                                 const std::lock_guard lock(m);
                                 const auto& a = answers[std::min(seen.size(), answers.size() - 1)];
                                 out.status = a.first;
                                 out.body = a.second;
                                 if (seen.empty())
                                     for (const auto& [name, value] : extra)
                                         out.fields.add(name, value);
                                 seen.push_back(std::move(r));
                             }
                             respond(std::move(out));
                         }};

    oauth_revocation options() const {
        oauth_revocation o;
        o.revocation_endpoint = at.url("/revoke");
        o.client_id = "warden";
        o.client_secret.text = "s3cr:t";
        o.look_again = std::chrono::milliseconds(2);
        return o;
    }
};

}  // namespace

TEST_CASE("200 is the server's word, also for a token that it does not know") {
    server s;
    s.answers = {{200, ""}};
    auto o = s.options();
    o.token_type_hint = "refresh_token";
    const auto run = oauth_revocation_handler(o);
    auto said = run(task_of("the+token"));
    CHECK(done(said));
    CHECK(has(said.evidence, "200, refresh_token revoked (RFC 7009)"));
    CHECK_FALSE(has(said.evidence, "the+token"));
    CHECK(done(run(task_of("the+token"))));
    CHECK(s.seen[0].body == "token=the%2Btoken&token_type_hint=refresh_token");
    // RFC 6749 section 2.3.1: form-encoded before they are joined.
    CHECK(s.seen[0].fields.get("authorization") == "Basic d2FyZGVuOnMzY3IlM0F0");
    for (const auto why : {effect::stale, effect::fresh, effect::resumed, effect::scope_changed})
        CHECK(run(task_of("x", why)).evidence == "nothing to do");
    CHECK(s.seen.size() == 2);
}

TEST_CASE("a refusal is told in the server's words, without the token and the secret") {
    server s;
    s.answers = {{400, R"({"error":"unsupported_token_type"})"}};
    auto said = oauth_revocation_handler(s.options())(task_of("tok-123456"));
    CHECK(failed(said));
    CHECK(has(said.evidence, "unsupported_token_type"));
    s.answers = {
        {401, R"({"error":"invalid_client","error_description":"s3cr:t for tok-123456"})"}};
    said = oauth_revocation_handler(s.options())(task_of("tok-123456"));
    CHECK(failed(said));
    CHECK(has(said.evidence, "401: invalid_client, [left out] for [left out]"));
    s.answers = {{302, ""}};
    CHECK(failed(oauth_revocation_handler(s.options())(task_of("tok-123456"))));
    CHECK(failed(oauth_revocation_handler(s.options())(task_of(""))));
    CHECK(s.seen.size() == 3);
}

TEST_CASE("503 with Retry-After is asked again") {
    server s;
    s.answers = {{503, ""}, {200, ""}};
    s.extra = {{"retry-after", "1"}};
    CHECK(done(oauth_revocation_handler(s.options())(task_of("tok"))));
    CHECK(s.seen.size() == 2);
}

TEST_CASE("introspection has the last word") {
    server s;
    auto o = s.options();
    o.introspection_endpoint = s.at.url("/introspect");
    s.answers = {{200, ""},
                 {200, R"({"active":true})"},
                 {500, ""},
                 {200, "{}"},
                 {200, R"({"active":false})"}};
    auto said = oauth_revocation_handler(o)(task_of("tok"));
    CHECK(done(said));
    CHECK(has(said.evidence, "introspection: active false (RFC 7662)"));
    CHECK(s.seen.size() == 5);
    s.seen.clear();
    s.answers = {{200, ""}, {200, R"({"active":true})"}};
    o.timeout = std::chrono::milliseconds(700);
    said = oauth_revocation_handler(o)(task_of("tok"));
    CHECK(said.kind == outcome_kind::timed_out);
    CHECK(has(said.evidence, "introspection: active true"));
}

TEST_CASE("a token may lie in a file below a directory") {
    mission::test::temp_dir folder;
    std::filesystem::create_directories(folder / "tokens");
    std::ofstream(folder / "tokens/a") << "from-file\n";
    std::ofstream(folder / "outside") << "no\n";
    server s;
    s.answers = {{200, ""}};
    auto o = s.options();
    o.token_directory = folder / "tokens";
    o.client_secret_post = true;
    const auto run = oauth_revocation_handler(o);
    CHECK(done(run(task_of("a"))));
    CHECK(s.seen[0].body == "token=from-file&client_id=warden&client_secret=s3cr%3At");
    for (const auto* path : {"../outside", "none", "", "/etc/hostname"})
        CHECK(failed(run(task_of(path))));
    CHECK(s.seen.size() == 1);
}

TEST_CASE("what can never work is said when it is made") {
    server s;
    auto o = s.options();
    o.revocation_endpoint = "http://as.example/revoke";
    CHECK_THROWS_AS((void)oauth_revocation_handler(o), setup_error);
    o = s.options();
    o.client_id.clear();
    CHECK_THROWS_AS((void)oauth_revocation_handler(o), setup_error);
    o = s.options();
    o.private_key_file = "/nowhere/key.pem";
    CHECK_THROWS_AS((void)oauth_revocation_handler(o), setup_error);
}
