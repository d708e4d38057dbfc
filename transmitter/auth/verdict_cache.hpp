// Remembers what a token turned out to be, by its SHA-256: the token itself is never kept.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/limits.hpp"
#include "jose/digest.hpp"
#include "transmitter/auth/authenticator.hpp"

namespace mission::transmitter {

// What a token is worth, and what each request with it has to prove first.
struct verdict {
    principal who;           // `bound` is not set yet
    std::string jkt, x5t;    // of its `cnf` (RFC 9449 section 6.1, RFC 8705 section 3.1), or empty
    wall_time good_until{};  // of the verdict; the token may live longer
};

// THREAD: any. Only accepted tokens are kept: refused ones would let anybody fill it.
class verdict_cache {
  public:
    std::shared_ptr<const verdict> find(const jose::digest256& token_hash, wall_time now) const;
    void put(const jose::digest256& token_hash, std::shared_ptr<const verdict> v);

  private:
    struct hash {
        std::size_t operator()(const jose::digest256& d) const noexcept;
    };
    struct shard {
        std::mutex mutex;
        std::unordered_map<jose::digest256, std::shared_ptr<const verdict>, hash> entries;
    };
    static constexpr std::size_t shards = 16;
    static constexpr std::size_t per_shard = limits::token_verdicts / shards;
    mutable std::array<shard, shards> shards_;
};

}  // namespace mission::transmitter
