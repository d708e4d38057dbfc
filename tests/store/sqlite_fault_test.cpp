// Full disks, dying disks and kill -9.
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include "tests/store/child.hpp"
#include "tests/store/harness.hpp"
#include "tests/store/power_cut_vfs.hpp"

namespace mission::store::test {
namespace {

// Waits for a condition that another thread brings about; false after ten seconds.
template <class Fn>
bool eventually(Fn fn) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!fn()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::yield();
    }
    return true;
}

void limit_file_size(rlim_t bytes) {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
}

int full_and_recovered(const std::string& path) {
    ::signal(SIGXFSZ, SIG_IGN);
    auto opened = open_store("sqlite:" + path);
    FAIL_UNLESS(opened.has_value());
    store& s = **opened;
    const auto issuer = s.add_issuer("https://mas.example");
    FAIL_UNLESS(issuer.has_value());
    FAIL_UNLESS(run(s, approve(*issuer, "before")).has_value());

    limit_file_size(4096);
    for (int i = 0; i < 3; ++i) {
        const auto r = run(s, approve(*issuer, "during"));
        FAIL_UNLESS(!r.has_value());
        FAIL_UNLESS(r.error() == errc::store_full);
    }
    FAIL_UNLESS(!s.health().has_value());
    FAIL_UNLESS(s.health().error() == errc::store_full);
    // Reading goes on.
    seq_t seen = 0;
    FAIL_UNLESS(s.read_now([&](const rows& r) { seen = r.head(); }).has_value());
    FAIL_UNLESS(seen == 1);

    limit_file_size(RLIM_INFINITY);
    FAIL_UNLESS(eventually([&] { return s.health().has_value(); }));  // with no request at all
    const auto after = run(s, approve(*issuer, "during"));
    FAIL_UNLESS(after.has_value());
    FAIL_UNLESS(after->seqs == std::vector<seq_t>{2});
    return 0;
}

int full_from_the_start(const std::string& path) {
    ::signal(SIGXFSZ, SIG_IGN);
    limit_file_size(4096);
    const auto r = open_store("sqlite:" + path);
    FAIL_UNLESS(!r.has_value());
    FAIL_UNLESS(r.error() == errc::store_full);
    FAIL_UNLESS(r.error().detail.find(path) != std::string::npos);
    limit_file_size(RLIM_INFINITY);
    FAIL_UNLESS(open_store("sqlite:" + path).has_value());
    return 0;
}

// Works until it is killed: several threads approve missions and write the numbers of the accepted
// ones into `out`.
[[noreturn]] void work_until_killed(const std::string& path, int round, int out) {
    auto opened = open_store("sqlite:" + path);
    if (!opened) ::_exit(1);
    store& s = **opened;
    const auto issuer = s.add_issuer("https://mas.example").value();
    std::atomic<std::int32_t> next = round * 1'000'000;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (;;) {
                const std::int32_t n = ++next;
                const auto r = run(s, approve(issuer, "k" + std::to_string(n)));
                if (r && ::write(out, &n, sizeof n) != sizeof n) ::_exit(2);
            }
        });
    for (;;)
        ::pause();
}

std::uint64_t test_seed() {
    if (const char* text = std::getenv("MISSION_TEST_SEED"))
        return std::strtoull(text, nullptr, 10);
    std::uint64_t seed = 0;
    system_random().fill(std::as_writable_bytes(std::span{&seed, 1}));
    return seed >> 1;
}

}  // namespace

TEST_CASE("a full disk refuses each commit, serves reads, and recovers by itself") {
    temp_folder f;
    CHECK(in_child([&] { return full_and_recovered(f.file("store.db")); }) == 0);
}

TEST_CASE("a disk that is full from the start is named, and the file can be used later") {
    temp_folder f;
    CHECK(in_child([&] { return full_from_the_start(f.file("store.db")); }) == 0);
}

TEST_CASE("kill -9 at random instants loses no answered commit") {
    const auto seed = test_seed();
    INFO("MISSION_TEST_SEED=" << seed);
    const auto random = seeded_random(seed);
    temp_folder f;
    const std::string path = f.file("store.db");
    std::set<std::int32_t> answered;
    std::string history;
    for (int round = 1; round <= 8; ++round) {
        int answers[2];
        REQUIRE(::pipe(answers) == 0);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::close(answers[0]);
            work_until_killed(path, round, answers[1]);
        }
        ::close(answers[1]);
        auto wanted = 1 + random->below(200);
        std::int32_t n = 0;
        while (wanted > 0 && ::read(answers[0], &n, sizeof n) == sizeof n) {
            answered.insert(n);
            --wanted;
        }
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        // What it had written before it died is in the pipe.
        while (::read(answers[0], &n, sizeof n) == sizeof n)
            answered.insert(n);
        ::close(answers[0]);
        REQUIRE(wanted == 0);

        auto s = open_store("sqlite:" + path).value();
        const auto issuer = s->add_issuer("https://mas.example").value();
        const auto lost = look(*s, [&](const rows& r) {
            std::size_t missing = 0;
            for (const auto k : answered) {
                const auto m = r.find_mission(issuer, long_id("k" + std::to_string(k)));
                if (!m || r.mission_signals(m->record.row).size() != 1) ++missing;
            }
            return missing;
        });
        CHECK(lost == 0);
        const auto now = look(*s, [](const rows& r) { return r.log_epoch(); });
        if (history.empty()) history = now;
        CHECK(now == history);  // a kill is no restore
        CHECK(look(*s, [](const rows& r) {
                  return r.head() - static_cast<seq_t>(r.signals(0, INT64_MAX, 1'000'000).size());
              }) == 0);
    }
}

TEST_CASE("a commit whose sync failed is looked up, and answered when the disk works again") {
    temp_folder f;
    const auto vfs = power_cut::power_cut_vfs::make();
    store_options options;
    options.sqlite_vfs = vfs->name();
    auto s = open_store("sqlite:" + f.file("store.db"), options).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    std::atomic<int> heard = 0;
    s->set_commit_listener(
        [&](const auto& signals) { heard += static_cast<int>(signals->size()); });

    vfs->fail_syncs(true);
    std::promise<result<receipt>> answer;
    auto waiting = answer.get_future();
    s->submit([&](const rows&, wall_time) { return result<changes>(approve(issuer, "a")); },
              [&](result<receipt> r) { answer.set_value(std::move(r)); });
    REQUIRE(eventually([&] { return !s->health().has_value(); }));
    // Meanwhile newcomers are refused at once.
    std::atomic<bool> refused = false;
    std::atomic<int> open = 0;
    CHECK(eventually([&] {
        ++open;
        s->submit([](const rows&, wall_time) { return result<changes>(changes{}); },
                  [&](const result<receipt>& r) {
                      if (!r && r.error() == errc::store_unavailable) refused = true;
                      --open;
                  });
        return refused.load();
    }));
    CHECK(heard == 0);
    vfs->fail_syncs(false);
    const auto r = waiting.get();
    CHECK(r.has_value());
    CHECK(head(*s) == 1);
    REQUIRE(run(*s, changes{}));
    CHECK(heard == 1);  // once, whether it was found or run again
    REQUIRE(run(*s, approve(issuer, "b")));
    CHECK(s->health().has_value());
    CHECK(open == 0);
}

TEST_CASE("a step that waits behind a commit of unknown outcome is answered when patience ends") {
    temp_folder f;
    std::atomic<int> answered = 0;
    std::promise<void> reached, go_on;
    auto held = go_on.get_future();
    const auto vfs = power_cut::power_cut_vfs::make();
    store_options options;
    options.sqlite_vfs = vfs->name();
    auto s = open_store("sqlite:" + f.file("store.db"), options).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    s->submit(
        [&](const rows&, wall_time) {
            reached.set_value();
            held.wait();
            return result<changes>(changes{});
        },
        [](const result<receipt>&) {});
    reached.get_future().wait();
    vfs->fail_syncs(true);
    const auto done = [&](const result<receipt>& r) { answered += r ? 0 : 1; };
    const auto change = [&](const char* name) {
        return [=](const rows&, wall_time) { return result<changes>(approve(issuer, name)); };
    };
    s->submit(change("a"), done);
    s->submit_step(change("b"), done);  // the writer comes to both at once
    go_on.set_value();
    CHECK(eventually([&] { return answered == 2; }));  // the disk has not come back
    vfs->fail_syncs(false);
}

}  // namespace mission::store::test
