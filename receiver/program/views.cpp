#include "receiver/program/views.hpp"

#include <rapidjson/prettywriter.h>

#include <algorithm>

#include "base/time.hpp"

namespace mission::receiver::program {
namespace {

namespace ms = mission_signals;

void time_member(json::writer& w, std::string_view name,
                 const std::optional<std::chrono::system_clock::time_point>& t) {
    if (!t) return;
    json::member(w, name, to_rfc3339(std::chrono::time_point_cast<std::chrono::milliseconds>(*t)));
}

void number(json::writer& w, std::string_view name, std::uint64_t n) {
    json::key(w, name);
    w.Uint64(n);
}

void yes(json::writer& w, std::string_view name, bool b) {
    json::key(w, name);
    w.Bool(b);
}

void text_unless_empty(json::writer& w, std::string_view name, std::string_view text) {
    if (!text.empty()) json::member(w, name, text);
}

void write_mission(json::writer& w, const std::string& id, ms::answer now,
                   const ms::mission_view* view) {
    w.StartObject();
    json::member(w, "mission_id", id);
    if (view) json::member(w, "issuer", view->issuer);
    yes(w, "permitted", now.permitted());
    json::member(w, "standing", ms::name(now.what));
    json::member(w, "why", now.reason());
    json::key(w, "version");
    w.Int64(now.version);
    if (view) {
        json::member(w, "state", view->state);
        time_member(w, "expires_at", view->expires_at);
        time_member(w, "fresh_until", view->fresh_until);
        time_member(w, "suspend_until", view->suspend_until);
        text_unless_empty(w, "successor", view->successor);
        text_unless_empty(w, "reason", view->reason);
    }
    w.EndObject();
}

void write_handler(json::writer& w, const ms::handler_status& h) {
    w.StartObject();
    json::member(w, "name", h.name);
    number(w, "acknowledged", h.acknowledged);
    number(w, "failed", h.failed);
    number(w, "timed_out", h.timed_out);
    number(w, "unknown", h.unknown);
    number(w, "open", h.open);
    number(w, "running", h.running);
    number(w, "overdue", h.overdue);
    time_member(w, "oldest_open", h.oldest_open);
    if (!h.registered) yes(w, "registered", false);
    w.EndObject();
}

// "3s", "12m", "5h", "9d": what counts at three in the morning.
std::string span(std::chrono::milliseconds d) {
    const auto s = std::max<std::int64_t>(std::chrono::floor<std::chrono::seconds>(d).count(), 0);
    if (s < 120) return std::to_string(s) + "s";
    if (s < 2 * 3600) return std::to_string(s / 60) + "m";
    if (s < 2 * 86400) return std::to_string(s / 3600) + "h";
    return std::to_string(s / 86400) + "d";
}

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        out += (octet < 0x20 && c != '\n' && c != '\t') || octet == 0x7f ? '?' : c;
    }
    return out;
}

std::string cell(const json::value& row, std::string_view member) {
    const auto* v = json::find(row, member);
    if (!v || v->IsNull()) return {};
    auto text = v->IsString() ? std::string(json::view(*v)) : json::write(*v);
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::replace(text.begin(), text.end(), '\t', ' ');
    return printable(text);
}

std::string aligned(const std::vector<std::vector<std::string>>& cells) {
    std::vector<std::size_t> widths(cells[0].size());
    for (const auto& line : cells)
        for (std::size_t n = 0; n < line.size(); ++n)
            widths[n] = std::max(widths[n], line[n].size());
    std::string out;
    for (const auto& line : cells) {
        for (std::size_t n = 0; n < line.size(); ++n) {
            out += line[n];
            if (n + 1 < line.size()) out.append(widths[n] - line[n].size() + 2, ' ');
        }
        while (out.ends_with(' '))
            out.pop_back();
        out += '\n';
    }
    return out;
}

}  // namespace

std::string to_json(const ms::status& s, const std::string& problem,
                    const std::vector<ms::handler_status>& handlers) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    yes(w, "streaming", s.streaming);
    text_unless_empty(w, "problem", problem);
    text_unless_empty(w, "last_error", s.last_error);
    text_unless_empty(w, "stream_id", s.stream_id);
    text_unless_empty(w, "iss", s.iss);
    text_unless_empty(w, "aud", s.aud);
    text_unless_empty(w, "log_epoch", s.log_epoch);
    json::key(w, "continuity");
    w.Int64(s.continuity);
    time_member(w, "live_until", s.live_until);
    number(w, "sets_received", s.sets_received);
    number(w, "sets_rejected", s.sets_rejected);
    number(w, "sets_duplicate", s.sets_duplicate);
    number(w, "status_requests", s.status_requests);
    number(w, "gaps", s.gaps);
    number(w, "heartbeats", s.heartbeats);
    number(w, "unknown_events", s.unknown_events);
    number(w, "tasks_pending", s.tasks_pending);
    number(w, "missions", s.missions);
    number(w, "missions_evicted", s.missions_evicted);
    number(w, "missions_refused", s.missions_refused);
    number(w, "reports_sent", s.reports_sent);
    number(w, "reports_pending", s.reports_pending);
    number(w, "reports_refused", s.reports_refused);
    json::key(w, "handlers");
    w.StartArray();
    for (const auto& h : handlers)
        write_handler(w, h);
    w.EndArray();
    w.EndObject();
    return json::text(b);
}

std::string to_json(const std::vector<ms::task_view>& tasks) {
    json::buffer b;
    json::writer w(b);
    w.StartArray();
    for (const auto& t : tasks) {
        w.StartObject();
        json::member(w, "key", t.what.idempotency_key);
        json::member(w, "handler", t.handler);
        json::member(w, "effect", ms::name(t.what.why));
        json::member(w, "mission_id", t.what.mission_id);
        json::member(w, "issuer", t.what.issuer);
        json::key(w, "version");
        w.Int64(t.what.version);
        json::member(w, "name", t.what.name);
        number(w, "attempt", t.what.attempt);
        json::member(w, "last", ms::name(t.last));
        json::member(w, "evidence", t.evidence);
        json::member(w, "state", t.finished ? "finished" : t.cancelled ? "cancelled" : "open");
        if (t.orphaned) yes(w, "orphaned", true);
        if (t.running) yes(w, "running", true);
        time_member(w, "created", t.created);
        time_member(w, "updated", t.updated);
        time_member(w, "next_try", t.next_try);
        w.EndObject();
    }
    w.EndArray();
    return json::text(b);
}

std::string to_json(const std::vector<ms::receiver::held_thing>& things) {
    json::buffer b;
    json::writer w(b);
    w.StartArray();
    for (const auto& h : things) {
        w.StartObject();
        json::member(w, "mission_id", h.mission_id);
        json::member(w, "name", h.name);
        json::member(w, "data", h.data);
        w.EndObject();
    }
    w.EndArray();
    return json::text(b);
}

std::string to_json(const std::vector<ms::mission_view>& missions) {
    json::buffer b;
    json::writer w(b);
    w.StartArray();
    for (const auto& m : missions)
        write_mission(w, m.id, m.now, &m);
    w.EndArray();
    return json::text(b);
}

std::string to_json(const std::string& id, ms::answer now,
                    const std::optional<ms::mission_view>& view) {
    json::buffer b;
    json::writer w(b);
    write_mission(w, id, now, view ? &*view : nullptr);
    return json::text(b);
}

std::string pretty(std::string_view json_text) {
    const auto parsed = json::parse(json_text, limits::http_response_bytes);
    if (!parsed) return printable(json_text);
    json::buffer b;
    RAPIDJSON_NAMESPACE::PrettyWriter<json::buffer> w(b);
    w.SetIndent(' ', 2);
    parsed->Accept(w);
    return json::text(b);
}

std::string table(const json::value& rows, const std::vector<std::string_view>& members) {
    std::vector<std::vector<std::string>> cells(1);
    for (const auto m : members)
        cells[0].emplace_back(m);
    if (rows.IsArray())
        for (const auto& row : rows.GetArray()) {
            cells.emplace_back();
            for (const auto m : members)
                cells.back().push_back(cell(row, m));
        }
    return aligned(cells);
}

std::string task_table(const json::value& tasks, wall_time now) {
    std::vector<std::vector<std::string>> cells{{"handler", "effect", "mission", "name", "attempt",
                                                 "last", "state", "age", "next", "key",
                                                 "evidence"}};
    if (!tasks.IsArray()) return aligned(cells);
    const auto since = [&](const json::value& t, std::string_view member, int sign) {
        const auto text = json::find_string(t, member);
        if (!text) return std::string();
        const auto at = from_rfc3339(*text);
        return at ? span(sign * (now - *at)) : std::string();
    };
    for (const auto& t : tasks.GetArray()) {
        auto state = cell(t, "state");
        if (json::find_bool(t, "orphaned").value_or(false)) state = "no handler";
        if (json::find_bool(t, "running").value_or(false)) state = "running";
        cells.push_back({cell(t, "handler"), cell(t, "effect"), cell(t, "mission_id"),
                         cell(t, "name"), cell(t, "attempt"), cell(t, "last"), state,
                         since(t, "created", 1), since(t, "next_try", -1), cell(t, "key"),
                         cell(t, "evidence")});
    }
    return aligned(cells);
}

}  // namespace mission::receiver::program
