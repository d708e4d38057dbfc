// An agent that does not know it can be stopped: it works through the accounting API and the vault,
// prints what it did, and on a refusal simply tries again. What ends it is its mission.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "samples/common/service.hpp"

extern char** environ;

namespace {

using sample::json_object;

struct settings {
    std::string mission, secret = "ledger-db", resource_server, broker, vault, ca_file, token_file;
    int interval_ms = 50;
    std::int64_t steps = 0;  // after so many its work is done; 0: it never is
    bool helper = false;
};

// A second process of the agent: real agents start shells and tools, and these have to go as well.
pid_t start_helper() {
    char self[] = "/proc/self/exe", flag[] = "--helper";
    char* argv[] = {self, flag, nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, environ) != 0)
        throw std::runtime_error("cannot start the helper");
    sample::log_line(sample::event_line("agent", "helper").add("pid", static_cast<int>(pid)));
    return pid;
}

// Outlives the agent by up to half a minute, so that killing the agent alone would be seen to leave
// something behind.
[[noreturn]] void be_helper() {
    const pid_t agent = ::getppid();
    while (::getppid() == agent)
        std::this_thread::sleep_for(std::chrono::seconds(30));
    std::exit(0);
}

class agent {
  public:
    explicit agent(const settings& s) : settings_(s) {
        const std::string token =
            s.token_file.empty() ? std::string() : sample::read_token(s.token_file);
        api_ = sample::make_client(s.resource_server, s.ca_file, token);
        broker_ = sample::make_client(s.broker, s.ca_file, token);
    }

    // Until its end comes, or until nobody has answered for a minute: false. True: it is done.
    bool work() {
        answered_ = std::chrono::steady_clock::now();
        for (std::int64_t step = 1;
             std::chrono::steady_clock::now() - answered_ < std::chrono::minutes(1); ++step) {
            if (!vault_) fetch_credential();
            const bool secret_read =
                vault_ && did("secret", vault_->Get("/secrets/" + settings_.secret), step);
            const httplib::Headers mission = {{"Mission-Id", settings_.mission}};
            did("invoices", api_->Get("/invoices", mission), step);
            if (secret_read)
                did("journal-entry",
                    api_->Post("/journal-entries", mission, R"({"account":"4711"})",
                               "application/json"),
                    step);
            if (step == settings_.steps) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(settings_.interval_ms));
        }
        return false;
    }

  private:
    void fetch_credential() {
        const auto result = broker_->Post("/credentials",
                                          json_object()
                                              .add("mission_id", settings_.mission)
                                              .add("secret", settings_.secret)
                                              .str(),
                                          "application/json");
        if (!did("credential", result, 0)) return;
        const auto body = sample::parse_object(result->body);
        if (!body) return;
        vault_ = sample::make_client(settings_.vault, settings_.ca_file,
                                     sample::text_member(*body, "credential"));
    }

    // One line per thing done or refused; true when it was done.
    bool did(const char* what, const httplib::Result& result, std::int64_t step) {
        auto line = sample::event_line("agent", "work");
        line.add("mission", settings_.mission).add("step", step).add("action", what);
        const bool done = result && result->status / 100 == 2;
        if (result) answered_ = std::chrono::steady_clock::now();
        if (done) {
            line.add("outcome", "done");
        } else if (result) {
            const auto body = sample::parse_object(result->body);
            line.add("outcome", "refused").add("status", result->status);
            line.add("reason", body ? sample::text_member(*body, "reason") : std::string());
        } else {
            line.add("outcome", "no answer");
        }
        sample::log_line(line);
        return done;
    }

    const settings settings_;
    std::chrono::steady_clock::time_point answered_{};
    std::unique_ptr<httplib::Client> api_, broker_, vault_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"An agent at work", "agent"};
    settings s;
    app.add_option("--mission", s.mission, "The mission it works for");
    app.add_option("--secret", s.secret, "What it needs from the vault")->capture_default_str();
    app.add_option("--resource-server", s.resource_server, "https://host:port");
    app.add_option("--broker", s.broker, "https://host:port");
    app.add_option("--vault", s.vault, "https://host:port");
    app.add_option("--ca-file", s.ca_file, "PEM file of trusted authorities");
    app.add_option("--token-file", s.token_file, "Bearer token for the APIs");
    app.add_option("--interval-ms", s.interval_ms, "Pause between steps")
        ->check(CLI::PositiveNumber);
    app.add_option("--steps", s.steps, "Its work is done after so many; 0: never")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_flag("--helper", s.helper, "Be the agent's helper process");
    return sample::run_main(app, argc, argv, [&]() -> int {
        if (s.helper) be_helper();
        if (s.mission.empty() || s.resource_server.empty() || s.broker.empty() || s.vault.empty())
            throw std::runtime_error("--mission, --resource-server, --broker, --vault are needed");
        // A server that is gone is "no answer", not the agent's end.
        ::signal(SIGPIPE, SIG_IGN);
        const pid_t helper = start_helper();
        if (!agent(s).work()) return 1;
        // An orderly end leaves nothing behind.
        ::kill(helper, SIGTERM);
        ::waitpid(helper, nullptr, 0);
        return 0;
    });
}
