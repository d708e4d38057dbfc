// Moments as people type them: RFC 3339, or a duration from now.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.hpp"

namespace mission::tools {

// "2026-11-02T09:00:00Z" as it is; "90s", "30m", "8h", "7d" as that long after `now`.
std::optional<wall_time> parse_moment(std::string_view text, wall_time now);

}  // namespace mission::tools
