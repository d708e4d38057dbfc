// The key set of one token issuer: when to fetch it, when to use it, when to give up. Pure; the
// caller fetches and guards.
//
//   look(kid) -> use | wait: somebody fetches | fetch: you do | unavailable
//   fetched(result)
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"
#include "jose/key.hpp"

namespace mission::transmitter {

class issuer_keys {
  public:
    enum class advice {
        use,          // judge by these keys, unknown kid or not
        refresh,      // the same, and fetch in the background: they have grown old
        fetch,        // nothing to judge by: fetch, then look again
        wait,         // the same; a fetch is under way
        unavailable,  // nothing to judge by, and it is too early to ask again
    };
    struct answer {
        advice what{};
        std::shared_ptr<const jose::key_set> keys;  // of use and refresh
    };
    // `kid` empty: any key may be it. After `fetch` and `refresh` the caller owes a fetched(). An
    // unknown kid leads to a fetch at most every limits::jwks_refetch_min.
    answer look(std::string_view kid, steady_time now);

    // What came of it: a set without a usable key is a failure like any other, and the old one
    // stays. Returns the kid of a key that is another than before under the same name, for the log;
    // the issuer's word counts all the same.
    std::optional<std::string> fetched(const result<jose::key_set>& got, steady_time now);

    // Without asking for any: the keys that may still be used, or null.
    std::shared_ptr<const jose::key_set> at_hand(steady_time now) const;
    bool fetching() const noexcept { return fetching_; }
    bool failed() const noexcept { return failed_; }  // the last attempt

  private:
    std::shared_ptr<const jose::key_set> keys_;
    steady_time fetched_at_{};
    std::optional<steady_time> next_;  // no attempt before
    bool fetching_ = false, failed_ = false;
};

}  // namespace mission::transmitter
