// Deadlines of many connections at the price of one timer.
//
// A connection changes its deadline several times per request. Re-arming a timer each time would
// cost more than parsing the request, so each keeps its deadline in an atomic and one periodic
// sweep looks at all of them. Precision is the sweep's interval.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include <ctime>

namespace mission::net::detail {

// Milliseconds of the monotonic clock; the coarse one, 4 ms exact and a few ns cheap.
inline std::int64_t coarse_now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

class watched {
  public:
    virtual ~watched() = default;
    // From the sweep's thread, every sweep until the deadline is moved: post, then look again.
    virtual void deadline_passed() = 0;

    static constexpr std::int64_t never = INT64_MAX;
    std::int64_t deadline() const noexcept { return deadline_.load(std::memory_order_relaxed); }

  protected:
    void expire_in(std::chrono::milliseconds d) noexcept { expire_at(coarse_now() + d.count()); }
    void expire_at(std::int64_t t) noexcept { deadline_.store(t, std::memory_order_relaxed); }

  private:
    friend class watch_list;
    std::atomic<std::int64_t> deadline_{never};
    std::list<std::shared_ptr<watched>>::iterator place_;
    bool listed_ = false;
};

// Owns what it lists. THREAD: any.
class watch_list {
  public:
    void add(std::shared_ptr<watched> item) {
        const std::lock_guard lock(mutex_);
        auto& i = *item;
        i.place_ = items_.insert(items_.end(), std::move(item));
        i.listed_ = true;
    }
    // How many are left.
    std::size_t remove(watched& item) {
        std::shared_ptr<watched> last;  // destroyed after the lock
        const std::lock_guard lock(mutex_);
        if (item.listed_) {
            last = std::move(*item.place_);
            items_.erase(item.place_);
            item.listed_ = false;
        }
        return items_.size();
    }
    void sweep() {
        std::vector<std::shared_ptr<watched>> late;
        {
            const auto now = coarse_now();
            const std::lock_guard lock(mutex_);
            for (const auto& i : items_) {
                if (i->deadline() <= now) late.push_back(i);
            }
        }
        for (const auto& i : late)
            i->deadline_passed();
    }
    std::vector<std::shared_ptr<watched>> all() const {
        const std::lock_guard lock(mutex_);
        return {items_.begin(), items_.end()};
    }
    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return items_.size();
    }

  private:
    mutable std::mutex mutex_;
    std::list<std::shared_ptr<watched>> items_;
};

// How often to sweep so that the shortest of these deadlines is kept within a quarter.
inline std::chrono::milliseconds sweep_interval(std::chrono::milliseconds shortest) {
    using std::chrono::milliseconds;
    return std::clamp(shortest / 4, milliseconds(10), milliseconds(250));
}

}  // namespace mission::net::detail
