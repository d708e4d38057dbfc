// [[teardown]] of the presets: what is read, and what is refused with its line.
#include <doctest/doctest.h>

#include "receiver/program/command_line.hpp"
#include "receiver/program/handlers.hpp"
#include "scratch.hpp"

using namespace mission;
using namespace mission::receiver::program;

namespace {

const std::string base = "issuer = \"https://t.example\"\n[auth]\ntoken = \"abc\"\n";

result<program_config> read(const std::string& teardown) {
    return parse_config(base + "[[teardown]]\nname = \"n\"\n" + teardown, "r.toml",
                        [](const std::string&) { return std::optional<std::string>(); });
}

template <class Preset>
Preset good(const std::string& teardown) {
    auto c = read(teardown);
    if (!c) FAIL(c.error().detail);
    REQUIRE(c->teardown.size() == 1);
    CHECK(c->teardown[0].what == teardown_config::kind::preset);
    return std::get<Preset>(c->teardown[0].preset);
}

std::string problem(const std::string& teardown) {
    const auto c = read(teardown);
    REQUIRE_FALSE(c.has_value());
    return c.error().detail;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an action over HTTP is read with its steps, their headers and bodies") {
    scratch files;
    const auto key = files.write("key", "k\n");
    const auto a = good<ms::http_action>(
        "on = [\"suspended\", \"ended\"]\ntype = \"http\"\ntimeout_seconds = 2.5\n"
        "token = { file = \"" +
        key +
        "\" }\n"
        "[[teardown.request]]\non = [\"suspended\"]\nmethod = \"PATCH\"\n"
        "url = \"https://a.example/{name}\"\nheaders = { X-A = \"{data}\", X-B = { file = \"" +
        key +
        "\" } }\njson = { spec = { suspend = true, why = \"{effect}\" } }\nexpect = [200]\n"
        "[[teardown.request]]\nlook = true\nurl = \"https://a.example/{name}\"\n"
        "pointer = \"/items\"\nequals = []\n");
    CHECK(a.timeout == std::chrono::milliseconds(2500));
    CHECK(a.token.file == key);  // read at each use
    CHECK(a.token.text.empty());
    REQUIRE(a.steps.size() == 2);
    CHECK(a.steps[0].method == "PATCH");
    CHECK(a.steps[0].headers.at(0).first == "X-A");
    CHECK(a.steps[0].secret_headers.at(0).second.file == key);
    CHECK(a.steps[0].json == R"({"spec":{"suspend":true,"why":"{effect}"}})");
    CHECK(a.steps[0].expect == std::vector<int>{200});
    CHECK(a.steps[1].method == "GET");
    CHECK(a.steps[1].equals == "[]");
}

TEST_CASE("the handler's deadline comes before the task's") {
    const auto c = read("on = [\"ended\"]\ntype = \"cgroup\"\ntimeout_seconds = 3\n");
    REQUIRE(c.has_value());
    CHECK(std::get<ms::cgroup_control>(c->teardown[0].preset).timeout == std::chrono::seconds(3));
    CHECK(c->teardown[0].options.timeout > std::chrono::seconds(3));
}

TEST_CASE("an effect without a request is refused") {
    const std::string one =
        "on = [\"suspended\", \"resumed\"]\ntype = \"http\"\n[[teardown.request]]\n"
        "url = \"https://a.example/\"\n";
    CHECK(read(one).has_value());
    CHECK(has(problem(one + "on = [\"suspended\"]\n"), "no request is for \"resumed\""));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"http\"\n"), "request is missing"));
}

TEST_CASE("a mistake in a preset is told with its line") {
    CHECK(has(problem("on = [\"ended\"]\ntype = \"http\"\n[[teardown.request]]\n"
                      "url = \"https://{data}/\"\n"),
              "r.toml:7: teardown.type = \"http\": url"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"http\"\n[[teardown.request]]\n"
                      "url = \"http://a.example/\"\n"),
              "is no https URL"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"http\"\n[[teardown.request]]\n"
                      "url = \"https://a.example/\"\nform = { a = \"{nobody}\" }\n"),
              "r.toml:10: request.form"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"file\"\ndirectory = \"relative\"\n"),
              "absolute path"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"postgres_role\"\n"), "connection is missing"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"redis_user\"\naddress = \"nowhere\"\n"),
              "HOST:PORT or unix:PATH"));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"file\"\ndirectory = \"/\"\nroot = \"/\"\n"),
              "unknown key \"teardown.root\""));
    CHECK(has(problem("on = [\"ended\"]\ntype = \"postgres_role\"\nconnection = \"x\"\n"
                      "password = { file = \"/nowhere\" }\n"),
              "cannot read /nowhere"));
}

TEST_CASE("what is taken away for good is not taken because nothing was heard") {
    for (const std::string effect : {"stale", "fresh", "resumed", "scope_changed"}) {
        const auto on = "on = [\"ended\", \"" + effect + "\"]\n";
        CHECK(has(problem(on + "type = \"file\"\ndirectory = \"/\"\n"), "has \"" + effect + "\""));
        CHECK(has(problem(on + "type = \"oauth_revocation\"\nclient_id = \"c\"\n"
                               "revocation_endpoint = \"https://a.example/\"\n"),
                  "has \"" + effect + "\""));
        CHECK(read(on + "type = \"cgroup\"\n").has_value());
    }
}

TEST_CASE("a preset runs as a handler of the program, and stops with it") {
    scratch files;
    files.write("sock", "");
    const auto c = read("on = [\"ended\"]\ntype = \"file\"\ndirectory = \"" + files.path.string() +
                        "\"\npath = \"{name}\"\n");
    REQUIRE(c.has_value());
    const auto gate = std::make_shared<exec_gate>();
    ms::task t;
    t.why = ms::effect::revoked;
    t.name = "sock";
    CHECK(handler_of(c->teardown[0], gate)(t).kind == ms::outcome_kind::acknowledged);
    CHECK_FALSE(std::filesystem::exists(files.at("sock")));

    const auto h = read(
        "on = [\"ended\"]\ntype = \"http\"\n[[teardown.request]]\n"
        "url = \"http://127.0.0.1:1/\"\n");
    REQUIRE(h.has_value());
    const auto run = handler_of(h->teardown[0], gate);
    CHECK(run(t).kind == ms::outcome_kind::failed);  // nobody listens
    gate->close();
    CHECK(run(t).kind == ms::outcome_kind::unknown);
}

TEST_CASE("teardown run and check-config take what is typed") {
    const auto parsed = [](std::vector<std::string> words) {
        words.insert(words.end(), {"--config", "c"});
        return std::get<invocation>(parse_command_line(words));
    };
    const auto t =
        parsed({"teardown", "run", "--handler", "h", "--mission", "-iimiLEiix0_Xm8HnL40L8SC",
                "--name", "n", "--data", "{}", "--effect", "suspended", "--key", "k"});
    CHECK(t.what == verb::teardown_run);
    CHECK(t.handler == "h");
    CHECK(t.mission_id == "-iimiLEiix0_Xm8HnL40L8SC");
    CHECK(t.data == "{}");
    CHECK(t.effect == "suspended");
    CHECK(t.key == "k");
    CHECK(std::holds_alternative<usage>(
        parse_command_line({"teardown", "run", "--config", "c", "--mission", "m"})));
    const auto several = std::get<invocation>(parse_command_line({"check-config", "a", "b", "c"}));
    CHECK(several.config_file == "a");
    CHECK(several.more_files == std::vector<std::string>{"b", "c"});
}
