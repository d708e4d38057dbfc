#include <map>

#include "tools/missionctl/print.hpp"

// Families, management answers and evidence, for people.

namespace mission::tools {
namespace {

std::string node_line(const json::value& mission, const std::string& asked_for) {
    const auto* agent = json::find(mission, "agent");
    const auto id = cell(mission, "mission_id");
    auto line = id + "  " + cell(mission, "state") + "  v" + cell(mission, "version");
    // Held by a mission above: what it would be by itself.
    if (const auto own = cell(mission, "own_state"); !own.empty()) line += " (itself " + own + ")";
    if (agent) line += "  " + cell(*agent, "client_id");
    if (const auto purpose = cell(mission, "purpose"); !purpose.empty())
        line += "  \"" + shortened(purpose) + "\"";
    return line + (id == asked_for ? "  <" : "");
}

void draw(const json::value& node, const std::string& asked_for, const std::string& before,
          const std::string& branch, const std::string& below, std::string& out) {
    out += before + branch + node_line(node["mission"], asked_for) + "\n";
    const auto& children = node["children"];
    for (RAPIDJSON_NAMESPACE::SizeType i = 0; i < children.Size(); ++i) {
        const bool last = i + 1 == children.Size();
        draw(children[i], asked_for, before + below, last ? "└── " : "├── ", last ? "    " : "│   ",
             out);
    }
}

// "alice at https://idp.example".
std::string person(const json::value& object, std::string_view member) {
    const auto* p = json::find(object, member);
    return p ? cell(*p, "sub") + " at " + cell(*p, "iss") : std::string();
}

// Who made a version: a client, or what moved it by itself.
std::string author(const json::value& version) {
    const auto* by = json::find(version, "by");
    if (!by) return {};
    const auto actor = cell(*by, "actor");
    return actor.empty() ? cell(*by, "origin") : actor;
}

}  // namespace

std::string print_tree(const json::value& node, const std::string& asked_for) {
    std::string out;
    draw(node, asked_for, "", "", "", out);
    return out;
}

std::string print_summaries(const json::value& page, bool heads) {
    const auto* missions = json::find(page, "missions");
    if (!missions || !missions->IsArray() || (heads && missions->Empty())) return "no missions\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& m : missions->GetArray())
        rows.push_back({cell(m, "id"), cell(m, "state"), cell(m, "version"), cell(m, "client_id"),
                        person(m, "subject"), cell(m, "created_at"), cell(m, "expires_at")});
    auto out =
        table({"MISSION", "STATE", "VERSION", "AGENT", "SUBJECT", "CREATED", "EXPIRES"}, rows);
    return heads ? out : out.substr(out.find('\n') + 1);
}

std::string print_manifest(const json::value& manifest) {
    const auto* results = json::find(manifest, "results");
    if (!results || !results->IsArray() || results->Empty()) return "no missions\n";
    std::vector<std::vector<std::string>> rows;
    std::map<std::string, int> counts;
    for (const auto& r : results->GetArray()) {
        rows.push_back({cell(r, "mission_id"), cell(r, "outcome"), cell(r, "detail")});
        ++counts[cell(r, "outcome")];
    }
    std::string total;
    for (const auto& [outcome, n] : counts)
        total += (total.empty() ? "" : ", ") + std::to_string(n) + " " + outcome;
    return table({"MISSION", "OUTCOME", "DETAIL"}, rows) + "\n" + cell(manifest, "operation") +
           ": " + total + "\n";
}

std::string print_reports(const json::value& page) {
    const auto* list = json::find(page, "reports");
    if (!list || !list->IsArray() || list->Empty()) return "no reports\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : list->GetArray()) {
        const auto* decision = json::find(r, "decision");
        rows.push_back({cell(r, "report_id"), cell(r, "mission_id"), cell(r, "received_at"),
                        cell(r, "kind"), cell(r, "client_id"), cell(r, "status"),
                        decision ? cell(*decision, "decision") : std::string(),
                        shortened(cell(r, "detail"))});
    }
    auto out = table(
        {"REPORT", "MISSION", "RECEIVED", "KIND", "FROM", "STATUS", "DECISION", "DETAIL"}, rows);
    if (const auto next = cell(page, "next_cursor"); !next.empty())
        out += "\nmore: --cursor " + next + "\n";
    return out;
}

std::string print_history(const json::value& answer) {
    const auto* list = json::find(answer, "versions");
    if (!list || !list->IsArray() || list->Empty()) return "no versions\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& v : list->GetArray()) {
        const auto* by = json::find(v, "by");
        rows.push_back({cell(v, "version"), cell(v, "state"), cell(v, "committed_at"), author(v),
                        by ? cell(*by, "action") : std::string(), cell(v, "reason")});
    }
    return table({"VERSION", "STATE", "COMMITTED", "WHO", "DID", "REASON"}, rows);
}

std::string print_details(const json::value& mission) {
    std::string out;
    if (const auto* ended = json::find(mission, "ended")) {
        out += "\nended " + cell(*ended, "state") + " at " + cell(*ended, "at");
        if (const auto who = author(*ended); !who.empty()) out += " by " + who;
        if (const auto why = cell(*ended, "reason"); !why.empty()) out += ": " + why;
        out += "\n";
    }
    const auto* family = json::find(mission, "family");
    const auto* above = family ? json::find(*family, "ancestors") : nullptr;
    if (above && above->IsArray() && !above->Empty()) {
        std::vector<std::vector<std::string>> rows;
        for (const auto& m : above->GetArray())
            rows.push_back({cell(m, "mission_id"), person(m, "approver"), cell(m, "approved_at"),
                            shortened(cell(m, "purpose"))});
        out += "\n" + table({"UP TO THE APPROVAL", "APPROVER", "APPROVED", "PURPOSE"}, rows);
    }
    if (family && json::find_int(*family, "children").value_or(0) > 0)
        out += "\nchildren: " + cell(*family, "children") + " (mission tree)\n";
    if (const auto* counts = json::find(mission, "reports"); counts && counts->IsObject()) {
        const bool any = json::find_int(*counts, "open").value_or(0) +
                             json::find_int(*counts, "acted").value_or(0) +
                             json::find_int(*counts, "dismissed").value_or(0) >
                         0;
        if (any)
            out += "\nreports: " + cell(*counts, "open") + " open, " + cell(*counts, "acted") +
                   " acted on, " + cell(*counts, "dismissed") + " dismissed\n";
    }
    out += print_teardown(mission);
    return out;
}

std::string print_audit(const std::vector<json::document>& entries, bool heads) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& e : entries) {
        const auto actor = cell(e, "actor");
        auto what = cell(e, "target");
        if (const auto version = cell(e, "version"); version != "0") what += " v" + version;
        std::string why;
        if (const auto* detail = json::find(e, "detail"))
            for (const char* member : {"reason", "purpose"})
                if (why.empty()) why = shortened(cell(*detail, member));
        // A management request is about whatever its filter matched.
        if (const auto* detail = json::find(e, "detail"); detail && what.empty())
            what = shortened(cell(*detail, "filter"));
        rows.push_back({cell(e, "seq"), cell(e, "at"), actor.empty() ? cell(e, "origin") : actor,
                        cell(e, "action"), cell(e, "outcome"), what, why});
    }
    auto out = table({"SEQ", "AT", "WHO", "DID", "OUTCOME", "WHAT", "WHY"}, rows);
    return heads ? out : out.substr(out.find('\n') + 1);
}

}  // namespace mission::tools
