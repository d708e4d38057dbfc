#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "transmitter/missions/entries.hpp"
#include "transmitter/missions/entry_index.hpp"
#include "transmitter/missions/subset.hpp"

// Reducing a set to a bound that has become narrower (subset.hpp, narrow_to).

namespace mission::transmitter {
namespace {

using entries::text_of;

json::value copy(const json::value& v, json::allocator& memory) {
    return {v, memory};
}

// Both ways round: an action of the bound that lies within a family of the set remains as well.
json::value common_actions(const json::value& set, const json::value& bound,
                           json::allocator& memory) {
    json::value out(RAPIDJSON_NAMESPACE::kArrayType);
    const auto* mine = json::find(set, "actions");
    const auto* theirs = json::find(bound, "actions");
    if (!mine || !theirs || !mine->IsArray() || !theirs->IsArray()) return out;
    std::unordered_set<std::string_view> taken;
    const auto take = [&](const json::value& action) {
        if (taken.insert(json::view(action)).second) out.PushBack(copy(action, memory), memory);
    };
    for (const auto& a : mine->GetArray())
        for (const auto& b : theirs->GetArray()) {
            if (!a.IsString() || !b.IsString()) continue;
            if (action_within(json::view(a), json::view(b)))
                take(a);
            else if (action_within(json::view(b), json::view(a)))
                take(b);
        }
    return out;
}

// The narrower value of each key, and every key of either. False: nothing is in common.
bool common_constraints(const json::value& set, const json::value& bound, json::value& out,
                        json::allocator& memory) {
    const auto* theirs = json::find(bound, "constraints");
    const auto* mine = json::find(set, "constraints");
    if (mine && !mine->IsObject()) return false;
    if (theirs && !theirs->IsObject()) return false;
    if (!mine && !theirs) return true;
    json::value both(RAPIDJSON_NAMESPACE::kObjectType);
    if (mine)
        for (const auto& m : mine->GetObject()) {
            const auto key = json::view(m.name);
            const auto* other = theirs ? json::find(*theirs, key) : nullptr;
            json::value value;
            if (!other || constraint_within(key, m.value, *other)) {
                value = copy(m.value, memory);
            } else if (constraint_within(key, *other, m.value)) {
                value = copy(*other, memory);
            } else {
                auto overlap = constraint_overlap(key, m.value, *other, memory);
                if (!overlap) return false;
                value = std::move(*overlap);
            }
            json::add(both, key, std::move(value), memory);
        }
    if (theirs)
        for (const auto& m : theirs->GetObject())
            if (!mine || !json::find(*mine, json::view(m.name)))
                json::add(both, json::view(m.name), copy(m.value, memory), memory);
    json::add(out, "constraints", std::move(both), memory);
    return true;
}

// What an entry of the set has in common with one of the bound; null: nothing.
json::value common(const json::value& set, const json::value& bound, json::allocator& memory) {
    if (!entries::is_resource_access(set) || !entries::is_resource_access(bound)) return {};
    if (entries::other_member_differs(set, bound)) return {};
    const auto mine = entries::is_prefix(set), theirs = entries::is_prefix(bound);
    if (!mine || !theirs) return {};
    const auto a = text_of(set, "resource"), b = text_of(bound, "resource");
    const json::value* narrower = resource_within(a, *mine, b, *theirs)   ? &set
                                  : resource_within(b, *theirs, a, *mine) ? &bound
                                                                          : nullptr;
    if (!narrower) return {};
    auto actions = common_actions(set, bound, memory);
    if (actions.Empty()) return {};

    json::value out(RAPIDJSON_NAMESPACE::kObjectType);
    // Members in the order the set has them; `delegation` only where it does not grow.
    for (const auto& m : set.GetObject()) {
        const auto name = json::view(m.name);
        if (name == "actions") {
            json::add(out, name, std::move(actions), memory);
        } else if (name == "resource") {
            json::add(out, name, text_of(*narrower, "resource"), memory);
            if (const auto* match = json::find(*narrower, "resource_match"))
                json::add(out, "resource_match", copy(*match, memory), memory);
        } else if (name == "delegation") {
            if (!entries::delegation_exceeds(set, bound))
                json::add(out, name, copy(m.value, memory), memory);
        } else if (name != "constraints" && name != "resource_match") {
            json::add(out, name, copy(m.value, memory), memory);
        }
    }
    if (!common_constraints(set, bound, out, memory)) return {};
    return entries::within(out, bound) ? std::move(out) : json::value();
}

// Building a part costs more than comparing does.
constexpr std::size_t pair_cost = 1000;

// Whether one of the parts says it already. Spent: yes, for it is left out.
bool is_said(const json::value& part, const std::vector<json::value>& parts,
             entries::effort& work) {
    const auto resource = text_of(part, "resource");
    const auto weight = entries::weight_of(part);
    return std::any_of(parts.begin(), parts.end(), [&](const json::value& p) {
        const bool apart = text_of(p, "resource") != resource && entries::is_prefix(p) != true;
        if (!work.spend(apart ? 10 : 200 + weight * entries::weight_of(p))) return true;
        return !apart && entries::within(part, p);
    });
}

}  // namespace

std::string narrow_to(const json::value& set, const json::value& bound) {
    json::document out(RAPIDJSON_NAMESPACE::kArrayType);
    auto& memory = out.GetAllocator();
    if (!set.IsArray() || !bound.IsArray()) return "[]";
    std::size_t bytes = 2;
    // A set is never more than the doors let in, however it is cut up, and costs no more than
    // limits::comparison_effort: leaving out narrows.
    bool full = false;
    const auto take = [&](json::value&& entry) {
        bytes += json::write(entry).size() + 1;
        full = full || out.Size() >= limits::authorization_details_entries ||
               bytes > limits::authorization_details_bytes;
        if (!full) out.PushBack(std::move(entry), memory);
    };
    const entries::index by_resource(bound);
    auto& work = by_resource.work();
    for (const auto& entry : set.GetArray()) {
        if (full || work.spent()) break;
        if (by_resource.covering(entry)) {
            take(copy(entry, memory));
            continue;
        }
        if (!entries::is_resource_access(entry)) continue;
        const auto weight = entries::weight_of(entry);
        std::vector<json::value> parts;
        for (const auto i : by_resource.related(entry)) {
            if (!work.spend(pair_cost + weight * by_resource.weight(i))) break;
            auto part = common(entry, bound[i], memory);
            if (part.IsNull() || is_said(part, parts, work)) continue;
            parts.push_back(std::move(part));
        }
        for (auto& part : parts)
            take(std::move(part));
    }
    return json::write(out);
}

}  // namespace mission::transmitter
