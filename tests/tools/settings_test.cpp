#include "tools/missionctl/settings.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace mission;
using namespace mission::tools;

namespace {

// A directory that goes with the test.
struct scratch {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("missionctl-test-" + std::to_string(::getpid()));
    scratch() { std::filesystem::create_directories(path); }
    ~scratch() { std::filesystem::remove_all(path); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path / name) << text;
        return (path / name).string();
    }
};

std::string problem(const invocation& typed) {
    const auto s = load_settings(typed);
    REQUIRE(!s);
    CHECK(s.error().code == errc::bad_configuration);
    return s.error().detail;
}

}  // namespace

TEST_CASE("the file fills what no flag has set, with paths relative to it") {
    const scratch dir;
    dir.write("op.key", "PEM");
    dir.write("ca.pem", "CA");
    invocation typed;
    typed.config_file = dir.write("c.toml",
                                  "server = \"https://mas.example/\"\nclient_id = \"op\"\n"
                                  "private_key = \"op.key\"\nca_file = \"ca.pem\"\n");
    auto s = load_settings(typed).value();
    CHECK(s.server == "https://mas.example");
    CHECK(s.client_id == "op");
    CHECK(s.private_key_pem == "PEM");
    CHECK(s.ca_pem == "CA");
    typed.server = "https://other.example";
    CHECK(load_settings(typed).value().server == "https://other.example");
}

TEST_CASE("an unknown key is an error that names its line") {
    const scratch dir;
    invocation typed;
    typed.config_file = dir.write("c.toml", "server = \"https://mas.example\"\nsevrer = \"x\"\n");
    const auto text = problem(typed);
    CHECK(text.find(":2: unknown key: sevrer") != std::string::npos);
    typed.config_file = dir.write("d.toml", "server = 5\n");
    CHECK(problem(typed).find("not a string") != std::string::npos);
    typed.config_file = dir.write("e.toml", "server = \n");
    CHECK(problem(typed).find(":1: ") != std::string::npos);
}

TEST_CASE("without a server, or without a credential, nothing is asked") {
    const scratch dir;
    invocation typed;
    CHECK(problem(typed).find("no server") != std::string::npos);
    typed.server = "http://mas.example";
    CHECK(problem(typed).find("https") != std::string::npos);
    typed.server = "https://mas.example";
    CHECK(problem(typed).find("nobody to ask as") != std::string::npos);
    typed.private_key_file = dir.write("op.key", "PEM");
    CHECK(problem(typed).find("--client-id") != std::string::npos);
    typed.private_key_file = (dir.path / "missing.key").string();
    CHECK(problem(typed).find("cannot read") != std::string::npos);
}

TEST_CASE("a token file's first line is the token") {
    const scratch dir;
    invocation typed;
    typed.server = "https://mas.example";
    typed.token_file = dir.write("t", "secret-token\nsomething else\n");
    CHECK(load_settings(typed).value().token == "secret-token");
}
