// Power cuts: what was answered is on the disk; with synchronous=OFF it is not, and this test sees
// it.
#include <mutex>
#include <set>
#include <thread>

#include "tests/store/harness.hpp"
#include "tests/store/power_cut_vfs.hpp"

namespace mission::store::test {
namespace {

struct outcome {
    std::size_t answered = 0;
    std::size_t lost = 0;
    bool opens = false;
    bool consistent = false;  // dense log, one signal per version
    bool new_history = false;
};

// Works on a store until the power is cut before the n-th sync, or after `most` answers.
outcome cut_while_working(std::uint64_t seed, const char* synchronous,
                          power_cut::power_cut_vfs::promises promised = {}) {
    const auto random = seeded_random(seed);
    temp_folder f;
    const std::string url = "sqlite:" + f.file("store.db");
    std::set<int> answered;
    {
        const auto vfs = power_cut::power_cut_vfs::make(promised);
        store_options options;
        options.sqlite_vfs = vfs->name();
        options.sqlite_synchronous = synchronous;
        auto s = open_store(url, options).value();
        const auto issuer = s->add_issuer("https://mas.example").value();
        vfs->cut_before_sync(vfs->syncs() + 1 + random->below(40));
        const std::size_t body = random->below(2) ? 200 : 60'000;  // some reach a checkpoint
        const int most = 20 + static_cast<int>(random->below(200));
        std::mutex mutex;
        int left = most;
        // Done when all are answered, or when the store hangs on the dead disk.
        const auto wait_until_left = [&](int few) {
            for (;;) {
                {
                    const std::lock_guard lock(mutex);
                    if (left <= few) return true;
                }
                if (!s->health()) return false;
                std::this_thread::yield();
            }
        };
        for (int i = 0; i < most; ++i) {
            changes c = approve(issuer, "p" + std::to_string(i));
            c.missions[0].body = std::string(body, 'b');
            s->submit([c = std::move(c)](const rows&, wall_time) { return result<changes>(c); },
                      [&, i](const result<receipt>& r) {
                          const std::lock_guard lock(mutex);
                          if (r) answered.insert(i);
                          --left;
                      });
            // Some come alone, some in batches.
            if (i % 7 == 0 && !wait_until_left(most - i - 1)) break;
        }
        wait_until_left(0);
        vfs->cut();
        s.reset();
        vfs->settle(seed % 4 == 0 ? 0 : seed);
    }
    outcome out;
    out.answered = answered.size();
    store_options noticing;
    noticing.on_new_history = [&](const new_history&) { out.new_history = true; };
    auto again = open_store(url, noticing);
    out.opens = again.has_value();
    out.lost = answered.size();
    if (!again) return out;
    const auto issuer = (*again)->add_issuer("https://mas.example").value();
    const auto ok = (*again)->read_now([&](const rows& r) {
        out.lost = 0;
        for (const int i : answered)
            if (!r.find_mission(issuer, long_id("p" + std::to_string(i)))) ++out.lost;
        const auto log = r.signals(0, INT64_MAX, 100'000);
        out.consistent = static_cast<seq_t>(log.size()) == r.head();
        for (const auto& s : log) {
            const auto m = r.find_mission(s.mission);
            if (!m || m->state.version != s.version) out.consistent = false;
        }
    });
    if (!ok) out.consistent = false;
    return out;
}

}  // namespace

TEST_CASE("a power cut at any sync loses no answered commit and leaves a consistent store") {
    using promises = power_cut::power_cut_vfs::promises;
    std::size_t answered = 0;
    for (std::uint64_t seed = 1; seed <= 80; ++seed) {
        // With that promise the log's writes are gathered (store/sqlite/gathered_log.hpp).
        const auto promised = seed % 2 ? promises::safe_overwrite : promises::nothing;
        INFO("seed " << seed);
        const auto out = cut_while_working(seed, "FULL", promised);
        answered += out.answered;
        CHECK(out.opens);
        CHECK(out.lost == 0);
        CHECK(out.consistent);
        CHECK(
            !out.new_history);  // the witness, here always written whole, told no more than it had
    }
    CHECK(answered > 1000);
}

TEST_CASE("with synchronous=OFF the same power cut loses answered commits") {
    std::size_t lost = 0;
    for (std::uint64_t seed = 4; seed <= 12; seed += 4) {
        const auto out = cut_while_working(seed, "OFF");
        lost += out.lost;
        // What the disk has forgotten may have been told: nothing of it is given out again. (A
        // store of which nothing at all is left is a new one.)
        if (out.opens && out.lost > 0 && out.lost < out.answered) CHECK(out.new_history);
    }
    CHECK(lost > 0);
}

}  // namespace mission::store::test
