#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <fstream>
#include <map>

#include "tests/transmitter/fixture.hpp"
#include "transmitter/config/read_config.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

using variables = std::map<std::string, std::string>;

result<config> read(const std::string& text, const variables& set = {}) {
    return parse_config(text, "t.toml", [set](const std::string& name) {
        const auto it = set.find(name);
        return it == set.end() ? std::nullopt : std::optional(it->second);
    });
}

std::string refusal(const std::string& text, const variables& set = {}) {
    const auto r = read(text, set);
    if (r) return "accepted";
    CHECK(r.error().code == errc::bad_configuration);
    return r.error().detail;
}

const std::string minimal = "[[issuer]]\nurl = \"https://localhost:8443\"\n";

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every key of the contract is read and typed") {
    const auto c = read(R"(
listen = "127.0.0.1:8444"
[[issuer]]
url = "https://localhost:8444/tenant"
mode = "authoritative"
in_place_extension = false
[tls]
certificate = "c.pem"
private_key = "k.pem"
[admin]
listen = "[::1]:9444"
[store]
url = "sqlite:x/y.db"
[signing]
directory = "x/keys"
[secrets]
key = { file = "x/secret.key" }
[ssf]
default_subjects = "ALL"
streams_per_receiver = 3
min_verification_interval = 7
heartbeat_seconds = 0.5
max_stale_seconds = 3
redelivery_seconds = 1.5
hold_days = 2
hold_signals = 99
[push]
ca_file = "ca.pem"
allow = ["127.0.0.0/8", "host.example:8443"]
timeout_seconds = 2.5
window = 4
[auth]
token_endpoint = false
allow_bearer = true
[[client]]
id = "a"
audience = "https://a.example"
secret = "s"
scopes = ["ssf.read", "mission_status"]
lifecycle = ["revoke"]
events = ["https://schemas.openid.net/secevent/caep/event-type/session-revoked"]
missions = { tenants = ["t"], agents = ["g"] }
disclose = ["tenant", "reason"]
default_subjects = "ALL"
alg = "RS256"
[[client]]
id = "b"
token = "static"
missions = "all"
)");
    if (!c) MESSAGE(c.error().detail);
    REQUIRE(c);
    CHECK(c->listen_port == 8444);
    CHECK(c->issuers.at(0).path == "/tenant");
    CHECK(c->admin.address == "::1");
    CHECK(c->admin.port == 9444);
    CHECK(c->store_url == "sqlite:x/y.db");
    CHECK(c->secrets_key_file == "x/secret.key");
    CHECK(c->ssf.heartbeat == std::chrono::milliseconds(500));
    CHECK(c->ssf.max_stale == std::chrono::seconds(3));
    CHECK(c->ssf.redelivery == std::chrono::milliseconds(1500));
    CHECK(c->ssf.hold_days == std::chrono::days(2));
    CHECK(c->ssf.hold_signals == 99);
    CHECK(c->push.timeout == std::chrono::milliseconds(2500));
    CHECK(c->push.window == 4);
    CHECK(c->push.allow.size() == 2);
    CHECK_FALSE(c->auth.token_endpoint);
    CHECK(c->auth.allow_bearer);
    REQUIRE(c->clients.size() == 2);
    const auto& a = c->clients[0];
    CHECK(a.issuer == "https://localhost:8444/tenant");
    CHECK(a.missions.what == mission_visibility::kind::listed);
    CHECK(a.missions.agents == std::vector<std::string>{"g"});
    CHECK(a.alg == jose::alg::rs256);
    CHECK(c->clients[1].missions.what == mission_visibility::kind::all);
    CHECK(c->find_client("https://localhost:8444/tenant", "b") == &c->clients[1]);
    CHECK(c->find_client("https://other", "b") == nullptr);
}

TEST_CASE("an unknown key is an error that names its line") {
    CHECK(refusal(minimal + "[ssf]\nhartbeat_seconds = 3\n") ==
          "t.toml:4: unknown key \"ssf.hartbeat_seconds\"");
    CHECK(refusal("lisen = \"x\"\n" + minimal) == "t.toml:1: unknown key \"lisen\"");
    CHECK(contains(refusal(minimal + "[[client]]\nid = \"a\"\nscope = []\n"),
                   "t.toml:5: unknown key \"client.scope\""));
    CHECK(contains(refusal(minimal + "[stor]\nurl = \"memory:\"\n"), "unknown key \"stor\""));
}

TEST_CASE("a wrong type or value names its line") {
    CHECK(contains(refusal(minimal + "[ssf]\nheartbeat_seconds = \"3\"\n"), "t.toml:4: "));
    CHECK(contains(refusal(minimal + "[ssf]\nhold_signals = 1.5\n"), "whole number"));
    CHECK(contains(refusal(minimal + "[ssf]\nhold_signals = 0\n"), "between"));
    CHECK(contains(refusal(minimal + "[ssf]\nheartbeat_seconds = nan\n"), "between"));
    CHECK(contains(refusal(minimal + "[ssf]\nheartbeat_seconds = 3\nmax_stale_seconds = 3\n"),
                   "must be below max_stale_seconds"));
    CHECK(contains(refusal(minimal + "[[client]]\nid = \"a\"\nscopes = [\"ssf.reed\"]\n"),
                   "ssf.reed"));
    CHECK(contains(refusal(minimal + "[[client]]\nid = \"a\"\n[[client]]\nid = \"a\"\n"), "twice"));
    CHECK(contains(refusal(minimal + "[push]\nallow = [\"300.0.0.0/8\"]\n"), "allow"));
    CHECK(contains(refusal("listen = \"nowhere\"\n" + minimal), "ADDRESS:PORT"));
    CHECK(contains(refusal("x = = 1\n"), "t.toml:1: "));
    CHECK(contains(refusal("[ssf]\n"), "[[issuer]]"));
}

TEST_CASE("an issuer is an https URL without query and fragment; its last slash is its own") {
    CHECK(parse_issuer_url("https://a.example/x/y")->path == "/x/y");
    CHECK(parse_issuer_url("https://a.example")->path.empty());
    const auto slash = parse_issuer_url("https://a.example/x/");
    CHECK(slash->url == "https://a.example/x/");
    CHECK(slash->path == "/x");
    CHECK(slash->base() == "https://a.example/x");
    CHECK(parse_issuer_url("https://a.example/")->path.empty());
    CHECK(parse_issuer_url("https://a.example/")->url == "https://a.example/");
    for (const auto* bad :
         {"http://a", "https://a//", "https://a?x", "https://a#x", "https://u@a", "a.example", ""})
        CHECK_FALSE(parse_issuer_url(bad));
}

TEST_CASE("listen addresses have an address and a port, or a socket path") {
    CHECK(parse_listen("127.0.0.1:0")->second == 0);
    CHECK(parse_listen("[::1]:80")->first == "::1");
    CHECK(parse_listen("unix:/run/x")->first == "unix:/run/x");
    for (const auto* bad :
         {"127.0.0.1", ":1", "::1:80", "a:65536", "a:1x", "[::1", "unix:", "a:-1"})
        CHECK_FALSE(parse_listen(bad));
}

TEST_CASE("the environment overrides the file") {
    const auto c = read(minimal + "[ssf]\nheartbeat_seconds = 30\n",
                        {{"MISSION_SSF_HEARTBEAT_SECONDS", "1"},
                         {"MISSION_SSF_MAX_STALE_SECONDS", "3.0"},
                         {"MISSION_LISTEN", "127.0.0.1:1"},
                         {"MISSION_STORE_URL", "memory:"},
                         {"MISSION_AUTH_ALLOW_BEARER", "true"},
                         {"MISSION_PUSH_ALLOW", "10.0.0.0/8, 127.0.0.1"}});
    if (!c) MESSAGE(c.error().detail);
    REQUIRE(c);
    CHECK(c->ssf.heartbeat == std::chrono::seconds(1));
    CHECK(c->ssf.max_stale == std::chrono::seconds(3));
    CHECK(c->listen_port == 1);
    CHECK(c->store_url == "memory:");
    CHECK(c->auth.allow_bearer);
    CHECK(c->push.allow == std::vector<std::string>{"10.0.0.0/8", "127.0.0.1"});
    CHECK(contains(refusal(minimal, {{"MISSION_PUSH_WINDOW", "many"}}), "MISSION_PUSH_WINDOW"));
}

TEST_CASE("secrets come from text, a file or the environment") {
    testing::temporary_folder folder;
    const std::string file = folder.path() + "/s";
    std::ofstream(file) << "from-file\n";
    const auto c = read(minimal + "[[client]]\nid = \"a\"\nsecret = { file = \"" + file +
                            "\" }\n[[client]]\nid = \"b\"\ntoken = { env = \"TOKEN\" }\n",
                        {{"TOKEN", "from-env"}});
    if (!c) MESSAGE(c.error().detail);
    REQUIRE(c);
    CHECK(c->clients[0].secret == "from-file");
    CHECK(c->clients[1].token == "from-env");
    const std::string b = minimal + "[[client]]\nid = \"b\"\n";
    CHECK(contains(refusal(b + "token = { env = \"NOT_SET\" }\n"), "NOT_SET"));
    CHECK(contains(refusal(b + "token = { file = \"/nonexistent\" }\n"), "/nonexistent"));
    CHECK(contains(refusal(b + "token = { fille = \"x\" }\n"), "file"));
    CHECK(contains(refusal(b + "token = \"\"\n"), "empty"));
}

TEST_CASE("the secret key may be given as text, and must be 32 octets") {
    const auto c =
        read(minimal + "[secrets]\nkey = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n");
    REQUIRE(c);
    CHECK(c->secrets_key == std::string(32, '\0'));
    CHECK(contains(refusal(minimal + "[secrets]\nkey = \"AAAA\"\n"), "32 octets"));
}

TEST_CASE("keys of a client come as a table, as JSON text or from a file") {
    const auto key = jose::private_key::generate(jose::alg::es256);
    REQUIRE(key);
    const auto jwk = json::parse(key->to_public().to_jwk());
    REQUIRE(jwk);
    std::string table = "{ keys = [{ ";
    bool first = true;
    for (const auto& m : jwk->GetObject()) {
        if (!m.value.IsString()) continue;
        table += std::string(first ? "" : ", ") + m.name.GetString() + " = \"" +
                 m.value.GetString() + "\"";
        first = false;
    }
    table += " }] }";
    const std::string text = "{\"keys\":[" + key->to_public().to_jwk() + "]}";
    testing::temporary_folder folder;
    const std::string file = folder.path() + "/jwks.json";
    std::ofstream(file) << text;
    for (const auto& form : {table, "'" + text + "'", "{ file = \"" + file + "\" }"}) {
        CAPTURE(form);
        const auto c = read(minimal + "[[client]]\nid = \"a\"\njwks = " + form + "\n");
        if (!c) MESSAGE(c.error().detail);
        REQUIRE(c);
        REQUIRE(c->clients[0].jwks.keys().size() == 1);
        CHECK(c->clients[0].jwks.keys()[0].thumbprint() == key->to_public().thumbprint());
    }
    CHECK(contains(refusal(minimal + "[[client]]\nid = \"a\"\njwks = \"{}\"\n"), "jwks"));
    CHECK(contains(refusal(minimal + "[[client]]\nid = \"a\"\njwks = { keys = [] }\n"), "no key"));
}

TEST_CASE("what comes with a later version is refused, not ignored") {
    const auto why = refusal(minimal + "[store]\nurl = \"postgresql://localhost/x\"\n");
    CAPTURE(why);
    CHECK(contains(why, "not available in this version"));
    CHECK(contains(why, "t.toml:"));
}

TEST_CASE("an issuer is the authority or mirrors one, and a mirror extends nothing") {
    const auto issuer = [](const std::string& more) {
        return read("[[issuer]]\nurl = \"https://a\"\n" + more);
    };
    CHECK_FALSE(issuer("")->issuers[0].mirror);
    CHECK_FALSE(issuer("")->issuers[0].in_place_extension);
    CHECK(issuer("mode = \"mirror\"\n")->issuers[0].mirror);
    CHECK(issuer("in_place_extension = true\n")->issuers[0].in_place_extension);
    CHECK(contains(refusal("[[issuer]]\nurl = \"https://a\"\nmode = \"mirror\"\n"
                           "in_place_extension = true\n"),
                   "does not go with"));
    CHECK(contains(refusal("[[issuer]]\nurl = \"https://a\"\nmode = \"slave\"\n"), "mode"));
}

TEST_CASE("families are bounded, and an unknown type is refused unless the operator says so") {
    const auto standing = read(minimal);
    REQUIRE(standing);
    CHECK(standing->missions.max_depth == 16);
    CHECK(standing->missions.max_children == 100'000);
    CHECK_FALSE(standing->missions.accept_unknown_types);
    const auto other =
        read(minimal + "[missions]\nmax_depth = 2\nmax_children = 3\nunknown_types = \"accept\"\n");
    REQUIRE(other);
    CHECK(other->missions.max_depth == 2);
    CHECK(other->missions.max_children == 3);
    CHECK(other->missions.accept_unknown_types);
    CHECK(contains(refusal(minimal + "[missions]\nmax_depth = 65\n"), "max_depth"));
    CHECK(standing->missions.bulk_limit == 10'000);
    CHECK(read(minimal + "[missions]\nbulk_limit = 7\n")->missions.bulk_limit == 7);
    for (const std::string n : {"0", "20001"})
        CHECK(contains(refusal(minimal + "[missions]\nbulk_limit = " + n + "\n"), "bulk_limit"));
    CHECK(
        contains(refusal(minimal + "[missions]\nunknown_types = \"perhaps\"\n"), "unknown_types"));
}

TEST_CASE("a type of authorization_details is declared once, with a schema that can be used") {
    testing::temporary_folder folder;
    const auto schema = folder.path() + "/type.json";
    std::ofstream(schema) << R"({"type":"object","required":["permissions"]})";
    const auto declared = [&](const std::string& type, const std::string& file) {
        return "[[authorization_type]]\ntype = \"" + type + "\"\nschema = \"" + file + "\"\n";
    };
    const auto c = read(minimal + declared("account_information", schema));
    REQUIRE(c);
    REQUIRE(c->authorization_types.size() == 1);
    CHECK(c->authorization_types[0].type == "account_information");
    CHECK(contains(refusal(minimal + declared("a", schema) + declared("a", schema)), "twice"));
    CHECK(contains(refusal(minimal + declared("mission_resource_access", schema)), "built in"));
    CHECK(contains(refusal(minimal + declared("a", folder.path() + "/none.json")), "none.json"));
    std::ofstream(folder.path() + "/modern.json") << R"({"unevaluatedProperties":false})";
    CHECK(contains(refusal(minimal + declared("a", folder.path() + "/modern.json")), "schema"));
}

TEST_CASE("issuers are told apart by their paths; two of one path are refused") {
    const auto two = [](const std::string& url) {
        return minimal + "[[issuer]]\nurl = \"" + url + "\"\n";
    };
    CHECK(contains(refusal(two("https://localhost:8443/")), "is there twice"));
    CHECK(contains(refusal(two("https://other.example")), "has the path of"));
    CHECK(contains(refusal(two("https://localhost:9443/")), "has the path of"));
    CHECK(read(two("https://other.example/b")));
}

TEST_CASE("with several issuers a client names its own") {
    const std::string two = minimal + "[[issuer]]\nurl = \"https://localhost:8443/b\"\n";
    CHECK(contains(refusal(two + "[[client]]\nid = \"a\"\n"), "several issuers"));
    const auto c = read(two + "[[client]]\nid = \"a\"\nissuer = \"https://localhost:8443/b\"\n");
    REQUIRE(c);
    CHECK(c->clients[0].issuer == "https://localhost:8443/b");
    CHECK(contains(refusal(two + "[[client]]\nid = \"a\"\nissuer = \"https://c\"\n"),
                   "no [[issuer]]"));
    CHECK(contains(refusal(minimal + minimal), "twice"));
}
