// Families, audit, bulk operations, reports and waiting transitions.
#include <algorithm>
#include <limits>

#include "store/memory/tables.hpp"

namespace mission::store::memory {

std::optional<mission_state> table_rows::find_state(mission_row row) const {
    const auto index = static_cast<std::size_t>(row) - 1;  // row 0 wraps beyond the end
    if (index >= t_.missions.size()) return std::nullopt;
    return t_.missions[index].state;
}

std::optional<mission_row> table_rows::find_row(issuer_id issuer,
                                                std::string_view mission_id) const {
    const auto it = t_.mission_ids.find(std::pair{issuer, std::string(mission_id)});
    if (it == t_.mission_ids.end()) return std::nullopt;
    return it->second;
}

std::vector<rows::row_state> table_rows::states(mission_row first, mission_row last) const {
    std::vector<row_state> out;
    const auto end = static_cast<std::int64_t>(std::min(last, last_mission()));
    for (auto row = std::max<std::int64_t>(1, static_cast<std::int64_t>(first)); row <= end;
         ++row) {
        const mission& m = t_.missions[static_cast<std::size_t>(row) - 1];
        out.push_back({m.state.row, m.record.issuer, m.state.state});
    }
    return out;
}

const std::vector<mission_version>* table_rows::versions_of(mission_row row) const {
    const auto index = static_cast<std::size_t>(row) - 1;
    return index < t_.versions.size() ? &t_.versions[index] : nullptr;
}

std::vector<mission_version> table_rows::versions(mission_row row, std::int64_t after,
                                                  std::size_t limit) const {
    std::vector<mission_version> out;
    if (const auto* all = versions_of(row))
        for (const auto& v : *all)
            if (v.version > after && out.size() < limit) out.push_back(v);
    return out;
}

std::vector<mission_version> table_rows::family_effects(mission_row row, std::int64_t after) const {
    std::vector<mission_version> out;
    if (const auto* all = versions_of(row))
        for (const auto& v : *all)
            if (v.version > after && v.effect != family_effect::none) out.push_back(v);
    return out;
}

std::optional<mission_version> table_rows::version_at(mission_row row, wall_time at) const {
    const auto* all = versions_of(row);
    if (!all) return std::nullopt;
    const auto it = std::find_if(all->rbegin(), all->rend(),
                                 [&](const auto& v) { return v.committed_at <= at; });
    if (it == all->rend()) return std::nullopt;
    return *it;
}

std::vector<mission_row> table_rows::children(mission_row parent, mission_row after,
                                              std::size_t limit) const {
    const auto of = t_.children.find(parent);
    if (of == t_.children.end()) return {};
    const auto first = std::upper_bound(of->second.begin(), of->second.end(), after);
    const auto left = static_cast<std::size_t>(of->second.end() - first);
    return {first, first + static_cast<std::ptrdiff_t>(std::min(limit, left))};
}

std::vector<mission> table_rows::child_missions(mission_row parent, mission_row after,
                                                std::size_t limit) const {
    std::vector<mission> out;
    for (const auto row : children(parent, after, limit))
        if (auto m = find_mission(row)) out.push_back(std::move(*m));
    return out;
}

std::vector<cascade> table_rows::cascades(std::size_t limit) const {
    std::vector<cascade> out;
    for (const auto& [id, c] : t_.cascades) {
        if (out.size() >= limit) break;
        out.push_back(c);
    }
    return out;
}

std::optional<wall_time> table_rows::oldest_cascade() const {
    std::optional<wall_time> out;
    for (const auto& [id, c] : t_.cascades)
        out = out ? std::min(*out, c.since) : c.since;
    return out;
}

std::optional<cascade> table_rows::find_cascade(mission_row row) const {
    const auto it = t_.cascade_of.find(row);
    if (it == t_.cascade_of.end()) return std::nullopt;
    return t_.cascades.at(it->second);
}

std::vector<audit_entry> table_rows::entries(const std::vector<std::int64_t>& seqs,
                                             std::int64_t after, std::size_t limit) const {
    std::vector<audit_entry> out;
    auto it = std::upper_bound(seqs.begin(), seqs.end(), after);
    for (; it != seqs.end() && out.size() < limit; ++it)
        out.push_back(t_.audit[static_cast<std::size_t>(*it) - 1]);
    return out;
}

std::vector<audit_entry> table_rows::audit(issuer_id issuer, std::int64_t after,
                                           std::size_t limit) const {
    const auto index = static_cast<std::size_t>(issuer) - 1;
    if (index >= t_.issuers.size()) return {};
    return entries(t_.issuers[index].audit, after, limit);
}

std::vector<audit_entry> table_rows::audit_of(issuer_id issuer, std::string_view target,
                                              std::int64_t after, std::size_t limit) const {
    const auto it = t_.audit_of.find({issuer, std::string(target)});
    if (it == t_.audit_of.end()) return {};
    return entries(it->second, after, limit);
}

std::optional<audit_entry> table_rows::find_audit(std::int64_t seq) const {
    if (seq < 1 || static_cast<std::size_t>(seq) > t_.audit.size()) return std::nullopt;
    return t_.audit[static_cast<std::size_t>(seq) - 1];
}

std::optional<bulk_job> table_rows::find_bulk_job(issuer_id issuer,
                                                  std::string_view token_hash) const {
    const auto it = t_.bulk_tokens.find({issuer, std::string(token_hash)});
    if (it == t_.bulk_tokens.end()) return std::nullopt;
    return t_.bulk_jobs.at(it->second);
}

std::vector<bulk_job> table_rows::bulk_jobs(issuer_id issuer, bulk_status status) const {
    std::vector<bulk_job> out;
    for (const auto& [id, j] : t_.bulk_jobs)
        if (j.issuer == issuer && j.status == status) out.push_back(j);
    return out;
}

std::vector<bulk_member> table_rows::bulk_members(std::int64_t job, std::int64_t from,
                                                  std::size_t limit) const {
    std::vector<bulk_member> out;
    auto it = t_.bulk_members.lower_bound({job, from});
    for (; it != t_.bulk_members.end() && it->first.first == job && out.size() < limit; ++it)
        out.push_back(it->second);
    return out;
}

std::vector<std::int64_t> table_rows::old_bulk_jobs(wall_time until, std::size_t limit) const {
    std::vector<std::int64_t> out;
    for (const auto& [id, j] : t_.bulk_jobs)
        if (out.size() < limit && j.expires_at < until && j.status != bulk_status::running)
            out.push_back(id);
    return out;
}

std::optional<report> table_rows::find_report(issuer_id issuer, std::int64_t id) const {
    if (id < 1 || static_cast<std::size_t>(id) > t_.reports.size()) return std::nullopt;
    const report& r = t_.reports[static_cast<std::size_t>(id) - 1];
    if (r.issuer != issuer) return std::nullopt;
    return r;
}

std::vector<report> table_rows::reports_of(mission_row row) const {
    std::vector<report> out;
    if (const auto of = t_.reports_of.find(row); of != t_.reports_of.end())
        for (const auto id : of->second)
            out.push_back(t_.reports[static_cast<std::size_t>(id) - 1]);
    return out;
}

std::vector<report> table_rows::reports(issuer_id issuer, std::optional<report_status> status,
                                        std::int64_t after, std::size_t limit) const {
    std::vector<report> out;
    auto i = static_cast<std::size_t>(std::max<std::int64_t>(0, after));
    for (; i < t_.reports.size() && out.size() < limit; ++i)
        if (t_.reports[i].issuer == issuer && (!status || t_.reports[i].status == *status))
            out.push_back(t_.reports[i]);
    return out;
}

std::vector<waiting_transition> table_rows::waiting_transitions(mission_row row) const {
    std::vector<waiting_transition> out;
    auto it = t_.waiting.lower_bound({row, std::numeric_limits<std::int64_t>::min()});
    for (; it != t_.waiting.end() && it->first.first == row; ++it)
        out.push_back(it->second);
    return out;
}

std::size_t table_rows::waiting_transition_count(issuer_id issuer) const {
    const auto it = t_.waiting_count.find(issuer);
    return it == t_.waiting_count.end() ? 0 : it->second;
}

}  // namespace mission::store::memory
