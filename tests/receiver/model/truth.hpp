// What is true: missions as their registry commits them, with every moment that ever was kept.
//
// Written from wire.md section 4 and the mission drafts; nothing of the receiver is included here
// or in the oracle, which judges by this alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mission::model {

enum class state : std::uint8_t { active, suspended, completed, revoked, superseded, expired };
const char* name(state s) noexcept;
constexpr bool ended(state s) noexcept {
    return s >= state::completed;
}

// Milliseconds of the one true clock, which is the registry's; commits fall on whole seconds.
using moment = std::int64_t;

// What holds of a mission from one moment to the next fact's.
struct fact {
    moment from = 0;
    bool exists = true;  // false: restored from a copy that is older than the mission
    state is = state::active;
    state was = state::active;  // before, for the event
    std::int64_t version = 1;
    moment committed = 0;  // earlier than `from` where a copy was restored
    moment expires = 0;
    unsigned authority = 0;  // a set of four actions, as bits
    bool authority_changed = false, expiry_changed = false;
    int history = 1;  // counts the restored copies: log_epoch
};

// Deterministic numbers out of a step's own seed.
class dice {
  public:
    explicit dice(std::uint64_t seed) : x_(seed) {}
    std::uint64_t next() noexcept {
        x_ += 0x9e3779b97f4a7c15ULL;
        auto z = x_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }
    std::size_t below(std::size_t n) noexcept { return n == 0 ? 0 : next() % n; }
    bool chance(unsigned percent) noexcept { return next() % 100 < percent; }
    moment between(moment low, moment high) noexcept {
        return low + static_cast<moment>(next() % static_cast<std::uint64_t>(high - low + 1));
    }

  private:
    std::uint64_t x_;
};

class registry {
  public:
    // The index of the mission, which has a new fact; npos when nothing was committed.
    static constexpr std::size_t npos = static_cast<std::size_t>(-1);
    std::size_t create(moment now, dice& d);
    std::size_t change(std::size_t m, moment now, dice& d);
    // Missions whose time has come; one at a time.
    std::size_t expire_next(moment now);

    void take_copy();
    bool has_copy() const noexcept { return copied_; }
    void restore(moment now);
    moment copied_at() const noexcept { return copied_at_; }

    std::size_t size() const noexcept { return missions_.size(); }
    const std::vector<fact>& of(std::size_t m) const { return missions_[m]; }
    const fact& now_of(std::size_t m) const { return missions_[m].back(); }
    int history() const noexcept { return history_; }
    // Active and within its time.
    bool permits(std::size_t m, moment at) const;

  private:
    std::vector<std::vector<fact>> missions_;
    std::vector<fact> copy_;
    bool copied_ = false;
    moment copied_at_ = 0, last_commit_ = 0;
    int history_ = 1;
};

}  // namespace mission::model
