#include "transmitter/missions/management.hpp"

#include <algorithm>

#include "schemas/schemas.hpp"

namespace mission::transmitter {
namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
    return std::find(list.begin(), list.end(), text) != list.end();
}

// Text for people and audits: no control characters.
bool printable(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string text_of(const json::value& object, std::string_view name) {
    return std::string(json::find_string(object, name).value_or(""));
}

result<std::optional<wall_time>> time_of(const json::value& object, std::string_view name,
                                         const char* where) {
    const auto text = json::find_string(object, name);
    if (!text) return std::optional<wall_time>();
    const auto t = from_rfc3339(*text);
    if (!t) return invalid(where + std::string(name) + ": not an RFC 3339 date-time");
    return std::optional(*t);
}

void read_states(const json::value& list, managed_filter& out) {
    for (const auto& item : list.GetArray())
        if (const auto state = events::parse_state(json::view(item)))
            out.rows.states.push_back(*state);
    // No state of ours among them, or none at all: nothing, never everything.
    out.matches_nothing = out.matches_nothing || out.rows.states.empty();
}

result<managed_filter> read_filter(const json::value& f) {
    managed_filter out;
    out.empty = f.MemberCount() == 0;
    const auto canonical = json::canonical(f);
    if (!canonical) return invalid("/filter: " + canonical.error().detail);
    if (canonical->size() > limits::manage_filter_bytes)
        return invalid("/filter: at most " + std::to_string(limits::manage_filter_bytes) +
                       " octets");
    out.canonical = *canonical;
    if (const auto* s = json::find(f, "subject"))
        out.rows.subject = store::principal_name{text_of(*s, "iss"), text_of(*s, "sub")};
    if (const auto id = json::find_string(f, "client_id")) out.rows.agent_client_id = *id;
    if (const auto tenant = json::find_string(f, "tenant")) out.rows.tenant = *tenant;
    if (const auto parent = json::find_string(f, "parent")) out.rows.parent = *parent;
    // Administrative Metadata: of an owner we keep none, so that no mission has it.
    out.matches_nothing = json::find(f, "owner") != nullptr;
    if (const auto* list = json::find(f, "state")) read_states(*list, out);
    for (auto [name, into] : {std::pair{"created_after", &out.rows.approved_after},
                              std::pair{"created_before", &out.rows.approved_before},
                              std::pair{"expiring_before", &out.rows.expires_before}}) {
        auto t = time_of(f, name, "/filter/");
        if (!t) return t.error();
        *into = *t;
    }
    return out;
}

result<void> read_enumeration(const json::value& body, manage_request& out) {
    for (const char* name : {"mode", "suspend_until", "on_expiry"})
        if (json::find(body, name)) return invalid(std::string("/") + name + ": not of enumerate");
    out.purpose = text_of(body, "purpose");
    if (out.purpose.empty()) return invalid("/purpose: required");
    if (!printable(out.purpose)) return invalid("/purpose: no control characters");
    out.cursor = text_of(body, "cursor");
    out.bulk_token = text_of(body, "bulk_token");
    if (const auto* limit = json::find(body, "limit"))
        out.limit = limit->IsUint64() ? static_cast<std::size_t>(std::min<std::uint64_t>(
                                            limit->GetUint64(), limits::manage_page))
                                      : limits::manage_page;
    return {};
}

result<void> read_bulk(const json::value& body, manage_request& out) {
    for (const char* name : {"cursor", "limit"})
        if (json::find(body, name))
            return invalid(std::string("/") + name + ": of enumerate alone");
    const auto mode = text_of(body, "mode");
    if (mode.empty()) return invalid("/mode: required");
    out.what = mode == "execute" ? manage_request::kind::execute : manage_request::kind::dry_run;
    out.bulk.reason = text_of(body, "reason");
    if (out.bulk.reason->empty()) return invalid("/reason: required");
    if (!printable(*out.bulk.reason)) return invalid("/reason: no control characters");
    if ((json::find(body, "suspend_until") != nullptr) !=
        (json::find(body, "on_expiry") != nullptr))
        return invalid("/suspend_until and /on_expiry: one needs the other");
    auto until = time_of(body, "suspend_until", "/");
    if (!until) return until.error();
    out.bulk.suspend_until = *until;
    if (out.bulk.suspend_until) {
        if (out.bulk.what != operation::suspend) return invalid("/suspend_until: only of suspend");
        out.bulk.expiry_action = events::parse_on_expiry(text_of(body, "on_expiry"));
    }
    out.bulk_token = text_of(body, "bulk_token");
    if (out.what == manage_request::kind::dry_run && !out.bulk_token.empty())
        return invalid("/bulk_token: not with a dry run");
    if (out.what == manage_request::kind::execute && out.bulk_token.empty())
        return error{errc::invalid_bulk_token, "an execution needs the token of its dry run"};
    return {};
}

result<std::string> binding_of(const json::value& body) {
    json::document bound;
    bound.SetObject();
    auto& a = bound.GetAllocator();
    for (const char* name : {"operation", "suspend_until", "on_expiry"})
        if (const auto text = json::find_string(body, name)) json::add(bound, name, *text, a);
    json::add(bound, "filter", json::value(*json::find(body, "filter"), a), a);
    return json::canonical(bound);
}

const error wrong_token{errc::invalid_bulk_token,
                        "the bulk token is not known, has expired, was used, or binds another "
                        "request"};

// Known, not used, not expired, this caller's.
bool usable(const std::optional<store::bulk_job>& job, std::string_view client_id, wall_time now) {
    return job && job->status == store::bulk_status::pinned && job->expires_at > now &&
           job->client_id == client_id;
}

}  // namespace

result<manage_request> read_manage_request(const json::value& body) {
    if (auto ok = schemas::validate("mission-manage", body); !ok) return invalid(ok.error().detail);
    manage_request out;
    auto filter = read_filter(*json::find(body, "filter"));
    if (!filter) return filter.error();
    out.filter = std::move(*filter);
    const auto op = parse_operation(text_of(body, "operation"));
    if (op) out.bulk.what = *op;
    if (auto ok = op ? read_bulk(body, out) : read_enumeration(body, out); !ok) return ok.error();
    auto binding = binding_of(body);
    if (!binding) return invalid(binding.error().detail);
    out.binding = std::move(*binding);
    return out;
}

result<void> check_deadline(const manage_request& request, wall_time now) {
    if (request.bulk.suspend_until && *request.bulk.suspend_until <= now)
        return invalid("/suspend_until: lies in the past");
    return {};
}

result<void> check_grant(const client_config& client, bool mirror, const manage_request& request) {
    using kind = mission_visibility::kind;
    const auto& scope = client.missions;
    if (scope.what == kind::audience)
        return error{errc::forbidden, "this client manages no missions"};
    const auto& f = request.filter;
    const bool within = scope.what == kind::all || f.empty ||
                        (f.rows.tenant && contains(scope.tenants, *f.rows.tenant)) ||
                        (f.rows.agent_client_id && contains(scope.agents, *f.rows.agent_client_id));
    if (!within)
        return error{errc::forbidden, "the filter could match missions beyond this client's"};
    if (request.what == manage_request::kind::enumerate) return {};
    if (!contains(client.lifecycle, name(request.bulk.what)))
        return error{errc::forbidden, "this client may not do that operation"};
    if (mirror) return error{errc::forbidden, "this issuer mirrors another: operate there"};
    return {};
}

bool manages(const mission_visibility& scope, const store::mission_record& record) {
    using kind = mission_visibility::kind;
    if (scope.what != kind::listed) return scope.what == kind::all;
    return (record.tenant && contains(scope.tenants, *record.tenant)) ||
           contains(scope.agents, record.agent_client_id);
}

result<void> check_bulk_token(const std::optional<store::bulk_job>& job, std::string_view client_id,
                              std::string_view binding, wall_time now) {
    if (!usable(job, client_id, now) || job->request != binding) return wrong_token;
    return {};
}

result<void> check_review(const std::optional<store::bulk_job>& job, std::string_view client_id,
                          std::string_view filter, wall_time now) {
    if (!usable(job, client_id, now)) return wrong_token;
    const auto bound = json::parse(job->request);
    const auto* of_job = bound ? json::find(*bound, "filter") : nullptr;
    const auto text = of_job ? json::canonical(*of_job) : result<std::string>(wrong_token);
    if (!text || *text != filter) return wrong_token;
    return {};
}

result<operation_request> operation_of(const store::bulk_job& job) {
    const error corrupt{errc::store_corrupt, "a bulk job has no operation"};
    const auto bound = json::parse(job.request);
    if (!bound) return corrupt;
    operation_request out;
    const auto what = parse_operation(text_of(*bound, "operation"));
    if (!what) return corrupt;
    out.what = *what;
    const auto until = time_of(*bound, "suspend_until", "/");
    if (!until) return corrupt;
    out.suspend_until = *until;
    out.expiry_action = events::parse_on_expiry(text_of(*bound, "on_expiry"));
    return out;
}

std::string_view name(bulk_outcome o) noexcept {
    switch (o) {
        case bulk_outcome::applied:
            return "applied";
        case bulk_outcome::already_terminal:
            return "already_terminal";
        case bulk_outcome::illegal_transition:
            return "illegal_transition";
        case bulk_outcome::error:
            return "error";
    }
    return "";
}

member_verdict judge_member(const store::mission_state& held, operation_request request,
                            wall_time now) {
    // Before the idempotent reading: an ended mission is told apart (Outcome Manifest).
    if (events::is_terminal(held.state)) return {bulk_outcome::already_terminal, std::nullopt};
    if (request.suspend_until && *request.suspend_until > held.expires_at)
        request.suspend_until = held.expires_at;
    auto judged = judge_operation(held, request, now);
    if (!judged) {
        const bool illegal = judged.error() == errc::mission_conflict;
        return {illegal ? bulk_outcome::illegal_transition : bulk_outcome::error, std::nullopt};
    }
    return {bulk_outcome::applied, std::move(*judged)};
}

}  // namespace mission::transmitter
