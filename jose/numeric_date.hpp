// NumericDate (RFC 7519 section 2) as other makers' tokens have it: a number, perhaps with a
// fraction.
#pragma once

#include <optional>
#include <string_view>

#include "base/json.hpp"
#include "base/time.hpp"

namespace mission::jose {

// In whole seconds, rounded down. nullopt: the claim is absent; bad_claims: it is no date, or one
// beyond the year 9999, which would overflow arithmetic and mean nothing.
result<std::optional<wall_time>> numeric_date(const json::value& claims, std::string_view name);

}  // namespace mission::jose
