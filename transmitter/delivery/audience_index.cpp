#include "transmitter/delivery/audience_index.hpp"

#include <algorithm>

#include "events/mission_event.hpp"

namespace mission::transmitter {

namespace {

using row_list = std::vector<store::stream_row>;

template <class Map>
void put(Map& map, const std::string& name, store::stream_row row, bool insert) {
    if (insert) {
        map[name].insert(row);
        return;
    }
    const auto it = map.find(name);
    if (it == map.end()) return;
    it->second.erase(row);
    if (it->second.empty()) map.erase(it);
}

void put(std::set<store::stream_row>& rows, store::stream_row row, bool insert) {
    if (insert) {
        rows.insert(row);
    } else {
        rows.erase(row);
    }
}

template <class Map>
void take(const Map& map, std::string_view name, row_list& out) {
    if (const auto it = map.find(name); it != map.end())
        out.insert(out.end(), it->second.begin(), it->second.end());
}

// Under whatever base; somebody else's type may end like one.
bool may_be_mission(std::string_view type) {
    if (type == events::lifecycle_change_type) return true;
    const auto name = type.substr(type.rfind('/') + 1);
    return std::find(std::begin(events::mission_event_names), std::end(events::mission_event_names),
                     name) != std::end(events::mission_event_names);
}

// Mission types of another base are listed here as well: a configured foreign type may end like
// one, and whoever looks a candidate up judges it by its full name.
bool may_be_foreign(std::string_view type) {
    return type != events::lifecycle_change_type && !type.starts_with(events::event_type_base);
}

row_list unique(row_list rows) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    return rows;
}

}  // namespace

void audience_index::names::collect(const store::match_keys& keys, row_list& out) const {
    out.insert(out.end(), all.begin(), all.end());
    for (const auto& resource : keys.resources)
        take(audiences, resource, out);
    if (keys.tenant) take(tenants, *keys.tenant, out);
    take(agents, keys.agent_client_id, out);
}

void audience_index::list(store::stream_row row, const stream_terms& terms, names& in,
                          bool insert) {
    const mission_visibility& may = terms.visibility.missions;
    if (may.what == mission_visibility::kind::all) {
        put(in.all, row, insert);
        return;
    }
    if (!terms.epoch.aud.empty()) put(in.audiences, terms.epoch.aud, row, insert);
    if (may.what != mission_visibility::kind::listed) return;
    for (const auto& tenant : may.tenants)
        put(in.tenants, tenant, row, insert);
    for (const auto& agent : may.agents)
        put(in.agents, agent, row, insert);
}

void audience_index::apply(store::stream_row row, bool insert) {
    const entry& e = entries_.at(row);
    put(by_client_, e.client_id, row, insert);
    for (const auto& terms : e.terms) {
        list(row, *terms, knowing_, insert);
        const auto& delivered = terms->epoch.events_delivered;
        // The bridge turns a mission's end into an event that is no mission event.
        const bool missions = !terms->visibility.caep_bridge.empty() ||
                              std::any_of(delivered.begin(), delivered.end(),
                                          [](const auto& type) { return may_be_mission(type); });
        if (missions && e.default_all) list(row, *terms, concerned_, insert);
        for (const auto& type : delivered) {
            if (!may_be_foreign(type)) continue;
            if (e.default_all) put(by_type_, type, row, insert);
            put(beside_missions_, row, insert);
        }
    }
}

void audience_index::set(store::stream_row row, const std::string& client_id, bool default_all,
                         const std::vector<terms_ptr>& terms) {
    remove(row);
    entries_[row] = {client_id, default_all, terms};
    apply(row, true);
}

void audience_index::remove(store::stream_row row) {
    const auto it = entries_.find(row);
    if (it == entries_.end()) return;
    apply(row, false);
    entries_.erase(it);
}

row_list audience_index::concerned(const store::match_keys& keys) const {
    row_list out;
    concerned_.collect(keys, out);
    return unique(std::move(out));
}

row_list audience_index::knowing(const store::match_keys& keys) const {
    row_list out;
    knowing_.collect(keys, out);
    return unique(std::move(out));
}

row_list audience_index::delivered(std::string_view type) const {
    row_list out;
    take(by_type_, type, out);
    return out;
}

row_list audience_index::of_client(std::string_view client_id) const {
    row_list out;
    take(by_client_, client_id, out);
    return out;
}

row_list audience_index::beside_missions() const {
    return {beside_missions_.begin(), beside_missions_.end()};
}

}  // namespace mission::transmitter
