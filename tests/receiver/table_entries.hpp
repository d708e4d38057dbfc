// What tests put into a table, and when they look.
#pragma once

#include <cstdint>

#include "receiver/cache/table.hpp"

namespace mission::receiver::testing {

inline constexpr instant now{5, 5};

// Permitted at `now` and for long after it.
inline published active(std::int64_t version) {
    published p;
    p.told = ms::standing::active;
    p.version = version;
    p.freshness.fresh_until = {1'000'000, 1'000'000};
    return p;
}

}  // namespace mission::receiver::testing
