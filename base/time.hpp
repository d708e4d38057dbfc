// Wall time, its two spellings on the wire, and the clock that the shell hands to the core.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mission {

// Deadlines and records are wall time in milliseconds since 1970-01-01T00:00:00Z.
using wall_time = std::chrono::sys_time<std::chrono::milliseconds>;
using steady_time = std::chrono::steady_clock::time_point;

// NumericDate (RFC 7519 section 2): whole seconds, rounded down.
std::int64_t to_numeric_date(wall_time t) noexcept;
wall_time from_numeric_date(std::int64_t seconds) noexcept;

std::int64_t to_milliseconds(wall_time t) noexcept;
wall_time from_milliseconds(std::int64_t ms) noexcept;

// RFC 3339 in UTC: "2026-11-02T09:06:40Z", with ".123" when there are milliseconds.
std::string to_rfc3339(wall_time t);

// Accepts what RFC 3339 section 5.6 does: any offset, any number of fraction digits (rounded down
// to milliseconds), a leap second (read as the second before it). Years 1970 to 9999.
result<wall_time> from_rfc3339(std::string_view text);

// Thread safe. Tests substitute a manual one.
class clock {
  public:
    virtual ~clock() = default;
    virtual wall_time now() const noexcept = 0;
    virtual steady_time steady_now() const noexcept = 0;
};

const clock& system_clock() noexcept;

// A clock that stands until it is moved; not thread safe while being moved.
class manual_clock final : public clock {
  public:
    explicit manual_clock(wall_time start) : wall_(start) {}
    wall_time now() const noexcept override { return wall_; }
    steady_time steady_now() const noexcept override { return steady_; }
    void advance(std::chrono::milliseconds by) {
        wall_ += by;
        steady_ += by;
    }
    void jump_wall(std::chrono::milliseconds by) { wall_ += by; }

  private:
    wall_time wall_;
    steady_time steady_{std::chrono::hours(1)};
};

}  // namespace mission
