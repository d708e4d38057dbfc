#include "transmitter/missions/family.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>

#include "base/limits.hpp"
#include "transmitter/missions/entry_index.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {
namespace {

error exceeds(std::string what) {
    return {errc::exceeds_authority, std::move(what)};
}

const json::value* children_of(const json::value& entry) {
    const auto* delegation = json::find(entry, "delegation");
    return delegation ? json::find(*delegation, "children") : nullptr;
}

// Absent: 1. nullopt: no number that could be a limit.
std::optional<std::int64_t> depth_of(const json::value& children) {
    if (!json::find(children, "max_child_depth")) return 1;
    const auto depth = json::find_int(children, "max_child_depth");
    return depth && *depth > 0 ? depth : std::nullopt;
}

// "If an entry's `children` carries a control the Mission Issuer cannot enforce, it MUST refuse".
bool can_enforce(const json::value& children) {
    if (!children.IsObject()) return false;
    for (const auto& m : children.GetObject()) {
        const auto name = json::view(m.name);
        if (name == "max_children") {
            if (!m.value.IsInt64() || m.value.GetInt64() < 1) return false;
        } else if (name == "max_child_depth") {
            if (!depth_of(children)) return false;
        } else if (name == "allowed_child_actors") {
            if (!m.value.IsArray()) return false;
        } else {
            return false;  // child_creation_policy, and whatever else there may be
        }
    }
    return true;
}

// A matcher with a member that cannot be judged here (sub_profile: nobody has asserted one to us)
// matches nobody.
bool matches(const json::value& matcher, const child_proposal& child) {
    if (!matcher.IsObject() || matcher.ObjectEmpty()) return false;
    return std::all_of(matcher.MemberBegin(), matcher.MemberEnd(), [&](const auto& m) {
        const auto name = json::view(m.name);
        if (!m.value.IsString()) return false;
        if (name == "sub" || name == "client_id")
            return json::view(m.value) == child.agent_client_id;
        return name == "iss" && json::view(m.value) == child.issuer_url;
    });
}

bool actor_allowed(const json::value& children, const child_proposal& child) {
    const auto* allowed = json::find(children, "allowed_child_actors");
    return !allowed || std::any_of(allowed->Begin(), allowed->End(),
                                   [&](const json::value& m) { return matches(m, child); });
}

struct indexed {
    indexed(const json::value& of, entries::effort& work) : set(&of), by_resource(of, &work) {}
    const json::value* set;
    entries::index by_resource;
};

const error too_much = exceeds(
    "/authorization_details: overlaps more entries of the parent's, and of those above it, than "
    "can be compared");

const json::value& at(const json::value& set, std::size_t i) {
    return set[static_cast<RAPIDJSON_NAMESPACE::SizeType>(i)];
}

// An entry without `children` does not forbid any (docs/adr/0029), unless the entry that it comes
// from had them: then its lineage has ended, or somebody has taken the permission away.
bool lineage_has_ended(const json::value& entry, const std::deque<indexed>& lineage) {
    return std::any_of(lineage.begin(), lineage.end(), [&](const indexed& one) {
        const auto origin = one.by_resource.covering(entry);
        return origin && children_of(at(*one.set, *origin));
    });
}

result<void> check_fan_out(const json::value& justifying, std::size_t index,
                           const json::value& entry, const std::string& place,
                           const std::deque<indexed>& lineage, const child_proposal& child,
                           const child_counter& count) {
    const auto* children = children_of(justifying);
    if (!children) {
        if (lineage_has_ended(justifying, lineage))
            return exceeds(place + ": the parent's entry permits no further generation");
        return {};
    }
    if (!can_enforce(*children))
        return exceeds(place +
                       ": the parent's entry sets a condition on children that cannot be "
                       "checked here");
    if (!actor_allowed(*children, child))
        return exceeds("/agent: is none of the allowed_child_actors of the parent's entry for " +
                       place);
    if (const auto* own = children_of(entry)) {
        const auto own_depth = own->IsObject() ? depth_of(*own) : std::nullopt;
        if (!own_depth || *own_depth >= *depth_of(*children))
            return exceeds(place +
                           "/delegation/children/max_child_depth: must be less than the "
                           "parent's");
    }
    if (const auto most = json::find_int(*children, "max_children"))
        if (count(index, *most) >= *most)
            return exceeds(place + ": the parent's entry has as many children as it permits");
    return {};
}

}  // namespace

result<void> check_parent(const store::mission& parent, const family_limits& limits) {
    if (parent.state.mirrored)
        return error{errc::mission_conflict, "/parent: belongs to another service"};
    if (parent.state.state != events::mission_state::active)
        return error{errc::mission_conflict,
                     "/parent: is " + std::string(events::name(parent.state.state))};
    if (parent.record.depth >= limits.max_depth)
        return exceeds("/parent: is " + std::to_string(parent.record.depth) +
                       " generations below its root, which is as many as there may be");
    if (parent.state.children >= limits.max_children)
        return exceeds("/parent: has as many children as a mission may have");
    return {};
}

result<std::vector<std::size_t>> check_child(const parent_authority& parent,
                                             const child_proposal& child,
                                             const child_counter& count) {
    if (auto ok = check_subset(*child.set, *parent.in_force); !ok) return ok.error();
    if (child.expires_at > parent.expires_at)
        return exceeds("/expires_at: lies beyond the parent's");
    entries::effort work;
    const entries::index by_resource(*parent.in_force, &work);
    std::deque<indexed> lineage;
    for (const auto* set : parent.lineage)
        lineage.emplace_back(*set, work);
    std::vector<std::size_t> justified;
    std::size_t number = 0;
    for (const auto& entry : child.set->GetArray()) {
        const auto place = "/authorization_details/" + std::to_string(number++);
        const auto by = by_resource.covering(entry);
        if (!by) return too_much;
        if (auto ok =
                check_fan_out(at(*parent.in_force, *by), *by, entry, place, lineage, child, count);
            !ok)
            return ok.error();
        justified.push_back(*by);
    }
    // Whether a lineage has ended was not found out, then.
    if (work.spent()) return too_much;
    return justified;
}

result<parent_bounds> parent_bounds::load(settlement& s, const store::rows& rows,
                                          const store::mission& parent) {
    parent_bounds out;
    out.expires_at_ = parent.state.expires_at;
    bool readable = true;
    const auto take = [&](const std::string& text) {
        // Of older sets only what permitted children matters (lineage_has_ended); most have none.
        if (!out.sets_.empty() && text.find("\"children\"") == std::string::npos) return;
        auto set = json::parse(text);
        readable = readable && set;
        if (set) out.sets_.push_back(std::move(*set));
    };
    for (std::optional<store::mission> above = parent; above;) {
        take(s.authority(*above));
        take(rows.authority(above->state.row, 1).value_or(""));
        if (above->record.parent_row == store::mission_row{}) break;
        above = s.settle(above->record.parent_row);
    }
    if (!readable) return error{errc::store_corrupt, "an authority is no JSON"};
    return out;
}

parent_authority parent_bounds::authority() const {
    parent_authority out;
    out.in_force = &sets_.front();
    out.expires_at = expires_at_;
    for (auto it = sets_.begin() + 1; it != sets_.end(); ++it)
        out.lineage.push_back(&*it);
    return out;
}

namespace {

// How many of the children that have not ended draw on each entry of the parent's set. nullopt:
// more than can be looked at here.
using entry_counts = std::optional<std::vector<std::int64_t>>;

// The entries that a child's set draws on. What cannot be read draws on all: nobody can say that it
// does not.
std::set<std::size_t> drawn_by(const std::string& child_set, const entries::index& by_resource,
                               std::size_t entries) {
    std::set<std::size_t> out;
    const auto set = json::parse(child_set);
    if (!set || !set->IsArray()) {
        for (std::size_t i = 0; i < entries; ++i)
            out.insert(i);
        return out;
    }
    for (const auto& entry : set->GetArray())
        if (const auto by = by_resource.covering(entry)) out.insert(*by);
    return out;
}

entry_counts count_each(const store::rows& rows, store::mission_row parent,
                        const json::value& in_force, store::mission_row except) {
    const entries::index by_resource(in_force);
    std::vector<std::int64_t> counts(in_force.Size());
    std::size_t looked = 0, bytes = 0;
    store::mission_row after{};
    for (;;) {
        const auto page = rows.children(parent, after, limits::list_page);
        for (const auto row : page) {
            after = row;
            if (++looked > limits::counted_children) return std::nullopt;
            if (row == except) continue;
            const auto child = rows.find_state(row);
            if (!child || events::is_terminal(child->state)) continue;
            const auto text = rows.authority(row, child->authority_revision).value_or("");
            bytes += text.size();
            if (bytes > limits::counted_authority_bytes) return std::nullopt;
            for (const auto i : drawn_by(text, by_resource, counts.size()))
                ++counts[i];
            if (by_resource.work().spent()) return std::nullopt;
        }
        if (page.size() < limits::list_page) return counts;
    }
}

}  // namespace

child_counter count_children(const store::rows& rows, store::mission_row parent,
                             const json::value& in_force, store::mission_row except) {
    // Counted once for all entries, however many of them have a limit.
    auto counted = std::make_shared<std::optional<entry_counts>>();
    return [&rows, parent, &in_force, except, counted](std::size_t entry, std::int64_t enough) {
        // Those ever created bound those that live: a family that is small enough costs no look.
        const auto held = rows.find_state(parent);
        if (held && held->children < enough) return held->children;
        if (!*counted) *counted = count_each(rows, parent, in_force, except);
        const auto& counts = **counted;
        return counts ? (*counts)[entry] : enough;
    };
}

}  // namespace mission::transmitter
