#include "transmitter/api/rate_limit.hpp"

#include <algorithm>
#include <charconv>

namespace mission::transmitter {
namespace {

using std::chrono::nanoseconds;

// Looking for full buckets costs time under the lock: at most so often.
constexpr auto sweep_interval = std::chrono::seconds(1);
constexpr std::int64_t retry_after_most = 3600;

nanoseconds interval_of(std::int64_t per_second) {
    return per_second <= 0
               ? nanoseconds(0)
               : std::max(nanoseconds(1), nanoseconds(std::chrono::seconds(1)) / per_second);
}

}  // namespace

rate_limiter::rate_limiter(std::int64_t per_second, std::int64_t burst, std::size_t keys)
    : interval_(interval_of(per_second)),
      tolerance_(interval_ * (std::max<std::int64_t>(burst, 1) - 1)),
      keys_(keys) {}

std::optional<nanoseconds> rate_limiter::take(std::string_view key, steady_time now) {
    if (interval_ == nanoseconds(0)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    auto& full_at = bucket_of(key, now);
    const auto from = std::max(full_at, now);
    if (from - now > tolerance_) return from - now - tolerance_;
    full_at = from + interval_;
    return std::nullopt;
}

steady_time& rate_limiter::bucket_of(std::string_view key, steady_time now) {
    if (const auto known = full_at_.find(key); known != full_at_.end()) return known->second;
    if (full_at_.size() >= keys_ && now >= swept_ + sweep_interval) {
        std::erase_if(full_at_, [now](const auto& b) { return b.second <= now; });
        swept_ = now;
    }
    if (full_at_.size() >= keys_) return shared_full_at_;
    return full_at_.emplace(std::string(key), now).first->second;
}

std::size_t rate_limiter::size() const {
    const std::lock_guard lock(mutex_);
    return full_at_.size();
}

error too_many(nanoseconds wait) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return {errc::rate_limited,
            std::to_string(std::clamp<std::int64_t>(seconds, 1, retry_after_most))};
}

std::int64_t retry_after(const error& e) noexcept {
    if (e.code != errc::rate_limited) return 1;
    std::int64_t seconds = 0;
    const auto [end, failed] =
        std::from_chars(e.detail.data(), e.detail.data() + e.detail.size(), seconds);
    return failed == std::errc{} && end == e.detail.data() + e.detail.size() && seconds >= 1
               ? std::min(seconds, retry_after_most)
               : 1;
}

}  // namespace mission::transmitter
