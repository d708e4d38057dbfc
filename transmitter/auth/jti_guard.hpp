// Accepts each (client, jti) once until it has expired anyway (RFC 7523 section 3, rule 7).
//
// Kept in memory: writing each assertion to disk would cost a commit per authentication. What a
// restart forgets is bounded instead: an assertion issued before this process began (less the clock
// skew) is refused, so that at most the last half minute before a crash could be played again, by
// somebody who broke TLS.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"
#include "base/time.hpp"

namespace mission::transmitter {

// THREAD: any.
class jti_guard {
  public:
    explicit jti_guard(wall_time started, std::size_t capacity = 400'000)
        : started_(started), capacity_(capacity) {}

    // token_replayed when it was there, or is older than this process; rate_limited when more
    // unexpired ones are remembered than fit: forgetting one would let it be played again.
    result<void> accept(std::string_view client_id, std::string_view jti, wall_time issued,
                        wall_time expires, wall_time now);

  private:
    using key = std::array<unsigned char, 16>;
    struct hash {
        std::size_t operator()(const key& k) const noexcept;
    };
    void drop_expired(wall_time now);

    const wall_time started_;
    const std::size_t capacity_;
    std::mutex mutex_;
    std::unordered_map<key, wall_time, hash> seen_;
    std::size_t sweep_at_ = 1024;
    wall_time swept_{};
};

}  // namespace mission::transmitter
