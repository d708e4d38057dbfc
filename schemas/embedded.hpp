// What the build made of schemas/*.json. Private to this folder and its tests.
#pragma once

#include <span>
#include <string_view>

namespace mission::schemas {

struct embedded_schema {
    std::string_view name;  // the file's name without ".json"
    std::string_view text;
};

std::span<const embedded_schema> embedded() noexcept;

}  // namespace mission::schemas
