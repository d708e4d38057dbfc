#include <thread>

#include "bench/lifecycle/measures.hpp"
#include "bench/lifecycle/world.hpp"

namespace mission::bench {

double measure_clock(const std::string& folder, int missions, int seconds) {
    using namespace std::chrono_literals;
    moved_clock time;
    // Far enough for all of them to be written before the first is due.
    const wall_time first = time.now() + 24h;
    const std::int64_t span = std::int64_t{seconds} * 1000;
    std::vector<planned_mission> plan;
    for (int n = 0; n < missions; ++n) {
        // In no order: the file's is not that of the deadlines.
        const auto place = (std::int64_t{n} * 7'919) % missions;
        plan.push_back({-1, 0, first + std::chrono::milliseconds(place * span / missions)});
    }
    world w(folder, plan, false, &time);
    time.move_to(first - 10s);  // starting makes keys, and may take a while
    w.start();
    const auto begin = clock_type::now();
    const auto bound = std::chrono::seconds(seconds + 120);
    for (bool some = true; some;) {
        if (clock_type::now() - begin > bound) fail("deadlines were not met");
        std::this_thread::sleep_for(200ms);
        if (auto r = w.db().read_now(
                [&](const store::rows& rows) { some = rows.next_deadline().has_value(); });
            !r)
            fail(r.error().message());
    }
    std::vector<double> late;
    late.reserve(plan.size());
    for (int from = 0; from < missions; from += 10'000) {
        if (auto r = w.db().read_now([&](const store::rows& rows) {
                for (int n = from; n < std::min(missions, from + 10'000); ++n) {
                    const auto versions = rows.versions(world::row(n), 1, 2);
                    if (versions.size() != 1 || versions[0].state != events::mission_state::expired)
                        fail("a mission did not end once");
                    late.push_back(static_cast<double>(
                        (versions[0].committed_at - versions[0].expires_at).count()));
                }
            });
            !r)
            fail(r.error().message());
    }
    return quantile(late, 0.99);
}

}  // namespace mission::bench
