// The subset rule of draft-mcguinness-oauth-mission ("Subset Rule"): may this set of
// authorization_details replace that one without widening anything? Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"

namespace mission::transmitter {

// Success when every entry of `candidate` lies within some entry of `held`. Otherwise
// exceeds_authority, with the member at fault ("/authorization_details/1/actions: ..."): what the
// caller makes of it (403 extension_not_allowed, 403 exceeds_authority) is its business.
//
// Entries of a type other than mission_resource_access have no subset rule: such an entry is within
// an equal one alone.
result<void> check_subset(const json::value& candidate, const json::value& held);

// The first entry of `held` that `entry` lies within: the one that justifies it
// (draft-mcguinness-oauth-mission-child-delegation "Fan-Out Accounting").
std::optional<std::size_t> covering_entry(const json::value& entry, const json::value& held);

// What remains of a child's set when its parent's became `bound`: JSON array text that passes
// check_subset against `bound`. An entry within is kept as it is. Another one is reduced to what it
// has in common with each entry of `bound`: the narrower resource, the actions within, the tighter
// constraints; without `delegation` where that would grow. What cannot be reduced (another type, a
// member that the rule does not know, an empty intersection) is dropped: denial does not wait for
// somebody to say what was meant.
std::string narrow_to(const json::value& set, const json::value& bound);

// The parts of the rule, for tests.
bool action_within(std::string_view candidate, std::string_view held) noexcept;
bool resource_within(std::string_view candidate, bool candidate_prefix, std::string_view held,
                     bool held_prefix);
// Common Constraints by their own rules; any other key is within an equal value alone.
bool constraint_within(std::string_view key, const json::value& candidate, const json::value& held);
// What two values of a key have in common, when neither is within the other: the overlap of two
// time windows, the common members of two lists. nullopt: nothing, or nobody knows.
std::optional<json::value> constraint_overlap(std::string_view key, const json::value& a,
                                              const json::value& b, json::allocator& memory);
// The value syntax of a Common Constraint; any other key is its deployment's business. The error
// says what it must be, without a place.
result<void> check_constraint(std::string_view key, const json::value& value);

}  // namespace mission::transmitter
