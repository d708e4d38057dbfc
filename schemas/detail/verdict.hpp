// What a violation says. Private to schemas/.
#pragma once

#include <rapidjson/schema.h>

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::schemas::detail {

namespace rj = RAPIDJSON_NAMESPACE;

// schema_violation with the place and the keyword; `text` is the schema itself, read to say which
// member is missing.
result<void> judge(const rj::SchemaDocument& rules, const json::value& text, const json::value& v);

}  // namespace mission::schemas::detail
