// Remembers which mission a token names, by the token's SHA-256: the token itself is never kept.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/time.hpp"
#include "jose/digest.hpp"
#include "receiver/sidecar/limits.hpp"
#include "receiver/sidecar/token.hpp"

namespace mission::receiver::sidecar {

// THREAD: any. Only good tokens are kept: refused ones would let anybody fill it.
class verdict_cache {
  public:
    std::shared_ptr<const token_claims> find(const jose::digest256& hash, wall_time now) {
        auto& s = shard_of(hash);
        const std::lock_guard lock(s.mutex);
        const auto it = s.entries.find(hash);
        if (it == s.entries.end()) return nullptr;
        // A clock that was set back is before the look, too: then it is judged anew.
        if (it->second.until <= now || now < it->second.since) {
            s.entries.erase(it);
            return nullptr;
        }
        return it->second.claims;
    }
    void put(const jose::digest256& hash, std::shared_ptr<const token_claims> claims,
             wall_time now) {
        const auto until = std::min<wall_time>(claims->expires, now + limits::verdict_age);
        auto& s = shard_of(hash);
        const std::lock_guard lock(s.mutex);
        // Full means far more live tokens than agents: starting over costs one judgement each.
        if (s.entries.size() >= limits::verdicts / shards) s.entries.clear();
        s.entries.insert_or_assign(hash, entry{std::move(claims), now, until});
    }

  private:
    struct entry {
        std::shared_ptr<const token_claims> claims;
        wall_time since{}, until{};
    };
    struct hasher {
        std::size_t operator()(const jose::digest256& d) const noexcept {
            std::size_t out = 0;
            std::memcpy(&out, d.data(), sizeof out);
            return out;
        }
    };
    struct shard {
        std::mutex mutex;
        std::unordered_map<jose::digest256, entry, hasher> entries;
    };
    static constexpr std::size_t shards = 16;
    shard& shard_of(const jose::digest256& d) noexcept { return shards_[d.back() % shards]; }
    std::array<shard, shards> shards_;
};

}  // namespace mission::receiver::sidecar
