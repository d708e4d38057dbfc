// Power cuts and the receiver's state: what was answered, and so what may be acknowledged (I7), is
// on the disk; with synchronous=OFF it is not, and this test sees it.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "base/random.hpp"
#include "receiver/state/state.hpp"
#include "tests/receiver/wait.hpp"
#include "tests/store/power_cut_vfs.hpp"

using namespace mission;
using namespace mission::receiver;
using test::temp_dir;

namespace {

struct outcome {
    std::size_t answered = 0;
    std::size_t lost = 0;
    bool opens = false;
};

std::string id_of(int i) {
    return "mission-with-a-long-identifier-" + std::to_string(i);
}

// One unit is an ended mission and its teardown task: both are there afterwards, or neither was
// answered.
state_write unit(int i) {
    state_write w;
    record r;
    r.key = {"https://mas.example", id_of(i)};
    r.state = "revoked";
    r.version = 2;
    w.missions.push_back(r);
    task_record t;
    t.key = "task-" + std::to_string(i);
    t.handler = "vault";
    t.why = mission_signals::effect::revoked;
    t.mission = r.key;
    t.version = 2;
    w.tasks.push_back(t);
    return w;
}

outcome cut_while_writing(std::uint64_t seed) {
    const auto random = seeded_random(seed);
    temp_dir dir;
    const std::string file = dir / "state.db";
    std::mutex mutex;
    std::set<int> answered;
    {
        const auto vfs = power_cut::power_cut_vfs::make();
        auto s = open_state("file:" + file + "?vfs=" + vfs->name(), nullptr);
        REQUIRE(s.has_value());
        REQUIRE((*s)->load().has_value());
        vfs->cut_before_sync(vfs->syncs() + 1 + random->below(30));
        const int most = 20 + static_cast<int>(random->below(150));
        std::atomic<int> told{0};
        std::atomic<bool> failed{false};  // the power is gone: nothing more will be answered
        for (int i = 0; i < most; ++i) {
            (*s)->submit(unit(i), [&, i](const result<void>& r) {
                const std::lock_guard lock(mutex);
                if (r)
                    answered.insert(i);
                else
                    failed = true;
                ++told;
            });
            // Some come alone, some in batches.
            if (i % 5 == 0)
                test::eventually([&] { return failed || told > i; }, std::chrono::seconds(2));
        }
        test::eventually([&] { return failed || told == most; }, std::chrono::seconds(2));
        vfs->cut();
        (*s)->stop();
        s->reset();
        vfs->settle(seed % 4 == 0 ? 0 : seed);
    }
    outcome out;
    out.answered = answered.size();
    out.lost = answered.size();
    auto again = open_state(file, nullptr);
    if (!again) return out;
    const auto back = (*again)->load();
    if (!back) return out;
    out.opens = !back->rebuilt;
    std::set<std::string> missions, tasks;
    row_place from;
    const auto read =
        (*again)->each(from, 100'000, true, [&](const record& m) { missions.insert(m.key.id); });
    if (!read) return out;
    for (const auto& t : back->tasks)
        tasks.insert(t.key);
    out.lost = 0;
    for (const int i : answered)
        if (!missions.contains(id_of(i)) || !tasks.contains("task-" + std::to_string(i)))
            ++out.lost;
    return out;
}

}  // namespace

TEST_CASE("after a power cut every answered unit is there, mission and task") {
    std::size_t answered = 0;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        const auto o = cut_while_writing(seed);
        CAPTURE(seed);
        CHECK(o.opens);
        CHECK(o.lost == 0);
        answered += o.answered;
    }
    CHECK(answered > 100);
}

TEST_CASE("without synchronous writes the same test loses, so it can see") {
    ::setenv("MISSION_STATE_SYNCHRONOUS", "OFF", 1);
    std::size_t lost = 0;
    for (std::uint64_t seed = 1; seed <= 25 && lost == 0; ++seed) {
        const auto o = cut_while_writing(seed);
        lost += o.lost + (o.opens ? 0U : 1U);
    }
    ::unsetenv("MISSION_STATE_SYNCHRONOUS");
    CHECK(lost > 0);
}
