// Real sockets on loopback, and peers that misbehave on purpose.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/client.hpp"
#include "net/dev_certificate.hpp"
#include "net/runtime.hpp"
#include "net/server.hpp"

namespace mission::net::test {

using namespace std::chrono_literals;

// Nothing in these tests takes longer when it works.
inline constexpr auto patience = 20s;

// Made once for the whole program.
const dev_certificate& certificate();

// A value that another thread brings.
template <class T>
class promised {
  public:
    // Notifies under the lock: who waits may destroy this as soon as it has the value.
    void set(T value) {
        const std::lock_guard lock(mutex_);
        if (value_) {
            ++extra_;
        } else {
            value_.emplace(std::move(value));
        }
        changed_.notify_all();
    }
    bool wait(std::chrono::milliseconds most = patience) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, most, [&] { return value_.has_value(); });
    }
    // Waits; fails the test by throwing when nothing comes.
    T get() {
        if (!wait()) throw std::runtime_error("nothing came in time");
        const std::lock_guard lock(mutex_);
        return *value_;
    }
    int extra() {
        const std::lock_guard lock(mutex_);
        return extra_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<T> value_;
    int extra_ = 0;
};

// Looks until `condition` holds.
bool eventually(const std::function<bool()>& condition);

// Answers with what `fn` says; the default echoes the request's method, path and body.
class function_handler final : public http_handler {
  public:
    using function = std::function<void(http_request, responder)>;
    function_handler();
    explicit function_handler(function fn) : fn_(std::move(fn)) {}
    void handle(http_request r, responder respond) override {
        fn_(std::move(r), std::move(respond));
    }

  private:
    function fn_;
};

// A server with a handler, on a runtime of its own.
struct served {
    explicit served(server_options options = {}, function_handler::function fn = {});
    std::string url(const std::string& path = "/") const;

    std::unique_ptr<runtime> rt = make_runtime(2, 1);
    function_handler handler;
    std::unique_ptr<http_server> server;
    bool tls;
};

server_options plain_options();
server_options tls_options();

client_options trusting();  // the certificate above; plain http allowed

// Sends and waits.
result<http_response> fetch(http_client& client, client_request request);
result<http_response> fetch(http_client& client, const std::string& url);

// A blocking socket to 127.0.0.1.
class raw_client {
  public:
    explicit raw_client(std::uint16_t port);
    ~raw_client();
    raw_client(const raw_client&) = delete;
    raw_client& operator=(const raw_client&) = delete;

    bool send(std::string_view text);
    // Until the text is there or the connection ends; all that came so far.
    std::string read_until(std::string_view mark);
    std::string read_all();
    void end_sending();
    void reset();  // closes with RST
    int fd() const { return fd_; }

  private:
    int fd_;
    std::string got_;
};

// Accepts on loopback and runs `serve` for each connection, with its number, on a thread.
class raw_server {
  public:
    using function = std::function<void(int fd, int number)>;
    explicit raw_server(function serve);
    ~raw_server();
    std::uint16_t port() const { return port_; }
    int accepted() const { return accepted_.load(); }
    std::string url(const std::string& path = "/") const;

  private:
    int fd_;
    std::uint16_t port_ = 0;
    std::atomic<int> accepted_{0};
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<std::thread> threads_;
    std::vector<int> open_;
    std::atomic<bool> ending_{false};
};

std::string read_request(int fd);  // up to the empty line
void write_text(int fd, std::string_view text);

}  // namespace mission::net::test
