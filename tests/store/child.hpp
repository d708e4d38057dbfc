// Tests that need a process of their own: one that is killed, limited, or of another user.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <iostream>

namespace mission::store::test {

// Runs `fn` in a forked child; its return value is the exit status, 0 is well. What a child finds
// wrong it says by the number of the line (FAIL_UNLESS). The parent has no threads when it forks.
template <class Fn>
int in_child(Fn fn) {
    std::cout.flush();  // or the child says it again
    const pid_t pid = ::fork();
    if (pid == 0) {
        int code = 255;
        try {
            code = fn();
        } catch (const std::exception&) {
            code = 254;
        }
        ::_exit(code);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define FAIL_UNLESS(condition)                       \
    do {                                             \
        if (!(condition)) return __LINE__ % 250 + 1; \
    } while (false)

}  // namespace mission::store::test
