// A report about a mission as the API shows it: its name, its decision and who sees what of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "transmitter/config.hpp"
#include "transmitter/missions/judge.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

// A report's place: the mission, and which of its reports it is (from 1; none is ever removed).
struct report_place {
    store::mission_row mission{};
    std::int64_t number = 0;
};
// "r" and 11 characters; known before the report is written, so that what it causes can name it.
std::string report_id_of(const issuer_service& issuer, const report_place& at);
std::optional<report_place> parse_report_id(const issuer_service& issuer, std::string_view id);
// The report of that place: the mission's own, in the order of their ids.
std::optional<store::report> find_report(const store::rows& rows, const issuer_service& issuer,
                                         const report_place& at);

std::string_view name(store::report_status s) noexcept;
std::optional<store::report_status> parse_report_status(std::string_view text) noexcept;

// What was decided about a report, kept in store::report::decision.
struct report_decision {
    std::string decision;  // complete | revoke | suspend | dismiss | recorded
    std::string rule;      // whose doing: a rule's
    std::string client;    // or an operator's
    std::string outcome;   // "done" | "unchanged" | "refused: <symbol>"
    std::string reason;
    std::int64_t version = 0;  // of the mission, then
    wall_time at{};
};
std::string to_json(const report_decision& d);

enum class report_reader { reporter, whole };  // its own report / any, with who decided
void write_report(json::writer& w, const store::report& r, const std::string& report_id,
                  report_reader reader);

// Applies an operation to a mission that is settled in `s`, for a report. Returns the outcome for
// the decision and the audit; what made no version is added to `notes`.
class settlement;
std::string apply_for_report(settlement& s, store::mission& m, bool mirror,
                             const operation_request& request, std::string_view initiating_entity,
                             const store::audit_entry& by, std::vector<store::audit_entry>& notes);

}  // namespace mission::transmitter
