#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <filesystem>
#include <fstream>

#include "jose/digest.hpp"
#include "net/dev_certificate.hpp"
#include "transmitter/auth/certificate.hpp"
#include "transmitter/config/read_config.hpp"

// What came with SSF complete: authorization, subjects, foreign events; each key, and its bad
// values.

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;

namespace {

struct folder {
    std::string path =
        (std::filesystem::temp_directory_path() / ("config-" + jose::random_id(9))).string();
    folder() { std::filesystem::create_directories(path); }
    ~folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::string file(const std::string& name, const std::string& content) const {
        std::ofstream(path + "/" + name) << content;
        return path + "/" + name;
    }
};

const std::string minimal = "[[issuer]]\nurl = \"https://localhost:8443\"\n";
const std::string client = minimal + "[[client]]\nid = \"a\"\n";
const std::string auth_issuer = minimal + "[[auth.issuer]]\nissuer = \"https://as\"\n";

result<config> read(const std::string& text, const std::string& variable = {},
                    const std::string& value = {}) {
    return parse_config(text, "t.toml", [=](const std::string& name) {
        return name == variable ? std::optional(value) : std::nullopt;
    });
}

config good(const std::string& text) {
    auto r = read(text);
    if (!r) MESSAGE(r.error().detail);
    REQUIRE(r);
    return std::move(*r);
}

std::string refusal(const std::string& text) {
    const auto r = read(text);
    if (r) return "accepted";
    CHECK(r.error().code == errc::bad_configuration);
    return r.error().detail;
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

const net::dev_certificate& certificate() {
    static const auto made = *net::make_dev_certificate({"client.example"}, std::chrono::days(1));
    return made;
}

}  // namespace

TEST_CASE("[ssf] and [push] have the keys of subjects, inactivity and pausing") {
    const auto c = good(minimal + R"([ssf]
default_subjects = "NONE"
inactivity_timeout = 3600
subject_removal_grace_seconds = 1.5
subjects_per_stream = 12
[push]
pause_after_seconds = 0.5
[tls]
client_ca = "ca.pem"
)");
    CHECK_FALSE(c.ssf.default_subjects_all);
    CHECK(c.ssf.inactivity_timeout == 3600s);
    CHECK(c.ssf.removal_grace == 1500ms);
    CHECK(c.ssf.subjects_per_stream == 12);
    CHECK(c.push.pause_after == 500ms);
    CHECK(c.tls.client_ca == "ca.pem");
    const auto by_default = good(minimal);
    CHECK(by_default.ssf.default_subjects_all);
    CHECK_FALSE(by_default.ssf.inactivity_timeout);
    for (const char* bad :
         {"[ssf]\ninactivity_timeout = 0\n", "[ssf]\ninactivity_timeout = 1.5\n",
          "[ssf]\nsubject_removal_grace_seconds = -1\n", "[ssf]\nsubjects_per_stream = 0\n",
          "[push]\npause_after_seconds = 0\n", "[ssf]\ndefault_subjects = \"SOME\"\n"}) {
        CAPTURE(bad);
        CHECK(contains(refusal(minimal + bad), "t.toml:4: "));
    }
}

TEST_CASE("the environment overrides the new keys as well") {
    CHECK(read(minimal, "MISSION_SSF_DEFAULT_SUBJECTS", "NONE")->ssf.default_subjects_all == false);
    CHECK(read(minimal, "MISSION_SSF_INACTIVITY_TIMEOUT", "60")->ssf.inactivity_timeout == 60s);
    CHECK(read(minimal, "MISSION_PUSH_PAUSE_AFTER_SECONDS", "2")->push.pause_after == 2s);
    CHECK(read(minimal, "MISSION_TLS_CLIENT_CA", "x.pem")->tls.client_ca == "x.pem");
    const auto bad = read(minimal, "MISSION_SSF_SUBJECTS_PER_STREAM", "many");
    REQUIRE_FALSE(bad);
    CHECK(contains(bad.error().detail, "MISSION_SSF_SUBJECTS_PER_STREAM"));
}

TEST_CASE("[[auth.issuer]] is read whole, with keys or with introspection") {
    const folder f;
    const auto ca = f.file("ca.pem", certificate().ca_pem);
    const auto c = good(minimal + R"([[auth.issuer]]
issuer = "https://as/"
jwks_uri = "https://as/jwks"
audience = "https://localhost:8443"
typ_jwt = true
algs = ["PS256", "EdDSA"]
ca_file = ")" + ca + R"("
[[auth.issuer]]
issuer = "https://other"
introspection = "https://other/introspect"
audience = "x"
client_id = "me"
client_secret = "secret"
[[client]]
id = "a"
token_issuer = "https://as/"
)");
    REQUIRE(c.auth.issuers.size() == 2);
    const auto& jwt = c.auth.issuers[0];
    CHECK(jwt.issuer == "https://as/");
    CHECK(jwt.jwks_uri == "https://as/jwks");
    CHECK(jwt.typ_jwt);
    CHECK(jwt.algs == std::vector<std::string>{"PS256", "EdDSA"});
    CHECK(jwt.ca_file == ca);
    const auto& opaque = c.auth.issuers[1];
    CHECK(opaque.introspection == "https://other/introspect");
    CHECK(opaque.client_id == "me");
    CHECK(opaque.client_secret == "secret");
    CHECK_FALSE(opaque.typ_jwt);
    CHECK(c.clients[0].token_issuer == "https://as/");
}

TEST_CASE("an [[auth.issuer]] that cannot work is refused with its line") {
    const std::string audience = "audience = \"x\"\n", keys = "jwks_uri = \"https://as/k\"\n";
    const std::string both = keys + "introspection = \"https://as/i\"\n";
    CHECK(contains(refusal(auth_issuer + audience), "either jwks_uri or introspection"));
    CHECK(contains(refusal(auth_issuer + audience + both), "either jwks_uri or introspection"));
    CHECK(contains(refusal(auth_issuer + keys), "auth.issuer.audience is missing"));
    CHECK(contains(refusal(auth_issuer + audience + "jwks_uri = \"http://as/k\"\n"),
                   "t.toml:6: auth.issuer.jwks_uri must be an https URL"));
    CHECK(contains(refusal(auth_issuer + audience + "introspection = \"https://as/i\"\n"),
                   "client_id is needed"));
    CHECK(contains(
        refusal(auth_issuer + audience + "introspection = \"https://as/i\"\nclient_id = \"me\"\n"),
        "client_secret is needed"));
    CHECK(contains(refusal(auth_issuer + audience + keys + "client_id = \"me\"\n"),
                   "for introspection alone"));
    CHECK(contains(refusal(auth_issuer + audience + keys + "algs = [\"HS256\"]\n"), "HS256"));
    CHECK(contains(refusal(auth_issuer + audience + keys + "ca_file = \"/nonexistent\"\n"),
                   "/nonexistent"));
    CHECK(contains(refusal(auth_issuer + audience + keys + "jwks = \"x\"\n"),
                   "t.toml:7: unknown key \"auth.issuer.jwks\""));
    CHECK(contains(refusal(minimal + "[[auth.issuer]]\nissuer = \"https://localhost:8443\"\n" +
                           audience + keys),
                   "one of ours"));
    CHECK(contains(refusal(auth_issuer + audience + keys + "[[auth.issuer]]\n" +
                           "issuer = \"https://as\"\n" + audience + keys),
                   "twice"));
    CHECK(contains(refusal(minimal + "[auth]\nissuer = \"https://as\"\n"), "[[auth.issuer]]"));
    CHECK(contains(refusal(client + "token_issuer = \"https://nobody\"\n"), "no [[auth.issuer]]"));
    CHECK(contains(refusal(auth_issuer + audience + keys +
                           "[[client]]\nid = \"a\"\ntoken_issuer = \"https://as\"\nsecret = "
                           "\"s\"\n"),
                   "client.secret is for the built-in token endpoint"));
}

TEST_CASE("a static token's end is an RFC 3339 time, quoted or not") {
    for (const char* text :
         {"\"2027-01-31T00:00:00Z\"", "2027-01-31T00:00:00Z", "2027-01-31T01:00:00+01:00"}) {
        CAPTURE(text);
        const auto c = good(client + "token = \"t\"\ntoken_expires = " + text + "\n");
        CHECK(to_rfc3339(c.clients[0].token_expires.value()) == "2027-01-31T00:00:00Z");
    }
    for (const char* bad : {"\"soon\"", "2027-01-31", "2027-01-31T00:00:00", "1800000000"}) {
        CAPTURE(bad);
        CHECK(contains(refusal(client + "token = \"t\"\ntoken_expires = " + bad + "\n"),
                       "t.toml:6: "));
    }
    CHECK(contains(refusal(client + "token_expires = \"2027-01-31T00:00:00Z\"\n"),
                   "without a token"));
}

TEST_CASE("a client's certificate comes as text, from a file or by a path, and is known by hash") {
    const folder f;
    const auto pem = certificate().certificate_pem;
    const auto file = f.file("c.pem", pem);
    const auto hash = jose::sha256(*certificate_der(pem));
    for (const auto& form :
         {"'''" + pem + "'''", "\"" + file + "\"", "{ file = \"" + file + "\" }"}) {
        CAPTURE(form.substr(0, 30));
        const auto c = good(client + "certificate = " + form + "\n");
        CHECK(c.clients[0].certificate == pem);
        CHECK(c.clients[0].certificate_sha256 == jose::view(hash));
    }
    CHECK(contains(refusal(client + "certificate = \"/nonexistent\"\n"), "/nonexistent"));
    CHECK(contains(refusal(client + "certificate = \"-----BEGIN nothing\"\n"),
                   "t.toml:5: client.certificate holds no PEM certificate"));
    CHECK(contains(refusal(client + "certificate = 7\n"), "t.toml:5: client.certificate"));
    CHECK(contains(refusal(client + "certificate = \"" + file + "\"\n[[client]]\nid = \"b\"\n" +
                           "certificate = \"" + file + "\"\n"),
                   "is that of client \"a\" as well"));
}

TEST_CASE("a client's bridge, reach, default and algorithm") {
    const auto of = [](const std::string& line) { return good(client + line).clients[0]; };
    CHECK(of("").caep_bridge.empty());
    CHECK(of("caep_bridge = false\n").caep_bridge.empty());
    CHECK(of("caep_bridge = true\n").caep_bridge == "session");
    CHECK(of("caep_bridge = \"session\"\n").caep_bridge == "session");
    CHECK(of("caep_bridge = \"user\"\n").caep_bridge == "user");
    CHECK(of("signals_to = \"all\"\n").signals_to == "all");
    CHECK_FALSE(of("").default_subjects_all);
    CHECK(of("default_subjects = \"NONE\"\n").default_subjects_all == false);
    CHECK(of("default_subjects = \"ALL\"\n").default_subjects_all == true);
    CHECK(of("alg = \"ES256\"\n").alg == jose::alg::es256);
    for (const char* bad : {"caep_bridge = \"device\"\n", "caep_bridge = 1\n",
                            "signals_to = \"some\"\n", "alg = \"PS256\"\n"}) {
        CAPTURE(bad);
        CHECK(contains(refusal(client + bad), "t.toml:5: client."));
    }
}

TEST_CASE("foreign event types are declared with their schema, then offered") {
    const folder f;
    const auto schema = f.file("wise.json", R"({"type":"object"})");
    const std::string declared = minimal + "[[foreign_event]]\ntype = \"https://wise.example/e\"\n";
    const auto c = good(declared + "schema = \"" + schema + R"("
[[client]]
id = "a"
events = ["https://wise.example/e",
  "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
  "https://schemas.karlmcguinness.com/mission/lifecycle-change"]
)");
    REQUIRE(c.foreign_events.size() == 1);
    CHECK(c.foreign_events[0].type == "https://wise.example/e");
    CHECK(c.foreign_events[0].schema_json == R"({"type":"object"})");
    CHECK(c.clients[0].events.size() == 3);
    CHECK(contains(refusal(declared), "foreign_event.schema is missing"));
    CHECK(contains(refusal(declared + "schema = \"/nonexistent\"\n"), "/nonexistent"));
    CHECK(contains(refusal(declared + "schema = \"" + f.file("bad", "{") + "\"\n"), "not JSON"));
    CHECK(contains(refusal(declared + "schema = \"" + f.file("list", "[]") + "\"\n"),
                   "must be a JSON object"));
    // A rule that would not be checked is found by check-config, not by the first request.
    const auto modern = f.file("modern", R"({"type":"object","unevaluatedProperties":false})");
    CHECK(contains(refusal(declared + "schema = \"" + modern + "\"\n"),
                   "foreign_event.schema cannot"));
    for (const char* built_in :
         {"https://schemas.openid.net/secevent/caep/event-type/session-revoked",
          "https://schemas.openid.net/secevent/ssf/event-type/verification",
          "https://schemas.karlmcguinness.com/mission/lifecycle-change",
          "https://mission-signals.github.io/secevent/mission/event-type/mission-revoked"}) {
        CAPTURE(built_in);
        CHECK(contains(refusal(minimal + "[[foreign_event]]\ntype = \"" + built_in +
                               "\"\nschema = \"" + schema + "\"\n"),
                       "t.toml:4: foreign_event.type is built in"));
    }
}

TEST_CASE("an event type that nobody sends is a slip, and told with its line") {
    for (const char* unknown :
         {"https://wise.example/e", "session-revoked",
          "https://schemas.openid.net/secevent/caep/event-type/session-revokd",
          "https://schemas.openid.net/secevent/ssf/event-type/verification"}) {
        CAPTURE(unknown);
        CHECK(contains(refusal(client + "events = [\"" + unknown + "\"]\n"),
                       "t.toml:5: client.events has the unknown type \"" + std::string(unknown)));
    }
}

TEST_CASE("an issuer with a trailing slash keeps it as its name, and clients may leave it out") {
    const auto c = good(
        "[[issuer]]\nurl = \"https://localhost:8443/t/\"\n[[issuer]]\nurl = "
        "\"https://localhost:8443\"\n[[client]]\nid = \"a\"\nissuer = "
        "\"https://localhost:8443/t\"\n");
    CHECK(c.issuers[0].url == "https://localhost:8443/t/");
    CHECK(c.clients[0].issuer == "https://localhost:8443/t/");
    CHECK(contains(refusal(minimal + "[[issuer]]\nurl = \"https://localhost:8443/\"\n"), "twice"));
}
