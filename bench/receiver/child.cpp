#include "bench/receiver/child.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <mission_signals/receiver.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/receiver/fail.hpp"
#include "bench/receiver/measures.hpp"
#include "receiver/sidecar/sidecar.hpp"

extern char** environ;

namespace mission::bench {
namespace {

namespace ms = mission_signals;

constexpr auto patience = std::chrono::seconds(60);

double used(const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

ms::options options_of(char** argv) {
    ms::options o;
    o.issuer = argv[2];
    o.ca_file = argv[3];
    o.client_id = argv[4];
    o.private_key_file = argv[5];
    o.state_path = argv[6];
    if (std::string_view(argv[7]) == "push") {
        o.delivery = ms::delivery::push;
        o.push_listen = "127.0.0.1:0";
        o.push_certificate_file = argv[8];
        o.push_private_key_file = argv[9];
        o.push_public_url = "https://localhost:{port}/push";
        o.push_authorization_header = "Bearer bench";
    }
    // As a program that logs at `warning`: what is below costs its making, and no output.
    o.log = [](ms::log_level level, std::string_view text, const std::vector<ms::log_field>& more) {
        if (level < ms::log_level::warning) return;
        std::string line(text);
        for (const auto& f : more)
            line.append(" ").append(f.name).append("=").append(f.value);
        std::cerr << line + "\n";
    };
    return o;
}

// Headers of whoever may open its socket name the mission.
std::unique_ptr<receiver::sidecar::server> make_sidecar(ms::receiver& rx, const char* issuer,
                                                        const std::string& socket) {
    if (socket.empty()) return nullptr;
    receiver::sidecar::settings s;
    s.listen = must(receiver::sidecar::parse_listen_place("unix:" + socket), "listen");
    s.trusted_proxies = must(receiver::sidecar::peer_list::parse({"unix"}), "proxies");
    s.mission_issuer = issuer;
    const auto quiet = [](ms::log_level, std::string_view, const std::vector<ms::log_field>&) {};
    return must(receiver::sidecar::make_server(rx, std::move(s), quiet, nullptr), "sidecar");
}

}  // namespace

std::string restart_id(int n) {
    const auto digits = std::to_string(n);
    return "msn_" + std::string(28 - digits.size(), '0') + digits;
}

int run_child(int argc, char** argv) try {
    if (argc != 12) return 2;
    const int restarted = std::atoi(argv[11]);
    std::vector<std::string> ids;
    for (int n = 0; n < restarted; ++n)
        ids.push_back(restart_id(n));
    const auto begin = std::chrono::steady_clock::now();
    auto rx = ms::make_receiver(options_of(argv));
    rx->start();
    for (const auto& id : ids)
        while (rx->missions().check(id).what == ms::standing::unknown)
            std::this_thread::sleep_for(std::chrono::microseconds(200));
    const auto ready = std::chrono::steady_clock::now() - begin;
    auto sidecar = make_sidecar(*rx, argv[2], argv[10]);
    for (std::string command; std::getline(std::cin, command);) {
        if (command == "live") {
            std::cout << (rx->wait_live(patience) ? "yes" : rx->last_setup_problem()) << std::endl;
        } else if (command == "cpu") {
            rusage u{};
            ::getrusage(RUSAGE_SELF, &u);
            std::cout << std::to_string(used(u.ru_utime) + used(u.ru_stime)) << std::endl;
        } else if (command == "restart") {
            std::cout << std::to_string(std::chrono::duration<double, std::milli>(ready).count())
                      << std::endl;
        } else if (command == "counts") {
            const auto s = rx->current_status();
            std::cout << s.sets_received << ' ' << s.sets_rejected << ' ' << s.sets_duplicate << ' '
                      << rx->missions().size() << std::endl;
        } else {
            break;
        }
    }
    if (sidecar) sidecar->stop();
    rx->stop();
    return 0;
} catch (const std::exception& e) {
    std::cerr << "bench receiver, child: " << e.what() << "\n";
    return 1;
}

child::child(const child_setup& setup) {
    int in[2], out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) fail("pipe");
    std::vector<std::string> words = {
        "bench_receiver",       "--child",
        setup.issuer,           setup.ca_file,
        setup.client_id,        setup.key_file,
        setup.state_path,       setup.push ? "push" : "poll",
        setup.certificate_file, setup.certificate_key_file,
        setup.sidecar_socket,   std::to_string(setup.restart_missions)};
    std::vector<char*> argv;
    for (auto& w : words)
        argv.push_back(w.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const int r = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
    if (r != 0) fail("the receiver's process cannot be started");
}

child::~child() {
    ::close(to_);  // the end of its input is the end of its work
    int status = 0;
    for (int tries = 0; tries < 1000; ++tries) {
        if (::waitpid(pid_, &status, WNOHANG) != 0) break;
        ::usleep(10'000);
        if (tries == 500) ::kill(pid_, SIGKILL);
    }
    ::close(from_);
}

std::string child::ask(const std::string& command) {
    const auto line = command + "\n";
    if (::write(to_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        fail("the receiver's process has ended");
    for (;;) {
        if (const auto end = unread_.find('\n'); end != std::string::npos) {
            auto answer = unread_.substr(0, end);
            unread_.erase(0, end + 1);
            return answer;
        }
        char area[512];
        const auto n = ::read(from_, area, sizeof area);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) fail("the receiver's process has ended");
        unread_.append(area, static_cast<std::size_t>(n));
    }
}

void child::wait_live() {
    if (const auto said = ask("live"); said != "yes") fail("the receiver is not live: " + said);
}

double child::restart_ms() {
    return std::stod(ask("restart"));
}

double child::cpu_seconds() {
    return std::stod(ask("cpu"));
}

child_counts child::counts() {
    child_counts c;
    if (std::sscanf(ask("counts").c_str(), "%llu %llu %llu %llu", &c.received, &c.rejected,
                    &c.duplicate, &c.missions) != 4)
        fail("the receiver's process speaks in riddles");
    return c;
}

}  // namespace mission::bench
