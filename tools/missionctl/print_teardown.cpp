#include <array>
#include <map>

#include "tools/missionctl/print.hpp"

// "Has everybody stopped?", for people: what each listener has told of its teardown, and who has
// told nothing.

namespace mission::tools {
namespace {

std::int64_t number(const json::value& detail, std::string_view member) {
    return json::find_int(detail, member).value_or(0);
}

// "2 of 3 confirmed", of a report of a receiver of ours.
std::string counted(const json::value& detail) {
    if (!detail.IsObject() || !json::find_int(detail, "total")) return {};
    const auto gone = number(detail, "acknowledged") + number(detail, "released");
    return std::to_string(gone) + " of " + std::to_string(number(detail, "total")) + " confirmed";
}

// Of a task that is not confirmed: "drop-role role-7: timed_out after 3 tries, no answer".
std::string open_task(const json::value& task) {
    auto line = cell(task, "handler");
    if (const auto name = cell(task, "name"); !name.empty()) line += " " + name;
    line += ": " + cell(task, "outcome") + " after " + cell(task, "attempts") + " tries";
    if (const auto why = cell(task, "evidence"); !why.empty()) line += ", " + shortened(why);
    return line;
}

bool confirmed(const json::value& task) {
    const auto outcome = cell(task, "outcome");
    return outcome == "acknowledged" || outcome == "released";
}

const json::value* report_of(const json::value& mission, const std::string& client) {
    const auto* list = json::find(mission, "teardown");
    if (!list || !list->IsArray()) return nullptr;
    for (const auto& t : list->GetArray())
        if (cell(t, "client_id") == client) return &t;
    return nullptr;
}

}  // namespace

std::string print_teardown(const json::value& mission) {
    const auto* list = json::find(mission, "teardown");
    if (!list || !list->IsArray() || list->Empty()) return {};
    std::vector<std::vector<std::string>> rows;
    std::string open;
    for (const auto& t : list->GetArray()) {
        const auto* detail = json::find(t, "detail");
        auto says = detail ? counted(*detail) : std::string();
        if (says.empty()) says = shortened(cell(t, "detail"));
        rows.push_back({cell(t, "client_id"), cell(t, "at"), cell(t, "status"),
                        json::find_bool(t, "verified").value_or(false) ? "yes" : "no", says});
        const auto* tasks = detail && detail->IsObject() ? json::find(*detail, "tasks") : nullptr;
        if (!tasks || !tasks->IsArray()) continue;
        for (const auto& task : tasks->GetArray())
            if (!confirmed(task))
                open += "  " + cell(t, "client_id") + ": " + open_task(task) + "\n";
    }
    auto out = "\n" + table({"TEARDOWN BY", "WHEN", "STATUS", "VERIFIED", "WHAT IT SAYS"}, rows);
    if (!open.empty()) out += "\nnot confirmed, so to be treated as still running:\n" + open;
    return out;
}

std::string teardown_of(const json::value& mission, const json::value& stream) {
    const auto status = cell(stream, "teardown");
    if (status == "not_reported") return "not reported";
    const auto* report = report_of(mission, cell(stream, "client_id"));
    const auto* detail = report ? json::find(*report, "detail") : nullptr;
    const auto says = detail ? counted(*detail) : std::string();
    return says.empty() ? status : status + " (" + says + ")";
}

std::string stopped_line(const json::value& streams) {
    // A client with several streams is one.
    std::map<std::string, std::string> clients;
    for (const auto& s : streams.GetArray())
        clients[cell(s, "client_id")] = cell(s, "teardown");
    std::size_t complete = 0;
    std::string others;
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kinds{{
        {"incomplete", "incomplete"},
        {"reported", "in words of its own"},
        {"outdated", "of an earlier version"},
        {"not_reported", "no word"},
    }};
    for (const auto& [client, status] : clients)
        complete += status == "complete" ? 1 : 0;
    for (const auto& [status, words] : kinds) {
        std::string who;
        for (const auto& [client, said] : clients)
            if (said == status) who += (who.empty() ? "" : ", ") + client;
        if (!who.empty()) others.append("; ").append(words).append(": ").append(who);
    }
    if (others.empty()) return "everybody has stopped";
    return "stopped: " + std::to_string(complete) + " of " + std::to_string(clients.size()) +
           others;
}

}  // namespace mission::tools
