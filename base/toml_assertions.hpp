// To be included before <toml++/toml.h>. What toml++ (3.3) takes for granted does not hold for
// every text: some make it assert, and with assertions off it would go on with what is undefined.
// Here such a text is an exception (std::runtime_error), and so a bad configuration like others.
#pragma once

#include <stdexcept>

namespace mission {

[[noreturn]] inline void not_toml() {
    throw std::runtime_error("is no TOML that can be read");
}

}  // namespace mission

#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : ::mission::not_toml())
