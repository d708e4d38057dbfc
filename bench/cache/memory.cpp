#include "bench/cache/memory.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/random.hpp"
#include "receiver/engine/engine.hpp"

namespace mission::bench {
namespace {

using namespace receiver;

// Rows of as many missions as wanted, made when they are read: a file of ten million would be some
// gigabytes. What of the state is in memory, its page cache, is bounded by SQLite.
class made_state final : public state {
  public:
    explicit made_state(std::size_t missions) : missions_(missions) {}

    result<state_snapshot> load() override {
        state_snapshot s;
        s.missions_stored = true;
        return s;
    }
    void submit(state_write, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        if (committed) committed();
        if (answered) answered({});
    }
    bool accepts() const noexcept override { return true; }
    void stop() override {}
    result<std::size_t> each(row_place& after, std::size_t limit, bool,
                             const std::function<void(const record&)>& fn) override {
        std::size_t n = 0;
        for (; n < limit && next_ < missions_; ++n, ++next_) {
            row_.key = {mission_issuer, mission_id(next_)};
            row_.state = "active";
            row_.version = 3;
            row_.log_epoch = "e1";
            row_.confirmed_epoch = 1;
            fn(row_);
        }
        after.number = static_cast<std::int64_t>(next_);
        return n;
    }

  private:
    const std::size_t missions_;
    std::size_t next_ = 0;
    record row_;
};

std::size_t resident_octets() {
    std::ifstream in("/proc/self/statm");
    std::size_t size = 0, resident = 0;
    in >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

double measure(std::size_t missions) {
    made_state rows(missions);
    auto runner = make_task_runner(system_random());
    engine e(rows, *runner, missions, {});
    const auto before = resident_octets();
    e.load(rows.load().value());
    if (e.table().size() != missions) return -1;
    return static_cast<double>(resident_octets() - before) / static_cast<double>(missions);
}

}  // namespace

std::string mission_id(std::size_t n) {
    static constexpr char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string id(32, '\0');
    std::uint64_t x = n;
    for (std::size_t i = 0; i < id.size(); ++i) {
        // splitmix64; ten characters of each.
        if (i % 10 == 0) x += 0x9e3779b97f4a7c15ULL;
        std::uint64_t z = x ^ (i * 0xd1342543de82ef95ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        id[i] = alphabet[(z ^ (z >> 31)) & 63];
    }
    return id;
}

double bytes_per_mission(std::size_t missions) {
    int ends[2];
    if (::pipe(ends) != 0) return -1;
    const pid_t child = ::fork();
    if (child == 0) {
        const double value = measure(missions);
        const bool told = ::write(ends[1], &value, sizeof value) == sizeof value;
        ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    double value = -1;
    const bool told = ::read(ends[0], &value, sizeof value) == sizeof value;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return told ? value : -1;
}

}  // namespace mission::bench
