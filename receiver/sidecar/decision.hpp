// What the sidecar says of one request, and how it looks over HTTP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mission_signals/receiver.hpp"
#include "net/http.hpp"
#include "receiver/sidecar/mapping.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar {

namespace ms = mission_signals;

// Machine-readable; the names stand in answers, in X-Mission-Reason and in metrics.
enum class reason : std::uint8_t {
    active,  // the only one that permits
    // The standing of the mission:
    suspended,
    completed,
    revoked,
    expired,
    superseded,
    cascaded,
    ended,
    unknown,
    stale,
    gap,
    // Its authority:
    not_granted,
    authority_unknown,
    // The request does not say for sure which mission it is about:
    missing_reference,
    malformed_reference,
    conflicting_references,
    untrusted_proxy,
    unknown_issuer,
    invalid_token,
    token_expired,
    keys_unavailable,
    // or what it wants:
    missing_request,
    unclear_path,
    no_rule,
    missing_action,
};
inline constexpr std::size_t reasons = static_cast<std::size_t>(reason::missing_action) + 1;
std::string_view name(reason r) noexcept;         // "revoked"
std::string_view description(reason r) noexcept;  // a sentence for people
reason reason_of(ms::standing s) noexcept;
// Who did not say who he is (401), against who may not (403; RFC 9110 sections 15.5.2 and 15.5.4).
bool unauthenticated(reason r) noexcept;

struct reference {
    std::string mission_id;
    std::string issuer = {};  // the mission's, when it is not the transmitter itself
};

struct decision {
    reason why = reason::missing_reference;
    std::string mission_id = {};  // empty: none is known for sure
    ms::answer now = {};
    bool looked = false;  // `now` is of this request
    bool authority_asked = false;

    bool permitted() const noexcept { return why == reason::active; }
    // Mission Status may know more.
    bool doubtful() const noexcept;
};

// Is Mission Status to be asked, and waited for? About a doubtful standing where `resolve` says so.
// About an authority always: nothing else tells it, and it is asked for once, until it changes.
bool worth_asking(const decision& d, const settings& s) noexcept;

// The standing of the mission, then its authority where that is asked for.
decision judge(const ms::mission_cache& missions, const reference& of, const wanted& what);

// 200, 401 or 403, never another status: nginx takes others for an error, and Envoy, told to fail
// open, lets a request pass at a 5xx. {"decision","reason","description","mission_id"?,"version"?,
// "state"?,"cause"?}, X-Mission-Decision, X-Mission-Reason, X-Mission-Id, X-Mission-State,
// X-Mission-Version; WWW-Authenticate with 401.
net::http_response guard_response(const decision& d);

// Of this door and of the control socket. Not to be kept by caches.
net::http_response json_response(int status, std::string body);
// {"error","error_description"}
net::http_response error_response(int status, std::string_view code, std::string_view description);

}  // namespace mission::receiver::sidecar
