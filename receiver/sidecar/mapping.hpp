// From a request to the action and the resource that its mission has to be granted. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar {

struct wanted {
    std::string resource, action;  // both empty: the standing of the mission is enough
    bool authority() const noexcept { return !action.empty(); }
};

// The path of a request target as its server will understand it, for comparing with patterns.
// invalid_argument when two servers could understand it differently (dot segments, encoded
// slashes, empty segments, backslashes, control characters): whichever rule fits one reading might
// be the laxer one.
result<std::string> plain_path(std::string_view target);

// "*" stands for any text within one segment, "**" at the end for any text; all else for itself.
bool path_fits(std::string_view pattern, std::string_view path) noexcept;

// nullptr: no rule fits.
const rule* find_rule(const std::vector<rule>& rules, std::string_view method,
                      std::string_view path) noexcept;

}  // namespace mission::receiver::sidecar
