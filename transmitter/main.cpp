// mission-transmitter: command line, signals, exit status. What it runs is program/app.

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>

#include "transmitter/config/read_config.hpp"
#include "transmitter/program/app.hpp"
#include "transmitter/program/keys_command.hpp"
#include "transmitter/program/prepare.hpp"
#include "transmitter/program/store_command.hpp"

namespace {

using namespace mission;
using namespace mission::transmitter;

constexpr auto stop_grace = std::chrono::milliseconds(4000);

int failed(const error& e) {
    std::cerr << "mission-transmitter: " << (e.detail.empty() ? e.message() : e.detail) << "\n";
    return 1;
}

struct arguments {
    std::string config_file;
    bool dev = false;
    bool verbose = false;
};

// Where --dev keeps its things: beside the store.
std::string dev_folder(const config& c) {
    std::filesystem::path base = "state";
    if (c.store_url.starts_with("sqlite:"))
        base = std::filesystem::path(c.store_url.substr(7)).parent_path();
    return (base / "dev").string();
}

result<config> settings_of(const arguments& a) {
    if (a.config_file.empty()) {
        if (a.dev) return dev_config();
        return error{errc::bad_configuration, "--config FILE is needed (or --dev)"};
    }
    return load_config(a.config_file, process_environment());
}

// Tests that listen on port 0 learn the ports from here; written whole.
result<void> write_ports(const app& running) {
    const char* file = std::getenv("MISSION_PORT_FILE");
    if (!file) return {};
    const std::string temporary = std::string(file) + ".new";
    {
        std::ofstream out(temporary, std::ios::trunc);
        out << "{\"port\":" << running.port() << ",\"admin_port\":" << running.admin_port()
            << "}\n";
        if (!out.flush()) return error{errc::io_error, temporary + ": cannot be written"};
    }
    std::error_code e;
    std::filesystem::rename(temporary, file, e);
    if (e) return error{errc::io_error, std::string(file) + ": cannot be written"};
    return {};
}

std::string listener_name(const std::string& address, std::uint16_t port) {
    if (address.starts_with("unix:")) return address;
    const bool v6 = address.find(':') != std::string::npos;
    return "https://" + (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

int serve(const arguments& a) {
    if (a.config_file.empty() && !a.dev) {
        std::cerr << "mission-transmitter: --config FILE is needed (or --dev)\n";
        return 2;
    }
    auto settings = settings_of(a);
    if (!settings) return failed(settings.error());
    if (a.verbose) set_log_level(level::debug);
    if (a.dev)
        if (auto r = prepare_dev(*settings, dev_folder(*settings)); !r) return failed(r.error());
    if (settings->clients.empty())
        return failed({errc::bad_configuration, a.config_file + ": there is no [[client]]"});
    if (settings->auth.allow_bearer)
        log(level::warning,
            "allow_bearer: status and lifecycle take plain bearer tokens; for development only");
    const config shown = *settings;
    // A stop signal that comes while we start waits until there is somebody to hear it. Threads
    // made meanwhile inherit the block; this one lifts its own below.
    sigset_t stop_signals;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
    auto running = start_app(std::move(*settings));
    if (!running) return failed(running.error());

    std::mutex mutex;
    std::condition_variable wake;
    bool stop = false;
    (*running)->runtime().on_stop_signal([&] {
        const std::lock_guard lock(mutex);
        stop = true;
        wake.notify_all();
    });
    pthread_sigmask(SIG_UNBLOCK, &stop_signals, nullptr);
    if (auto r = write_ports(**running); !r) return failed(r.error());
    for (const auto& issuer : shown.issuers)
        log(level::info, "issuer", {{"url", issuer.url}});
    if ((*running)->admin_port() != 0)
        log(level::info,
            "admin listening on " + listener_name(shown.admin.address, (*running)->admin_port()));
    log(level::info, "listening on " + listener_name(shown.listen_address, (*running)->port()));
    {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop; });
    }
    log(level::info, "stopping: what is in flight is finished");
    (*running)->stop(stop_grace);
    log(level::info, "stopped");
    return 0;
}

int check_config_file(const arguments& a) {
    const auto settings = load_config(a.config_file, process_environment());
    if (!settings) return failed(settings.error());
    std::cout << a.config_file << ": good (" << settings->issuers.size() << " issuer(s), "
              << settings->clients.size() << " client(s))\n";
    return 0;
}

int run_keys(const arguments& a, const keys_request& request) {
    const auto settings = settings_of(a);
    if (!settings) return failed(settings.error());
    const auto text = keys_command(*settings, request);
    if (!text) return failed(text.error());
    std::cout << *text;
    return 0;
}

int run_store(const arguments& a, const store_request& request) {
    const auto settings = settings_of(a);
    if (!settings) return failed(settings.error());
    const auto text = store_command(*settings, request);
    if (!text) return failed(text.error());
    std::cout << *text;
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App cli("Mission Signals transmitter: tells every receiver when a mission changes");
    cli.set_version_flag("--version", std::string("mission-transmitter ") + MISSION_VERSION);
    cli.require_subcommand(1);
    auto* serve_command = cli.add_subcommand("serve", "Run the transmitter");
    serve_command->add_option("--config", a.config_file, "Configuration file (TOML)");
    serve_command->add_flag("--dev", a.dev, "Make a loopback certificate and example clients");
    serve_command->add_flag("--verbose", a.verbose, "Log refusals and details too");
    auto* check_command = cli.add_subcommand("check-config", "Read the configuration and stop");
    check_command->add_option("--config,config", a.config_file, "Configuration file")->required();
    auto* keys_menu = cli.add_subcommand("keys", "Signing keys; a running transmitter follows");
    keys_menu->require_subcommand(1);
    keys_request keys;
    auto* keys_list = keys_menu->add_subcommand("list", "Show every key and its role");
    auto* keys_rotate = keys_menu->add_subcommand(
        "rotate", "Sign with the next key; or as soon as it has been published long enough");
    auto* keys_revoke = keys_menu->add_subcommand(
        "revoke", "Take a key out of use and out of the JWKS at once, for good");
    for (auto* c : {keys_list, keys_rotate, keys_revoke}) {
        c->add_option("--config", a.config_file, "Configuration file");
        c->add_flag("--dev", a.dev, "Those of --dev without a configuration");
        c->add_option("--issuer", keys.issuer, "Of this issuer alone (its URL)");
    }
    keys_rotate->add_option("--alg", keys.alg, "Of this algorithm alone")
        ->check(CLI::IsMember({"ES256", "RS256"}));
    keys_revoke
        ->add_option("kid", keys.kid,
                     "As `keys list` shows it; after -- when it begins with a dash")
        ->required();
    auto* store_menu = cli.add_subcommand("store", "What the transmitter remembers");
    store_menu->require_subcommand(1);
    store_request store;
    auto* store_copy = store_menu->add_subcommand(
        "copy", "Copy the store into one file, whether a transmitter runs on it or not");
    auto* store_restored = store_menu->add_subcommand(
        "restored",
        "Say that the store was put back to an older state, where only you know: after "
        "a snapshot of the machine or the volume; the transmitter is stopped");
    for (auto* c : {store_copy, store_restored}) {
        c->add_option("--config", a.config_file, "Configuration file");
        c->add_flag("--dev", a.dev, "That of --dev without a configuration");
    }
    store_copy->add_option("TO", store.to, "The file to make; nothing is overwritten")->required();
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        const int status = cli.exit(e);
        return status == 0 ? 0 : 2;
    }
    try {
        if (*serve_command) return serve(a);
        if (*check_command) return check_config_file(a);
        if (*store_menu) {
            if (*store_restored) store.what = store_request::kind::restored;
            return run_store(a, store);
        }
        if (*keys_rotate) keys.what = keys_request::kind::rotate;
        if (*keys_revoke) keys.what = keys_request::kind::revoke;
        return run_keys(a, keys);
    } catch (const std::exception& e) {
        std::cerr << "mission-transmitter: " << e.what() << "\n";
        return 1;
    }
}
