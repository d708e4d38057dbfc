#include "transmitter/api/mission_evidence.hpp"

#include <map>

#include "transmitter/api/report_views.hpp"
#include "transmitter/api/teardown_statement.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

// What an entry's detail says of this mission alone. The name of a parent, of a successor or of a
// bulk operation's other members is told elsewhere, to who may know it.
constexpr std::string_view told_members[] = {"reason",   "approver", "purpose", "change",
                                             "reporter", "report",   "kind"};

// The version by which the mission ended; wire.md: nothing leaves a terminal state.
std::optional<store::mission_version> end_of(const store::rows& rows, const store::mission& m) {
    if (!events::is_terminal(m.state.state)) return std::nullopt;
    auto found = rows.versions(m.state.row, m.state.version - 1, 1);
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

void write_ended(json::writer& w, const store::rows& rows, const client_config& client, bool whole,
                 const store::mission_version& v) {
    json::key(w, "ended");
    w.StartObject();
    json::member(w, "at", to_rfc3339(v.committed_at));
    json::member(w, "state", events::name(v.state));
    if (v.bound_at < v.committed_at) json::member(w, "bound_at", to_rfc3339(v.bound_at));
    if (v.reason && (whole || discloses(client, "reason"))) json::member(w, "reason", *v.reason);
    if (whole) write_author(w, "by", rows, v);
    w.EndObject();
}

// From the parent up to where the family's approval began. Who may not know a mission between is
// not told that one; who may know it without seeing it whole is not told who approved it.
void write_ancestors(json::writer& w, const store::rows& rows, const client_config& client,
                     store::mission_row row) {
    json::key(w, "ancestors");
    w.StartArray();
    while (row != store::mission_row{}) {
        const auto m = rows.find_mission(row);
        if (!m) break;
        row = m->record.parent_row;
        if (!may_know(client, keys_of(*m))) continue;
        w.StartObject();
        json::member(w, "mission_id", m->record.mission_id);
        if (sees_whole(client, *m)) {
            write_name(w, "approver", m->record.approver);
            json::member(w, "approved_at", to_rfc3339(m->record.approved_at));
            json::member(w, "purpose", m->record.purpose);
        }
        w.EndObject();
    }
    w.EndArray();
}

void write_family(json::writer& w, const store::rows& rows, const client_config& client,
                  const store::mission& m) {
    const auto name_if_known = [&](std::string_view member, store::mission_row row) {
        if (row == store::mission_row{}) return;
        const auto named = rows.find_mission(row);
        if (named && may_know(client, keys_of(*named)))
            json::member(w, member, named->record.mission_id);
    };
    json::key(w, "family");
    w.StartObject();
    name_if_known("parent", m.record.parent_row);
    name_if_known("root",
                  m.record.root_row == store::mission_row{} ? m.record.row : m.record.root_row);
    json::key(w, "depth");
    w.Int64(m.record.depth);
    json::key(w, "children");
    w.Int64(m.state.children);
    write_ancestors(w, rows, client, m.record.parent_row);
    w.EndObject();
}

// The last word of a client about its teardown. A receiver of ours says `complete` and `version`.
std::string teardown_status(const store::report& r, std::int64_t version) {
    const auto detail = json::parse(r.detail);
    if (!detail || !detail->IsObject()) return "reported";
    const auto complete = json::find_bool(*detail, "complete");
    if (!complete) return "reported";
    if (json::find_int(*detail, "version").value_or(version) < version) return "outdated";
    return *complete ? "complete" : "incomplete";
}

// How many reports wait for a decision, and who has told of its teardown: the last word of each.
std::map<std::string, std::string> write_reports(json::writer& w,
                                                 const std::vector<store::report>& reports,
                                                 std::int64_t version) {
    std::map<std::string, std::string> out;
    std::int64_t open = 0, acted = 0, dismissed = 0;
    std::map<std::string, const store::report*> teardown;
    for (const auto& r : reports) {
        if (r.kind == "teardown") {
            teardown[r.client_id] = &r;
            continue;
        }
        auto& count = r.status == store::report_status::open    ? open
                      : r.status == store::report_status::acted ? acted
                                                                : dismissed;
        ++count;
    }
    json::key(w, "reports");
    w.StartObject();
    for (const auto& [member, count] :
         {std::pair{"open", open}, std::pair{"acted", acted}, std::pair{"dismissed", dismissed}}) {
        json::key(w, member);
        w.Int64(count);
    }
    w.EndObject();
    json::key(w, "teardown");
    w.StartArray();
    for (const auto& [client_id, r] : teardown) {
        const auto& status = out[client_id] = teardown_status(*r, version);
        w.StartObject();
        json::member(w, "client_id", client_id);
        json::member(w, "at", to_rfc3339(r->received_at));
        json::member(w, "status", status);
        json::key(w, "verified");
        w.Bool(is_teardown_statement(r->evidence));
        json::key(w, "detail");
        json::raw(w, r->detail);
        w.EndObject();
    }
    w.EndArray();
    return out;
}

}  // namespace

void write_author(json::writer& w, std::string_view name, const store::rows& rows,
                  const store::mission_version& v) {
    const auto entry = rows.find_audit(v.audit_seq);
    if (!entry) return;
    json::key(w, name);
    w.StartObject();
    json::member(w, "actor", entry->actor);
    // An address is for the audit's own readers.
    json::member(w, "origin",
                 std::string_view(entry->origin).substr(0, entry->origin.find(" from ")));
    json::member(w, "action", entry->action);
    json::key(w, "audit_seq");
    w.Int64(entry->seq);
    if (const auto detail = json::parse(entry->detail))
        for (const auto member : told_members)
            if (const auto* value = json::find(*detail, member)) {
                json::key(w, member);
                value->Accept(w);
            }
    w.EndObject();
}

mission_details details_of(const store::rows& rows, const client_config& client,
                           const store::mission& m) {
    mission_details out;
    const bool whole = sees_whole(client, m);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (const auto end = end_of(rows, m)) write_ended(w, rows, client, whole, *end);
    if (whole) {
        write_family(w, rows, client, m);
        out.teardown = write_reports(w, rows.reports_of(m.state.row), m.state.version);
    }
    w.EndObject();
    const auto text = json::text(buffer);
    out.members = text.substr(1, text.size() - 2);
    return out;
}

}  // namespace mission::transmitter
