// Reading many SETs one after the other, in the same memory.
#pragma once

#include <string_view>

#include "base/json_scratch.hpp"
#include "events/set.hpp"

namespace mission::events {

// As decode(); what it reads lasts until `memory` is used again.
result<received_set> decode(std::string_view payload, json::scratch& memory);

}  // namespace mission::events
