// What stands behind the handles of ms.h, and how a call is kept from throwing.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mission_signals/ms.h"
#include "mission_signals/receiver.hpp"
#include "receiver/process_mark.hpp"

struct ms_options {
    mission_signals::options value;
};

struct ms_receiver {
    std::unique_ptr<mission_signals::receiver> rx;
    mission_signals::mission_cache* missions = nullptr;
    mission::receiver::process_mark home;  // of ms_receiver_start()
};

struct ms_outcome {
    mission_signals::outcome value;
};

struct ms_authority;  // a mission_signals::authority

namespace mission::receiver::capi {

namespace ms = mission_signals;

// A failure with its words for ms_error().
struct failure {
    ms_result code;
    std::string why;
};

ms_result fail(ms_result code, std::string_view why) noexcept;

// Everything that can throw runs in here: no exception crosses the boundary.
template <class F>
ms_result guarded(F&& run) noexcept {
    try {
        run();
        return MS_OK;
    } catch (const failure& f) {
        return fail(f.code, f.why);
    } catch (const ms::setup_error& e) {
        return fail(MS_E_SETUP, e.what());
    } catch (const std::bad_alloc&) {
        return fail(MS_E_MEMORY, "there is no memory left");
    } catch (const std::exception& e) {
        return fail(MS_E_INTERNAL, e.what());
    } catch (...) {
        return fail(MS_E_INTERNAL, "a callback has thrown");
    }
}

[[noreturn]] inline void refuse(ms_result code, std::string why) {
    throw failure{code, std::move(why)};
}

template <class T>
T* need(T* p, const char* name) {
    if (p == nullptr) refuse(MS_E_ARGUMENT, std::string(name) + " is null");
    return p;
}

// The receiver of a call that cannot work in a child of its process.
template <class Receiver>
Receiver& need_here(Receiver* r) {
    need(r, "receiver");
    if (!r->home.at_home()) {
        refuse(MS_E_FORKED, "the receiver belongs to another process: this one was forked from it");
    }
    return *r;
}

inline const char* text_or_empty(const char* text) noexcept {
    return text == nullptr ? "" : text;
}

template <class Clock, class Duration>
std::int64_t ms_of(const std::chrono::time_point<Clock, Duration>& t) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
}
template <class TimePoint>
std::int64_t ms_of(const std::optional<TimePoint>& t) {
    return t ? ms_of(*t) : 0;
}

// A wait of the host's: no longer than a year, so that the end is a moment of the clock.
inline std::chrono::milliseconds wait_of(std::int64_t milliseconds) noexcept {
    constexpr std::int64_t year = 365LL * 24 * 3600 * 1000;
    return std::chrono::milliseconds(milliseconds < 0 ? 0 : std::min(milliseconds, year));
}

// `user` of a callback that is kept; freed with the last copy.
using held_user = std::shared_ptr<void>;
held_user hold_user(void* user, ms_free_fn free_user);

// While a callback of `of` runs in this thread; null: of no receiver in particular.
class inside_callback {
  public:
    explicit inside_callback(const ms_receiver* of) noexcept;
    ~inside_callback();
    inside_callback(const inside_callback&) = delete;
    inside_callback& operator=(const inside_callback&) = delete;
    static bool of(const ms_receiver* r) noexcept;

  private:
    const ms_receiver* receiver_;
    inside_callback* outer_;
};

// Words and structs of both sides (words.cpp).
ms_standing standing_of(ms::standing s) noexcept;
ms_cause cause_of(ms::cause c) noexcept;
ms_effect effect_of(ms::effect e) noexcept;
std::optional<ms::effect> effect_from(ms_effect e) noexcept;
ms_outcome_kind outcome_of(ms::outcome_kind k) noexcept;
ms_answer answer_of(const ms::answer& a) noexcept;
// Returns 1 when permitted. `out` may be null.
int tell(const ms::answer& a, ms_answer* out) noexcept;

// A struct of which the host knows the first `out->size` octets; none when that is not even its
// size.
template <class T>
void put(const T& from, T* out) noexcept {
    if (out == nullptr || out->size < sizeof(out->size)) return;
    const auto size = out->size;
    const auto n = size < sizeof(T) ? size : sizeof(T);
    auto* to = reinterpret_cast<unsigned char*>(out);
    const auto* at = reinterpret_cast<const unsigned char*>(&from);
    for (std::size_t i = sizeof(size); i < n; ++i)
        to[i] = at[i];
}

// The host's struct, as far as it goes; the rest is as `defaults` has it.
template <class T>
T take(const T* from, const char* name, T defaults) {
    need(from, name);
    if (from->size < sizeof(from->size))
        refuse(MS_E_ARGUMENT, std::string(name) + "->size is not set");
    auto* to = reinterpret_cast<unsigned char*>(&defaults);
    const auto* at = reinterpret_cast<const unsigned char*>(from);
    const auto n = from->size < sizeof(T) ? from->size : sizeof(T);
    for (std::size_t i = 0; i < n; ++i)
        to[i] = at[i];
    return defaults;
}

ms_mission mission_of(const ms::mission_view& v) noexcept;
ms_task task_of(const ms::task& t) noexcept;

}  // namespace mission::receiver::capi
