#include <algorithm>
#include <limits>

#include "base/limits.hpp"
#include "store/memory/tables.hpp"

namespace mission::store::memory {

std::optional<wall_time> deadline_of(const mission_state& s) {
    if (s.mirrored || events::is_terminal(s.state)) return std::nullopt;
    if (s.suspend_until) return std::min(s.expires_at, *s.suspend_until);
    return s.expires_at;
}

std::optional<mission> table_rows::find_mission(issuer_id issuer,
                                                std::string_view mission_id) const {
    const auto it = t_.mission_ids.find(std::pair{issuer, std::string(mission_id)});
    if (it == t_.mission_ids.end()) return std::nullopt;
    return find_mission(it->second);
}

std::optional<mission> table_rows::find_mission(mission_row row) const {
    const auto index = static_cast<std::size_t>(row) - 1;  // row 0 wraps beyond the end
    if (index >= t_.missions.size()) return std::nullopt;
    return t_.missions[index];
}

std::vector<mission> table_rows::list_missions(issuer_id issuer, const mission_filter& f) const {
    std::vector<mission> out;
    const std::size_t limit = std::min(f.limit, limits::list_page);
    const auto start = std::max<std::int64_t>(0, static_cast<std::int64_t>(f.after));
    for (auto i = static_cast<std::size_t>(start); i < t_.missions.size(); ++i) {
        if (out.size() >= limit) break;
        const mission& m = t_.missions[i];
        if (m.record.issuer != issuer) continue;
        if (!f.states.empty() &&
            std::find(f.states.begin(), f.states.end(), m.state.state) == f.states.end())
            continue;
        if (f.agent_client_id && m.record.agent_client_id != *f.agent_client_id) continue;
        if (f.tenant && m.record.tenant != f.tenant) continue;
        if (f.parent && m.record.parent != f.parent) continue;
        if (f.subject && m.record.subject != *f.subject) continue;
        if (f.approved_after && m.record.approved_at <= *f.approved_after) continue;
        if (f.approved_before && m.record.approved_at >= *f.approved_before) continue;
        if (f.expires_before && m.state.expires_at >= *f.expires_before) continue;
        out.push_back(m);
    }
    return out;
}

std::optional<std::string> table_rows::authority(mission_row row, std::int64_t revision) const {
    const auto it = t_.authorities.find({row, revision});
    if (it == t_.authorities.end()) return std::nullopt;
    return it->second;
}

std::vector<std::pair<wall_time, mission_row>> table_rows::deadlines(wall_time until,
                                                                     std::size_t limit) const {
    std::vector<std::pair<wall_time, mission_row>> out;
    for (const auto& entry : t_.deadlines) {
        if (entry.first > until || out.size() >= limit) break;
        out.push_back(entry);
    }
    return out;
}

std::optional<wall_time> table_rows::next_deadline() const {
    if (t_.deadlines.empty()) return std::nullopt;
    return t_.deadlines.begin()->first;
}

std::vector<signal> table_rows::signals(seq_t after, seq_t until, std::size_t limit) const {
    std::vector<signal> out;
    const seq_t last = std::min(until, t_.head);
    for (seq_t seq = std::max(after + 1, t_.tail); seq <= last && out.size() < limit; ++seq)
        out.push_back(t_.log[static_cast<std::size_t>(seq - t_.tail)]);
    return out;
}

std::vector<signal> table_rows::mission_signals(mission_row row) const {
    std::vector<signal> out;
    const auto it = t_.log_of.find(row);
    if (it == t_.log_of.end()) return out;
    for (const seq_t seq : it->second)
        if (seq >= t_.tail) out.push_back(t_.log[static_cast<std::size_t>(seq - t_.tail)]);
    return out;
}

std::vector<stream> table_rows::streams(issuer_id issuer) const {
    std::vector<stream> out;
    for (const auto& [row, e] : t_.streams)
        if (!e.removed && e.record.issuer == issuer) out.push_back(e.record);
    return out;
}

std::vector<stream> table_rows::streams(issuer_id issuer, std::string_view client_id) const {
    std::vector<stream> out;
    const auto of = t_.streams_of.find({issuer, std::string(client_id)});
    if (of == t_.streams_of.end()) return out;
    for (const auto row : of->second)
        out.push_back(t_.streams.at(row).record);
    return out;
}

std::optional<stream> table_rows::find_stream(issuer_id issuer, std::string_view stream_id) const {
    const auto it = t_.stream_ids.find({issuer, std::string(stream_id)});
    if (it == t_.stream_ids.end()) return std::nullopt;
    const stream_entry& e = t_.streams.at(it->second);
    if (e.removed) return std::nullopt;
    return e.record;
}

const stream_entry* table_rows::entry(stream_row row) const {
    const auto it = t_.streams.find(row);
    return it == t_.streams.end() ? nullptr : &it->second;
}

std::vector<stream_epoch> table_rows::epochs(stream_row row) const {
    std::vector<stream_epoch> out;
    if (const auto* e = entry(row))
        for (const auto& [from, epoch] : e->epochs)
            out.push_back(epoch);
    return out;
}

std::optional<cursor> table_rows::find_cursor(stream_row row) const {
    const auto* e = entry(row);
    return e ? e->position : std::nullopt;
}

std::vector<exception> table_rows::exceptions(stream_row row) const {
    std::vector<exception> out;
    if (const auto* e = entry(row))
        for (const auto& [seq, x] : e->exceptions)
            out.push_back(x);
    return out;
}

std::vector<stream_event> table_rows::stream_events(stream_row row) const {
    std::vector<stream_event> out;
    if (const auto* e = entry(row)) out = e->events;
    std::stable_sort(out.begin(), out.end(), [](const stream_event& a, const stream_event& b) {
        return a.created_at < b.created_at;
    });
    return out;
}

std::vector<stream_subject> table_rows::subjects(stream_row row) const {
    std::vector<stream_subject> out;
    if (const auto* e = entry(row))
        for (const auto& [key, s] : e->subjects)
            out.push_back(s);
    return out;
}

std::vector<stream_subject> table_rows::subjects(stream_row row, std::string_view key) const {
    std::vector<stream_subject> out;
    const auto* e = entry(row);
    if (!e) return out;
    auto it = e->subjects.lower_bound({std::string(key), std::numeric_limits<seq_t>::min()});
    for (; it != e->subjects.end() && it->first.first == key; ++it)
        out.push_back(it->second);
    return out;
}

std::size_t table_rows::subject_count(stream_row row) const {
    const auto* e = entry(row);
    return e ? e->subject_count : 0;
}

void table_rows::each_subject(issuer_id issuer,
                              const std::function<void(const stream_subject&)>& fn) const {
    for (const auto& [row, e] : t_.streams)
        if (e.record.issuer == issuer)
            for (const auto& [key, s] : e.subjects)
                fn(s);
}

std::vector<stream_subject> table_rows::due_subject_removals(issuer_id issuer, wall_time until,
                                                             std::size_t limit) const {
    std::vector<stream_subject> out;
    for (const auto& [at, place] : t_.removals) {
        if (at > until || out.size() >= limit) break;
        const stream_entry& e = t_.streams.at(place.stream);
        if (e.record.issuer == issuer) out.push_back(e.subjects.at({place.key, place.added_seq}));
    }
    return out;
}

seq_t table_rows::routed_seq(issuer_id issuer) const {
    const auto index = static_cast<std::size_t>(issuer) - 1;
    return index < t_.issuers.size() ? t_.issuers[index].routed_seq : 0;
}

std::vector<cursor> table_rows::open_cursors(issuer_id issuer) const {
    std::vector<cursor> out;
    for (const auto row : t_.open_cursors)
        if (const stream_entry& e = t_.streams.at(row); e.record.issuer == issuer)
            out.push_back(*e.position);
    return out;
}

std::optional<signal> table_rows::find_signal(issuer_id issuer, std::string_view signal_id) const {
    const auto it = t_.event_seqs.find({issuer, std::string(signal_id)});
    if (it == t_.event_seqs.end()) return std::nullopt;
    return t_.log[static_cast<std::size_t>(it->second - t_.tail)];
}

std::optional<nonce_record> table_rows::find_nonce(issuer_id issuer, std::string_view scope,
                                                   std::string_view client_id,
                                                   std::string_view mission_id,
                                                   std::string_view nonce) const {
    const auto it = t_.nonces.find(nonce_key{issuer, scope, client_id, mission_id, nonce});
    if (it == t_.nonces.end() || it->second.expires_at <= now_) return std::nullopt;
    return it->second;
}

}  // namespace mission::store::memory
