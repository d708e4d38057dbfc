#include "transmitter/missions/mirror.hpp"

#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {
namespace {

using events::mission_state;

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

result<std::optional<wall_time>> time_of(const json::value& item, std::string_view member) {
    const auto text = json::find_string(item, member);
    if (!text) return std::optional<wall_time>();
    const auto t = from_rfc3339(*text);
    if (!t) return invalid("/" + std::string(member) + ": not an RFC 3339 date-time");
    return std::optional(*t);
}

std::optional<std::string> text_of(const json::value& item, std::string_view member) {
    const auto t = json::find_string(item, member);
    return t ? std::optional<std::string>(*t) : std::nullopt;
}

// The members of a state that only it may have.
result<void> check_members(const reported_transition& t) {
    if (t.suspend_until && t.state != mission_state::suspended)
        return invalid("/suspend_until: only of a mission that is suspended");
    if (t.suspend_until.has_value() != t.expiry_action.has_value())
        return invalid("/on_expiry: goes with suspend_until, and it with this");
    if (t.successor && t.state != mission_state::superseded)
        return invalid("/successor: only of a mission that is superseded");
    return {};
}

bool denies(mission_state s) noexcept {
    return s != mission_state::active;
}

}  // namespace

std::string_view name(report_outcome o) noexcept {
    switch (o) {
        case report_outcome::applied:
            return "applied";
        case report_outcome::repeated:
            return "repeated";
        case report_outcome::waiting:
            return "waiting";
        case report_outcome::late:
            return "late";
        case report_outcome::conflict:
            return "conflict";
        case report_outcome::refused:
            return "refused";
    }
    return "";
}

result<reported_transition> read_transition(const json::value& item,
                                            const authorization_types& types, wall_time now) {
    reported_transition t;
    const auto state = events::parse_state(json::find_string(item, "state").value_or(""));
    if (!state) return invalid("/state: no such state");
    t.state = *state;
    t.version = json::find_int(item, "version").value_or(0);
    if (t.version < 1) return invalid("/version: must be a version");
    const auto committed = time_of(item, "committed_at");
    if (!committed || !*committed) return invalid("/committed_at: not an RFC 3339 date-time");
    t.committed_at = **committed;
    if (t.committed_at > now + limits::iat_ahead_max)
        return invalid("/committed_at: lies in the future");
    for (auto [member, place] :
         {std::pair{"expires_at", &t.expires_at}, std::pair{"suspend_until", &t.suspend_until}}) {
        auto read = time_of(item, member);
        if (!read) return read.error();
        *place = *read;
    }
    if (const auto text = json::find_string(item, "on_expiry")) {
        t.expiry_action = events::parse_on_expiry(*text);
        if (!t.expiry_action) return invalid("/on_expiry: must be resume or revoke");
    }
    t.successor = text_of(item, "successor");
    t.reason = text_of(item, "reason");
    if (auto ok = check_members(t); !ok) return ok.error();
    if (const auto* set = json::find(item, "authorization_details")) {
        if (auto ok = types.check(*set); !ok) return ok.error();
        t.authorization_details = json::write(*set);
    }
    t.missing = json::find_bool(item, "missing").value_or(false);
    json::document bare;
    bare.CopyFrom(item, bare.GetAllocator());
    bare.RemoveMember("missing");
    auto canonical = json::canonical(bare);
    if (!canonical) return invalid("/: " + canonical.error().detail);
    t.content = std::move(*canonical);
    t.hash = jose::base64url_encode(jose::view(jose::sha256(t.content)));
    return t;
}

report_judgement judge_report(const store::mission_state& held, const reported_transition& t,
                              const std::optional<std::string>& known_hash) {
    if (known_hash && *known_hash != t.hash)
        return {report_outcome::conflict, false,
                "version " + std::to_string(t.version) + " was reported with other content"};
    if (t.version <= held.version)
        return {known_hash ? report_outcome::repeated : report_outcome::late, false, {}};
    if (events::is_terminal(held.state))
        return {report_outcome::conflict, false,
                "nothing follows a mission that is " + std::string(events::name(held.state))};
    const bool hole = t.version > held.version + 1;
    if (!hole || t.missing || denies(t.state)) return {report_outcome::applied, hole, {}};
    return {report_outcome::waiting, false, {}};
}

bool repeats_creation(const store::mission_version& first, const json::value& approved,
                      const reported_transition& t) {
    if (t.state != first.state || t.suspend_until || t.successor) return false;
    if (t.expires_at && *t.expires_at != first.expires_at) return false;
    if (!t.authorization_details) return true;
    const auto set = json::parse(*t.authorization_details);
    return set && *set == approved;
}

proposal mirror_transition(const store::mission_state& held, const json::value& in_force,
                           const reported_transition& t, wall_time now) {
    proposal p;
    p.initiating_entity = "system";
    p.action = "mirror.transition";
    p.next = held;
    p.next.state = t.state;
    p.next.version = t.version;
    p.next.suspend_until = t.suspend_until;
    p.next.on_expiry = t.expiry_action;
    p.next.successor = t.successor;
    p.next.reason = t.reason;
    p.next.changed_at = now;
    if (t.expires_at) p.next.expires_at = *t.expires_at;
    bool wider = p.next.expires_at > held.expires_at;
    if (t.authorization_details) {
        const auto set = json::parse(*t.authorization_details);
        if (set && *set != in_force) {
            ++p.next.authority_revision;
            p.authorization_details = *t.authorization_details;
            p.authority_changed = true;
            wider = wider || !check_subset(*set, in_force);
        }
    }
    // A version that leaves the state tells what else it changed; it may be that nothing did.
    const bool held_anew = t.state == mission_state::suspended && !p.authority_changed &&
                           p.next.expires_at == held.expires_at;
    if (t.state == held.state && !held_anew) p.change = wider ? "extended" : "narrowed";
    return p;
}

}  // namespace mission::transmitter
