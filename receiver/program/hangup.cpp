#include "receiver/program/hangup.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>

namespace mission::receiver::program {
namespace {

// Written by the handler, on whatever thread the signal finds. Lives as long as the process.
int hung_up = -1;

void note(int) {
    const int kept = errno;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(hung_up, &one, sizeof one);
    errno = kept;
}

// A handler, not a blocked signal that somebody waits for: commands that are run start with default
// dispositions, and would inherit a mask.
void handle_with(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGHUP, &action, nullptr);
}

void drain(int fd) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(fd, &count, sizeof count);
}

int make_eventfd() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw std::runtime_error("eventfd: out of descriptors");
    return fd;
}

}  // namespace

hangup_watch::hangup_watch(std::function<void()> on_hangup)
    : on_hangup_(std::move(on_hangup)), stop_(make_eventfd()) {
    if (hung_up < 0) hung_up = make_eventfd();
    drain(hung_up);
    thread_ = std::thread([this] { run(); });
    handle_with(note);
}

hangup_watch::~hangup_watch() {
    handle_with(SIG_IGN);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_, &one, sizeof one);
    thread_.join();
    ::close(stop_);
}

void hangup_watch::run() {
    for (;;) {
        pollfd ready[2] = {{stop_, POLLIN, 0}, {hung_up, POLLIN, 0}};
        if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
        if (ready[0].revents != 0) return;
        if (ready[1].revents == 0) continue;
        drain(hung_up);
        on_hangup_();
    }
}

}  // namespace mission::receiver::program
