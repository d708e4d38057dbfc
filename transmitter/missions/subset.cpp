#include "transmitter/missions/subset.hpp"

#include <algorithm>
#include <set>

#include "transmitter/missions/uri.hpp"

namespace mission::transmitter {
namespace {

constexpr std::string_view resource_access = "mission_resource_access";

bool same(const json::value& a, const json::value& b) {
    return a == b;
}

std::string_view text_of(const json::value& entry, std::string_view name) {
    return json::find_string(entry, name).value_or(std::string_view());
}

bool actions_within(const json::value& candidate, const json::value& held) {
    const auto* wanted = json::find(candidate, "actions");
    const auto* given = json::find(held, "actions");
    if (!wanted || !given || !wanted->IsArray() || !given->IsArray()) return false;
    const auto covered = [&](const json::value& action) {
        return action.IsString() &&
               std::any_of(given->Begin(), given->End(), [&](const json::value& g) {
                   return g.IsString() && action_within(json::view(action), json::view(g));
               });
    };
    return std::all_of(wanted->Begin(), wanted->End(), covered);
}

bool constraints_within(const json::value& candidate, const json::value& held) {
    const auto* given = json::find(held, "constraints");
    if (!given) return true;  // adding a constraint narrows
    if (!given->IsObject()) return false;
    const auto* wanted = json::find(candidate, "constraints");
    for (const auto& m : given->GetObject()) {
        // A key that is absent is the broadest value there is.
        const auto* value = wanted ? json::find(*wanted, json::view(m.name)) : nullptr;
        if (!value) {
            // `requires_action_approval: false` says the same as leaving it out.
            if (json::view(m.name) == "requires_action_approval" && m.value.IsFalse()) continue;
            return false;
        }
        if (!constraint_within(json::view(m.name), *value, m.value)) return false;
    }
    return true;
}

bool delegates_within(const json::value& candidate, const json::value& held) {
    const auto* given = json::find(held, "allowed_delegates");
    if (!given) return true;
    const auto* wanted = json::find(candidate, "allowed_delegates");
    if (!wanted || !wanted->IsArray() || !given->IsArray()) return false;
    return std::all_of(wanted->Begin(), wanted->End(), [&](const json::value& w) {
        return std::any_of(given->Begin(), given->End(),
                           [&](const json::value& g) { return same(w, g); });
    });
}

// `delegation` is policy beside the comparison, but may not grow either.
bool delegation_within(const json::value& candidate, const json::value& held) {
    const auto* wanted = json::find(candidate, "delegation");
    if (!wanted) return true;
    const auto* given = json::find(held, "delegation");
    if (!given || !wanted->IsObject() || !given->IsObject()) return false;
    if (const auto most = json::find_int(*given, "max_depth")) {
        const auto depth = json::find_int(*wanted, "max_depth");
        if (!depth || *depth > *most) return false;
    }
    return delegates_within(*wanted, *given);
}

// Members whose meaning this rule does not know must be equal: what cannot be compared is not
// proved to be narrower.
bool others_equal(const json::value& candidate, const json::value& held) {
    static const std::set<std::string_view> known{"type",    "resource",    "resource_match",
                                                  "actions", "constraints", "delegation"};
    std::size_t in_candidate = 0, in_held = 0;
    for (const auto& m : candidate.GetObject()) {
        if (known.contains(json::view(m.name))) continue;
        ++in_candidate;
        const auto* other = json::find(held, json::view(m.name));
        if (!other || !same(m.value, *other)) return false;
    }
    for (const auto& m : held.GetObject())
        in_held += !known.contains(json::view(m.name));
    return in_candidate == in_held;
}

// nullopt: no value the rule recognises, which makes the entry unenforceable.
std::optional<bool> is_prefix(const json::value& entry) {
    const auto* match = json::find(entry, "resource_match");
    if (!match) return false;
    if (!match->IsString()) return std::nullopt;
    if (json::view(*match) == "prefix") return true;
    if (json::view(*match) == "exact") return false;
    return std::nullopt;
}

bool entry_within(const json::value& candidate, const json::value& held) {
    if (same(candidate, held)) return true;
    if (!candidate.IsObject() || !held.IsObject()) return false;
    if (text_of(candidate, "type") != resource_access || text_of(held, "type") != resource_access)
        return false;
    const auto candidate_prefix = is_prefix(candidate);
    const auto held_prefix = is_prefix(held);
    return candidate_prefix && held_prefix &&
           resource_within(text_of(candidate, "resource"), *candidate_prefix,
                           text_of(held, "resource"), *held_prefix) &&
           actions_within(candidate, held) && constraints_within(candidate, held) &&
           delegation_within(candidate, held) && others_equal(candidate, held);
}

}  // namespace

bool action_within(std::string_view candidate, std::string_view held) noexcept {
    if (candidate == held) return true;
    // A family is "name.*"; within it is what extends the name by at least one segment.
    if (!held.ends_with(".*") || held.size() < 3) return false;
    const auto stem = held.substr(0, held.size() - 1);  // "invoices."
    if (!candidate.starts_with(stem) || candidate.size() == stem.size()) return false;
    return candidate != held && candidate[stem.size()] != '.' && candidate != stem;
}

bool resource_within(std::string_view candidate, bool candidate_prefix, std::string_view held,
                     bool held_prefix) {
    if (!held_prefix) return !candidate_prefix && candidate == held;
    const auto c = normalize_uri(candidate);
    const auto h = normalize_uri(held);
    if (c == h) return true;
    // At a path-segment boundary: "/a" holds "/a/b", not "/ab".
    if (!c.starts_with(h)) return false;
    return h.ends_with('/') || c[h.size()] == '/';
}

result<void> check_subset(const json::value& candidate, const json::value& held) {
    if (!candidate.IsArray() || !held.IsArray())
        return error{errc::exceeds_authority, "/authorization_details: must be an array"};
    std::size_t index = 0;
    for (const auto& entry : candidate.GetArray()) {
        const bool within = std::any_of(
            held.Begin(), held.End(), [&](const json::value& h) { return entry_within(entry, h); });
        if (!within)
            return error{errc::exceeds_authority,
                         "/authorization_details/" + std::to_string(index) +
                             ": lies within no entry of the authority in force"};
        ++index;
    }
    return {};
}

}  // namespace mission::transmitter
