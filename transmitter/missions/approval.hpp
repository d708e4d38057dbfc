// Reading the body of POST /missions: what the schema cannot say. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

struct approval {
    store::mission_record record;  // without ids, rows and times of the store
    wall_time expires_at{};
    std::string authorization_details;  // JSON array text, as it was sent
    std::vector<std::string> resources;
};

// `body` is valid against schemas/mission-create.json. `mission_id` is the caller's own suggestion
// when the body names none. Errors: invalid_request with the member at fault.
result<approval> read_approval(const json::value& body, std::string_view issuer_url,
                               std::string mission_id, wall_time now);

// Entries that nobody could enforce are refused at the door: an unknown resource_match, a prefix
// with a query, too many octets.
result<void> check_authorization_details(const json::value& set);

}  // namespace mission::transmitter
