// The process_group handler: stop, continue and kill with evidence.
//
// A pid alone names nobody: it may have been given to another process since. The leader is known
// by its start time and the boot id; once it has gone, the kernel does not reuse its number while
// the group has members, and these are told by session and by having started no earlier.
#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/json.hpp"
#include "mission_signals/receiver.hpp"

namespace mission_signals {
namespace {

namespace json = mission::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto look_again = milliseconds(1);
constexpr auto stop_within = milliseconds(2000);
constexpr auto kill_within = milliseconds(5000);

struct process {
    int pid = 0;
    char state = '?';
    int group = 0, session = 0;
    std::uint64_t start_time = 0;
    bool gone() const noexcept { return state == 'Z' || state == 'X' || state == 'x'; }
    bool stopped() const noexcept { return state == 'T' || state == 't' || gone(); }
};

std::string read_small_file(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// proc(5): "pid (comm) state ppid pgrp session ... starttime(22)"; comm may hold anything, so the
// fields begin behind the last parenthesis.
std::optional<process> read_process(int pid) {
    const auto text = read_small_file("/proc/" + std::to_string(pid) + "/stat");
    const auto end = text.rfind(')');
    if (end == std::string::npos || end + 2 >= text.size()) return std::nullopt;
    process p;
    p.pid = pid;
    p.state = text[end + 2];
    std::size_t at = end + 3;
    for (int field = 4; field <= 22; ++field) {
        while (at < text.size() && text[at] == ' ')
            ++at;
        const auto stop = text.find(' ', at);
        const char* first = text.data() + at;
        const char* last = text.data() + (stop == std::string::npos ? text.size() : stop);
        if (field == 5) std::from_chars(first, last, p.group);
        if (field == 6) std::from_chars(first, last, p.session);
        if (field == 22) std::from_chars(first, last, p.start_time);
        if (stop == std::string::npos && field < 22) return std::nullopt;
        at = stop;
    }
    return p;
}

std::string read_boot_id() {
    auto id = read_small_file("/proc/sys/kernel/random/boot_id");
    while (!id.empty() && std::isspace(static_cast<unsigned char>(id.back())))
        id.pop_back();
    return id;
}

// Live members of the group (zombies have ended and hold nothing any more).
std::vector<process> members(const process_group& g) {
    std::vector<process> out;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
        const auto name = entry.path().filename().string();
        int pid = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
        const auto p = read_process(pid);
        // The leader counts wherever it has moved (setpgid), or if it never led a group.
        const bool leader = p && p->pid == g.pid && p->start_time == g.start_time;
        if (p && (p->group == g.pid || leader) && !p->gone()) out.push_back(*p);
    }
    return out;
}

enum class identity { ours, gone, foreign };

identity identify(const process_group& g, const std::vector<process>& alive) {
    // After a reboot nothing of it is left, whoever has the number now.
    if (g.boot_id != read_boot_id()) return identity::gone;
    if (const auto leader = read_process(g.pid)) {
        if (leader->start_time != g.start_time) return identity::gone;
        return alive.empty() ? identity::gone : identity::ours;
    }
    if (alive.empty()) return identity::gone;
    for (const auto& p : alive) {
        if (p.start_time < g.start_time || (g.session != 0 && p.session != g.session)) {
            return identity::foreign;
        }
    }
    return identity::ours;
}

std::string text_of(const process_group& g) {
    return "process group " + std::to_string(g.pid);
}

template <class Done>
bool wait_until(milliseconds within, Done&& done) {
    const auto end = steady_clock::now() + within;
    while (!done()) {
        if (steady_clock::now() >= end) return false;
        std::this_thread::sleep_for(look_again);
    }
    return true;
}

// The group, and the leader by itself when it is not in it. False with errno, as kill(2).
bool signal_all(const process_group& g, int signal) {
    const bool sent = ::kill(-g.pid, signal) == 0;
    const int why = errno;
    const auto leader = read_process(g.pid);
    if (leader && !leader->gone() && leader->group != g.pid && leader->start_time == g.start_time) {
        return ::kill(g.pid, signal) == 0;
    }
    errno = why;
    return sent;
}

outcome stop_group(const process_group& g) {
    bool refused = false;
    std::size_t count = 0;
    // Signalled again on each look: a member may have been forked in between.
    const bool all = wait_until(stop_within, [&] {
        if (!signal_all(g, SIGSTOP) && errno == EPERM) refused = true;
        const auto alive = members(g);
        count = alive.size();
        for (const auto& p : alive) {
            if (!p.stopped()) return false;
        }
        return true;
    });
    if (!all) {
        return outcome::failed(
            text_of(g) + (refused ? ": not permitted to stop it" : ": some members do not stop"));
    }
    return outcome::done(text_of(g) + ": " + std::to_string(count) + " stopped");
}

outcome end_group(const process_group& g, milliseconds grace) {
    const auto count = members(g).size();
    if (grace.count() > 0) {
        (void)signal_all(g, SIGTERM);
        (void)signal_all(g, SIGCONT);  // a stopped process does not see SIGTERM
        (void)wait_until(grace, [&] { return members(g).empty(); });
    }
    const bool none_left = wait_until(kill_within, [&] {
        if (!signal_all(g, SIGKILL) && errno == ESRCH) return true;
        return members(g).empty();
    });
    if (!none_left) {
        return outcome::failed(text_of(g) + ": " + std::to_string(members(g).size()) +
                               " members are still alive");
    }
    return outcome::done(text_of(g) + ": " + std::to_string(count) + " ended, none left");
}

}  // namespace

std::optional<process_group> process_group::of(int pid) {
    const auto p = read_process(pid);
    if (!p || p->gone()) return std::nullopt;
    return process_group{pid, p->start_time, read_boot_id(), p->session};
}

std::string process_group::to_data() const {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::key(w, "pid");
    w.Int(pid);
    json::key(w, "start_time");
    w.Uint64(start_time);
    json::member(w, "boot_id", boot_id);
    json::key(w, "session");
    w.Int(session);
    w.EndObject();
    return json::text(b);
}

std::optional<process_group> process_group::from_data(std::string_view data) {
    auto parsed = json::parse(data, 4096, 2);
    if (parsed.has_error()) return std::nullopt;
    const auto pid = json::find_int(*parsed, "pid");
    const auto start = json::find_int(*parsed, "start_time");
    const auto boot = json::find_string(*parsed, "boot_id");
    // 0 and 1 would reach our own group and everybody's.
    if (!pid || *pid <= 1 || *pid > 0x7fffffff || !start || *start < 0 || !boot) {
        return std::nullopt;
    }
    process_group g;
    g.pid = static_cast<int>(*pid);
    g.start_time = static_cast<std::uint64_t>(*start);
    g.boot_id = std::string(*boot);
    g.session = static_cast<int>(json::find_int(*parsed, "session").value_or(0));
    return g;
}

handler process_group_handler(milliseconds grace) {
    return [grace](const task& t) -> outcome {
        const auto g = process_group::from_data(t.data);
        if (!g) return outcome::failed("the hold's data is no process group");
        if (g->pid == ::getpgrp() || g->pid == ::getpid())
            return outcome::failed("refusing to signal the host itself or its group");
        switch (identify(*g, members(*g))) {
            case identity::gone:
                return outcome::done(text_of(*g) + ": nothing left of it");
            case identity::foreign:
                return outcome::failed(text_of(*g) +
                                       ": its leader has gone, and what has its "
                                       "number is not known to be ours");
            case identity::ours:
                break;
        }
        switch (t.why) {
            case effect::suspended:
            case effect::stale:
                return stop_group(*g);
            case effect::resumed:
            case effect::fresh:
                if (!signal_all(*g, SIGCONT) && errno != ESRCH) {
                    return outcome::failed(text_of(*g) + ": " + std::strerror(errno));
                }
                return outcome::done(text_of(*g) + ": continued");
            case effect::scope_changed:
                return outcome::done("nothing to do");
            case effect::completed:
            case effect::revoked:
            case effect::expired:
            case effect::superseded:
            case effect::cascaded:
            case effect::ended:
                return end_group(*g, grace);
        }
        return outcome::failed("unknown effect");
    };
}

}  // namespace mission_signals
