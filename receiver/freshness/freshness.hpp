// How long what we know may be relied on: wire.md section 5, "Freshness of an entry".
//
// Pure: time comes in. An entry is fresh by its own `fresh_until` (a Status said so), or by the
// stream's `live_until`, but then only when the stream carries everything about the mission and
// the entry was confirmed since the stream's running epoch began.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace mission::receiver {

// Two readings of one moment, in milliseconds. Stale if either clock says so: the wall clock
// survives a sleeping machine, the monotonic one a wall clock that is set back.
struct instant {
    std::int64_t wall = 0;
    std::int64_t mono = 0;
};

// The coarse clocks: no system call, resolution of a kernel tick (design section 7).
instant coarse_now() noexcept;

inline wall_time to_wall(instant now) noexcept {
    return from_milliseconds(now.wall);
}

struct deadline {
    std::int64_t wall = 0;  // 0: never was one
    std::int64_t mono = 0;
    bool passed(instant now) const noexcept { return now.wall >= wall || now.mono >= mono; }
    friend bool operator==(const deadline&, const deadline&) = default;
};

// The same moment on both clocks; `until` before now is a deadline that has passed.
deadline deadline_at(std::int64_t until_wall, instant now) noexcept;
// The same, and never later than `bound` from now: what was said now is not relied on for longer,
// however far behind our wall clock is.
deadline deadline_within(std::int64_t until_wall, std::chrono::seconds bound, instant now) noexcept;

// What readers need of the stream.
struct stream_word {
    deadline live_until;
    std::uint64_t epoch = 0;
    friend bool operator==(const stream_word&, const stream_word&) = default;
};

// What readers need of an entry.
struct entry_word {
    deadline fresh_until;
    std::uint64_t confirmed_epoch = 0;  // 0: never; epochs count from 1
};

inline bool is_fresh(const entry_word& entry, const stream_word& stream, instant now) noexcept {
    if (!entry.fresh_until.passed(now)) return true;
    return entry.confirmed_epoch == stream.epoch && !stream.live_until.passed(now);
}

// What the stream is, as far as freshness cares; kept over restarts.
struct stream_identity {
    std::string stream_id;
    std::vector<std::string> events_delivered;  // sorted
    bool all_subjects = false;                  // default_subjects is ALL
    std::vector<std::string> missions{};        // sorted: added by id, where it is NONE
    std::string subjects{};                     // digest of all that were added
    friend bool operator==(const stream_identity&, const stream_identity&) = default;
};

// True when the events carry every mission type of one vocabulary.
bool carries_all_missions(const std::vector<std::string>& events_delivered);

// The stream's side of freshness. Not thread safe: owned by the engine, under its lock.
class stream_freshness {
  public:
    struct durable {
        stream_identity identity;
        std::optional<std::int64_t> continuity;
        std::string log_epoch;
        std::uint64_t epoch = 1;
        // Up to here, by the transmitter's clock in milliseconds, everything was settled when the
        // running epoch began or since: a SET of before is a repetition, and says nothing about
        // what has come after it. nullopt until a heartbeat has said so in this epoch; 0 from a
        // transmitter that proves it by verification alone.
        std::optional<std::int64_t> settled_until{};
    };
    stream_freshness() = default;
    // `confirmed`: there may be entries that were confirmed in the running epoch.
    explicit stream_freshness(durable d, bool confirmed = false)
        : d_(std::move(d)),
          carries_(carries_all_missions(d_.identity.events_delivered)),
          confirmed_unanchored_(confirmed && !d_.continuity) {
        // One that was under way over a restart is as old as it was before.
        if (d_.settled_until) last_as_of_ = from_milliseconds(*d_.settled_until);
    }

    struct heartbeat {
        wall_time as_of{};
        std::int64_t continuity = 0;
        std::string log_epoch;
    };
    // Each returns true when a new epoch begins: every entry is unconfirmed from here on.
    bool on_stream(stream_identity now_is);
    bool on_heartbeat(const heartbeat& h, instant receipt, std::chrono::seconds max_stale);
    bool on_stream_updated(bool enabled);
    // What was remembered is not up to date: SETs may have been acknowledged since that we know
    // nothing of.
    void on_doubt() { begin_epoch(); }
    // May a gap-free SET confirm its entry in the running epoch? Not one of another history than
    // the heartbeats', nor one that was settled before: neither is the last that was said.
    // `iat`: when it was committed, in seconds.
    bool vouches(const std::string& log_epoch, std::int64_t iat) const;
    // An entry was confirmed. Before the first heartbeat nobody knows how much was dropped by then.
    void note_confirmed() noexcept { confirmed_unanchored_ |= !d_.continuity; }
    // draft-mcguinness-oauth-mission-signals "Consumer Behavior on Receipt": a verification that
    // was sent after everything before our request proves liveness up to that request.
    void on_proof(instant requested, std::chrono::seconds max_stale);

    stream_word word() const noexcept { return {covers() ? live_until_ : deadline{}, d_.epoch}; }
    // It vouches for all missions, or for some.
    bool covers() const;
    // For this one: of a stream with NONE for those that were added by their id. A mission that
    // matches by its agent, person or tenant is not known to: it stays on its own fresh_until.
    bool covers(std::string_view mission_id) const;
    const durable& kept() const noexcept { return d_; }

  private:
    void begin_epoch() {
        ++d_.epoch;
        d_.settled_until.reset();
        confirmed_unanchored_ = false;
    }
    void extend(deadline until);

    durable d_;
    bool carries_ = false;  // all missions, by what it delivers: asked with every SET
    deadline live_until_;
    std::optional<wall_time> last_as_of_;
    // The transmitter's clock as heartbeats have shown it, at least: milliseconds that it is ahead
    // of our monotonic one. A wall clock that is set back makes no old heartbeat young.
    std::optional<std::int64_t> seen_ahead_;
    bool confirmed_unanchored_ = false;  // an entry was, before any heartbeat said `continuity`
};

}  // namespace mission::receiver
