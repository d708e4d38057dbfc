#include "receiver/engine/seen_jtis.hpp"

#include <cstring>
#include <string>

#include "base/limits.hpp"
#include "jose/digest.hpp"

namespace mission::receiver {

// Half of a SHA-256: nobody finds a second `jti` that passes for a known one.
seen_jtis::digest seen_jtis::digest_of(std::string_view iss, std::string_view jti) {
    std::string text = std::to_string(iss.size());
    text.append(":").append(iss).append(jti);
    const auto full = jose::sha256(text);
    digest d;
    std::memcpy(&d.a, full.data(), sizeof d.a);
    std::memcpy(&d.b, full.data() + sizeof d.a, sizeof d.b);
    return d;
}

bool seen_jtis::has(std::string_view iss, std::string_view jti) const {
    return known_.count(digest_of(iss, jti)) != 0;
}

bool seen_jtis::add(std::string_view iss, std::string_view jti, wall_time at) {
    const auto d = digest_of(iss, jti);
    if (known_.count(d) != 0) return false;
    order_.emplace_back(d, at);
    try {
        known_.insert(d);
    } catch (...) {
        order_.pop_back();
        throw;
    }
    while (order_.size() > limits::seen_jti || order_.front().second < at - limits::seen_jti_kept) {
        known_.erase(order_.front().first);
        order_.pop_front();
    }
    return true;
}

void seen_jtis::take_back() noexcept {
    known_.erase(order_.back().first);
    order_.pop_back();
}

}  // namespace mission::receiver
