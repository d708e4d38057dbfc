// JSON Pointer (RFC 6901) into a parsed answer.
#pragma once

#include <string_view>

#include "base/json.hpp"

namespace mission::receiver::presets {

bool valid_pointer(std::string_view pointer) noexcept;
// Null when nothing is there. `pointer` is valid.
const json::value* at_pointer(const json::value& whole, std::string_view pointer);

}  // namespace mission::receiver::presets
