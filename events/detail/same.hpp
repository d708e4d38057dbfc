// Equality of short names, without a call for those that differ at an end. Private to events/.
#pragma once

#include <cstring>
#include <string_view>

namespace mission::events::detail {

inline bool same(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && (a.empty() || (a.front() == b.front() && a.back() == b.back() &&
                                                  std::memcmp(a.data(), b.data(), a.size()) == 0));
}

}  // namespace mission::events::detail
