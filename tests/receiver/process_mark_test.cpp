#include "receiver/process_mark.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using mission::receiver::process_mark;

namespace {

template <class Work>
int in_child(Work&& work) {
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(work());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a mark is of one process, and the default one of all") {
    const auto here = process_mark::of_this_process();
    const process_mark anywhere;
    CHECK(here.at_home());
    CHECK(in_child([&] {
              if (here.at_home() || !anywhere.at_home()) return 1;
              const auto child = process_mark::of_this_process();
              return child.at_home() && !here.at_home() ? 0 : 2;
          }) == 0);
    CHECK(here.at_home());
}
