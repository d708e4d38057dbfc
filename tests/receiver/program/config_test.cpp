#include "receiver/program/config.hpp"

#include <doctest/doctest.h>

#include <map>

#include "receiver/program/commands.hpp"
#include "scratch.hpp"

using namespace mission;
using namespace mission::receiver::program;

namespace {

using variables = std::map<std::string, std::string>;

result<program_config> read(const std::string& text, const variables& env = {}) {
    return parse_config(text, "r.toml", [&env](const std::string& name) {
        const auto it = env.find(name);
        return it == env.end() ? std::nullopt : std::optional<std::string>(it->second);
    });
}

std::string problem(const std::string& text, const variables& env = {}) {
    const auto c = read(text, env);
    REQUIRE(!c);
    CHECK(c.error().code == errc::bad_configuration);
    return c.error().detail;
}

program_config good(const std::string& text, const variables& env = {}) {
    auto c = read(text, env);
    if (!c) FAIL(c.error().detail);
    return std::move(*c);
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const std::string least = "issuer = \"https://t.example\"\n[auth]\ntoken = \"abc\"\n";

}  // namespace

TEST_CASE("an issuer and a token are all that is needed") {
    const auto c = good(least);
    CHECK(c.options.issuer == "https://t.example");
    CHECK(c.options.token == "abc");
    CHECK(c.options.delivery == ms::delivery::poll);
    CHECK(c.options.state_path == "state/receiver.db");
    CHECK(c.control_socket == "state/receiver.db.sock");
    CHECK(c.control_derived);
    CHECK_FALSE(c.options.quirks.typ_missing);
    CHECK_FALSE(c.options.quirks.issuer_slash);
    CHECK_FALSE(c.options.quirks.created_with_200);
    CHECK_FALSE(c.options.quirks.several_events);
    CHECK_FALSE(c.options.replace_stream);
}

TEST_CASE("an unknown key is an error that names its line") {
    CHECK(problem("issuer = \"https://t.example\"\nisuer = \"x\"\n[auth]\ntoken = \"a\"\n") ==
          "r.toml:2: unknown key \"isuer\"");
    CHECK(problem(least + "[stream]\ndelivry = \"poll\"\n") ==
          "r.toml:5: unknown key \"stream.delivry\"");
    CHECK(has(problem(least + "[[teardown]]\nname = \"n\"\non = [\"revoked\"]\ntype = "
                              "\"process_group\"\ngrace = 1\n"),
              "r.toml:8: unknown key \"teardown.grace\""));
}

TEST_CASE("a text that the TOML library stumbles over is an error that names the file") {
    for (const char* text : {"[= \"x\"\n", "[=]\nname = 1\n"}) {
        CAPTURE(text);
        CHECK(problem(text).starts_with("r.toml:"));
    }
    // Outside of strings and comments nothing but ASCII; inside of them anything.
    const std::string strings =
        "# \xef\xba\xbf\nissuer = \"https://localhost:8443\"\n[stream]\ndescription = "
        "\"\"\"\xc3\xa4\n\\\"\xef\xba\xbf\"\"\"\"\n[auth]\ntoken = 't\\' # \xef\xba\xbf\n";
    CHECK(has(good(strings).options.description, "\xef\xba\xbf\""));
    CHECK(problem(strings + "e=\xef\xba\xbf 2\"\n").starts_with("r.toml:8:"));
}

TEST_CASE("the environment overrides the file, by section and key") {
    const auto c =
        good(least + "[stream]\ndescription = \"file\"\n",
             {{"MISSION_RECEIVER_STREAM_DESCRIPTION", "environment"},
              {"MISSION_RECEIVER_AUTH_TOKEN", "other"},
              {"MISSION_RECEIVER_ISSUER", "https://u.example"},
              {"MISSION_RECEIVER_STREAM_EVENTS", "session-revoked, urn:x:y"},
              {"MISSION_RECEIVER_STREAM_SUBJECTS", R"([{"format":"opaque","id":"m-1"}])"},
              // The transmitter's prefix alone is not ours.
              {"MISSION_STATE_PATH", "elsewhere.db"}});
    CHECK(c.options.description == "environment");
    CHECK(c.options.token == "other");
    CHECK(c.options.issuer == "https://u.example");
    REQUIRE(c.options.events.size() == 2);
    CHECK(c.options.events[0] ==
          "https://schemas.openid.net/secevent/caep/event-type/session-revoked");
    CHECK(c.options.events[1] == "urn:x:y");
    REQUIRE(c.options.subjects.size() == 1);
    CHECK(c.options.state_path == "state/receiver.db");
    CHECK(has(problem(least, {{"MISSION_RECEIVER_STREAM_DELIVERY", "pigeon"}}),
              "MISSION_RECEIVER_STREAM_DELIVERY: stream.delivery must be one of"));
}

TEST_CASE("secrets may live in files or in the environment") {
    const scratch dir;
    const auto file = dir.write("secret", "s3cret\n");
    const auto c = good(
        "issuer = \"https://t.example\"\n[auth]\nclient_id = \"c\"\nclient_secret = "
        "{ file = \"" +
        file + "\" }\n");
    CHECK(c.options.client_secret == "s3cret");
    CHECK(good("issuer = \"https://t.example\"\n[auth]\ntoken = { env = \"T\" }\n", {{"T", "tok"}})
              .options.token == "tok");
    CHECK(has(problem("issuer = \"https://t.example\"\n[auth]\ntoken = { env = \"T\" }\n"),
              "r.toml:3: auth.token names the environment variable T, not set"));
}

TEST_CASE("exactly one way to authenticate, and the method has to fit it") {
    const std::string top = "issuer = \"https://t.example\"\n[auth]\n";
    CHECK(has(problem(top), "auth.client_secret is missing"));
    CHECK(has(problem(top + "token = \"a\"\nclient_id = \"c\"\nclient_secret = \"s\"\n"),
              "give exactly one"));
    CHECK(has(problem(top + "client_secret = \"s\"\n"), "auth.client_id is missing"));
    CHECK(has(problem(top + "token = \"a\"\nmethod = \"private_key_jwt\"\n"), "does not fit"));
    CHECK(has(problem(top + "token = \"a b\"\n"), "is no valid header value"));
    CHECK(has(problem(top + "client_id = \"c\"\ncertificate = \"c.pem\"\n"),
              "auth.certificate_key is missing"));
    CHECK(has(problem(top + "client_id = \"c\"\nprivate_key = \"-----BEGIN PRIVATE KEY-----\"\n"),
              "must be the path of a PEM file"));
    CHECK(good(top + "client_id = \"c\"\nclient_secret = \"s\"\nmethod = \"client_secret_post\"\n")
              .options.client_secret_post);
    CHECK_FALSE(
        good(top + "client_id = \"c\"\nclient_secret = \"s\"\n").options.client_secret_post);
}

TEST_CASE("an issuer is an https URL, or is told by static metadata") {
    CHECK(has(problem("[auth]\ntoken = \"a\"\n"), "issuer is missing"));
    CHECK(has(problem("issuer = \"http://t.example\"\n[auth]\ntoken = \"a\"\n"),
              "r.toml:1: issuer must be an https URL"));
    const scratch dir;
    const auto file =
        dir.write("m.json", R"({"issuer":"https://s.example","jwks_uri":"https://s.example/jwks",)"
                            R"("configuration_endpoint":"https://s.example/streams"})");
    const auto c = good("metadata_file = \"" + file + "\"\n[auth]\ntoken = \"a\"\n");
    CHECK(c.options.issuer == "https://s.example");
    CHECK(has(c.options.metadata_json, "s.example"));
    const auto bad = dir.write("bad.json", "<html>");
    CHECK(has(problem("metadata_file = \"" + bad + "\"\n[auth]\ntoken = \"a\"\n"),
              "holds no JSON object"));
}

TEST_CASE("subjects are tables or JSON texts, and are checked") {
    const auto c = good(least +
                        "[stream]\nsubjects = [{ format = \"opaque\", id = \"m-1\" }, "
                        "'{\"format\":\"email\",\"email\":\"a@b.example\"}']\n");
    REQUIRE(c.options.subjects.size() == 2);
    CHECK(c.options.subjects[0] == R"({"format":"opaque","id":"m-1"})");
    CHECK(has(problem(least + "[stream]\nsubjects = [{ format = \"opaque\" }]\n"), "no subject"));
    CHECK(has(problem(least + "[stream]\nsubjects = [1]\n"), "tables or JSON texts"));
}

TEST_CASE("event types have short names, which must be known") {
    CHECK(has(problem(least + "[stream]\nevents = [\"sesion-revoked\"]\n"),
              "neither a URI nor the name"));
}

TEST_CASE("push delivery needs to listen, and poll must not") {
    CHECK(has(problem(least + "[stream]\ndelivery = \"push\"\n"), "push.listen is missing"));
    CHECK(has(problem(least + "[push]\nlisten = \"127.0.0.1:0\"\n"),
              "makes no sense with stream.delivery = \"poll\""));
    const std::string push = least +
                             "[stream]\ndelivery = \"push\"\n[push]\nlisten = \"127.0.0.1:0\"\n"
                             "certificate = \"c\"\nprivate_key = \"k\"\n";
    CHECK(has(problem(push + "public_url = \"http://r.example/\"\n"), "must be an https URL"));
    CHECK(
        good(push + "public_url = \"https://r.example:{port}/e\"\nauthorization_header = \"B x\"\n")
            .options.push_authorization_header == "B x");
}

TEST_CASE("a teardown of a type that nobody knows is refused") {
    CHECK(has(
        problem(least + "[[teardown]]\nname = \"n\"\non = [\"revoked\"]\ntype = \"kubernetes\"\n"),
        "is unknown"));
}

TEST_CASE("a teardown by command names effects, an absolute program and known values") {
    const auto entry = [](const std::string& more) {
        return least + "[[teardown]]\nname = \"n\"\ntype = \"exec\"\n" + more;
    };
    const auto c =
        good(entry("on = [\"ended\", \"suspended\"]\ncommand = [\"/bin/true\", "
                   "\"--m={mission_id}\"]\ntimeout_seconds = 2\nper_hold = false\n"
                   "concurrency = 3\nenvironment = { A = \"b\" }\n"));
    REQUIRE(c.teardown.size() == 1);
    // "ended" is every end.
    CHECK(c.teardown[0].options.on.size() == ms::terminal_effects().size() + 1);
    CHECK(c.teardown[0].command.timeout == std::chrono::seconds(2));
    // The library gives up after the command has been killed, not before.
    CHECK(c.teardown[0].options.timeout > c.teardown[0].command.timeout);
    CHECK_FALSE(c.teardown[0].options.per_hold);
    CHECK(c.options.worker_threads >= 3);
    CHECK(has(problem(entry("on = [\"revoked\"]\ncommand = [\"true\"]\n")), "absolute path"));
    CHECK(has(problem(entry("on = [\"revoked\"]\ncommand = [\"/no/such/thing\"]\n")),
              "not there or not executable"));
    CHECK(has(problem(entry("on = [\"revoked\"]\ncommand = [\"/bin/true\", \"{mission}\"]\n")),
              "names {mission}, which is none of"));
    CHECK(has(problem(entry("on = [\"revoked\"]\n")), "command is missing"));
    CHECK(has(problem(entry("command = [\"/bin/true\"]\n")), "on is missing"));
    CHECK(has(problem(entry("on = [\"revokd\"]\ncommand = [\"/bin/true\"]\n")), "unknown entry"));
    CHECK(has(problem(entry("on = [\"revoked\"]\ncommand = [\"/bin/true\"]\nenvironment = { "
                            "MISSION_ID = \"x\" }\n")),
              "cannot be set"));
    CHECK(has(problem(entry("on = [\"revoked\"]\ncommand = [\"/bin/true\"]\nretry_first_seconds = "
                            "40\n")),
              "must not be above retry_max_seconds"));
}

TEST_CASE("names of handlers are unique, and a type has one handler") {
    const std::string one =
        "[[teardown]]\nname = \"n\"\non = [\"revoked\"]\ntype = "
        "\"process_group\"\n";
    CHECK(has(problem(least + one + one), "is there twice"));
    const auto event = [](const std::string& name, const std::string& types) {
        return "[[event]]\nname = \"" + name + "\"\ntype = \"exec\"\ncommand = [\"/bin/true\"]\n" +
               types;
    };
    CHECK(has(problem(least + event("a", "types = [\"session-revoked\"]\n") +
                      event("b", "types = [\"session-revoked\"]\n")),
              "another [[event]] has already"));
    CHECK(has(problem(least + event("a", "") + event("b", "")), "one alone may take the rest"));
    CHECK(good(least + event("a", "") + event("b", "types = [\"session-revoked\"]\n"))
              .events.size() == 2);
}

TEST_CASE("a control socket that was asked for must fit, a derived one is left out") {
    const std::string deep(200, 'd');
    CHECK(good(least + "[state]\npath = \"" + deep + "/r.db\"\n").control_socket.empty());
    CHECK(has(problem(least + "[control]\nsocket = \"" + deep + "\"\n"), "is longer than"));
    CHECK(good(least + "[control]\nsocket = \"\"\n").control_socket.empty());
}

TEST_CASE("the quirks are switched one by one") {
    const auto c = good(least + "[quirks]\nissuer_slash = true\nseveral_events = true\n");
    CHECK(c.options.quirks.issuer_slash);
    CHECK(c.options.quirks.several_events);
    CHECK_FALSE(c.options.quirks.typ_missing);
    CHECK_FALSE(c.options.quirks.created_with_200);
}

TEST_CASE("the log names the transmitter, by what there is of it") {
    ms::options o;
    o.metadata_url = "https://a.example/metadata";
    CHECK(transmitter_named_by(o) == "https://a.example/metadata");
    o.metadata_url = "https://a.example/.well-known/ssf-configuration/t";
    CHECK(transmitter_named_by(o) == "https://a.example/t");
    o.metadata_json = R"({"issuer":"https://b.example"})";
    CHECK(transmitter_named_by(o) == "https://b.example");
    o.issuer = "https://c.example";
    CHECK(transmitter_named_by(o) == "https://c.example");
}
