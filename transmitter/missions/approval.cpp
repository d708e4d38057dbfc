#include "transmitter/missions/approval.hpp"

#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "transmitter/missions/commit.hpp"

namespace mission::transmitter {
namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

std::string text(const json::value& v, std::string_view name) {
    return std::string(json::find_string(v, name).value_or(""));
}

std::optional<std::string> optional_text(const json::value& v, std::string_view name) {
    const auto t = json::find_string(v, name);
    return t ? std::optional<std::string>(*t) : std::nullopt;
}

store::principal_name person(const json::value& body, std::string_view name) {
    const auto* p = json::find(body, name);
    if (!p) return {};
    return {text(*p, "iss"), text(*p, "sub")};
}

}  // namespace

result<void> check_authorization_details(const json::value& set) {
    if (!set.IsArray()) return invalid("/authorization_details: must be an array");
    std::size_t index = 0;
    for (const auto& entry : set.GetArray()) {
        const auto at = "/authorization_details/" + std::to_string(index++);
        if (!entry.IsObject()) return invalid(at + ": must be an object");
        const auto* match = json::find(entry, "resource_match");
        if (!match) continue;
        if (!match->IsString() || (json::view(*match) != "prefix" && json::view(*match) != "exact"))
            return invalid(at + "/resource_match: must be exact or prefix");
        // draft-mcguinness-oauth-mission "resource_match": a prefix has no query and no fragment.
        const auto resource = json::find_string(entry, "resource").value_or("");
        if (json::view(*match) == "prefix" &&
            resource.find_first_of("?#") != std::string_view::npos)
            return invalid(at + "/resource: a prefix has neither query nor fragment");
    }
    if (json::write(set).size() > limits::authorization_details_bytes)
        return invalid("/authorization_details: too large");
    return {};
}

result<approval> read_approval(const json::value& body, std::string_view issuer_url,
                               std::string mission_id, wall_time now) {
    for (const auto* later : {"parent", "predecessor"})
        if (json::find(body, later))
            return invalid("/" + std::string(later) + ": is not available in this version");
    approval out;
    auto& r = out.record;
    r.mission_id =
        json::find(body, "mission_id") ? text(body, "mission_id") : std::move(mission_id);
    if (!events::valid_mission_id(r.mission_id)) return invalid("/mission_id: not a mission id");
    r.purpose = text(body, "purpose");
    r.approver = person(body, "approver");
    r.subject = person(body, "subject");
    const auto* agent = json::find(body, "agent");
    if (!agent) return invalid("/agent: required");
    r.agent_client_id = text(*agent, "client_id");
    r.agent_spiffe_id = optional_text(*agent, "spiffe_id");
    r.tenant = optional_text(body, "tenant");
    if (const auto* evidence = json::find(body, "evidence")) {
        r.evidence = json::write(*evidence);
        if (r.evidence->size() > limits::evidence_bytes) return invalid("/evidence: too large");
    }
    const auto expires = from_rfc3339(text(body, "expires_at"));
    if (!expires) return invalid("/expires_at: not an RFC 3339 date-time");
    if (*expires <= now) return invalid("/expires_at: lies in the past");
    out.expires_at = *expires;
    const auto* set = json::find(body, "authorization_details");
    if (!set) return invalid("/authorization_details: required");
    if (auto ok = check_authorization_details(*set); !ok) return ok.error();
    auto hash = events::authority_hash(issuer_url, *set);
    if (!hash) return invalid("/authorization_details: " + hash.error().detail);
    r.authority_hash = std::move(*hash);
    out.authorization_details = json::write(*set);
    out.resources = resources_of(*set);
    return out;
}

}  // namespace mission::transmitter
