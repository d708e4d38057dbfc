#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "mission_signals/receiver.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission_signals;
using mission::test::eventually;

namespace {

char state_of(int pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    const auto end = text.rfind(')');
    return end == std::string::npos ? '-' : text[end + 2];
}

// A leader with a child, both waiting for ever, in a group of their own.
struct group {
    int leader = 0, child = 0;
    group() {
        int pipe_ends[2];
        REQUIRE(::pipe(pipe_ends) == 0);
        leader = ::fork();
        if (leader == 0) {
            ::setpgid(0, 0);
            const int c = ::fork();
            if (c != 0) (void)!::write(pipe_ends[1], &c, sizeof c);
            for (;;)
                ::pause();
        }
        REQUIRE(::read(pipe_ends[0], &child, sizeof child) == sizeof child);
        ::close(pipe_ends[0]);
        ::close(pipe_ends[1]);
    }
    ~group() {
        if (leader > 0) {
            ::kill(-leader, SIGKILL);
            ::waitpid(leader, nullptr, 0);
        }
    }
};

outcome run(const process_group& g, effect why) {
    task t;
    t.why = why;
    t.data = g.to_data();
    return process_group_handler()(t);
}

}  // namespace

TEST_CASE("suspend stops every member, resume continues, the end leaves none") {
    group g;
    const auto id = process_group::of(g.leader);
    REQUIRE(id.has_value());
    CHECK(run(*id, effect::suspended).kind == outcome_kind::acknowledged);
    CHECK(state_of(g.leader) == 'T');
    CHECK(state_of(g.child) == 'T');
    CHECK(run(*id, effect::resumed).kind == outcome_kind::acknowledged);
    CHECK(eventually([&] { return state_of(g.leader) == 'S' && state_of(g.child) == 'S'; }));
    // Also out of a stop: SIGKILL needs no SIGCONT.
    CHECK(run(*id, effect::stale).kind == outcome_kind::acknowledged);
    const auto end = run(*id, effect::revoked);
    CHECK(end.kind == outcome_kind::acknowledged);
    CHECK(end.evidence.find("none left") != std::string::npos);
    CHECK(eventually([&] { return state_of(g.child) != 'S' && state_of(g.child) != 'T'; }));
    // Again, as after a crash: nothing is left, and that is an acknowledgement.
    CHECK(run(*id, effect::revoked).kind == outcome_kind::acknowledged);
}

TEST_CASE("a process with the same pid and another start time or boot is never signalled") {
    group g;
    auto id = process_group::of(g.leader);
    REQUIRE(id.has_value());
    SUBCASE("start time") {
        id->start_time += 1;
    }
    SUBCASE("boot") {
        id->boot_id = "another";
    }
    CHECK(run(*id, effect::revoked).kind == outcome_kind::acknowledged);
    CHECK(eventually([&] { return state_of(g.leader) == 'S'; }));
}

TEST_CASE("members that outlive their leader are found and ended") {
    group g;
    const auto id = process_group::of(g.leader);
    REQUIRE(id.has_value());
    ::kill(g.leader, SIGKILL);
    ::waitpid(g.leader, nullptr, 0);
    REQUIRE(eventually([&] { return state_of(g.child) == 'S'; }));
    SUBCASE("of our session") {
        CHECK(run(*id, effect::revoked).kind == outcome_kind::acknowledged);
        CHECK(eventually([&] { return state_of(g.child) != 'S'; }));
    }
    SUBCASE("of another session: not known to be ours") {
        auto other = *id;
        other.session += 1;
        CHECK(run(other, effect::revoked).kind == outcome_kind::failed);
        CHECK(state_of(g.child) == 'S');
    }
    ::kill(g.child, SIGKILL);
    g.leader = 0;
}

TEST_CASE("data that would reach everybody is refused") {
    for (const char* data : {"", "{}", R"({"pid":0,"start_time":1,"boot_id":"b"})",
                             R"({"pid":1,"start_time":1,"boot_id":"b"})",
                             R"({"pid":-1,"start_time":1,"boot_id":"b"})"}) {
        CHECK_FALSE(process_group::from_data(data).has_value());
    }
    auto own = process_group::of(::getpid());
    REQUIRE(own.has_value());
    own->pid = ::getpgrp();
    CHECK(run(*own, effect::revoked).kind == outcome_kind::failed);
}

TEST_CASE("a process that leads no group, or has left its own, is ended all the same") {
    const int pid = ::fork();
    if (pid == 0) {
        for (;;)
            ::pause();
    }
    const auto id = process_group::of(pid);
    REQUIRE(id.has_value());
    CHECK(run(*id, effect::suspended).kind == outcome_kind::acknowledged);
    CHECK(state_of(pid) == 'T');
    CHECK(run(*id, effect::revoked).kind == outcome_kind::acknowledged);
    const char state = state_of(pid);
    CHECK((state == 'Z' || state == 'X' || state == '-'));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}
