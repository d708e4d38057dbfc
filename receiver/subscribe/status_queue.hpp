// Which mission Status is asked about next. Pure; not thread safe.
//
// By rank: what the engine cannot do without, then what callers wait for, then what is confirmed in
// passing, then ids that nothing is held of. One in eight requests is each lower rank's, so that a
// flood above starves nobody below.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/runtime.hpp"
#include "receiver/cache/record.hpp"

namespace mission::receiver {

enum class status_rank : std::uint8_t { none, stranger, background, caller, urgent };

struct status_job {
    status_rank waits = status_rank::none;
    bool in_flight = false;
    bool again = false;     // asked for anew while a request was under way
    bool own = false;       // the engine's wish: stands, whoever else has given up
    bool stranger = false;  // counted as one
    unsigned failures = 0;
    std::int64_t since = 0;  // when it was queued first; monotonic milliseconds
    std::unique_ptr<net::timer> retry;
    std::vector<std::function<void(ms::cause)>> callers;
};

class status_queue {
  public:
    using jobs = std::map<mission_key, status_job>;
    jobs& all() noexcept { return jobs_; }
    status_job* find(const mission_key& key) {
        const auto it = jobs_.find(key);
        return it == jobs_.end() ? nullptr : &it->second;
    }
    // In a queue once; a higher wish overtakes, and what it leaves behind is passed over.
    void put(const mission_key& key, status_job& j, status_rank r);
    // The next one, out of its queue; `strangers`: whether those may be asked about now.
    std::optional<mission_key> take(bool strangers);
    // True when somebody waits there.
    bool waits(status_rank r);
    void erase(const mission_key& key);
    std::size_t strangers() const noexcept { return strangers_; }
    void count_stranger(status_job& j);

  private:
    std::deque<mission_key>& of(status_rank r) { return queues_[static_cast<std::size_t>(r)]; }
    bool current(const mission_key& key, status_rank r);

    jobs jobs_;
    std::array<std::deque<mission_key>, 5> queues_;
    std::size_t strangers_ = 0;
    unsigned turn_ = 0;
};

}  // namespace mission::receiver
