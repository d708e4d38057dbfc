// Which SETs have been dealt with, by (iss, jti): sixteen octets each, the oldest out.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_set>

#include "base/time.hpp"

namespace mission::receiver {

// Bounded in number and age (limits::seen_jti, limits::seen_jti_kept). Not thread safe.
class seen_jtis {
  public:
    bool has(std::string_view iss, std::string_view jti) const;
    // False when it was known. `at`: when it came; never earlier than the last one's.
    // std::bad_alloc: nothing has changed.
    bool add(std::string_view iss, std::string_view jti, wall_time at);
    // Forgets the one that was added last.
    void take_back() noexcept;
    std::size_t size() const noexcept { return known_.size(); }

  private:
    struct digest {
        std::uint64_t a = 0, b = 0;
        friend bool operator==(const digest&, const digest&) = default;
    };
    struct hash {
        std::size_t operator()(const digest& d) const noexcept { return d.a; }
    };
    static digest digest_of(std::string_view iss, std::string_view jti);

    std::unordered_set<digest, hash> known_;
    std::deque<std::pair<digest, wall_time>> order_;
};

}  // namespace mission::receiver
