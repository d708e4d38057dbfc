// [check] of the configuration.
#include <doctest/doctest.h>

#include <map>

#include "receiver/program/config.hpp"
#include "scratch.hpp"

using namespace mission;
using namespace mission::receiver::program;
namespace sc = mission::receiver::sidecar;

namespace {

const std::string base = "issuer = \"https://t.example\"\n[auth]\ntoken = \"abc\"\n";

result<program_config> read(const std::string& check) {
    return parse_config(base + check, "r.toml",
                        [](const std::string&) { return std::optional<std::string>(); });
}
program_config good(const std::string& check) {
    auto c = read("[check]\n" + check);
    if (!c) FAIL(c.error().detail);
    return std::move(*c);
}
std::string problem(const std::string& check) {
    const auto c = read("[check]\n" + check);
    REQUIRE_FALSE(c.has_value());
    return c.error().detail;
}
bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const std::string here = "listen = \"127.0.0.1:9000\"\n";

}  // namespace

TEST_CASE("without [check] there is no sidecar, and [check] needs a place") {
    CHECK_FALSE(read("")->check.listen.has_value());
    CHECK(has(problem("resolve = true\n"), "check.listen is missing"));
    const auto c = good(here);
    CHECK(c.check.listen->address == "127.0.0.1");
    CHECK(c.check.listen->port == 9000);
    CHECK(c.check.references == std::vector{sc::source::header});
    CHECK(c.check.header == "x-mission-id");
    CHECK_FALSE(c.check.resolve);
    CHECK(c.check.trusted_proxies.has("unix"));
    CHECK(c.check.trusted_proxies.has("127.0.0.1"));
    CHECK_FALSE(c.check.trusted_proxies.has("10.0.0.1"));
    CHECK_FALSE(c.check.authority_asked());
}

TEST_CASE("a place that other machines reach wants TLS or a word") {
    CHECK(has(problem("listen = \"0.0.0.0:9000\"\n"), "without TLS"));
    CHECK(good("listen = \"0.0.0.0:9000\"\nallow_remote = true\n").check.allow_remote);
    CHECK(has(problem(here + "certificate = \"c.pem\"\n"), "private_key is missing"));
    CHECK(good("listen = \"unix:/run/x.sock\"\n").check.listen->local());
    CHECK(has(problem("listen = \"unix:x\"\n"), "check.listen must be"));
    CHECK(has(problem("listen = \"unix:/" + std::string(107, 'x') + "\"\n"), "107"));
}

TEST_CASE("sources and what belongs to them come together") {
    CHECK(has(problem(here + "references = [\"token\"]\n"), "belong together"));
    CHECK(has(problem(here + "references = [\"certificate\"]\n"), "belong together"));
    CHECK(has(problem(here + "references = []\n"), "names no source"));
    CHECK(has(problem(here + "references = [\"cookie\"]\n"), "unknown entry"));
    CHECK(has(problem(here + "header = \"not a name\"\n"), "header field"));
    CHECK(has(problem(here + "trusted_proxies = [\"somewhere\"]\n"), "somewhere"));
    CHECK_FALSE(good(here + "trusted_proxies = []\n").check.trusted_proxies.has("unix"));
}

TEST_CASE("a token issuer has its keys in a file or at a URL") {
    const scratch dir;
    const auto jwks = dir.write("jwks.json", jose::private_key::generate(jose::alg::es256)
                                                     ->to_public()
                                                     .to_jwk()
                                                     .insert(0, R"({"keys":[)") +
                                                 "]}");
    const auto with = [&](const std::string& keys, const std::string& more = {}) {
        return here +
               "references = [\"token\"]\n[[check.token]]\nissuer = \"https://as.example\"\n" +
               "audience = \"https://erp.example\"\n" + keys + more;
    };
    const auto c = good(with("jwks_file = \"" + jwks + "\"\n",
                             "claim = \"a.b\"\ntypes = [\"application/AT+JWT\", \"JWT\"]\n"
                             "algs = [\"ES256\"]\nclock_skew_seconds = 0\nrequire_jti = true\n"));
    const auto& t = c.check.tokens.at(0);
    CHECK(t.keys->keys().size() == 1);
    CHECK(t.claim == std::vector<std::string>{"a", "b"});
    CHECK(t.types == std::vector<std::string>{"at+jwt", "jwt"});
    CHECK(t.algs == std::vector{jose::alg::es256});
    CHECK(t.clock_skew.count() == 0);
    CHECK(t.require_jti);
    CHECK_FALSE(t.allow_bound);
    const std::string uri = "jwks_uri = \"https://as.example/jwks\"\n";
    CHECK(good(with(uri)).check.tokens.at(0).claim == std::vector<std::string>{"mission", "id"});
    CHECK(good(with(uri, "claim = [\"https://x.example/m.id\"]\n")).check.tokens.at(0).claim ==
          std::vector<std::string>{"https://x.example/m.id"});
    CHECK(has(problem(with("")), "jwks_uri is missing"));
    CHECK(has(problem(with(uri, "jwks_file = \"" + jwks + "\"\n")), "give one of them"));
    CHECK(has(problem(with("jwks_uri = \"http://as.example/jwks\"\n")), "https"));
    CHECK(has(problem(with("jwks_file = \"" + dir.write("bad", "{}") + "\"\n")), "no key"));
    CHECK(has(problem(with(uri, "claim = \"a..b\"\n")), "path of a claim"));
    CHECK(has(problem(with(uri, "algs = [\"HS256\"]\n")), "HS256"));
    CHECK(has(problem(with(uri, "secret = \"x\"\n")), "unknown key"));
    CHECK(has(problem(with(uri,
                           "[[check.token]]\nissuer = \"https://as.example\"\naudience = "
                           "\"x\"\n" +
                               uri)),
              "there twice"));
}

TEST_CASE("a certificate's pattern holds the id once") {
    const auto with = [](const std::string& pattern) {
        return here + "references = [\"certificate\"]\n[check.client_certificate]\n" +
               "header = \"X-Client-Cert\"\npattern = \"" + pattern + "\"\n";
    };
    const auto c = good(with("urn:mission:{mission_id}:x"));
    CHECK(c.check.certificate->before == "urn:mission:");
    CHECK(c.check.certificate->after == ":x");
    CHECK(c.check.certificate->header == "x-client-cert");
    for (const char* bad :
         {"urn:mission:", "{mission_id}{mission_id}", "{mission}", "{mission_id}}"})
        CHECK_MESSAGE(has(problem(with(bad)), "{mission_id}"), bad);
}

TEST_CASE("a rule has a path, and an action has a resource") {
    const auto with = [](const std::string& before, const std::string& rule) {
        return here + before + "[[check.rule]]\n" + rule;
    };
    const auto c = good(with("resource = \"https://erp.example\"\n",
                             "methods = [\"GET\"]\npath = \"/a/**\"\naction = \"a.read\"\n"));
    CHECK(c.check.rules.at(0).action == "a.read");
    CHECK(c.check.authority_asked());
    CHECK(has(problem(with("", "path = \"/a\"\naction = \"x\"\n")), "of no resource"));
    CHECK(has(problem(with("", "path = \"a\"\n")), "must begin"));
    CHECK(has(problem(with("", "path = \"/**/a\"\n")), "at its end"));
    CHECK(has(problem(with("", "methods = [\"G T\"]\npath = \"/a\"\n")), "no method"));
    CHECK(has(problem(with("resource = \"r\"\naction_header = \"X-A\"\n", "path = \"/a\"\n")),
              "rules say"));
    CHECK(has(problem(here + "action_header = \"X-A\"\n"), "of no resource"));
    CHECK(has(problem(here + "authzen_authority = \"configured\"\n"), "of no resource"));
    CHECK(has(problem(here + "rule = [1]\n"), "[[check.rule]]"));
}

TEST_CASE("a change of anything but [check] is one that wants a restart") {
    const auto first = good(here), second = good(here + "resolve = true\n");
    CHECK(first.needs_restart == second.needs_restart);
    const auto third = read("[check]\n" + here + "[log]\nlevel = \"debug\"\n");
    CHECK(third->needs_restart != first.needs_restart);
}
