#include "support.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mission::net::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

void bound_waiting(int fd) {
    timeval t{};
    t.tv_sec = 20;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

}  // namespace

const dev_certificate& certificate() {
    static const dev_certificate c = make_dev_certificate({}, std::chrono::days(2)).value();
    return c;
}

bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, 1);
    }
    return true;
}

function_handler::function_handler()
    : fn_([](http_request r, responder respond) {
          http_response a;
          a.fields.add("content-type", "text/plain");
          a.body = r.method + " " + r.path + (r.query.empty() ? "" : "?" + r.query) + " " + r.body;
          respond(std::move(a));
      }) {}

served::served(server_options options, function_handler::function fn)
    : handler(fn ? function_handler(std::move(fn)) : function_handler()),
      tls(options.mode != transport::plain) {
    server = make_http_server(*rt, std::move(options), handler).value();
}

std::string served::url(const std::string& path) const {
    return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server->port()) +
           path;
}

server_options plain_options() {
    server_options o;
    o.mode = transport::plain;
    return o;
}

server_options tls_options() {
    server_options o;
    o.certificate_pem = certificate().certificate_pem;
    o.private_key_pem = certificate().private_key_pem;
    return o;
}

client_options trusting() {
    client_options o;
    o.ca_pem = certificate().ca_pem;
    o.allow_plain_http = true;
    return o;
}

result<http_response> fetch(http_client& client, client_request request) {
    promised<result<http_response>> answer;
    const auto pending =
        client.send(std::move(request), [&](result<http_response> r) { answer.set(std::move(r)); });
    return answer.get();
}

result<http_response> fetch(http_client& client, const std::string& url) {
    client_request r;
    r.url = url;
    return fetch(client, std::move(r));
}

raw_client::raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    bound_waiting(fd_);
    const auto to = loopback(port);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
}

raw_client::~raw_client() {
    if (fd_ >= 0) ::close(fd_);
}

bool raw_client::send(std::string_view text) {
    while (!text.empty()) {
        const auto n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

std::string raw_client::read_until(std::string_view mark) {
    char area[4096];
    while (got_.find(mark) == std::string::npos) {
        const auto n = ::recv(fd_, area, sizeof area, 0);
        if (n <= 0) break;
        got_.append(area, static_cast<std::size_t>(n));
    }
    const auto at = got_.find(mark);
    const auto end = at == std::string::npos ? got_.size() : at + mark.size();
    std::string out = got_.substr(0, end);
    got_.erase(0, end);
    return out;
}

std::string raw_client::read_all() {
    char area[4096];
    for (;;) {
        const auto n = ::recv(fd_, area, sizeof area, 0);
        if (n <= 0) return std::exchange(got_, {});
        got_.append(area, static_cast<std::size_t>(n));
    }
}

void raw_client::end_sending() {
    ::shutdown(fd_, SHUT_WR);
}

void raw_client::reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(fd_, -1));
}

raw_server::raw_server(function serve) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto where = loopback(0);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(fd_, 16) == 0);
    socklen_t size = sizeof where;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&where), &size);
    port_ = ntohs(where.sin_port);
    acceptor_ = std::thread([this, serve = std::move(serve)] {
        for (;;) {
            const int c = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
            if (c < 0 || ending_.load()) {
                if (c >= 0) ::close(c);
                return;
            }
            bound_waiting(c);
            const std::lock_guard lock(mutex_);
            open_.push_back(c);
            const int number = ++accepted_;
            threads_.emplace_back([this, serve, c, number] {
                serve(c, number);
                const std::lock_guard inner(mutex_);
                std::erase(open_, c);
                ::close(c);
            });
        }
    });
}

raw_server::~raw_server() {
    ending_.store(true);
    ::shutdown(fd_, SHUT_RDWR);  // wakes the accept
    acceptor_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const int c : open_)
            ::shutdown(c, SHUT_RDWR);
    }
    for (auto& t : threads_)
        t.join();
    ::close(fd_);
}

std::string raw_server::url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::string read_request(int fd) {
    std::string got;
    char area[4096];
    while (got.find("\r\n\r\n") == std::string::npos) {
        const auto n = ::recv(fd, area, sizeof area, 0);
        if (n <= 0) return {};
        got.append(area, static_cast<std::size_t>(n));
    }
    return got;
}

void write_text(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (n <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

}  // namespace mission::net::test
