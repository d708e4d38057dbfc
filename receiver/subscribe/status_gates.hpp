// What keeps us from asking Mission Status too often. Pure: time, in milliseconds of a monotonic
// clock, and randomness come in. Not thread safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>

#include "base/random.hpp"
#include "receiver/cache/record.hpp"
#include "receiver/subscribe/status_limits.hpp"

namespace mission::receiver {

// So many at once, and so many a second.
class request_rate {
  public:
    request_rate(std::size_t burst, std::size_t per_second)
        : burst_(static_cast<double>(burst)),
          per_ms_(static_cast<double>(per_second) / 1000),
          left_(burst_) {}
    // Milliseconds until one may be sent; 0: now.
    std::int64_t wait(std::int64_t now) {
        left_ = std::min(burst_, left_ + static_cast<double>(now - last_) * per_ms_);
        last_ = now;
        return left_ >= 1 ? 0 : static_cast<std::int64_t>((1 - left_) / per_ms_) + 1;
    }
    void sent() { left_ -= 1; }

  private:
    const double burst_, per_ms_;
    double left_;
    std::int64_t last_ = 0;
};

// A service that has failed so often in a row that it is taken to be down.
class breaker {
  public:
    // Nothing is sent, and whoever asks need not wait.
    bool open(std::int64_t now) const { return down() && now < until_; }
    // With so many under way: may another one go?
    bool may_send(std::int64_t now, std::size_t in_flight) const {
        return !down() || (now >= until_ && in_flight == 0);
    }
    std::int64_t left(std::int64_t now) const {
        return down() ? std::max<std::int64_t>(until_ - now, 0) : 0;
    }
    void succeeded() { failures_ = 0; }
    // True when this one opens it, or keeps it open.
    bool failed(std::int64_t now, random_source& random) {
        ++failures_;
        if (!down()) return false;
        auto d = std::chrono::milliseconds(status_limits::down_first).count();
        const auto longest = std::chrono::milliseconds(status_limits::down_max).count();
        for (unsigned n = status_limits::failures_until_down; n < failures_ && d < longest; ++n)
            d *= 2;
        d = std::min(d, longest);
        until_ =
            now + d - static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(d / 2)));
        return true;
    }

  private:
    bool down() const { return failures_ >= status_limits::failures_until_down; }
    unsigned failures_ = 0;
    std::int64_t until_ = 0;
};

// Ids that Status does not know, for a moment; the oldest make room.
class unknown_ids {
  public:
    bool has(const mission_key& key, std::int64_t now) {
        forget(now);
        return until_.count(key) != 0;
    }
    void add(const mission_key& key, std::int64_t now) {
        forget(now);
        while (until_.size() >= status_limits::not_found)
            drop_oldest();
        const auto until = now + std::chrono::milliseconds(status_limits::not_found_kept).count();
        until_[key] = until;
        order_.emplace_back(until, key);
    }
    void remove(const mission_key& key) { until_.erase(key); }
    std::size_t size() const { return until_.size(); }

  private:
    void drop_oldest() {
        const auto& [until, key] = order_.front();
        if (const auto it = until_.find(key); it != until_.end() && it->second == until)
            until_.erase(it);
        order_.pop_front();
    }
    void forget(std::int64_t now) {
        while (!order_.empty() && order_.front().first <= now)
            drop_oldest();
    }
    std::map<mission_key, std::int64_t> until_;
    std::deque<std::pair<std::int64_t, mission_key>> order_;
};

}  // namespace mission::receiver
