// The subset rule of draft-mcguinness-oauth-mission ("Subset Rule"): may this set of
// authorization_details replace that one without widening anything? Pure.
#pragma once

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::transmitter {

// Success when every entry of `candidate` lies within some entry of `held`. Otherwise
// exceeds_authority, with the place of the entry at fault ("/authorization_details/1: ..."): what
// the caller makes of it (403 extension_not_allowed, 403 exceeds_authority) is its business.
//
// Entries of a type other than mission_resource_access have no subset rule: such an entry is within
// an equal one alone.
result<void> check_subset(const json::value& candidate, const json::value& held);

// The parts of the rule, for tests.
bool action_within(std::string_view candidate, std::string_view held) noexcept;
bool resource_within(std::string_view candidate, bool candidate_prefix, std::string_view held,
                     bool held_prefix);
// Common Constraints by their own rules; any other key is within an equal value alone.
bool constraint_within(std::string_view key, const json::value& candidate, const json::value& held);

}  // namespace mission::transmitter
