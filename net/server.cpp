// The listener: accepts, counts, sweeps deadlines, stops in two steps.
#include "net/server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "net/detail/session.hpp"
#include "net/detail/tls.hpp"

namespace mission::net {
namespace {

namespace asio = boost::asio;
using detail::server_shared;

constexpr int backlog = 1024;
constexpr int accepts_per_wake = 64;
constexpr std::chrono::milliseconds accept_pause{50};  // when out of descriptors

class fd_guard {
  public:
    explicit fd_guard(int fd) : fd_(fd) {}
    ~fd_guard() {
        if (fd_ >= 0) ::close(fd_);
    }
    fd_guard(const fd_guard&) = delete;
    fd_guard& operator=(const fd_guard&) = delete;
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

error system_failure(const std::string& what) {
    const int code = errno;
    return {code == EADDRINUSE ? errc::address_in_use : errc::io_error,
            what + ": " + std::strerror(code)};
}

// A socket file that nobody listens on any more is removed; anything else is left alone.
void remove_stale_socket(const sockaddr_un& address) {
    struct stat info {};
    if (::lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return;
    const fd_guard probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno == ECONNREFUSED) {
        ::unlink(address.sun_path);
    }
}

// The file of a socket that we have bound. Removed with the listener, and only while it is ours:
// another process may have taken the place over since.
class socket_file {
  public:
    explicit socket_file(std::string path) : path_(std::move(path)) {
        if (path_.empty() || ::lstat(path_.c_str(), &bound_) != 0) path_.clear();
    }
    void remove() {
        std::call_once(once_, [this] {
            struct stat now {};
            if (!path_.empty() && ::lstat(path_.c_str(), &now) == 0 &&
                now.st_dev == bound_.st_dev && now.st_ino == bound_.st_ino)
                ::unlink(path_.c_str());
        });
    }

  private:
    std::string path_;
    struct stat bound_ {};
    std::once_flag once_;
};

result<int> listen_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return error{errc::bad_configuration, "socket path empty or too long"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    remove_stale_socket(address);
    fd_guard fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return system_failure("socket");
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return system_failure("bind " + path);
    }
    // Its owner and group alone: there is no TLS on it.
    ::chmod(path.c_str(), 0660);
    if (::listen(fd.get(), backlog) != 0) return system_failure("listen");
    return fd.release();
}

result<int> listen_tcp(const std::string& text, std::uint16_t port) {
    sockaddr_storage storage{};
    socklen_t size = 0;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        size = sizeof *v4;
    } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        size = sizeof *v6;
    } else {
        return error{errc::bad_configuration, "not an address to listen on: " + text};
    }
    fd_guard fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return system_failure("socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
        return system_failure("bind " + text + " port " + std::to_string(port));
    }
    if (::listen(fd.get(), backlog) != 0) return system_failure("listen");
    return fd.release();
}

std::uint16_t bound_port(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
    if (storage.ss_family == AF_INET) {
        return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
    }
    if (storage.ss_family == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    }
    return 0;
}

detail::peer_address describe(const sockaddr_storage& storage) {
    detail::peer_address peer;
    char text[INET6_ADDRSTRLEN] = {};
    if (storage.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        peer.port = ntohs(v4->sin_port);
        peer.loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    } else if (storage.ss_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
        peer.port = ntohs(v6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {  // one spelling, one limit per address
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
            peer.loopback = v6->sin6_addr.s6_addr[12] == 127;
        } else {
            inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
            peer.loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        }
    } else {
        peer.text = "unix";
        peer.loopback = true;
        return peer;
    }
    peer.text = text;
    return peer;
}

void tune(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // A peer that vanished during a long poll is noticed by the kernel, since no deadline of ours
    // runs while the handler works.
    const int idle = 30, interval = 10, count = 3;
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

// The listener's own state; kept alive by its waits, so that the server object may go first.
class listener final : public std::enable_shared_from_this<listener> {
  public:
    listener(std::shared_ptr<server_shared> shared, int fd)
        : shared_(std::move(shared)),
          strand_(asio::make_strand(shared_->context)),
          acceptor_(strand_, fd),
          sweep_timer_(strand_),
          pause_timer_(strand_),
          grace_timer_(strand_) {
        const auto& o = shared_->options;
        sweep_every_ = detail::sweep_interval(
            std::min({o.handshake_timeout, o.header_timeout, o.body_timeout, o.write_timeout,
                      o.keep_alive_timeout, std::chrono::milliseconds(1000)}));
    }

    void start() {
        asio::post(strand_, [self = shared_from_this()] {
            self->wait_for_connections();
            self->sweep_later();
        });
    }

    void stop(std::chrono::milliseconds grace, std::function<void()> done) {
        asio::post(strand_, [self = shared_from_this(), grace, done = std::move(done)]() mutable {
            self->begin_stop(grace, std::move(done));
        });
    }

    // A session has closed, on any strand.
    void on_closed() {
        if (!shared_->stopping.load()) return;
        asio::post(strand_, [self = shared_from_this()] { self->finish_if_empty(); });
    }

    // Blocks until nothing runs any more. Not from a network thread.
    void stop_and_wait() {
        if (finished()) return;
        stop(std::chrono::milliseconds(0), [] {});
        {
            std::unique_lock lock(mutex_);
            // The network threads may have been stopped; then nobody is left to tell.
            while (!finished_ && !shared_->context.stopped()) {
                finished_changed_.wait_for(lock, std::chrono::milliseconds(20));
            }
            if (finished_) return;
        }
        for (const auto& s : shared_->sessions.all())
            shared_->sessions.remove(*s);
    }

  private:
    void wait_for_connections() {
        if (shared_->stopping.load()) return;
        acceptor_.async_wait(detail::stranded_descriptor::wait_read,
                             [self = shared_from_this()](const boost::system::error_code& ec) {
                                 if (!ec) self->accept_some();
                             });
    }

    void accept_some() {
        for (int i = 0; i < accepts_per_wake && !shared_->stopping.load(); ++i) {
            sockaddr_storage storage{};
            socklen_t size = sizeof storage;
            const int fd =
                ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&storage), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                    return pause();
                }
                if (errno == EAGAIN || errno == EWOULDBLOCK) break;
                continue;  // that one connection failed (ECONNABORTED and its like)
            }
            take(fd, storage);
        }
        wait_for_connections();
    }

    // Who has connected already has perhaps asked already, and is answered like the others.
    void take_waiting() {
        for (int i = 0; i < backlog; ++i) {
            sockaddr_storage storage{};
            socklen_t size = sizeof storage;
            const int fd =
                ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&storage), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) {
                take(fd, storage);
            } else if (errno != ECONNABORTED && errno != EINTR) {
                return;
            }
        }
    }

    void take(int fd, const sockaddr_storage& storage) {
        fd_guard guard(fd);
        auto peer = describe(storage);
        if (shared_->sessions.size() >= shared_->options.max_connections ||
            !shared_->enter(peer.text)) {
            ++shared_->refused;
            return;
        }
        ++shared_->accepted;
        if (storage.ss_family != AF_UNIX) tune(fd);
        const std::string address = peer.text;
        std::shared_ptr<detail::session> s;
        try {
            s = std::make_shared<detail::session>(shared_, fd, std::move(peer));
        } catch (const std::exception&) {  // out of memory or of epoll watches
            shared_->leave(address);
            return;
        }
        (void)guard.release();
        shared_->sessions.add(s);
        s->start();
    }

    void pause() {
        pause_timer_.expires_after(accept_pause);
        pause_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (!ec) self->wait_for_connections();
        });
    }

    void sweep_later() {
        sweep_timer_.expires_after(sweep_every_);
        sweep_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (ec || self->finished()) return;
            self->shared_->sessions.sweep();
            self->sweep_later();
        });
    }

    void begin_stop(std::chrono::milliseconds grace, std::function<void()> done) {
        done_.push_back(std::move(done));
        const bool first = !shared_->stopping.load();
        if (first) {
            take_waiting();
            shared_->stopping.store(true);
            boost::system::error_code ignored;
            acceptor_.close(ignored);
            pause_timer_.cancel();
            for (const auto& s : shared_->sessions.all()) {
                static_cast<detail::session&>(*s).stop_when_idle();
            }
        }
        const auto until = std::chrono::steady_clock::now() + grace;
        if (first || until < grace_timer_.expiry()) {
            grace_timer_.expires_at(until);
            grace_timer_.async_wait(
                [self = shared_from_this()](const boost::system::error_code& ec) {
                    if (ec) return;
                    for (const auto& s : self->shared_->sessions.all()) {
                        static_cast<detail::session&>(*s).abort();
                    }
                });
        }
        finish_if_empty();
    }

    void finish_if_empty() {
        if (done_.empty() || shared_->sessions.size() != 0) return;
        grace_timer_.cancel();
        sweep_timer_.cancel();
        {
            const std::lock_guard lock(mutex_);
            finished_ = true;
            finished_changed_.notify_all();
        }
        // Last: it may destroy the server.
        for (const auto& done : std::exchange(done_, {}))
            done();
    }

    bool finished() {
        const std::lock_guard lock(mutex_);
        return finished_;
    }

    std::shared_ptr<server_shared> shared_;
    detail::strand_type strand_;
    detail::stranded_descriptor acceptor_;
    asio::steady_timer sweep_timer_, pause_timer_, grace_timer_;
    std::chrono::milliseconds sweep_every_{250};
    std::vector<std::function<void()>> done_;
    std::mutex mutex_;
    std::condition_variable finished_changed_;
    bool finished_ = false;
};

class http_server_impl final : public http_server {
  public:
    http_server_impl(std::shared_ptr<server_shared> shared, std::shared_ptr<listener> l,
                     std::uint16_t port, std::string socket_path)
        : shared_(std::move(shared)),
          listener_(std::move(l)),
          port_(port),
          file_(std::move(socket_path)) {}

    ~http_server_impl() override {
        file_.remove();
        listener_->stop_and_wait();
    }

    std::uint16_t port() const noexcept override { return port_; }

    server_counters counters() const override {
        server_counters c;
        c.accepted = shared_->accepted.load();
        c.refused = shared_->refused.load();
        c.open = shared_->sessions.size();
        c.requests = shared_->requests.load();
        c.timeouts = shared_->timeouts.load();
        c.tls_failures = shared_->tls_failures.load();
        c.bad_requests = shared_->bad_requests.load();
        return c;
    }

    void stop(std::chrono::milliseconds grace, std::function<void()> done) override {
        // First: whoever finds the file finds somebody who listens.
        file_.remove();
        listener_->stop(grace, std::move(done));
    }

    result<void> reload(std::string certificate_pem, std::string private_key_pem) override {
        auto made = detail::make_server_context(certificate_pem, private_key_pem,
                                                shared_->options.client_ca_pem,
                                                shared_->options.accept_any_client_certificate);
        if (!made) return made.error();
        shared_->certificate(std::move(*made));
        return {};
    }

  private:
    std::shared_ptr<server_shared> shared_;
    std::shared_ptr<listener> listener_;
    const std::uint16_t port_;
    socket_file file_;
};

}  // namespace

result<std::unique_ptr<http_server>> make_http_server(runtime& rt, server_options options,
                                                      http_handler& handler) {
    auto& context = *static_cast<asio::io_context*>(rt.native());
    const bool local = options.address.starts_with("unix:");
    const std::string path = local ? options.address.substr(5) : std::string{};
    detail::ssl_context certificate;
    if (options.mode != transport::plain) {
        auto made = detail::make_server_context(options.certificate_pem, options.private_key_pem,
                                                options.client_ca_pem,
                                                options.accept_any_client_certificate);
        if (!made) return made.error();
        certificate = std::move(*made);
    }
    auto fd = local ? listen_unix(path) : listen_tcp(options.address, options.port);
    if (!fd) return fd.error();
    const std::uint16_t port = bound_port(*fd);

    auto shared = std::make_shared<server_shared>(context, std::move(options), handler);
    shared->certificate(std::move(certificate));
    auto l = std::make_shared<listener>(shared, *fd);
    shared->on_closed = [weak = std::weak_ptr(l)] {
        if (const auto alive = weak.lock()) alive->on_closed();
    };
    l->start();
    return std::unique_ptr<http_server>(
        std::make_unique<http_server_impl>(std::move(shared), std::move(l), port, path));
}

}  // namespace mission::net
