// A transmitter in this process, on an SQLite file, with missions put there before its start; and
// clients of it, over TLS.
//
//   console   by certificate: every operation, every mission
//   rs        a poll stream of every mission, ES256
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/lifecycle/tls_caller.hpp"
#include "jose/key.hpp"
#include "net/client.hpp"
#include "net/dev_certificate.hpp"
#include "store/store.hpp"
#include "transmitter/program/app.hpp"

namespace mission::bench {

using clock_type = std::chrono::steady_clock;
using form = std::vector<std::pair<std::string, std::string>>;

[[noreturn]] void fail(const std::string& what);

template <class T>
T must(result<T> r, const char* what) {
    if (!r) fail(std::string(what) + ": " + r.error().message());
    return std::move(*r);
}

inline double milliseconds_since(clock_type::time_point begin) {
    return std::chrono::duration<double, std::milli>(clock_type::now() - begin).count();
}

// The value below which `share` of them lie; sorts them.
double quantile(std::vector<double>& values, double share);

std::string mission_id(int n);

// The system's clock, moved forward: deadlines lie where they are wanted, however long it took to
// write them.
class moved_clock final : public clock {
  public:
    wall_time now() const noexcept override {
        return system_clock().now() + std::chrono::milliseconds(ahead_.load());
    }
    steady_time steady_now() const noexcept override { return system_clock().steady_now(); }
    void move_to(wall_time t) { ahead_ = (t - system_clock().now()).count(); }

  private:
    std::atomic<std::int64_t> ahead_{0};
};

// What to put into the store before the start.
struct planned_mission {
    int parent = -1;  // its number; an earlier one
    std::int64_t children = 0;
    wall_time expires_at{};
};

class world {
  public:
    // `missions` by number; `stream`: rs listens to what comes after them.
    world(const std::string& folder, const std::vector<planned_mission>& missions, bool stream,
          moved_clock* time = nullptr);
    ~world();
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    // From here on it listens.
    void start();

    store::store& db() { return app_->db(); }
    transmitter::app& app() { return *app_; }
    std::string url(std::string_view path) const;
    std::uint16_t port() const { return app_->port(); }
    // Of the client that may do everything to every mission.
    caller_identity console() const;
    // The row of a planned mission: they are written in order.
    static store::mission_row row(int n) { return store::mission_row{n + 1}; }

    // `done` on a client's thread. The pending request is kept until its answer is there.
    using answered = std::function<void(const net::http_response&)>;
    void post(std::string_view path, const form& fields, answered done);
    net::http_response post(std::string_view path, const form& fields);
    void lifecycle(int mission, std::string_view operation, answered done);
    // One poll of the stream.
    net::http_response poll(std::string body);
    jose::key_set keys();

  private:
    void fill(const std::vector<planned_mission>& missions, bool stream);
    void send(net::client_request request, net::http_client& by, answered done);

    std::string folder_;
    moved_clock* time_;
    net::dev_certificate server_, console_;
    transmitter::config settings_;
    std::unique_ptr<transmitter::app> app_;
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<net::http_client> as_console_, as_rs_;
};

}  // namespace mission::bench
