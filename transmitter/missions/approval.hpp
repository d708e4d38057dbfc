// Reading the body of POST /missions: what the schema cannot say. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "store/rows.hpp"
#include "transmitter/missions/authorization_types.hpp"

namespace mission::transmitter {

struct approval {
    store::mission_record record;  // without ids, rows and times of the store
    wall_time expires_at{};
    std::string authorization_details;  // JSON array text, as it was sent
    std::vector<std::string> resources;
};

struct approval_rules {
    std::string_view issuer_url;
    const authorization_types& types;
    bool mirror = false;
};

// `body` is valid against schemas/mission-create.json. `mission_id` is the caller's own suggestion
// when the body names none. Errors: invalid_request with the member at fault.
result<approval> read_approval(const json::value& body, const approval_rules& rules,
                               std::string mission_id, wall_time now);

// What the audit says of a human's approval (draft-mcguinness-mission-audit): who, why, for whom
// and what was added. JSON object text.
struct approval_detail {
    const json::value* body = nullptr;      // of the request
    const json::value* previous = nullptr;  // the set that stood; null: there was none
    std::vector<std::size_t> justified_by;  // of a child: the parent's entry for each of its own
    bool amends = false;                    // a change of scope: another body
};
std::string detail_of(const approval_detail& d);

}  // namespace mission::transmitter
