// The public header's small functions.
#include <algorithm>

#include "mission_signals/receiver.hpp"

namespace mission_signals {

std::string_view name(standing s) noexcept {
    switch (s) {
        case standing::active:
            return "active";
        case standing::suspended:
            return "suspended";
        case standing::completed:
            return "completed";
        case standing::revoked:
            return "revoked";
        case standing::expired:
            return "expired";
        case standing::superseded:
            return "superseded";
        case standing::cascaded:
            return "cascaded";
        case standing::ended:
            return "ended";
        case standing::unknown:
            return "unknown";
        case standing::stale:
            return "stale";
        case standing::gap:
            return "gap";
    }
    return "unknown";
}

std::string_view answer::reason() const noexcept {
    switch (what) {
        case standing::active:
            return "active";
        case standing::suspended:
            return "mission suspended";
        case standing::completed:
            return "mission completed";
        case standing::revoked:
            return "mission revoked";
        case standing::expired:
            return "mission expired";
        case standing::superseded:
            return "mission superseded by another one";
        case standing::cascaded:
            return "mission ended with its parent";
        case standing::ended:
            return "mission is in a state that is not known here";
        case standing::unknown:
            return "mission unknown";
        case standing::stale:
            return "state is stale: no word from the transmitter in time";
        case standing::gap:
            return "state is in doubt: Mission Status has to be asked first";
    }
    return "mission unknown";
}

std::string_view name(cause c) noexcept {
    switch (c) {
        case cause::none:
            return "none";
        case cause::not_found:
            return "not_found";
        case cause::status_unreachable:
            return "status_unreachable";
        case cause::status_limited:
            return "status_limited";
        case cause::cache_full:
            return "cache_full";
        case cause::timed_out:
            return "timed_out";
    }
    return "none";
}

std::string_view permission::reason() const noexcept {
    if (!now.permitted()) return now.reason();
    switch (authority) {
        case grant::granted:
            return "permitted";
        case grant::not_granted:
            return "the mission's authority does not name this action";
        case grant::not_known:
            return "the mission's authority is not known yet";
    }
    return "the mission's authority is not known yet";
}

permission mission_cache::permits(std::string_view mission_id, std::string_view resource,
                                  std::string_view action) const {
    const auto [now, set] = look(mission_id);
    permission p{now, permission::grant::not_known};
    if (set) {
        p.authority = set->permits(resource, action) ? permission::grant::granted
                                                     : permission::grant::not_granted;
    }
    return p;
}

std::string_view name(effect e) noexcept {
    switch (e) {
        case effect::suspended:
            return "suspended";
        case effect::resumed:
            return "resumed";
        case effect::completed:
            return "completed";
        case effect::revoked:
            return "revoked";
        case effect::expired:
            return "expired";
        case effect::superseded:
            return "superseded";
        case effect::cascaded:
            return "cascaded";
        case effect::ended:
            return "ended";
        case effect::scope_changed:
            return "scope_changed";
        case effect::stale:
            return "stale";
        case effect::fresh:
            return "fresh";
    }
    return "unknown";
}

const std::vector<effect>& terminal_effects() {
    static const std::vector<effect> all = {effect::completed,  effect::revoked,  effect::expired,
                                            effect::superseded, effect::cascaded, effect::ended};
    return all;
}

std::string_view name(outcome_kind k) noexcept {
    switch (k) {
        case outcome_kind::acknowledged:
            return "acknowledged";
        case outcome_kind::failed:
            return "failed";
        case outcome_kind::timed_out:
            return "timed_out";
        case outcome_kind::unknown:
            return "unknown";
    }
    return "unknown";
}

outcome outcome::done(std::string evidence) {
    return {outcome_kind::acknowledged, std::move(evidence)};
}

outcome outcome::failed(std::string why) {
    return {outcome_kind::failed, std::move(why)};
}

namespace {

// "invoices.*" covers "invoices.read" and "invoices.lines.read"; "*" covers everything.
bool covers(std::string_view granted, std::string_view action) noexcept {
    if (granted == action || granted == "*") return true;
    if (granted.size() < 2 || !granted.ends_with(".*")) return false;
    const auto prefix = granted.substr(0, granted.size() - 1);  // with the dot
    return action.size() > prefix.size() && action.starts_with(prefix);
}

}  // namespace

bool authority::permits(std::string_view resource, std::string_view action) const noexcept {
    return std::any_of(entries.begin(), entries.end(), [&](const authority_entry& e) {
        return e.resource == resource &&
               std::any_of(e.actions.begin(), e.actions.end(),
                           [&](const std::string& granted) { return covers(granted, action); });
    });
}

}  // namespace mission_signals
