// What check() costs, and what a mission takes in memory:
//
//   check.hot_ns             a look at one of the missions in use, of a million
//   check.uniform_1m_ns      a look at a random one of a million; beside it what one look at memory
//                            costs that no cache has
//   check.unconfirmed_1m_ns  the same where the stream does not vouch for the missions, but each
//   has a
//                            deadline of its own: as after a new epoch of the stream has begun
//   check.two_threads_ratio  looks of two threads at one table, against those of the same two
//                            threads at a table each
//   bytes_per_mission        resident memory, authority aside
//
// Ids have 32 characters; the missions are confirmed in the stream's running epoch and the stream
// is live, as after a Status or a gap-free SET each (wire.md section 5). All the while another
// thread changes a thousand missions a second, those in use among them. Each look reads the clocks
// as well, as the receiver's check() does.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/cache/memory.hpp"
#include "bench/harness.hpp"
#include "receiver/cache/memory_block.hpp"
#include "receiver/cache/table.hpp"

namespace {

using namespace mission;
using receiver::mission_table;
using steady = std::chrono::steady_clock;

constexpr std::size_t missions = 1'000'000;
constexpr std::size_t in_use = 64;
constexpr int updates_per_second = 1'000;

using id = std::array<char, 32>;
std::string_view text(const id& i) {
    return {i.data(), i.size()};
}

receiver::deadline in_an_hour() {
    const auto now = receiver::coarse_now();
    return {now.wall + 3'600'000, now.mono + 3'600'000};
}

receiver::published permitted(std::int64_t version) {
    receiver::published p;
    p.told = mission_signals::standing::active;
    p.version = version;
    p.freshness.fresh_until = in_an_hour();
    p.freshness.confirmed_epoch = 1;
    return p;
}

void must(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
}

std::unique_ptr<mission_table> full_table(const std::vector<id>& ids) {
    auto t = std::make_unique<mission_table>(missions);
    t->set_stream({in_an_hour(), 1});
    for (const auto& i : ids)
        must(t->put(bench::mission_issuer, text(i), permitted(1)), "filling the table");
    return t;
}

// Changes missions at its rate, in every table alike, one in use each second time.
class updater {
  public:
    updater(std::vector<mission_table*> tables, const std::vector<id>& ids)
        : thread_([this, tables = std::move(tables), &ids] {
              std::mt19937_64 random(7);
              auto next = steady::now();
              for (std::int64_t n = 2; !stop_.load(std::memory_order_relaxed); ++n) {
                  const auto at = random() % (n % 2 == 0 ? in_use : ids.size());
                  for (auto* t : tables)
                      t->put(bench::mission_issuer, text(ids[at]), permitted(n));
                  next += std::chrono::microseconds(1'000'000 / updates_per_second);
                  std::this_thread::sleep_until(next);
              }
          }) {}
    ~updater() {
        stop_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// Nanoseconds of CPU for each look at `order`, again and again for so long.
double look(const mission_table& t, const std::vector<id>& order, double seconds) {
    constexpr std::size_t batch = 4096;
    std::size_t looks = 0, granted = 0, at = 0;
    const double begun = bench::thread_cpu_seconds();
    double used = 0;
    while (used < seconds) {
        for (std::size_t n = 0; n < batch; ++n) {
            granted +=
                t.check(bench::mission_issuer, text(order[at]), receiver::coarse_now()).permitted()
                    ? 1
                    : 0;
            if (++at == order.size()) at = 0;
        }
        looks += batch;
        used = bench::thread_cpu_seconds() - begun;
    }
    must(granted == looks, "every look at a permitted mission");
    return used * 1e9 / static_cast<double>(looks);
}

// Nanoseconds of one look at memory that no cache has, of as much of it as the table takes: a look
// at a random mission is at least one.
class raw_memory {
  public:
    raw_memory() : block_(octets) {
        std::vector<std::uint32_t> order(octets / line);
        std::iota(order.begin(), order.end(), 0u);
        std::shuffle(order.begin(), order.end(), std::mt19937_64(3));
        for (std::size_t n = 0; n < order.size(); ++n)
            next(order[n] * line) = order[(n + 1) % order.size()] * line;
    }
    double look(double seconds) {
        constexpr int batch = 4096;
        std::size_t looks = 0;
        const double begun = bench::thread_cpu_seconds();
        double used = 0;
        while (used < seconds) {
            // Each address is known only once the one before has come.
            for (int n = 0; n < batch; ++n)
                at_ = next(at_);
            looks += batch;
            used = bench::thread_cpu_seconds() - begun;
        }
        return used * 1e9 / static_cast<double>(looks);
    }

  private:
    static constexpr std::size_t octets = 96u << 20, line = 64;
    volatile std::size_t& next(std::size_t at) const {
        return *reinterpret_cast<volatile std::size_t*>(block_.data() + at);
    }
    receiver::memory_block block_;
    std::size_t at_ = 0;
};

// Looks per CPU second of two threads at once, together.
double two(const mission_table& a, const mission_table& b, const std::vector<id>& order,
           double seconds) {
    double one = 0, other = 0;
    std::thread second([&] { other = 1e9 / look(b, order, seconds); });
    one = 1e9 / look(a, order, seconds);
    second.join();
    return one + other;
}

// In turns of a fraction of a second, so that whatever else the machine does meets both alike.
double two_threads_ratio(mission_table& shared, mission_table& own, const std::vector<id>& order,
                         double seconds) {
    constexpr int turns = 4;
    double together = 0, apart = 0;
    for (int turn = 0; turn < turns; ++turn) {
        const bool first = turn % 2 == 0;
        if (first) together += two(shared, shared, order, seconds / turns);
        apart += two(shared, own, order, seconds / turns);
        if (!first) together += two(shared, shared, order, seconds / turns);
    }
    return together / apart;
}

}  // namespace

int main(int argc, char** argv) {
    std::string json_file;
    int runs = 5;
    double seconds = 0.5;
    std::size_t measured = missions;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--json")
            json_file = argv[i + 1];
        else if (option == "--runs")
            runs = std::atoi(argv[i + 1]);
        else if (option == "--seconds")
            seconds = std::atof(argv[i + 1]);
        else if (option == "--missions")
            measured = static_cast<std::size_t>(std::atoll(argv[i + 1]));
        else
            must(false, "reading the options");
    }
    must(argc % 2 == 1 && runs > 0 && seconds > 0 && measured > 0,
         "usage: bench_cache [--json FILE] [--runs N] [--seconds S] [--missions N]");

    std::vector<double> octets;
    // First: nothing of the rest is in those processes.
    for (int run = 0; run < runs; ++run)
        octets.push_back(bench::bytes_per_mission(measured));

    std::vector<id> ids(missions);
    for (std::size_t n = 0; n < missions; ++n) {
        const auto made = bench::mission_id(n);
        std::copy(made.begin(), made.end(), ids[n].begin());
    }
    const auto shared = full_table(ids), own = full_table(ids);
    // The order of the looks is another one than that of the table's memory; the ids themselves are
    // read one after the other, as they come with requests.
    auto random_order = ids;
    std::shuffle(random_order.begin(), random_order.end(), std::mt19937_64(1));
    const std::vector<id> hot_order(ids.begin(), ids.begin() + in_use);

    raw_memory raw;
    std::vector<double> hot, uniform, memory, ratio, unconfirmed;
    {
        const updater changing({shared.get(), own.get()}, ids);
        (void)look(*shared, random_order, seconds);
        for (int run = 0; run < runs; ++run) {
            hot.push_back(look(*shared, hot_order, seconds));
            uniform.push_back(look(*shared, random_order, seconds));
            memory.push_back(raw.look(seconds / 2));
            ratio.push_back(two_threads_ratio(*shared, *own, hot_order, seconds));
        }
        own->set_stream({in_an_hour(), 2});
        for (int run = 0; run < runs; ++run)
            unconfirmed.push_back(look(*own, random_order, seconds));
    }
    bench::report r;
    r.benchmark = "cache";
    r.runs = runs;
    r.parameters = {{"missions", std::to_string(missions)},
                    {"missions_in_use", std::to_string(in_use)},
                    {"missions_in_memory", std::to_string(measured)},
                    {"updates_per_second", std::to_string(updates_per_second)},
                    {"seconds_per_run", std::to_string(seconds)}};
    r.metrics = {
        {"check.hot_ns", bench::median(hot), "ns", std::nullopt, std::nullopt},
        {"check.uniform_1m_ns", bench::median(uniform), "ns", bench::median(memory),
         bench::median(memory) / bench::median(uniform)},
        {"check.unconfirmed_1m_ns", bench::median(unconfirmed), "ns", std::nullopt, std::nullopt},
        {"check.two_threads_ratio", bench::median(ratio), "", std::nullopt, std::nullopt},
        {"bytes_per_mission", bench::median(octets), "octets", std::nullopt, std::nullopt}};
    return bench::finish(r, json_file);
}
