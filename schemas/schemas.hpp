// The JSON Schemas of schemas/*.json, compiled in, for the input doors.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::schemas {

// Validates `v` against the schema of that file name without ".json" ("mission-create").
// schema_violation with the place and the keyword ("/agent: required"). Asserts the name exists.
// Thread safe.
result<void> validate(std::string_view schema, const json::value& v);

// All names, for tests.
std::vector<std::string_view> names();
std::string_view text(std::string_view schema);

}  // namespace mission::schemas
