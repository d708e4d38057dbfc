#include "tools/missionctl/print.hpp"

#include <algorithm>

namespace mission::tools {
namespace {

// Characters a terminal shows, not octets: UTF-8 continuation octets have no width of their own.
std::size_t width(std::string_view s) {
    return static_cast<std::size_t>(std::count_if(
        s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string harmless(std::string_view s) {
    std::string out;
    for (std::size_t i = 0; i < s.size(); ++i) {
        const auto at = [&](std::size_t n) {
            return n < s.size() ? static_cast<unsigned char>(s[n]) : 0u;
        };
        // U+0080 to U+009F do in one what ESC begins.
        const bool c1 = at(i) == 0xc2 && (at(i + 1) & 0xe0) == 0x80;
        if (c1) ++i;
        out += (c1 || at(i) < 0x20 || at(i) == 0x7f) ? '?' : s[i];
    }
    return out;
}

std::string cell_of(const json::value& v) {
    if (v.IsString()) return harmless(json::view(v));
    if (v.IsNull()) return {};
    return harmless(json::write(v));
}

// "name   value" lines for the members there are.
std::string facts(const json::value& object, const std::vector<std::string>& members) {
    std::size_t longest = 0;
    for (const auto& m : members)
        if (json::find(object, m)) longest = std::max(longest, m.size());
    std::string out;
    for (const auto& m : members) {
        const auto* v = json::find(object, m);
        if (!v || v->IsNull()) continue;
        std::string shown;
        // {iss, sub}: a person at an issuer.
        if (v->IsObject() && json::find(*v, "sub"))
            shown = cell(*v, "sub") + " at " + cell(*v, "iss");
        else if (v->IsObject() && json::find(*v, "client_id"))
            shown = cell(*v, "client_id") + " " + cell(*v, "spiffe_id");
        else
            shown = cell_of(*v);
        out += m + std::string(longest - m.size() + 2, ' ') + shown + "\n";
    }
    return out;
}

std::string authority(const json::value& holder) {
    const auto* details = json::find(holder, "authorization_details");
    if (!details || !details->IsArray()) return {};
    std::vector<std::vector<std::string>> rows;
    for (const auto& entry : details->GetArray()) {
        std::string actions;
        if (const auto* list = json::find(entry, "actions"); list && list->IsArray())
            for (const auto& a : list->GetArray())
                actions += (actions.empty() ? "" : ", ") + cell_of(a);
        rows.push_back({cell(entry, "resource"), actions, cell(entry, "constraints")});
    }
    return "\n" + table({"RESOURCE", "ACTIONS", "CONSTRAINTS"}, rows);
}

// A delivery method by the number of its RFC, as people call it.
std::string delivery_of(const json::value& stream) {
    const std::string method = cell(stream, "method");
    return method.ends_with("8935") ? "push" : method.ends_with("8936") ? "poll" : method;
}

const json::value* array_in(const json::value& answer, std::string_view name) {
    if (answer.IsArray()) return &answer;
    const auto* found = json::find(answer, name);
    return found && found->IsArray() ? found : nullptr;
}

}  // namespace

std::string cell(const json::value& object, std::string_view member) {
    const auto* v = json::find(object, member);
    return v ? cell_of(*v) : std::string();
}

std::string table(const std::vector<std::string>& heads,
                  const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& h : heads)
        widths.push_back(width(h));
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
            widths[i] = std::max(widths[i], width(row[i]));
    std::string out;
    const auto line = [&](const std::vector<std::string>& cells) {
        std::string text;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            const std::string c = i < cells.size() ? cells[i] : std::string();
            text += c + std::string(widths[i] - width(c) + 2, ' ');
        }
        while (text.ends_with(' '))
            text.pop_back();
        out += text + "\n";
    };
    line(heads);
    for (const auto& row : rows)
        line(row);
    return out;
}

std::string shortened(std::string text) {
    if (text.size() <= 50) return text;
    std::size_t cut = 47;  // not inside a character
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80)
        --cut;
    return text.substr(0, cut) + "...";
}

std::string print_mission(const json::value& mission) {
    std::string out = facts(
        mission,
        {"mission_id",  "issuer",      "at",         "active",        "state",     "own_state",
         "version",     "purpose",     "agent",      "approver",      "subject",   "tenant",
         "approved_at", "changed_at",  "expires_at", "suspend_until", "on_expiry", "reason",
         "parent",      "predecessor", "successor",  "authority_hash"});
    out += authority(mission);
    out += print_details(mission);
    const auto* streams = json::find(mission, "streams");
    if (streams && streams->IsArray()) {
        const auto version = json::find_int(mission, "version").value_or(0);
        std::vector<std::string> heads{"LISTENER", "STREAM", "ACKNOWLEDGED", "HAS HEARD"};
        std::vector<std::vector<std::string>> rows;
        bool ended = false;
        for (const auto& s : streams->GetArray()) {
            const auto acked = json::find_int(s, "acked_version").value_or(0);
            rows.push_back({cell(s, "client_id"), cell(s, "stream_id"),
                            acked == 0 ? "-" : std::to_string(acked),
                            acked >= version ? "yes" : "not yet"});
            if (!json::find(s, "teardown")) continue;
            rows.back().push_back(teardown_of(mission, s));
            ended = true;
        }
        if (ended) heads.push_back("HAS TORN DOWN");
        out += "\n" + table(heads, rows);
        if (ended) out += "\n" + stopped_line(*streams) + "\n";
    }
    return out;
}

std::string print_status(const json::value& claims) {
    const auto* mission = json::find(claims, "mission");
    if (!mission) return {};
    return facts(*mission, {"id", "issuer", "state", "version", "expires_at", "suspend_until",
                            "on_expiry", "successor", "fresh_until"}) +
           authority(*mission);
}

std::string print_mission_list(const json::value& page) {
    const auto* missions = array_in(page, "missions");
    if (!missions) return "no missions\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& m : missions->GetArray()) {
        const auto* agent = json::find(m, "agent");
        rows.push_back({cell(m, "mission_id"), cell(m, "state"), cell(m, "version"),
                        agent ? cell(*agent, "client_id") : std::string(), cell(m, "expires_at"),
                        shortened(cell(m, "purpose"))});
    }
    std::string out = table({"MISSION", "STATE", "VERSION", "AGENT", "EXPIRES", "PURPOSE"}, rows);
    if (page.IsObject())
        if (const auto next = cell(page, "next_cursor"); !next.empty())
            out += "\nmore: --cursor " + next + "\n";
    return out;
}

std::string print_stream_list(const json::value& streams) {
    const auto* list = array_in(streams, "streams");
    if (!list) return "no streams\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& s : list->GetArray()) {
        rows.push_back({cell(s, "stream_id"), cell(s, "client_id"), delivery_of(s),
                        cell(s, "status"), cell(s, "lag_signals"), cell(s, "lag_seconds"),
                        cell(s, "held_reason")});
    }
    return table({"STREAM", "CLIENT", "DELIVERY", "STATUS", "LAG", "SECONDS", "HELD"}, rows);
}

std::string print_stream(const json::value& stream) {
    std::vector<std::string> members;
    if (stream.IsObject())
        for (const auto& m : stream.GetObject())
            members.emplace_back(json::view(m.name));
    return facts(stream, members);
}

std::string print_dead_letters(const json::value& list) {
    if (!list.IsArray() || list.Empty()) return "no dead letters\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& e : list.GetArray()) {
        const std::string mission = cell(e, "mission_id");
        rows.push_back(
            {cell(e, "seq"),
             mission.empty() ? cell(e, "signal_id") : mission + " v" + cell(e, "version"),
             cell(e, "attempts"), cell(e, "last"), cell(e, "err"), cell(e, "description")});
    }
    return table({"SEQ", "SIGNAL", "TRIES", "LAST", "ERROR", "THE RECEIVER SAID"}, rows);
}

std::string print_tail_line(const json::value& signal) {
    const std::string mission = cell(signal, "mission_id");
    std::string line = cell(signal, "committed_at") + "  " + cell(signal, "seq") + "  ";
    if (!mission.empty())
        line += mission + "  v" + cell(signal, "version") + "  " + cell(signal, "state") + "  " +
                cell(signal, "agent");
    else
        line += cell(signal, "signal_id") + "  " + cell(signal, "type") + "  by " +
                cell(signal, "emitted_by");
    return line + "\n";
}

std::vector<sent_event> parse_events(std::string_view text) {
    std::vector<sent_event> out;
    sent_event next;
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) {
            if (!next.data.empty()) out.push_back(next);
            next = {};
            continue;
        }
        const auto colon = line.find(':');
        const auto name = line.substr(0, colon);
        auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "id") next.id = value;
        if (name == "event") next.type = value;
        if (name == "data") next.data.append(next.data.empty() ? "" : "\n").append(value);
    }
    return out;
}

}  // namespace mission::tools
