#include "transmitter/auth/jti_guard.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/limits.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {

std::size_t jti_guard::hash::operator()(const key& k) const noexcept {
    std::size_t out = 0;
    std::memcpy(&out, k.data(), sizeof out);  // the key is a piece of a SHA-256 already
    return out;
}

result<void> jti_guard::accept(std::string_view client_id, std::string_view jti, wall_time issued,
                               wall_time expires, wall_time now) {
    if (issued + limits::clock_skew < started_)
        return error{errc::token_replayed, "the assertion is older than this process"};
    const auto digest = jose::sha256(std::to_string(client_id.size()) + ":" +
                                     std::string(client_id) + std::string(jti));
    key k{};
    std::copy_n(digest.begin(), k.size(), k.begin());
    const std::lock_guard lock(mutex_);
    if (seen_.size() >= sweep_at_) drop_expired(now);
    if (seen_.contains(k)) return error{errc::token_replayed, "this jti was used before"};
    if (seen_.size() >= capacity_) return error{errc::rate_limited, "too many assertions"};
    // Until nobody's clock takes it for valid any more.
    seen_.emplace(k, expires + limits::clock_skew);
    return {};
}

void jti_guard::drop_expired(wall_time now) {
    // While it is full every request asks for it; a second frees as much.
    if (now >= swept_ && now - swept_ < std::chrono::seconds(1)) return;
    swept_ = now;
    std::erase_if(seen_, [now](const auto& entry) { return entry.second <= now; });
    // Amortised: the next sweep comes when half as much again has been added.
    sweep_at_ = std::clamp<std::size_t>(seen_.size() + seen_.size() / 2, 1024, capacity_);
}

}  // namespace mission::transmitter
