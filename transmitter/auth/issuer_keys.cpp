#include "transmitter/auth/issuer_keys.hpp"

#include "base/limits.hpp"

namespace mission::transmitter {
namespace {

std::optional<std::string> changed_kid(const jose::key_set& before, const jose::key_set& after) {
    for (const auto& now : after.keys())
        for (const auto& then : before.keys())
            if (!now.kid().empty() && now.kid() == then.kid() &&
                now.thumbprint() != then.thumbprint())
                return now.kid();
    return std::nullopt;
}

}  // namespace

std::shared_ptr<const jose::key_set> issuer_keys::at_hand(steady_time now) const {
    return keys_ && now - fetched_at_ < limits::token_keys_stale ? keys_ : nullptr;
}

issuer_keys::answer issuer_keys::look(std::string_view kid, steady_time now) {
    keys_ = at_hand(now);
    const bool may = !fetching_ && (!next_ || now >= *next_);
    if (keys_ && (kid.empty() || keys_->has(kid))) {
        if (!may || now - fetched_at_ < limits::token_keys_age) return {advice::use, keys_};
        fetching_ = true;
        return {advice::refresh, keys_};
    }
    if (fetching_) return {advice::wait, nullptr};
    if (may) {
        fetching_ = true;
        return {advice::fetch, nullptr};
    }
    // Too early to ask again. If the last answer was good, then it said that there is no such key.
    if (keys_ && !failed_) return {advice::use, keys_};
    return {advice::unavailable, nullptr};
}

std::optional<std::string> issuer_keys::fetched(const result<jose::key_set>& got, steady_time now) {
    fetching_ = false;
    failed_ = !got || got->keys().empty();
    if (failed_) {
        next_ = now + limits::token_keys_retry;
        return std::nullopt;
    }
    auto changed = keys_ ? changed_kid(*keys_, *got) : std::nullopt;
    keys_ = std::make_shared<const jose::key_set>(*got);
    fetched_at_ = now;
    next_ = now + limits::jwks_refetch_min;
    return changed;
}

}  // namespace mission::transmitter
