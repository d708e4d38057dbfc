#include "events/catalog.hpp"

#include <algorithm>

#include "events/caep.hpp"
#include "events/detail/same.hpp"
#include "events/risc.hpp"
#include "events/set.hpp"

namespace mission::events {
namespace {

#define MISSION_CAEP(NAME)                                                               \
    event_kind {                                                                         \
        "https://schemas.openid.net/secevent/caep/event-type/" NAME, NAME, "caep-" NAME, \
            event_family::caep                                                           \
    }
#define MISSION_RISC(NAME, DEPRECATED)                                                   \
    event_kind {                                                                         \
        "https://schemas.openid.net/secevent/risc/event-type/" NAME, NAME, "risc-" NAME, \
            event_family::risc, DEPRECATED                                               \
    }
#define MISSION_SSF(NAME)                                                                \
    event_kind {                                                                         \
        "https://schemas.openid.net/secevent/ssf/event-type/" NAME, NAME, "event-" NAME, \
            event_family::ssf                                                            \
    }

constexpr event_kind catalog[] = {
    // CAEP 1.0 sections 3.1 to 3.8
    MISSION_CAEP("session-revoked"),
    MISSION_CAEP("token-claims-change"),
    MISSION_CAEP("credential-change"),
    MISSION_CAEP("assurance-level-change"),
    MISSION_CAEP("device-compliance-change"),
    MISSION_CAEP("session-established"),
    MISSION_CAEP("session-presented"),
    MISSION_CAEP("risk-level-change"),
    // RISC 1.0 sections 2.1 to 2.11
    MISSION_RISC("account-credential-change-required", false),
    MISSION_RISC("account-purged", false),
    MISSION_RISC("account-disabled", false),
    MISSION_RISC("account-enabled", false),
    MISSION_RISC("identifier-changed", false),
    MISSION_RISC("identifier-recycled", false),
    MISSION_RISC("credential-compromise", false),
    MISSION_RISC("opt-in", false),
    MISSION_RISC("opt-out-initiated", false),
    MISSION_RISC("opt-out-cancelled", false),
    MISSION_RISC("opt-out-effective", false),
    MISSION_RISC("recovery-activated", false),
    MISSION_RISC("recovery-information-changed", false),
    MISSION_RISC("sessions-revoked", true),
    // SSF 1.0 sections 8.1.4.1 and 8.1.5
    MISSION_SSF("verification"),
    MISSION_SSF("stream-updated"),
};

#undef MISSION_CAEP
#undef MISSION_RISC
#undef MISSION_SSF

error invalid(std::string why) {
    return error{errc::invalid_request, std::move(why)};
}

// What the readers call a bad claim is a bad request at a door.
error as_request(const error& e) {
    return e.code == errc::bad_claims ? invalid(e.detail) : e;
}

// SSF 1.0 section 3.1.1: the events of before name their subject inside too; a SET that says two
// things would be read as either.
result<void> check_inner_subject(const subject& about, const json::value& body) {
    const json::value* inner = json::find(body, "subject");
    if (!inner) return {};
    const auto parsed = parse_subject(*inner);
    if (!parsed) return parsed.error();
    if (canonical_key(*parsed) != canonical_key(about))
        return invalid("\"subject\" in the event names another subject");
    return {};
}

// RISC 1.0 sections 2.5 and 2.6: the identifier itself is the subject.
result<void> check_identifier(const risc_event& e, const subject& about) {
    const auto* changed = std::get_if<risc::identifier_changed>(&e);
    if (!changed && !std::holds_alternative<risc::identifier_recycled>(e)) return {};
    // "phone" is what RISC called the format before RFC 9493 did.
    if (about.format != "email" && about.format != "phone_number" && about.format != "phone")
        return invalid("the subject of this event must be an email or a phone_number");
    if (!changed || !changed->new_value) return {};
    for (const auto& [name, old_value] : about.members)
        if (old_value == *changed->new_value)
            return invalid("\"new-value\" is what the subject already names, which is the old one");
    return {};
}

result<void> check_caep(const event_kind& kind, const json::value& body) {
    const auto e = parse_caep(kind.uri, body);
    if (!e) return as_request(e.error());
    return check_lists(*e);
}

result<void> check_risc(const event_kind& kind, const subject& about, const json::value& body) {
    const auto e = parse_risc(kind.uri, body);
    if (!e) return as_request(e.error());
    if (auto fits = check_identifier(*e, about); !fits) return fits;
    return check_lists(*e);
}

result<void> check_ssf(const event_kind& kind, const json::value& body) {
    if (kind.name == "verification") {
        if (const auto v = parse_verification(body); !v) return as_request(v.error());
        return {};
    }
    if (const auto u = parse_stream_updated(body); !u) return as_request(u.error());
    return {};
}

}  // namespace

std::span<const event_kind> event_catalog() noexcept {
    return catalog;
}

const event_kind* find_event_kind(std::string_view uri) noexcept {
    const auto* it = std::find_if(std::begin(catalog), std::end(catalog),
                                  [&](const event_kind& k) { return detail::same(k.uri, uri); });
    return it == std::end(catalog) ? nullptr : it;
}

result<void> check_event(const event_kind& kind, const subject& about, const json::value& body) {
    // RISC 1.0 section 2.11.
    if (kind.deprecated)
        return invalid("this type is deprecated; CAEP session-revoked has taken its place");
    if (auto same = check_inner_subject(about, body); !same) return same;
    switch (kind.family) {
        case event_family::caep:
            return check_caep(kind, body);
        case event_family::risc:
            return check_risc(kind, about, body);
        case event_family::ssf:
            return check_ssf(kind, body);
        case event_family::mission:
            break;
    }
    return invalid("mission events are made by missions");
}

}  // namespace mission::events
