#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include "base/json.hpp"
#include "net/runtime.hpp"
#include "net/server.hpp"
#include "receiver/program/commands.hpp"
#include "receiver/program/control.hpp"
#include "receiver/program/handlers.hpp"
#include "receiver/program/hangup.hpp"
#include "receiver/program/log.hpp"
#include "receiver/program/sidecar_host.hpp"
#include "receiver/subscribe/discovery.hpp"

namespace mission::receiver::program {
namespace {

// First step of the stop: commands that run may end by themselves; then they are killed.
constexpr auto command_grace = std::chrono::seconds(4);
constexpr auto control_grace = std::chrono::milliseconds(500);

// Set once; waited for with and without a deadline.
class event {
  public:
    void set() {
        const std::lock_guard lock(m_);
        is_set_ = true;
        wake_.notify_all();
    }
    void wait() {
        std::unique_lock lock(m_);
        wake_.wait(lock, [&] { return is_set_; });
    }
    bool wait_for(std::chrono::milliseconds t) {
        std::unique_lock lock(m_);
        return wake_.wait_for(lock, t, [&] { return is_set_; });
    }

  private:
    std::mutex m_;
    std::condition_variable wake_;
    bool is_set_ = false;
};

// A signal to stop or to read again that comes while we start waits until there is somebody to hear
// it: every thread made meanwhile inherits the block.
void block_stop_signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(how, &set, nullptr);
}

// Tests that listen on port 0 learn the ports from here; written whole.
result<void> write_ports(std::uint16_t push, std::uint16_t check) {
    const char* file = std::getenv("MISSION_PORT_FILE");
    if (!file) return {};
    const std::string temporary = std::string(file) + ".new";
    {
        std::ofstream out(temporary, std::ios::trunc);
        out << "{\"port\":" << push << ",\"check_port\":" << check << "}\n";
        if (!out.flush()) return error{errc::io_error, temporary + ": cannot be written"};
    }
    std::error_code e;
    std::filesystem::rename(temporary, file, e);
    if (e) return error{errc::io_error, std::string(file) + ": cannot be written"};
    return {};
}

// Its folder is made, for us alone: what is in it is nobody else's business.
result<void> make_state_folder(const std::string& path) {
    const auto folder = std::filesystem::path(path).parent_path();
    std::error_code e;
    if (folder.empty() || std::filesystem::exists(folder, e)) return {};
    std::filesystem::create_directories(folder, e);
    if (e) return error{errc::io_error, folder.string() + ": " + e.message()};
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, e);
    return {};
}

class control_server {
  public:
    // An error only where the socket was asked for by name.
    result<void> open(const program_config& c, ms::receiver& rx, net::runtime& rt,
                      const ms::log_function& log) {
        if (c.control_socket.empty()) {
            if (c.control_derived)
                log(ms::log_level::warning,
                    "no control socket: the state's path is too long for one; set control.socket",
                    {});
            return {};
        }
        handler_ = make_control_handler(rx, rt);
        net::server_options o;
        o.address = "unix:" + c.control_socket;
        o.mode = net::transport::plain;
        o.max_connections = o.max_connections_per_address = 64;
        auto made = net::make_http_server(rt, std::move(o), *handler_);
        if (!made) {
            if (!c.control_derived)
                return error{errc::bad_configuration, "control.socket: " + made.error().message()};
            log(ms::log_level::warning, "no control socket", {{"error", made.error().message()}});
            return {};
        }
        server_ = std::move(*made);
        log(ms::log_level::info, "control socket", {{"path", c.control_socket}});
        return {};
    }
    void close() {
        if (!server_) return;
        event closed;
        server_->stop(control_grace, [&] { closed.set(); });
        closed.wait();
    }

  private:
    std::unique_ptr<net::http_handler> handler_;
    std::unique_ptr<net::http_server> server_;
};

// Kills what still runs once the grace is over, while `rx.stop()` waits for the handlers.
void stop_receiver(ms::receiver& rx, exec_gate& gate, const ms::log_function& log) {
    event stopped;
    std::thread second_step([&] {
        if (stopped.wait_for(command_grace)) return;
        log(ms::log_level::warning, "commands that still run are killed, and tried again at start",
            {});
        gate.close();
    });
    rx.stop();
    stopped.set();
    second_step.join();
}

}  // namespace

std::string transmitter_named_by(const ms::options& o) {
    if (!o.issuer.empty()) return o.issuer;
    if (const auto m = json::parse(o.metadata_json); m && m->IsObject()) {
        if (const auto issuer = json::find_string(*m, "issuer")) return std::string(*issuer);
    }
    const auto derived = issuer_of_url(o.metadata_url);
    return derived.empty() ? o.metadata_url : derived;
}

int run_receiver(const program_config& c, const config_reader& read_again) {
    const auto log = make_log(c.log_level);
    const auto failed = [&](const std::string& why) {
        log(ms::log_level::error, why, {});
        std::cerr.flush();
        return 1;
    };
    if (auto r = make_state_folder(c.options.state_path); !r) return failed(r.error().message());
    // Handlers may still hold the gate when the receiver is destroyed: it goes last.
    const auto gate = std::make_shared<exec_gate>();
    auto options = c.options;
    options.log = log;

    block_stop_signals(SIG_BLOCK);
    const auto rt = net::make_runtime(1, 2);
    event stop;
    rt->on_stop_signal([&] { stop.set(); });
    std::unique_ptr<ms::receiver> rx;
    control_server control;
    try {
        rx = ms::make_receiver(std::move(options));
        register_handlers(*rx, c, gate, log);
        rx->start();
    } catch (const ms::setup_error& e) {
        block_stop_signals(SIG_UNBLOCK);
        rx.reset();
        rt->stop();
        return failed(e.what());
    }
    int status = 0;
    sidecar_host sidecar(*rx, log);
    auto ready = control.open(c, *rx, *rt, log);
    if (ready) ready = sidecar.open(c);
    if (ready) ready = write_ports(rx->push_port(), sidecar.port());
    // Before signals come: the first SIGHUP would end the process.
    const hangup_watch reload([&] { sidecar.reload(read_again()); });
    block_stop_signals(SIG_UNBLOCK);
    if (!ready) {
        status = failed(ready.error().message());
    } else {
        if (rx->push_port() != 0)
            log(ms::log_level::info, "push endpoint listening",
                {{"port", std::to_string(rx->push_port())}});
        log(ms::log_level::info, "running",
            {{"issuer", transmitter_named_by(c.options)},
             {"delivery", c.options.delivery == ms::delivery::push ? "push" : "poll"},
             {"teardown_handlers", std::to_string(c.teardown.size())},
             {"event_handlers", std::to_string(c.events.size())}});
        stop.wait();
        log(ms::log_level::info, "stopping: what is in flight is finished", {});
    }
    sidecar.close();
    control.close();
    stop_receiver(*rx, *gate, log);
    rt->stop();
    log(ms::log_level::info, "stopped", {});
    return status;
}

}  // namespace mission::receiver::program
