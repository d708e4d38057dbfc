#include "receiver/sidecar/decision.hpp"

#include "base/json.hpp"
#include "events/mission_event.hpp"

namespace mission::receiver::sidecar {

std::string_view name(reason r) noexcept {
    switch (r) {
        case reason::active:
            return "active";
        case reason::suspended:
            return "suspended";
        case reason::completed:
            return "completed";
        case reason::revoked:
            return "revoked";
        case reason::expired:
            return "expired";
        case reason::superseded:
            return "superseded";
        case reason::cascaded:
            return "cascaded";
        case reason::ended:
            return "ended";
        case reason::unknown:
            return "unknown";
        case reason::stale:
            return "stale";
        case reason::gap:
            return "gap";
        case reason::not_granted:
            return "not_granted";
        case reason::authority_unknown:
            return "authority_unknown";
        case reason::missing_reference:
            return "missing_reference";
        case reason::malformed_reference:
            return "malformed_reference";
        case reason::conflicting_references:
            return "conflicting_references";
        case reason::untrusted_proxy:
            return "untrusted_proxy";
        case reason::unknown_issuer:
            return "unknown_issuer";
        case reason::invalid_token:
            return "invalid_token";
        case reason::token_expired:
            return "token_expired";
        case reason::keys_unavailable:
            return "keys_unavailable";
        case reason::missing_request:
            return "missing_request";
        case reason::unclear_path:
            return "unclear_path";
        case reason::no_rule:
            return "no_rule";
        case reason::missing_action:
            return "missing_action";
    }
    return "unknown";
}

std::string_view description(reason r) noexcept {
    switch (r) {
        case reason::active:
        case reason::suspended:
        case reason::completed:
        case reason::revoked:
        case reason::expired:
        case reason::superseded:
        case reason::cascaded:
        case reason::ended:
        case reason::unknown:
        case reason::stale:
        case reason::gap: {
            // The standings come in the same order in both.
            ms::answer a;
            a.what = static_cast<ms::standing>(r);
            return a.reason();
        }
        case reason::not_granted:
            return "the mission's authority does not name this action";
        case reason::authority_unknown:
            return "the mission's authority is not known yet";
        case reason::missing_reference:
            return "the request names no mission";
        case reason::malformed_reference:
            return "the request names a mission in a form that cannot be read";
        case reason::conflicting_references:
            return "the request names more than one mission";
        case reason::untrusted_proxy:
            return "the request names a mission where only a trusted proxy may";
        case reason::unknown_issuer:
            return "the token is of a mission of another mission issuer";
        case reason::invalid_token:
            return "the token is not valid here";
        case reason::token_expired:
            return "the token has expired";
        case reason::keys_unavailable:
            return "the token cannot be verified now: its issuer's keys are not available";
        case reason::missing_request:
            return "the proxy does not say which request it asks about";
        case reason::unclear_path:
            return "the path can be read in more than one way";
        case reason::no_rule:
            return "no rule says what this request needs";
        case reason::missing_action:
            return "the proxy does not say which action it asks about";
    }
    return "denied";
}

static_assert(static_cast<int>(reason::active) == static_cast<int>(ms::standing::active) &&
              static_cast<int>(reason::ended) == static_cast<int>(ms::standing::ended) &&
              static_cast<int>(reason::gap) == static_cast<int>(ms::standing::gap));

reason reason_of(ms::standing s) noexcept {
    return s <= ms::standing::gap ? static_cast<reason>(s) : reason::unknown;
}

bool unauthenticated(reason r) noexcept {
    return r == reason::missing_reference || r == reason::invalid_token ||
           r == reason::token_expired;
}

bool decision::doubtful() const noexcept {
    return looked && (why == reason::unknown || why == reason::stale || why == reason::gap ||
                      why == reason::authority_unknown);
}

bool worth_asking(const decision& d, const settings& s) noexcept {
    return d.why == reason::authority_unknown || (s.resolve && d.doubtful());
}

decision judge(const ms::mission_cache& missions, const reference& of, const wanted& what) {
    // wire.md section 4: anything else is no mission id.
    if (!events::valid_mission_id(of.mission_id)) return {.why = reason::malformed_reference};
    decision d{.why = reason::unknown,
               .mission_id = of.mission_id,
               .looked = true,
               .authority_asked = what.authority()};
    if (!of.issuer.empty()) {
        d.now = missions.check(of.issuer, of.mission_id);
        d.why = reason_of(d.now.what);
        if (d.permitted() && what.authority()) d.why = reason::authority_unknown;
        return d;
    }
    if (!what.authority()) {
        d.now = missions.check(of.mission_id);
        d.why = reason_of(d.now.what);
        return d;
    }
    const auto p = missions.permits(of.mission_id, what.resource, what.action);
    d.now = p.now;
    d.why = reason_of(p.now.what);
    if (!d.permitted() || p.permitted()) return d;
    d.why = p.authority == ms::permission::grant::not_granted ? reason::not_granted
                                                              : reason::authority_unknown;
    return d;
}

net::http_response json_response(int status, std::string body) {
    net::http_response r;
    r.status = status;
    r.fields.add("content-type", "application/json");
    r.fields.add("cache-control", "no-store");
    r.body = std::move(body);
    return r;
}

net::http_response error_response(int status, std::string_view code, std::string_view description) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "error", code);
    json::member(w, "error_description", description);
    w.EndObject();
    return json_response(status, json::text(b));
}

net::http_response guard_response(const decision& d) {
    const bool yes = d.permitted();
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "decision", yes ? "permit" : "deny");
    json::member(w, "reason", name(d.why));
    json::member(w, "description", description(d.why));
    if (!d.mission_id.empty()) json::member(w, "mission_id", d.mission_id);
    if (d.looked) {
        json::member(w, "state", ms::name(d.now.what));
        json::key(w, "version");
        w.Int64(d.now.version);
        if (d.now.why != ms::cause::none) json::member(w, "cause", ms::name(d.now.why));
    }
    w.EndObject();
    auto r = json_response(yes ? 200 : unauthenticated(d.why) ? 401 : 403, json::text(b));
    r.fields.add("x-mission-decision", yes ? "permit" : "deny");
    r.fields.add("x-mission-reason", std::string(name(d.why)));
    if (!d.mission_id.empty()) r.fields.add("x-mission-id", d.mission_id);
    if (d.looked) {
        r.fields.add("x-mission-state", std::string(ms::name(d.now.what)));
        r.fields.add("x-mission-version", std::to_string(d.now.version));
    }
    // RFC 6750 section 3: no error code for a request without a token.
    if (r.status == 401)
        r.fields.add("www-authenticate", d.why == reason::missing_reference
                                             ? "Bearer realm=\"mission\""
                                             : "Bearer realm=\"mission\", error=\"invalid_token\"");
    return r;
}

}  // namespace mission::receiver::sidecar
