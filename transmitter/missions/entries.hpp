// One entry of authorization_details against another: the parts of the subset rule. Private to the
// rules (subset.cpp, narrow.cpp, family.cpp); others ask subset.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace mission::transmitter::entries {

inline constexpr std::string_view resource_access = "mission_resource_access";

bool is_resource_access(const json::value& entry);

// Why a candidate is not within a held entry: the member that exceeds, below the entry ("actions",
// "constraints/max_amount"), and how far the comparison came before: of several held entries the
// one that comes furthest is the one that was meant.
struct misfit {
    int progress = 0;
    std::string member;  // empty: nothing of it fits
};
// nullopt: within.
std::optional<misfit> compare(const json::value& candidate, const json::value& held);
inline bool within(const json::value& candidate, const json::value& held) {
    return !compare(candidate, held);
}

// resource_match: true for "prefix"; nullopt for a value that the rule does not know, which makes
// the entry unenforceable.
std::optional<bool> is_prefix(const json::value& entry);

// The member of `delegation` that is broader, "" for itself; nullopt: within. Policy beside the
// comparison (draft-mcguinness-oauth-mission "Subset Rule"), which may not grow either.
std::optional<std::string> delegation_exceeds(const json::value& candidate,
                                              const json::value& held);
// Members that this rule does not know: equal on both sides, or not proved to be narrower. The name
// of the first that differs.
std::optional<std::string> other_member_differs(const json::value& candidate,
                                                const json::value& held);

std::string_view text_of(const json::value& entry, std::string_view name);

}  // namespace mission::transmitter::entries
