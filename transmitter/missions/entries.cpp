#include "transmitter/missions/entries.hpp"

#include <algorithm>
#include <array>

#include "transmitter/missions/subset.hpp"

namespace mission::transmitter::entries {
namespace {

// How far a comparison came, in the order of the draft's rule.
enum step { at_type = 0, at_resource = 1, at_actions = 2, at_constraints = 3, at_policy = 4 };

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

// The key that is broader.
std::optional<std::string> constraint_exceeds(const json::value& candidate,
                                              const json::value& held) {
    const auto* given = json::find(held, "constraints");
    if (!given) return std::nullopt;  // adding a constraint narrows
    if (!given->IsObject()) return "";
    const auto* wanted = json::find(candidate, "constraints");
    for (const auto& m : given->GetObject()) {
        const auto name = json::view(m.name);
        // A key that is absent is the broadest value there is.
        const auto* value = wanted ? json::find(*wanted, name) : nullptr;
        // `requires_action_approval: false` says the same as leaving it out.
        if (!value && name == "requires_action_approval" && m.value.IsFalse()) continue;
        if (!value || !constraint_within(name, *value, m.value)) return "/" + std::string(name);
    }
    return std::nullopt;
}

// Matchers: every one of the candidate's is one of the held ones.
bool matchers_within(const json::value& candidate, const json::value& held,
                     std::string_view member) {
    const auto* given = json::find(held, member);
    if (!given) return true;
    const auto* wanted = json::find(candidate, member);
    if (!wanted || !wanted->IsArray() || !given->IsArray()) return false;
    return std::all_of(wanted->Begin(), wanted->End(), [&](const json::value& w) {
        return std::any_of(given->Begin(), given->End(),
                           [&](const json::value& g) { return w == g; });
    });
}

// A ceiling that is absent is none; `none` is what the candidate has without one.
bool ceiling_within(const json::value& candidate, const json::value& held, std::string_view member,
                    std::optional<std::int64_t> without = std::nullopt) {
    const auto most = json::find(held, member) ? json::find_int(held, member) : without;
    if (!most) return !json::find(held, member);  // what is no number bounds nothing we can compare
    const auto wanted = json::find(candidate, member) ? json::find_int(candidate, member) : without;
    return wanted && *wanted <= *most;
}

template <std::size_t N>
bool others_within(const json::value& candidate, const json::value& held,
                   const std::array<std::string_view, N>& known) {
    const auto is_known = [&](std::string_view name) {
        return std::find(known.begin(), known.end(), name) != known.end();
    };
    const auto same_in = [&](const json::value& a, const json::value& b) {
        return std::all_of(a.MemberBegin(), a.MemberEnd(), [&](const auto& m) {
            if (is_known(json::view(m.name))) return true;
            const auto* other = json::find(b, json::view(m.name));
            return other && *other == m.value;
        });
    };
    return same_in(candidate, held) && same_in(held, candidate);
}

// draft-mcguinness-oauth-mission-child-delegation "Fan-Out Controls".
bool children_within(const json::value& candidate, const json::value& held) {
    const auto* wanted = json::find(candidate, "children");
    if (!wanted) return true;
    const auto* given = json::find(held, "children");
    if (!given || !wanted->IsObject() || !given->IsObject()) return false;
    static constexpr std::array<std::string_view, 3> known{"max_children", "max_child_depth",
                                                           "allowed_child_actors"};
    return ceiling_within(*wanted, *given, "max_children") &&
           ceiling_within(*wanted, *given, "max_child_depth", 1) &&
           matchers_within(*wanted, *given, "allowed_child_actors") &&
           others_within(*wanted, *given, known);
}

}  // namespace

std::string_view text_of(const json::value& entry, std::string_view name) {
    return json::find_string(entry, name).value_or(std::string_view());
}

bool is_resource_access(const json::value& entry) {
    return entry.IsObject() && text_of(entry, "type") == resource_access;
}

std::optional<bool> is_prefix(const json::value& entry) {
    const auto* match = json::find(entry, "resource_match");
    if (!match) return false;
    if (!match->IsString()) return std::nullopt;
    if (json::view(*match) == "prefix") return true;
    if (json::view(*match) == "exact") return false;
    return std::nullopt;
}

std::optional<std::string> delegation_exceeds(const json::value& candidate,
                                              const json::value& held) {
    const auto* wanted = json::find(candidate, "delegation");
    if (!wanted) return std::nullopt;
    const auto* given = json::find(held, "delegation");
    if (!given || !wanted->IsObject() || !given->IsObject()) return "";
    if (!ceiling_within(*wanted, *given, "max_depth")) return "/max_depth";
    if (!matchers_within(*wanted, *given, "allowed_delegates")) return "/allowed_delegates";
    if (!children_within(*wanted, *given)) return "/children";
    static constexpr std::array<std::string_view, 3> known{"max_depth", "allowed_delegates",
                                                           "children"};
    if (!others_within(*wanted, *given, known)) return "";
    return std::nullopt;
}

std::optional<std::string> other_member_differs(const json::value& candidate,
                                                const json::value& held) {
    static constexpr std::array<std::string_view, 6> known{
        "type", "resource", "resource_match", "actions", "constraints", "delegation"};
    const auto differs = [&](const json::value& a,
                             const json::value& b) -> std::optional<std::string> {
        for (const auto& m : a.GetObject()) {
            const auto name = json::view(m.name);
            if (std::find(known.begin(), known.end(), name) != known.end()) continue;
            const auto* other = json::find(b, name);
            if (!other || *other != m.value) return std::string(name);
        }
        return std::nullopt;
    };
    if (auto name = differs(candidate, held)) return name;
    return differs(held, candidate);
}

std::optional<misfit> compare(const json::value& candidate, const json::value& held) {
    if (candidate == held) return std::nullopt;
    // A type without a subset rule of its own is carried as it was approved, or not at all.
    if (!is_resource_access(candidate) || !is_resource_access(held)) return misfit{at_type, ""};
    const auto candidate_prefix = is_prefix(candidate);
    const auto held_prefix = is_prefix(held);
    if (!candidate_prefix || !held_prefix) return misfit{at_type, "resource_match"};
    if (!resource_within(text_of(candidate, "resource"), *candidate_prefix,
                         text_of(held, "resource"), *held_prefix))
        return misfit{at_resource, "resource"};
    if (!actions_within(candidate, held)) return misfit{at_actions, "actions"};
    if (const auto key = constraint_exceeds(candidate, held))
        return misfit{at_constraints, "constraints" + *key};
    if (const auto member = delegation_exceeds(candidate, held))
        return misfit{at_policy, "delegation" + *member};
    if (auto name = other_member_differs(candidate, held))
        return misfit{at_policy, std::move(*name)};
    return std::nullopt;
}

}  // namespace mission::transmitter::entries
