#include "samples/orchestrator/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace sample {

std::vector<process_entry> processes_of_group(int group) {
    std::vector<process_entry> found;
    DIR* proc = ::opendir("/proc");
    if (!proc) return found;
    while (const dirent* e = ::readdir(proc)) {
        const int pid = std::atoi(e->d_name);
        if (pid <= 0) continue;
        std::ifstream in("/proc/" + std::string(e->d_name) + "/stat");
        std::string line;
        if (!std::getline(in, line)) continue;
        // The name in parentheses may hold anything: what follows its last ')' is regular.
        const auto end = line.rfind(')');
        if (end == std::string::npos) continue;
        std::istringstream rest(line.substr(end + 1));
        char state = '?';
        int parent = 0, its_group = 0;
        rest >> state >> parent >> its_group;
        if (its_group == group) found.push_back({pid, state, parent});
    }
    ::closedir(proc);
    return found;
}

held_process held_process::start(const std::vector<std::string>& argv,
                                 const std::string& output_file, std::string& error) {
    const auto fail = [&error](const char* what) {
        error = std::string(what) + ": " + std::strerror(errno);
        return held_process(0, -1);
    };
    int gate[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) != 0) return fail("socketpair");
    const int out = ::open(output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) {
        ::close(gate[0]);
        ::close(gate[1]);
        return fail("open");
    }
    std::vector<char*> args;
    for (const auto& a : argv)
        args.push_back(const_cast<char*>(a.c_str()));
    args.push_back(nullptr);

    const int pid = ::fork();
    if (pid == 0) {
        // Between fork and exec of a program with threads: async-signal-safe calls alone.
        // A session of its own: what is left of a group whose leader is gone is still told apart.
        ::setsid();
        ::dup2(out, STDOUT_FILENO);
        ::dup2(out, STDERR_FILENO);
        // An agent gets nothing of ours: with our sockets open in it, callers of an orchestrator
        // that was killed would wait for an answer instead of seeing the connection end.
        ::dup2(gate[0], 3);
        ::close_range(4, ~0U, 0);
        char go = 1;
        if (::write(3, &go, 1) != 1) ::_exit(125);  // here, and a group
        while (true) {
            const auto n = ::read(3, &go, 1);
            if (n == 1) break;
            if (n < 0 && errno == EINTR) continue;
            ::_exit(125);  // the orchestrator is gone, or the mission does not permit it
        }
        ::close(3);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::signal(SIGPIPE, SIG_DFL);
        ::execv(args[0], args.data());
        ::_exit(126);
    }
    const int failed = errno;
    ::close(gate[0]);
    ::close(out);
    if (pid < 0) {
        ::close(gate[1]);
        errno = failed;
        return fail("fork");
    }
    held_process started(pid, gate[1]);
    char here = 0;
    ssize_t n = 0;
    while ((n = ::read(gate[1], &here, 1)) < 0 && errno == EINTR) {
    }
    if (n != 1) {
        error = "the new process is gone already";
        return held_process(0, -1);
    }
    return started;
}

held_process::held_process(held_process&& other) noexcept : pid_(other.pid_), gate_(other.gate_) {
    other.pid_ = 0;
    other.gate_ = -1;
}

held_process::~held_process() {
    if (gate_ >= 0) ::close(gate_);  // reads end of file, and exits
}

void held_process::let_go() {
    const char go = 1;
    while (::write(gate_, &go, 1) < 0 && errno == EINTR) {
    }
    ::close(gate_);
    gate_ = -1;
}

}  // namespace sample
