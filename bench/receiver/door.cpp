// Requests to the sidecar in an open loop: they are due at fixed moments, whatever became of those
// before, and each is counted from that moment on. A driver that waited for answers would not see
// the time in which it could not ask.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>

#include "bench/receiver/fail.hpp"
#include "bench/receiver/measures.hpp"
#include "bench/receiver/sender.hpp"

namespace mission::bench {
namespace {

constexpr int missions = 2'000;
constexpr int connections = 16;  // kept alive, as a proxy does
constexpr auto lost_after_ms = 10'000;

std::int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

struct due {
    std::int64_t at = 0;
    std::string request;
    bool permitted = false;
};

class connection {
  public:
    explicit connection(std::string path) : path_(std::move(path)) { open(); }
    ~connection() { ::close(fd_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    int fd() const { return fd_; }
    bool busy() const { return busy_; }
    void send(due d) {
        now_ = std::move(d);
        busy_ = true;
        if (try_send()) return;
        // It was idle for so long that the sidecar has closed it.
        ::close(fd_);
        open();
        if (!try_send()) fail("a request cannot be sent");
    }
    // The nanoseconds that the answer took, or -1 while it is not whole.
    std::int64_t receive() {
        char area[4096];
        const auto n = ::recv(fd_, area, sizeof area, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
        if (n <= 0) fail("the sidecar has closed the connection");
        answer_.append(area, static_cast<std::size_t>(n));
        const auto head = answer_.find("\r\n\r\n");
        if (head == std::string::npos || answer_.size() < head + 4 + length(head)) return -1;
        const auto at = now_ns();
        const bool permitted = answer_.starts_with("HTTP/1.1 2");
        if (permitted != now_.permitted || (!permitted && !answer_.starts_with("HTTP/1.1 403")))
            fail("the sidecar is wrong: " + answer_);
        answer_.clear();
        busy_ = false;
        return at - now_.at;
    }

  private:
    void open() {
        fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        if (path_.size() >= sizeof at.sun_path) fail("the path of the socket is too long");
        std::memcpy(at.sun_path, path_.data(), path_.size());
        if (::connect(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
            fail("cannot connect to the sidecar");
    }
    bool try_send() const {
        const auto n = ::send(fd_, now_.request.data(), now_.request.size(), MSG_NOSIGNAL);
        return n == static_cast<ssize_t>(now_.request.size());
    }
    std::size_t length(std::size_t head) const {
        auto fields = answer_.substr(0, head);
        std::transform(fields.begin(), fields.end(), fields.begin(), [](unsigned char c) {
            return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        });
        const auto at = fields.find("\r\ncontent-length:");
        return at == std::string::npos ? 0 : std::stoul(fields.substr(at + 17));
    }

    const std::string path_;
    int fd_ = -1;
    bool busy_ = false;
    due now_;
    std::string answer_;
};

double percentile_99(std::vector<std::int64_t> ns) {
    std::sort(ns.begin(), ns.end());
    return static_cast<double>(ns[(ns.size() - 1) * 99 / 100]) * 1e-6;
}

class driver {
  public:
    driver(const std::string& socket, std::vector<std::string> ids, std::size_t active)
        : ids_(std::move(ids)), active_(active) {
        for (int n = 0; n < connections; ++n)
            open_.push_back(std::make_unique<connection>(socket));
    }

    double run(int seconds, int a_second) {
        const auto count = static_cast<std::int64_t>(seconds) * a_second;
        const std::int64_t every = 1'000'000'000 / a_second;
        const auto begin = now_ns() + 10'000'000;
        std::vector<std::int64_t> took;
        std::deque<due> waiting;
        std::int64_t next = 0;
        while (static_cast<std::int64_t>(took.size()) < count) {
            const auto now = now_ns();
            for (; next < count && begin + next * every <= now; ++next)
                waiting.push_back(request(begin + next * every));
            for (auto& c : open_) {
                if (waiting.empty()) break;
                if (c->busy()) continue;
                c->send(std::move(waiting.front()));
                waiting.pop_front();
            }
            wait(next < count ? begin + next * every : now_ns() + 1'000'000);
            for (auto& c : open_)
                if (c->busy())
                    if (const auto ns = c->receive(); ns >= 0) took.push_back(ns);
            if (now_ns() - begin > count * every + lost_after_ms * std::int64_t{1'000'000})
                fail("the sidecar does not answer");
        }
        return percentile_99(std::move(took));
    }

  private:
    due request(std::int64_t at) {
        const auto n = turn_++ * 7919 % ids_.size();  // all of them, in no order of use
        return {at,
                "GET /auth HTTP/1.1\r\nHost: sidecar\r\nX-Mission-Id: " + ids_[n] +
                    "\r\nX-Original-Method: GET\r\nX-Original-URI: /invoices/4711\r\n\r\n",
                n < active_};
    }
    // Until something has come, or the next one is due.
    void wait(std::int64_t until) {
        pollfd watched[connections];
        nfds_t n = 0;
        for (const auto& c : open_)
            if (c->busy()) watched[n++] = {c->fd(), POLLIN, 0};
        const auto left = std::max<std::int64_t>(until - now_ns(), 0);
        const timespec t{left / 1'000'000'000, left % 1'000'000'000};
        ::ppoll(watched, n, &t, nullptr);
    }

    const std::vector<std::string> ids_;
    const std::size_t active_;  // the first so many are permitted
    std::vector<std::unique_ptr<connection>> open_;
    std::size_t turn_ = 0;
};

}  // namespace

std::vector<double> measure_sidecar(const std::string& folder, int runs, int seconds,
                                    int requests_a_second) {
    std::filesystem::create_directories(folder);
    ::prctl(PR_SET_TIMERSLACK, 1'000);  // nanoseconds: what is due is sent when it is due
    sender from(folder, jose::alg::es256);
    from.expect_receiver(false);
    auto setup = from.setup_of(false, folder + "/state.db");
    setup.sidecar_socket = folder + "/s";
    child to(setup);
    from.wait_verified();
    from.send_heartbeat();
    to.wait_live();
    // Half of them are active, the others suspended.
    const auto sets = from.make_sets(missions, 1), ended = from.make_sets(missions, 2);
    from.deliver(sets);
    from.deliver(ended);
    std::vector<std::string> ids;
    for (const auto& s : sets)
        ids.push_back(s.mission);
    const auto active = ids.size();
    for (std::size_t n = 0; n < missions; ++n)
        ids.push_back(ended[n].mission);
    driver d(setup.sidecar_socket, std::move(ids), active);
    d.run(1, requests_a_second);  // warm
    std::vector<double> out;
    for (int n = 0; n < runs; ++n)
        out.push_back(d.run(seconds, requests_a_second));
    return out;
}

}  // namespace mission::bench
