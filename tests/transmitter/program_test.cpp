// The program itself: command line, exit status, first start, errors at start, signals.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/transmitter/printing.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::temporary_folder;
using testing::transmitter_fixture;

namespace {

namespace fs = std::filesystem;

std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A run of the program in `folder`; killed at the end if it still runs.
class process {
  public:
    process(const std::string& folder, std::vector<std::string> arguments)
        : log_(folder + "/log"), ports_(folder + "/ports") {
        fs::remove(ports_);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            const int out = ::open(log_.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
            ::dup2(out, 1);
            ::dup2(out, 2);
            if (::chdir(folder.c_str()) != 0) ::_exit(99);
            ::setenv("MISSION_PORT_FILE", ports_.c_str(), 1);
            std::vector<char*> argv{const_cast<char*>(MISSION_TRANSMITTER)};
            for (auto& a : arguments)
                argv.push_back(a.data());
            argv.push_back(nullptr);
            ::execv(MISSION_TRANSMITTER, argv.data());
            ::_exit(98);
        }
        pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
        REQUIRE(pidfd_ >= 0);
    }
    ~process() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(pidfd_);
    }
    // The exit status; -1 when it does not end within 20 s.
    int wait() {
        if (!ended(20'000)) return -1;
        int status = 0;
        if (::waitpid(pid_, &status, 0) != pid_) return -1;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    // Until the ports are told, or the process has ended without.
    bool listening() {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!fs::exists(ports_))
            if (ended(2) || std::chrono::steady_clock::now() > until) return fs::exists(ports_);
        return true;
    }
    void signal(int number) { ::kill(pid_, number); }
    std::string log() const { return content(log_); }

  private:
    // Waits on the process itself, not on a clock.
    bool ended(int milliseconds) {
        pollfd wait{pidfd_, POLLIN, 0};
        return ::poll(&wait, 1, milliseconds) > 0;
    }

    std::string log_, ports_;
    pid_t pid_ = -1;
    int pidfd_ = -1;
};

std::string write_config(const std::string& folder, const std::string& more = "") {
    const auto port = testing::free_port();
    std::ofstream(folder + "/c.toml") << "listen = \"127.0.0.1:" << port << "\"\n[[issuer]]\nurl = "
                                      << "\"https://localhost:" << port << "\"\n"
                                      << more;
    return folder + "/c.toml";
}

int run(const temporary_folder& f, std::vector<std::string> arguments, std::string* log = nullptr) {
    process p(f.path(), std::move(arguments));
    const int status = p.wait();
    if (log) *log = p.log();
    return status;
}

}  // namespace

TEST_CASE("usage errors end with 2, --version and --help with 0") {
    temporary_folder f;
    std::string log;
    CHECK(run(f, {"--version"}, &log) == 0);
    CHECK(log.starts_with("mission-transmitter "));
    CHECK(run(f, {"--help"}) == 0);
    CHECK(run(f, {}) == 2);
    CHECK(run(f, {"bogus"}) == 2);
    CHECK(run(f, {"serve", "--bogus"}) == 2);
    CHECK(run(f, {"serve"}) == 2);
    CHECK(run(f, {"check-config"}) == 2);
}

TEST_CASE("check-config names the line of an unknown key and ends with 1") {
    temporary_folder f;
    std::string log;
    const auto good = write_config(f.path());
    CHECK(run(f, {"check-config", "--config", good}, &log) == 0);
    const auto bad = write_config(f.path(), "[ssf]\nhartbeat_seconds = 1\n");
    CHECK(run(f, {"check-config", "--config", bad}, &log) == 1);
    CHECK(log.find("c.toml:5: unknown key \"ssf.hartbeat_seconds\"") != std::string::npos);
    CHECK(run(f, {"check-config", "--config", "/nonexistent"}, &log) == 1);
    CHECK(log.find("/nonexistent") != std::string::npos);
}

TEST_CASE("a first start with --dev needs no preparation, a second finds everything") {
    temporary_folder f;
    const auto file = write_config(f.path());
    std::string certificate;
    for (int i = 0; i < 2; ++i) {
        process p(f.path(), {"serve", "--config", file, "--dev"});
        if (!p.listening()) MESSAGE(p.log());
        REQUIRE(p.listening());
        for (const auto* made : {"/state/transmitter.db", "/state/secret.key",
                                 "/state/dev/certificate.pem", "/state/dev/operator.pem"})
            CHECK(fs::exists(f.path() + made));
        if (i == 0) certificate = content(f.path() + "/state/dev/certificate.pem");
        p.signal(i == 0 ? SIGTERM : SIGINT);
        CHECK(p.wait() == 0);
        // The ports are told before the log says so: looked for when all is said.
        CHECK(p.log().find("listening on https://127.0.0.1:") != std::string::npos);
        CHECK(p.log().find("stopped") != std::string::npos);
    }
    CHECK(content(f.path() + "/state/dev/certificate.pem") == certificate);
    std::string log;
    CHECK(run(f, {"keys", "list", "--config", file}, &log) == 0);
    CHECK(log.find("ES256  current") != std::string::npos);
    CHECK(log.find("RS256  current") != std::string::npos);
}

TEST_CASE("keys are listed, rotated and revoked from the command line, also while nobody serves") {
    temporary_folder f;
    const auto file = write_config(f.path());
    std::string log;
    const auto has = [&](const std::string& text) { return log.find(text) != std::string::npos; };
    const auto keys = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "keys");
        arguments.insert(arguments.end(), {"--config", file});
        return run(f, std::move(arguments), &log);
    };
    CHECK(keys({"list"}) == 1);  // nobody has made any yet
    CHECK(has("has no keys yet"));
    CHECK(keys({"rotate"}) == 1);
    {
        process p(f.path(), {"serve", "--config", file, "--dev"});
        REQUIRE(p.listening());
        p.signal(SIGTERM);
        CHECK(p.wait() == 0);
    }
    CHECK(keys({"rotate", "--alg", "ES256"}) == 0);
    CHECK(has("ES256  "));
    CHECK(has(" will sign "));
    CHECK_FALSE(has("RS256"));
    CHECK(keys({"list"}) == 0);
    const auto at = log.find("ES256  current  ");
    REQUIRE(at != std::string::npos);
    const std::string kid = log.substr(at + 16, 43);
    CHECK(keys({"revoke", kid}) == 0);
    CHECK(has(kid + " is revoked; "));
    CHECK(has(" signs now"));
    CHECK(keys({"list"}) == 0);
    CHECK(has("ES256  revoked  " + kid));
    CHECK(has("ES256  current  "));
    CHECK(keys({"revoke", kid}) == 1);
    CHECK(has(kid));
    CHECK(keys({"list", "--issuer", "https://other.example"}) == 1);
    CHECK(keys({"rotate", "--alg", "HS256"}) == 2);
    CHECK(keys({"revoke"}) == 2);
    CHECK(keys({}) == 2);
    process p(f.path(), {"serve", "--config", file, "--dev"});
    CHECK(p.listening());  // with what is left
}

TEST_CASE("what hinders a start is said in one line, with exit status 1") {
    temporary_folder f;
    std::string log;
    const auto one_line = [&] { return std::count(log.begin(), log.end(), '\n') <= 8; };

    SUBCASE("no certificate and no --dev") {
        const auto file = write_config(f.path(), "[[client]]\nid = \"a\"\n");
        CHECK(run(f, {"serve", "--config", file}, &log) == 1);
        CHECK(log.find("certificate") != std::string::npos);
    }
    SUBCASE("no client") {
        const auto file = write_config(f.path());
        CHECK(run(f, {"serve", "--config", file}, &log) == 1);
        CHECK(log.find("[[client]]") != std::string::npos);
    }
    SUBCASE("a port in use, and a database another process writes") {
        const auto file = write_config(f.path());
        process first(f.path(), {"serve", "--config", file, "--dev"});
        REQUIRE(first.listening());
        temporary_folder g;
        // The same port with a store of its own; then the same store with a port of its own.
        fs::copy_file(file, g.path() + "/c.toml");
        CHECK(run(g, {"serve", "--config", g.path() + "/c.toml", "--dev"}, &log) == 1);
        CHECK(log.find("in use") != std::string::npos);
        const auto other = write_config(
            g.path(), "[store]\nurl = \"sqlite:" + f.path() + "/state/transmitter.db\"\n");
        CHECK(run(g, {"serve", "--config", other, "--dev"}, &log) == 1);
        CHECK(log.find("transmitter.db") != std::string::npos);
    }
    SUBCASE("an unreadable key") {
        const auto file = write_config(f.path());
        {
            process p(f.path(), {"serve", "--config", file, "--dev"});
            REQUIRE(p.listening());
            p.signal(SIGTERM);
            CHECK(p.wait() == 0);
        }
        fs::permissions(f.path() + "/state/secret.key", fs::perms(0644));
        CHECK(run(f, {"serve", "--config", file, "--dev"}, &log) == 1);
        CHECK(log.find("secret.key") != std::string::npos);
        CHECK(log.find("0600") != std::string::npos);
    }
    SUBCASE("a database that is none") {
        const auto file = write_config(f.path());
        fs::create_directories(f.path() + "/state");
        std::ofstream(f.path() + "/state/transmitter.db") << std::string(4096, 'x');
        CHECK(run(f, {"serve", "--config", file, "--dev"}, &log) == 1);
        CHECK(log.find("transmitter.db") != std::string::npos);
    }
    CHECK(one_line());
}
