// How often one client may ask: a bucket of tokens for each key, refilled at a steady rate. Whoever
// asks more often is refused and delays nobody else.
//
// A bucket is one point in time, when it will be full again (the leaky bucket as a meter: ITU-T
// I.371, GCRA), so that a full one need not be kept at all.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"

namespace mission::transmitter {

// THREAD: any.
class rate_limiter {
  public:
    // `per_second` 0: no limit. `burst`: how many may come at once after a rest; at least one.
    // Routes give twice the rate: a fleet that starts asks for everything at once.
    // `keys`: buckets that are kept. Beyond them those that are full go; when none is, whoever has
    // no bucket shares one.
    rate_limiter(std::int64_t per_second, std::int64_t burst,
                 std::size_t keys = limits::rate_limited_keys);

    // Takes one token. nullopt: taken. Otherwise the time until there is one; nothing was taken.
    std::optional<std::chrono::nanoseconds> take(std::string_view key, steady_time now);

    std::size_t size() const;  // buckets that are kept

  private:
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept {
            return std::hash<std::string_view>{}(s);
        }
    };
    steady_time& bucket_of(std::string_view key, steady_time now);

    const std::chrono::nanoseconds interval_;   // one token
    const std::chrono::nanoseconds tolerance_;  // all but one of a full bucket
    const std::size_t keys_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, steady_time, hash, std::equal_to<>> full_at_;
    steady_time shared_full_at_{};
    steady_time swept_{};
};

// rate_limited, with the whole seconds to wait (at least 1) as its detail: what error_answer and
// form_error_answer put into Retry-After.
error too_many(std::chrono::nanoseconds wait);
// The seconds of such an error; 1 for any other.
std::int64_t retry_after(const error& e) noexcept;

}  // namespace mission::transmitter
