// fork(): a receiver denies in every child, from the first instruction on, and is of no use there;
// its parent does not notice.
#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

constexpr unsigned child_seconds = 60;  // then SIGALRM ends it: it hangs

// The child's exit status, -1 when a signal has ended it.
int status_of(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// _exit(): what the parent's other threads own is not theirs to destroy.
template <class Work>
int in_child(Work&& work) {
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::alarm(child_seconds);
        ::_exit(work());
    }
    return status_of(child);
}

struct fixture {
    poll_bench b;
    const std::string id = new_id();
    std::atomic<int> ended{0};
    last_word done{b};

    fixture() {
        auto o = b.options();
        o.state_path = b.dir / "state.db";
        b.start(std::move(o), [this](receiver& rx) {
            rx.on_effect({.name = "h", .on = {effect::revoked}}, [this](const task&) {
                ++ended;
                return outcome::done("ended");
            });
        });
        b.live();
        b.tx.set_status(id,
                        {"active", "e1", 1,
                         R"([{"type":"mission_resource_access","resource":"r","actions":["a"]}])"});
        REQUIRE(b.rx->missions().resolve(id, 20s).permitted());
        REQUIRE(b.rx->missions().permits(id, "r", "a").permitted());
        REQUIRE(b.rx->hold(id, "thing", "data"));
    }
    // The parent goes on as if nothing had been: it permits, hears of the end, and tears down.
    void parent_goes_on() {
        CHECK(b.rx->missions().check(id).permitted());
        b.tx.send(b.tx.change(id, 2, "revoked"));
        CHECK(b.becomes(id, standing::revoked));
        CHECK(eventually([&] { return ended == 1; }));
        CHECK(eventually([&] { return b.rx->tasks().empty(); }));
    }
};

int asked_in_child(fixture& f) {
    auto& rx = *f.b.rx;
    auto& missions = rx.missions();
    if (missions.check(f.id).what != standing::unknown) return 1;
    if (missions.check(f.b.tx.issuer, f.id).permitted()) return 2;
    if (missions.permits(f.id, "r", "a").permitted()) return 3;
    if (missions.authority_of(f.id) || missions.view(f.id) || missions.size() != 0) return 4;
    if (missions.resolve(f.id, 10s).permitted()) return 5;
    int answers = 0;
    missions.resolve(
        f.id, [&](answer a) { answers += a.permitted() ? 100 : 1; }, true);
    missions.confirm(f.id, [&](confirmation c) { answers += c.permitted() ? 100 : 10; });
    if (answers != 11) return 6;
    if (rx.hold(f.id, "another", "") || !rx.held().empty()) return 7;
    if (!rx.tasks(false).empty() || rx.retry_task("x") || !rx.handlers().empty()) return 8;
    int status = 0;
    rx.handle_push({}, [&](push_response r) { status = r.status; });
    if (status != 503) return 9;
    if (rx.current_status().streaming || rx.last_setup_problem().empty()) return 10;
    return 0;
}

// Status can be asked once the transmitter has been discovered.
bool comes_to_permit(receiver& rx, const std::string& id) {
    return eventually([&] { return rx.missions().resolve(id, 10s).permitted(); });
}

}  // namespace

TEST_CASE(
    "in a child of fork nothing is permitted, nothing hangs, and the parent does not notice") {
    fixture f;
    CHECK(in_child([&] { return asked_in_child(f); }) == 0);
    f.parent_goes_on();
}

TEST_CASE("stop and destructor in a child let go, and leave state file and stream to the parent") {
    fixture f;
    CHECK(in_child([&] {
              f.b.rx->stop();
              if (f.b.rx->missions().check(f.id).permitted()) return 1;
              f.b.rx.reset();
              return 0;
          }) == 0);
    CHECK(in_child([&] {
              f.b.rx.reset();
              return 0;
          }) == 0);
    CHECK(f.b.tx.streams_deleted == 0);
    f.parent_goes_on();
    // What the parent has written is all there.
    f.b.rx.reset();
    auto o = f.b.options();
    o.state_path = f.b.dir / "state.db";
    f.b.start(std::move(o));
    // Missions are read beside the start.
    CHECK(eventually([&] { return f.b.rx->missions().check(f.id).what == standing::revoked; }));
}

TEST_CASE("a child whose fork ran no handler of the C library is denied too") {
    fixture f;
    // As _Fork() and clone(2) do it: pthread_atfork(3) knows nothing of it.
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(f.b.rx->missions().check(f.id).permitted() ? 1 : 0);
    CHECK(status_of(child) == 0);
    f.parent_goes_on();
}

// ThreadSanitizer ends a child of many threads that makes a thread.
#ifndef __SANITIZE_THREAD__
TEST_CASE("a receiver that is made in a child, or made before and started there, works there") {
    fixture f;
    auto o = f.b.options();
    o.state_path = f.b.dir / "another.db";
    auto before = make_receiver(o);
    CHECK(in_child([&] {
              before->start();
              if (!comes_to_permit(*before, f.id)) return 1;
              before->stop();
              auto p = o;
              p.state_path.clear();
              auto made = make_receiver(p);
              made->start();
              if (!comes_to_permit(*made, f.id)) return 2;
              // A grandchild is nobody's either.
              const auto grandchild = ::fork();
              if (grandchild == 0) ::_exit(made->missions().check(f.id).permitted() ? 1 : 0);
              int status = 0;
              if (::waitpid(grandchild, &status, 0) != grandchild || status != 0) return 3;
              if (!made->missions().check(f.id).permitted()) return 4;
              made.reset();
              return 0;
          }) == 0);
    f.parent_goes_on();
}
#endif
