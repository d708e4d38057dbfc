#include "tests/store/harness.hpp"

#include <atomic>
#include <latch>
#include <set>
#include <thread>

namespace mission::store::test {

TEST_CASE_TEMPLATE("many threads submit and read at once: no change is lost, torn or doubled", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    constexpr int threads = 8, each = 60;
    std::atomic<seq_t> heard = 0;
    std::atomic<bool> in_order = true;
    t->set_commit_listener([&](const auto& signals) {
        for (const auto& s : *signals)
            if (s.seq != heard.fetch_add(1) + 1) in_order = false;
    });
    REQUIRE(run(*t, approve(t.issuer, "shared")));
    std::latch all{threads * each * 2};
    std::atomic<int> accepted = 0;
    std::atomic<bool> whole = true;
    std::vector<std::thread> crowd;
    for (int i = 0; i < threads; ++i)
        crowd.emplace_back([&, i] {
            for (int n = 0; n < each; ++n) {
                const bool own = n % 2 == 0;
                decision d = [&t, i, n](const rows&, wall_time) {
                    return result<changes>(
                        approve(t.issuer, "m" + std::to_string(i) + "x" + std::to_string(n)));
                };
                if (!own) d = move_to(t.issuer, "shared", state::suspended);
                t->submit(std::move(d), [&](const result<receipt>& r) {
                    accepted += r.has_value();
                    all.count_down();
                });
                t->read(
                    [&](const rows& r) {
                        // One snapshot: the log's head and its rows agree, and so do a mission's
                        // version and its signals.
                        const auto log = r.signals(0, INT64_MAX, 100'000);
                        if (static_cast<seq_t>(log.size()) != r.head()) whole = false;
                        const auto m = r.find_mission(t.issuer, long_id("shared"));
                        if (m->state.version !=
                            static_cast<std::int64_t>(r.mission_signals(m->record.row).size()))
                            whole = false;
                    },
                    [&](const result<void>& r) {
                        if (!r) whole = false;
                        all.count_down();
                    });
            }
        });
    for (auto& c : crowd)
        c.join();
    all.wait();
    REQUIRE(run(*t, changes{}));  // the writer is past the last batch and its listener
    CHECK(accepted == threads * each);
    CHECK(whole);
    CHECK(in_order);
    CHECK(head(*t) == threads * each + 1);
    CHECK(heard == threads * each + 1);
    const auto m =
        look(*t, [&](const rows& r) { return *r.find_mission(t.issuer, long_id("shared")); });
    CHECK(m.state.version == 1 + threads * each / 2);
}

TEST_CASE_TEMPLATE("trim runs beside commits and disturbs neither", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    std::latch done{41};
    std::atomic<int> failed = 0;
    for (int i = 0; i < 40; ++i) {
        changes c;
        for (int n = 0; n < 50; ++n)
            c.missions.push_back(approval(t.issuer, std::to_string(i) + "y" + std::to_string(n)));
        t->submit([c = std::move(c)](const rows&, wall_time) { return result<changes>(c); },
                  [&](const result<receipt>& r) {
                      failed += !r.has_value();
                      done.count_down();
                  });
        if (i == 20)
            t->trim(800, [&](const result<void>& r) {
                failed += !r.has_value();
                done.count_down();
            });
    }
    done.wait();
    REQUIRE(trim(*t, 800));
    CHECK(failed == 0);
    CHECK(head(*t) == 2000);
    CHECK(look(*t, [](const rows& r) { return r.tail(); }) == 801);
    CHECK(look(*t, [](const rows& r) { return r.signals(0, 5000, 5000); }).size() == 1200);
}

TEST_CASE_TEMPLATE("a read that throws is an error of its own", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    CHECK(t->read_now([](const rows&) { throw std::runtime_error("bug"); }).error() ==
          errc::store_unavailable);
    CHECK(head(*t) == 0);
}

}  // namespace mission::store::test
