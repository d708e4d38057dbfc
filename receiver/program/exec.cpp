#include "receiver/program/exec.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace mission::receiver::program {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t output_kept = 1024;
constexpr std::size_t blocks_at_once = 256;       // 1 MiB, more than a pipe holds
constexpr auto gone_within = milliseconds(5000);  // after SIGKILL

class descriptor {
  public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() { close(); }
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    int get() const noexcept { return fd_; }
    void close() noexcept {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

  private:
    int fd_ = -1;
};

struct pipe_ends {
    descriptor read, write;
};

bool open_pipe(pipe_ends& ends) {
    int fds[2] = {-1, -1};
    if (::pipe2(fds, O_CLOEXEC) != 0) return false;
    ends.read = descriptor(fds[0]);
    ends.write = descriptor(fds[1]);
    return true;
}

// Standard input as a file in memory: complete before the command begins, so that nothing has to
// be fed to it while it runs, and whoever does not read it does no harm.
descriptor input_of(const std::string& text) {
    descriptor out(::memfd_create("input", MFD_CLOEXEC));
    std::size_t written = 0;
    while (out.get() >= 0 && written < text.size()) {
        const auto n = ::write(out.get(), text.data() + written, text.size() - written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return descriptor();
        written += static_cast<std::size_t>(n);
    }
    if (out.get() >= 0) ::lseek(out.get(), 0, SEEK_SET);
    return out;
}

void without_blocking(int fd) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& t : texts)
        out.push_back(t.data());
    out.push_back(nullptr);
    return out;
}

// posix_spawn's objects, destroyed on every way out.
struct spawn_plan {
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
    spawn_plan() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    ~spawn_plan() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    spawn_plan(const spawn_plan&) = delete;
    spawn_plan& operator=(const spawn_plan&) = delete;
};

// The new process leads a group of its own, has our three pipes and no other descriptor of ours,
// no blocked signals, and default dispositions. 0 or an errno.
int spawn(const exec_request& request, int in, int out, pid_t& pid) {
    spawn_plan plan;
    posix_spawn_file_actions_adddup2(&plan.actions, in, 0);
    posix_spawn_file_actions_adddup2(&plan.actions, out, 1);
    posix_spawn_file_actions_adddup2(&plan.actions, out, 2);
    posix_spawn_file_actions_addclosefrom_np(&plan.actions, 3);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&plan.attributes, &none);
    posix_spawnattr_setsigdefault(&plan.attributes, &all);
    posix_spawnattr_setpgroup(&plan.attributes, 0);
    posix_spawnattr_setflags(
        &plan.attributes,
        static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    std::vector<std::string> words{request.file};
    words.insert(words.end(), request.arguments.begin(), request.arguments.end());
    std::vector<std::string> variables;
    for (const auto& [name, value] : request.environment)
        variables.push_back(name + "=" + value);
    return ::posix_spawn(&pid, request.file.c_str(), &plan.actions, &plan.attributes,
                         pointers(words).data(), pointers(variables).data());
}

// By number: the header of glibc 2.36 declares pidfd_open() without C linkage.
int process_descriptor(pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

// Evidence is one printable line, whatever a command has said.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == '\n' || c == '\t' || c == '\r')
            out += ' ';
        else
            out += octet < 0x20 || octet >= 0x7f ? '?' : c;
    }
    while (!out.empty() && out.back() == ' ')
        out.pop_back();
    const auto first = out.find_first_not_of(' ');
    return first == std::string::npos ? std::string() : out.substr(first);
}

class running {
  public:
    running(const exec_request& request, const exec_gate& gate) : request_(request), gate_(gate) {}

    exec_result run() {
        if (gate_.closed()) return {exec_result::kind::interrupted, 0, "the program is stopping"};
        const auto in = input_of(request_.input);
        if (in.get() < 0) return failed("memfd_create", errno);
        pipe_ends out;
        if (!open_pipe(out)) return failed("pipe", errno);
        const int why = spawn(request_, in.get(), out.write.get(), pid_);
        if (why != 0) return failed(request_.file, why);
        out.write.close();
        out_ = std::move(out.read);
        without_blocking(out_.get());
        process_ = descriptor(process_descriptor(pid_));
        if (process_.get() < 0) {
            const int error_number = errno;
            kill_group();
            (void)::waitpid(pid_, nullptr, 0);
            return failed("pidfd_open", error_number);
        }
        return wait();
    }

  private:
    static exec_result failed(const std::string& what, int error_number) {
        return {exec_result::kind::not_started, 0, what + ": " + std::strerror(error_number)};
    }

    // The leader has not been waited for yet, so its number still is the group's.
    void kill_group() const { (void)::kill(-pid_, SIGKILL); }

    exec_result wait() {
        const auto deadline = steady::now() + request_.timeout;
        for (;;) {
            switch (look(deadline, true)) {
                case seen::ended:
                    return reap();
                case seen::closing:
                    return kill(exec_result::kind::interrupted, "killed: the program stops");
                case seen::late:
                    return kill(exec_result::kind::timed_out,
                                "killed after " + std::to_string(request_.timeout.count()) + " ms");
                case seen::more:
                    break;
            }
        }
    }

    exec_result kill(exec_result::kind how, const std::string& what) {
        kill_group();
        const auto deadline = steady::now() + gone_within;
        auto s = seen::more;
        while (s == seen::more)
            s = look(deadline, false);
        // A process in uninterruptible sleep stays: it is not waited for, and stays a child.
        exec_result r = s == seen::ended ? reap() : exec_result{};
        r.how = how;
        r.text = what + (s == seen::ended ? "" : "; it is still there") +
                 (r.text.empty() ? "" : ": " + r.text);
        return r;
    }

    enum class seen { more, ended, closing, late };
    seen look(steady::time_point deadline, bool with_gate) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady::now());
        if (left.count() <= 0) return seen::late;
        // A negative descriptor is skipped by poll(2).
        pollfd watched[3] = {{process_.get(), POLLIN, 0},
                             {out_.get(), POLLIN, 0},
                             {with_gate ? gate_.fd() : -1, POLLIN, 0}};
        if (::poll(watched, 3, static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30))) < 0)
            return errno == EINTR ? seen::more : seen::late;
        if (watched[1].revents != 0) read_output();
        if (watched[0].revents != 0) return seen::ended;
        return watched[2].revents != 0 ? seen::closing : seen::more;
    }

    // What is there now, but not without end: a command may say more than anybody reads.
    void read_output() {
        char block[4096];
        for (std::size_t blocks = 0; blocks < blocks_at_once; ++blocks) {
            const auto n = ::read(out_.get(), block, sizeof block);
            if (n > 0) {
                text_.append(block, static_cast<std::size_t>(n));
                if (text_.size() > 2 * output_kept) text_.erase(0, text_.size() - output_kept);
            } else if (n < 0 && errno == EINTR) {
                continue;
            } else {
                if (n == 0 || errno != EAGAIN) out_.close();
                return;
            }
        }
    }

    exec_result reap() {
        if (out_.get() >= 0)
            read_output();  // what a child of its own still writes is not waited for
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        exec_result r;
        r.how = WIFEXITED(status) ? exec_result::kind::exited : exec_result::kind::signalled;
        r.code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
        if (text_.size() > output_kept) text_.erase(0, text_.size() - output_kept);
        r.text = printable(text_);
        return r;
    }

    const exec_request& request_;
    const exec_gate& gate_;
    pid_t pid_ = -1;
    descriptor process_, out_;
    std::string text_;
};

}  // namespace

exec_gate::exec_gate() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw std::runtime_error(std::string("eventfd: ") + std::strerror(errno));
}

exec_gate::~exec_gate() {
    ::close(fd_);
}

void exec_gate::close() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(fd_, &one, sizeof one);
}

bool exec_gate::closed() const noexcept {
    pollfd watched{fd_, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0;
}

exec_result run(const exec_request& request, const exec_gate& gate) {
    return running(request, gate).run();
}

std::map<std::string, std::string> child_environment() {
    std::map<std::string, std::string> out;
    for (const char* name : {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME"})
        if (const char* value = std::getenv(name)) out.emplace(name, value);
    return out;
}

}  // namespace mission::receiver::program
