// The command line's side of the control socket: one request, one connection, until its end.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "base/limits.hpp"
#include "receiver/program/control.hpp"

namespace mission::receiver::program {
namespace {

// A resolve waits for Mission Status; everything else is answered from memory.
constexpr auto patience = std::chrono::seconds(20);

class socket_guard {
  public:
    explicit socket_guard(int fd) : fd_(fd) {}
    ~socket_guard() {
        if (fd_ >= 0) ::close(fd_);
    }
    socket_guard(const socket_guard&) = delete;
    socket_guard& operator=(const socket_guard&) = delete;
    int get() const noexcept { return fd_; }

  private:
    int fd_;
};

error failure(const std::string& what) {
    return {errc::io_error, what + ": " + std::strerror(errno)};
}

result<void> send_all(int fd, const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto n = ::send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failure("send");
        at += static_cast<std::size_t>(n);
    }
    return {};
}

result<std::string> read_all(int fd) {
    std::string out;
    const auto end = std::chrono::steady_clock::now() + patience;
    for (char block[8192];;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        pollfd watched{fd, POLLIN, 0};
        const int ready =
            left.count() <= 0 ? 0 : ::poll(&watched, 1, static_cast<int>(left.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return error{errc::timed_out, "the running instance does not answer"};
        const auto n = ::recv(fd, block, sizeof block, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failure("recv");
        if (n == 0) return out;
        out.append(block, static_cast<std::size_t>(n));
        if (out.size() > limits::http_response_bytes) return error{errc::response_too_large};
    }
}

}  // namespace

result<control_answer> ask_control(const std::string& socket_path, const std::string& method,
                                   const std::string& target, const std::string& body) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path)
        return error{errc::not_found, "there is no control socket"};
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
    const socket_guard fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return failure("socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return error{errc::not_found, "no instance listens on " + socket_path};
        return failure(socket_path);
    }
    std::string request =
        method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + "Connection: close\r\n";
    if (!body.empty() || method == "POST")
        request +=
            "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n";
    if (auto sent = send_all(fd.get(), request + "\r\n" + body); !sent) return sent.error();
    const auto text = read_all(fd.get());
    if (!text) return text.error();
    // Our own server: a status line, fields, an empty line, a body of Content-Length octets.
    const auto head = text->find("\r\n\r\n");
    control_answer out;
    if (head == std::string::npos || !text->starts_with("HTTP/1.1 ") ||
        std::from_chars(text->data() + 9, text->data() + 12, out.status).ec != std::errc{})
        return error{errc::bad_response, "the control socket's answer cannot be read"};
    out.body = text->substr(head + 4);
    return out;
}

}  // namespace mission::receiver::program
