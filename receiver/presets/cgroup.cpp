// The cgroup handler: the kernel freezes, thaws and kills everything in a cgroup (v2) and those
// below it, whatever has been forked meanwhile, and says in cgroup.events when it is done.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "mission_signals/presets.hpp"
#include "receiver/presets/confined.hpp"
#include "receiver/presets/limits.hpp"
#include "receiver/presets/patience.hpp"
#include "receiver/words.hpp"

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;
using mission::errc;
using mission::error;
using mission::result;
namespace limits = mission::receiver::presets::limits;

constexpr std::size_t file_bytes = 1u << 20;

// One cgroup, held open: what happens to its name meanwhile does not matter.
class cgroup {
  public:
    cgroup(const descriptor& directory, std::string shown)
        : fd_(directory.get()), shown_(std::move(shown)) {}

    const std::string& shown() const noexcept { return shown_; }

    // "populated 1\nfrozen 0\n". nullopt: the cgroup has been removed.
    result<std::optional<bool>> event(std::string_view key) const {
        const auto text = read("cgroup.events");
        if (!text) {
            if (removed(text.error())) return std::optional<bool>();
            return text.error();
        }
        const auto at = ("\n" + *text).find("\n" + std::string(key) + " ");
        if (at == std::string::npos)
            return error{errc::io_error, "cgroup.events has no \"" + std::string(key) + "\""};
        return std::optional<bool>(text->substr(at + key.size() + 1, 1) == "1");
    }

    result<void> write(const std::string& name, const char* text) const {
        const auto file = open_file_at(fd_, name, O_WRONLY);
        if (!file) return file.error();
        if (::write(file->get(), text, std::strlen(text)) < 0)
            return error{errno == ENODEV ? errc::not_found : errc::io_error,
                         name + ": " + std::strerror(errno)};
        return {};
    }

    // Of this cgroup and all below.
    result<std::vector<pid_t>> processes() const {
        std::vector<pid_t> out;
        std::size_t seen = 0;
        if (auto r = collect(fd_, out, seen, 0); !r) return r.error();
        return out;
    }

    // From the leaves up. An error: somebody is in one again.
    result<void> remove_children() const { return remove_below(fd_, 0); }

  private:
    static bool removed(const error& e) {
        return e == errc::not_found || e.detail.find(std::strerror(ENODEV)) != std::string::npos;
    }

    result<std::string> read(const std::string& name) const {
        const auto file = open_file_at(fd_, name, O_RDONLY);
        if (!file) return file.error();
        return read_all(file->get(), file_bytes);
    }

    static std::vector<std::string> directories_in(int fd) {
        std::vector<std::string> out;
        const int copy = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR* all = copy < 0 ? nullptr : ::fdopendir(copy);
        if (all == nullptr) {
            if (copy >= 0) ::close(copy);
            return out;
        }
        while (const auto* entry = ::readdir(all)) {
            const std::string name = entry->d_name;
            struct stat s {};
            if (name == "." || name == "..") continue;
            if (::fstatat(fd, name.c_str(), &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(s.st_mode))
                out.push_back(name);
        }
        ::closedir(all);
        return out;
    }

    static result<void> collect(int fd, std::vector<pid_t>& out, std::size_t& seen,
                                std::size_t depth) {
        if (depth > limits::cgroup_depth || ++seen > limits::cgroups)
            return error{errc::too_large, "too many cgroups below it"};
        const auto file = open_file_at(fd, "cgroup.procs", O_RDONLY);
        if (!file) return file.error() == errc::not_found ? result<void>() : file.error();
        const auto text = read_all(file->get(), file_bytes);
        // A threaded cgroup cannot be read: its processes are listed further up.
        if (!text && text.error().detail != std::strerror(EOPNOTSUPP) && !removed(text.error()))
            return text.error();
        const auto lines = text ? *text : std::string();
        for (std::size_t at = 0; at < lines.size();) {
            const auto end = std::min(lines.find('\n', at), lines.size());
            pid_t pid = 0;
            std::from_chars(lines.data() + at, lines.data() + end, pid);
            if (pid > 0) out.push_back(pid);
            at = end + 1;
        }
        for (const auto& name : directories_in(fd)) {
            const auto below = open_below(fd, name);
            if (!below) continue;  // removed meanwhile
            if (auto r = collect(below->get(), out, seen, depth + 1); !r) return r;
        }
        return {};
    }

    static result<void> remove_below(int fd, std::size_t depth) {
        if (depth > limits::cgroup_depth)
            return error{errc::too_large, "too many cgroups below it"};
        for (const auto& name : directories_in(fd)) {
            if (const auto below = open_below(fd, name)) {
                if (auto r = remove_below(below->get(), depth + 1); !r) return r;
            }
            if (::unlinkat(fd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
                return error{errc::io_error, name + ": " + std::strerror(errno)};
        }
        return {};
    }

    int fd_;
    std::string shown_;
};

outcome said_no(const cgroup& g, const error& e) {
    return outcome::failed(g.shown() + ": " + e.detail);
}

outcome freeze(const cgroup& g, bool on, const patience& time) {
    const std::string word = on ? "frozen" : "thawed";
    if (const auto r = g.write("cgroup.freeze", on ? "1" : "0"); !r) {
        const auto there = g.event("populated");
        if (there && !*there) return outcome::done(g.shown() + ": not there");
        return said_no(g, r.error());
    }
    do {
        const auto frozen = g.event("frozen");
        if (!frozen) return said_no(g, frozen.error());
        if (!*frozen) return outcome::done(g.shown() + ": removed meanwhile");
        if (**frozen == on) {
            const auto all = g.processes();
            return outcome::done(g.shown() + ": " + word + ", " +
                                 std::to_string(all ? all->size() : 0) +
                                 " process(es), cgroup.events says frozen " + (on ? "1" : "0"));
        }
    } while (time.wait(limits::look_again));
    return time.gave_up(g.shown() + ": not " + word + " in time");
}

outcome kill_all(const cgroup& g, const patience& time, bool& empty) {
    const auto first = g.processes();
    const auto count = first ? first->size() : 0;
    std::string by = "cgroup.kill";
    if (const auto r = g.write("cgroup.kill", "1"); !r) {
        if (r.error() != errc::not_found) return said_no(g, r.error());
        by = "SIGKILL to each";  // before Linux 5.14
    }
    do {
        const auto populated = g.event("populated");
        if (!populated) return said_no(g, populated.error());
        if (!*populated || !**populated) {
            empty = true;
            return outcome::done(
                g.shown() + ": " + std::to_string(count) + " killed by " + by +
                ", none left: " + (*populated ? "cgroup.events says populated 0" : "not there"));
        }
        // A process may have been forked between two looks: each look kills again.
        if (by != "cgroup.kill") {
            const auto all = g.processes();
            if (!all) return said_no(g, all.error());
            for (const auto pid : *all)
                if (::kill(pid, SIGKILL) != 0 && errno != ESRCH)
                    return outcome::failed(g.shown() + ": process " + std::to_string(pid) + ": " +
                                           std::strerror(errno));
        }
    } while (time.wait(limits::look_again));
    return time.gave_up(g.shown() + ": still populated");
}

outcome run(const cgroup_control& o, const task& t) {
    const patience time(o.timeout, o.stopping);
    const auto path = o.path.fill(t);
    if (const auto fine = check_relative(path); !fine)
        return outcome::failed(fine.error().detail + ": refused");
    const auto shown = "cgroup " + mission::receiver::peer_words(path);
    const auto root = open_root(o.root);
    if (!root) return outcome::failed(root.error().detail);
    const auto directory = open_below(root->get(), path);
    if (!directory) {
        if (directory.error() == errc::not_found) return outcome::done(shown + ": not there");
        return outcome::failed(mission::receiver::peer_words(directory.error().detail));
    }
    const cgroup g(*directory, shown);
    // A plain directory would look like a cgroup in which nobody is left.
    if (!open_file_at(directory->get(), "cgroup.events", O_RDONLY))
        return outcome::failed(shown + " is no cgroup (v2)");
    const auto all = g.processes();
    if (!all) return said_no(g, all.error());
    for (const auto pid : *all)
        if (pid == ::getpid()) return outcome::failed(shown + " holds the host itself: refused");

    if (is_pause(t.why)) return freeze(g, true, time);
    if (is_continue(t.why)) return freeze(g, false, time);
    bool empty = false;
    auto said = kill_all(g, time, empty);
    if (!empty || !o.remove) return said;
    const auto [above, name] = split_last(path);
    const auto parent = open_below(root->get(), above);
    if (const auto r = g.remove_children(); !r) return said_no(g, r.error());
    if (parent && ::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
        return outcome::failed(said.evidence + "; not removed: " + std::strerror(errno));
    said.evidence += "; removed";
    return said;
}

}  // namespace

handler cgroup_handler(cgroup_control o) {
    if (o.root.empty() || o.root.front() != '/')
        throw setup_error("the root of a cgroup handler must be an absolute path");
    if (o.path.empty()) throw setup_error("the path of a cgroup handler is empty");
    return [o = std::move(o)](const task& t) {
        return run_when_it_acts(t, [&] { return run(o, t); });
    };
}

}  // namespace mission_signals
