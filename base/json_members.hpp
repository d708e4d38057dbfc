// One object of a large text, read in place: no document is made of it, and no string copied.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace mission::json {

struct text_member {
    std::string_view name;
    std::optional<std::string_view> text;  // none: its value is no string
};

// The members of the object that is the member `object` of the text's own object, in their order;
// nullopt when there is none such. The whole text is held to what json::parse() asks of it, with
// the same errors. It is overwritten; what is returned points into it.
result<std::optional<std::vector<text_member>>> read_members(
    std::string& text, std::string_view object, std::size_t max_bytes = limits::json_bytes,
    std::size_t max_depth = limits::json_depth);

}  // namespace mission::json
