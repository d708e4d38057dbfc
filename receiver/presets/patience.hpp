// The time that a handler has, and what it may wait for. Standard library alone: the presets that
// live in libraries of their own use it, too.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "mission_signals/presets.hpp"

namespace mission::receiver::presets {

namespace ms = mission_signals;

class patience {
  public:
    using clock = std::chrono::steady_clock;
    using milliseconds = std::chrono::milliseconds;

    patience(milliseconds all, const ms::stop_query& stopping)
        : begun_(clock::now()), end_(begun_ + all), stopping_(stopping) {}

    milliseconds left() const {
        const auto rest = std::chrono::duration_cast<milliseconds>(end_ - clock::now());
        return std::max(rest, milliseconds(0));
    }
    milliseconds spent() const {
        return std::chrono::duration_cast<milliseconds>(clock::now() - begun_);
    }
    bool over() const { return clock::now() >= end_; }
    bool stopping() const { return stopping_ && stopping_(); }
    // Nothing more is to be begun.
    bool ended() const { return over() || stopping(); }

    // Waits for that long, in steps so that a stop is heard. False when the time is over before, or
    // the host stops.
    bool wait(milliseconds t) const {
        constexpr auto step = milliseconds(50);
        const auto until = clock::now() + t;
        while (clock::now() < until) {
            if (ended()) return false;
            const auto rest = std::chrono::duration_cast<milliseconds>(until - clock::now());
            std::this_thread::sleep_for(std::clamp(rest, milliseconds(1), step));
        }
        return !ended();
    }

    // What to say when `wait` has said no.
    ms::outcome gave_up(const std::string& seen) const {
        if (stopping()) return {ms::outcome_kind::unknown, seen + "; the host stops"};
        return {ms::outcome_kind::timed_out, seen};
    }

  private:
    clock::time_point begun_, end_;
    const ms::stop_query& stopping_;
};

inline bool is_end(ms::effect e) noexcept {
    using ms::effect;
    return e == effect::completed || e == effect::revoked || e == effect::expired ||
           e == effect::superseded || e == effect::cascaded || e == effect::ended;
}
inline bool is_pause(ms::effect e) noexcept {
    return e == ms::effect::suspended || e == ms::effect::stale;
}
inline bool is_continue(ms::effect e) noexcept {
    return e == ms::effect::resumed || e == ms::effect::fresh;
}
// What cannot be given back is taken for good, but not because nothing was heard for a while.
inline bool takes_away(ms::effect e) noexcept {
    return is_end(e) || e == ms::effect::suspended;
}

// Runs what pauses, continues or ends what is held; nothing else has anything to do. A value that
// fits nowhere is a failure with its reason.
template <class Run>
ms::outcome run_when_it_acts(const ms::task& t, const Run& run) {
    if (!is_pause(t.why) && !is_continue(t.why) && !is_end(t.why))
        return ms::outcome::done("nothing to do");
    try {
        return run();
    } catch (const ms::unfit_value& e) {
        return ms::outcome::failed(e.what());
    }
}

// "1 session", "2 sessions".
inline std::string counted(std::size_t n, const std::string& what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace mission::receiver::presets
