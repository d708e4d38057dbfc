#include "transmitter/auth/verdict_cache.hpp"

#include <algorithm>
#include <cstring>

namespace mission::transmitter {

std::size_t verdict_cache::hash::operator()(const jose::digest256& d) const noexcept {
    std::size_t out = 0;
    std::memcpy(&out, d.data(), sizeof out);
    return out;
}

std::shared_ptr<const verdict> verdict_cache::find(const jose::digest256& token_hash,
                                                   wall_time now) const {
    auto& s = shards_[token_hash.back() % shards];
    const std::lock_guard lock(s.mutex);
    const auto it = s.entries.find(token_hash);
    if (it == s.entries.end()) return nullptr;
    if (std::min(it->second->who.token_expires, it->second->good_until) <= now) {
        s.entries.erase(it);
        return nullptr;
    }
    return it->second;
}

void verdict_cache::put(const jose::digest256& token_hash, std::shared_ptr<const verdict> v) {
    auto& s = shards_[token_hash.back() % shards];
    const std::lock_guard lock(s.mutex);
    // Full means far more live tokens than clients: starting over costs one judgement each.
    if (s.entries.size() >= per_shard) s.entries.clear();
    s.entries.insert_or_assign(token_hash, std::move(v));
}

}  // namespace mission::transmitter
