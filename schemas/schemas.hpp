// The JSON Schemas of schemas/*.json, compiled in, for the input doors; and those of the
// configuration.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::schemas {

// Validates `v` against the schema of that file name without ".json" ("mission-create").
// schema_violation with the place and the keyword ("/agent: required"). Asserts the name exists.
// Thread safe.
result<void> validate(std::string_view schema, const json::value& v);

// A schema whose text comes at run time: an event type of somebody else's, from the configuration.
// Copies share it. Thread safe.
class compiled {
  public:
    // JSON Schema draft 4, in one document. invalid_argument with the place and what is wrong: a
    // keyword of another draft, a pattern or a reference that cannot be followed. A rule that would
    // silently not be checked is refused, not passed over.
    static result<compiled> from(std::string_view json_schema);
    // As validate() above.
    result<void> validate(const json::value& v) const;

  private:
    struct rules;
    explicit compiled(std::shared_ptr<rules> r) : rules_(std::move(r)) {}
    std::shared_ptr<rules> rules_;
};

// All names, for tests.
std::vector<std::string_view> names();
std::string_view text(std::string_view schema);

}  // namespace mission::schemas
