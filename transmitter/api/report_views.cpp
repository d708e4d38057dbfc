#include "transmitter/api/report_views.hpp"

#include "jose/digest.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/opaque_number.hpp"
#include "transmitter/missions/report_rules.hpp"
#include "transmitter/missions/settlement.hpp"

namespace mission::transmitter {
namespace {

constexpr unsigned number_bits = 20;
static_assert(limits::reports_per_mission < (1u << number_bits));

number_permutation names_of(const issuer_service& issuer) {
    const auto key = jose::hmac_sha256(issuer.common->settings.secrets_key,
                                       "report ids of " + issuer.settings.url);
    return number_permutation(std::string(jose::view(key)));
}

}  // namespace

std::string report_id_of(const issuer_service& issuer, const report_place& at) {
    const auto plain = static_cast<std::uint64_t>(at.mission) << number_bits |
                       static_cast<std::uint64_t>(at.number);
    return "r" + number_text(names_of(issuer).forward(plain));
}

std::optional<report_place> parse_report_id(const issuer_service& issuer, std::string_view id) {
    if (!id.starts_with('r')) return std::nullopt;
    const auto permuted = parse_number_text(id.substr(1));
    if (!permuted) return std::nullopt;
    const auto plain = names_of(issuer).backward(*permuted);
    return report_place{store::mission_row{static_cast<std::int64_t>(plain >> number_bits)},
                        static_cast<std::int64_t>(plain & ((1u << number_bits) - 1))};
}

std::optional<store::report> find_report(const store::rows& rows, const issuer_service& issuer,
                                         const report_place& at) {
    auto all = rows.reports_of(at.mission);
    if (at.number < 1 || static_cast<std::size_t>(at.number) > all.size()) return std::nullopt;
    auto& found = all[static_cast<std::size_t>(at.number) - 1];
    if (found.issuer != issuer.id) return std::nullopt;
    return std::move(found);
}

std::string_view name(store::report_status s) noexcept {
    switch (s) {
        case store::report_status::open:
            return "open";
        case store::report_status::acted:
            return "acted";
        case store::report_status::dismissed:
            return "dismissed";
    }
    return "open";
}

std::optional<store::report_status> parse_report_status(std::string_view text) noexcept {
    for (const auto s :
         {store::report_status::open, store::report_status::acted, store::report_status::dismissed})
        if (name(s) == text) return s;
    return std::nullopt;
}

std::string to_json(const report_decision& d) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "decision", d.decision);
    if (!d.rule.empty()) json::member(w, "rule", d.rule);
    if (!d.client.empty()) json::member(w, "client_id", d.client);
    json::member(w, "outcome", d.outcome);
    if (!d.reason.empty()) json::member(w, "reason", d.reason);
    json::key(w, "version");
    w.Int64(d.version);
    json::member(w, "at", to_rfc3339(d.at));
    w.EndObject();
    return json::text(buffer);
}

void write_report(json::writer& w, const store::report& r, const std::string& report_id,
                  report_reader reader) {
    w.StartObject();
    json::member(w, "report_id", report_id);
    json::member(w, "mission_id", r.mission_id);
    json::member(w, "client_id", r.client_id);
    json::member(w, "kind", r.kind);
    json::key(w, "detail");
    json::raw(w, r.detail);  // JSON as it was sent: a string or an object
    if (!r.evidence.empty()) json::member(w, "evidence", r.evidence);
    json::member(w, "received_at", to_rfc3339(r.received_at));
    json::member(w, "status", name(r.status));
    if (reader == report_reader::whole && !r.decision.empty()) {
        json::key(w, "decision");
        json::raw(w, r.decision);
    }
    w.EndObject();
}

std::string apply_for_report(settlement& s, store::mission& m, bool mirror,
                             const operation_request& request, std::string_view initiating_entity,
                             const store::audit_entry& by, std::vector<store::audit_entry>& notes) {
    auto judged = mirror
                      ? result<std::optional<proposal>>(error{
                            errc::mission_conflict, "this issuer mirrors another: operate there"})
                      : judge_report(m.state, request, s.context().now);
    const auto action = "lifecycle." + std::string(name(request.what));
    if (!judged) {
        notes.push_back(audit_note(by, action, m.record.mission_id, refused_outcome(judged.error()),
                                   by.detail));
        return refused_outcome(judged.error());
    }
    if (!*judged) {
        notes.push_back(audit_note(by, action, m.record.mission_id, "unchanged", by.detail));
        return "unchanged";
    }
    (*judged)->initiating_entity = std::string(initiating_entity);
    m = s.commit(m, **judged, by);
    return "done";
}

}  // namespace mission::transmitter
