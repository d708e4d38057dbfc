// Runs a command to its end: a process group of its own, no shell, a deadline, the tail of what it
// said. Blocking: called on the library's worker threads.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mission::receiver::program {

// Ends what runs when the program has to stop. THREAD: any. Outlives every run() that was given it.
class exec_gate {
  public:
    exec_gate();
    ~exec_gate();
    exec_gate(const exec_gate&) = delete;
    exec_gate& operator=(const exec_gate&) = delete;
    // Every command that runs is killed, and none begins any more.
    void close() noexcept;
    int fd() const noexcept { return fd_; }  // readable once closed
    bool closed() const noexcept;

  private:
    int fd_;
};

struct exec_request {
    std::string file;                                // absolute path
    std::vector<std::string> arguments;              // behind argv[0]
    std::map<std::string, std::string> environment;  // all of it, see child_environment()
    std::string input;                               // given on standard input, which then ends
    std::chrono::milliseconds timeout{30'000};
};

struct exec_result {
    enum class kind {
        exited,       // with `code`
        signalled,    // by somebody else, with `code`
        timed_out,    // killed by us, with its whole group
        interrupted,  // killed by us: the program stops
        not_started,  // `text` says why
    } how = kind::not_started;
    int code = 0;
    // The last octets of standard output and standard error together, made printable.
    std::string text;
};

exec_result run(const exec_request& request, const exec_gate& gate);

// PATH, HOME, LANG and the like of this process, and nothing else of it: its environment may hold
// secrets (`{ env = ".." }`, overrides) that are no business of a command.
std::map<std::string, std::string> child_environment();

}  // namespace mission::receiver::program
