#include "receiver/cache/apply.hpp"

#include <algorithm>

namespace mission::receiver {

using ms::effect;
using ms::standing;

standing standing_of(std::string_view state) noexcept {
    const auto known = events::parse_state(state);
    if (!known) return standing::ended;
    switch (*known) {
        case events::mission_state::active:
            return standing::active;
        case events::mission_state::suspended:
            return standing::suspended;
        case events::mission_state::completed:
            return standing::completed;
        case events::mission_state::revoked:
            return standing::revoked;
        case events::mission_state::expired:
            return standing::expired;
        case events::mission_state::superseded:
            return standing::superseded;
        case events::mission_state::cascaded:
            return standing::cascaded;
    }
    return standing::ended;
}

standing told(const record& r) noexcept {
    if (r.version == 0 || r.not_found) return standing::unknown;
    const auto own = standing_of(r.state);
    if (ms::is_terminal(own)) return own;
    if (!r.denied_as.empty()) return standing_of(r.denied_as);
    if (own == standing::suspended) return own;
    return r.gap || r.authority_needed > 0 ? standing::gap : standing::active;
}

namespace {

// A terminal state we know the name of admits no transition (status draft "Legal Transitions").
bool is_over(const record& r) noexcept {
    if (r.version == 0) return false;
    const auto s = standing_of(r.state);
    return ms::is_terminal(s) && s != standing::ended;
}

}  // namespace

std::optional<effect> ended_effect(standing s) noexcept {
    switch (s) {
        case standing::completed:
            return effect::completed;
        case standing::revoked:
            return effect::revoked;
        case standing::expired:
            return effect::expired;
        case standing::superseded:
            return effect::superseded;
        case standing::cascaded:
            return effect::cascaded;
        case standing::ended:
            return effect::ended;
        case standing::active:
        case standing::suspended:
        case standing::unknown:
        case standing::stale:
        case standing::gap:
            return std::nullopt;
    }
    return std::nullopt;
}

namespace {

// What the step from one told state to the next means for those who hold something.
std::optional<effect> effect_between(const record& before, const record& next, bool authority) {
    const auto to = standing_of(next.state);
    const auto from = before.version == 0 ? standing::unknown : standing_of(before.state);
    if (ms::is_terminal(to)) return from == to ? std::nullopt : ended_effect(to);
    if (to == standing::suspended) {
        if (from != standing::suspended) return effect::suspended;
    } else if (from == standing::suspended) {
        // Not from `ended`: what was torn down is not resumed.
        return effect::resumed;
    }
    if (authority && from == to) return effect::scope_changed;
    return std::nullopt;
}

bool same_epoch(const record& before, const std::string& log_epoch) noexcept {
    return before.version == 0 || before.log_epoch.empty() || log_epoch.empty() ||
           before.log_epoch == log_epoch;
}

}  // namespace

applied apply_event(const record& before, const events::mission_change& c) {
    applied out;
    out.next = before;
    auto& next = out.next;

    if (!same_epoch(before, c.log_epoch)) {
        // Versions of another history cannot be compared: the denial holds, Status decides.
        next.gap = true;
        if (c.state != "active") next.denied_as = c.state;
        out.changed = next != before;
        out.ask_status = true;
        out.note = "the event belongs to another log_epoch";
        return out;
    }
    if (c.version <= before.version) return out;
    if (is_over(before) && c.state != before.state) {
        out.note = "refused: " + c.state + " after " + before.state;
        return out;
    }

    const bool in_order = c.version == before.version + 1;  // also the first: 1 after 0
    // Sooner than readers know of: told them at once, like every narrowing.
    if (before.expires_at && c.expires_at < *before.expires_at) out.narrows = true;
    next.version = c.version;
    next.state = c.state;
    if (!c.log_epoch.empty()) next.log_epoch = c.log_epoch;
    next.committed_at = c.committed_at;
    next.expires_at = c.expires_at;
    next.suspend_until = c.suspend_until;
    next.successor = c.successor.value_or("");
    next.reason = c.reason.value_or("");
    const bool over = is_over(next);

    if (!in_order || before.not_found) {
        next.gap = !over;
        out.note = "gap: version " + std::to_string(c.version) + " after " +
                   std::to_string(before.version);
    }
    next.not_found = false;
    // Status's word was about another state; how long this one may be relied on the stream says.
    if (c.state != "active") next.fresh_until.reset();
    if (c.authority_changed) {
        if (in_order && c.authorization_details) {
            next.authority = c.authorization_details;
            next.authority_version = c.version;
            next.authority_needed = 0;
            out.narrows = out.narrows || c.change == "narrowed";
        } else if (!over) {
            next.authority.reset();
            next.authority_needed = c.version;
        }
    } else if (!in_order) {
        // It may have changed in what was missed.
        next.authority.reset();
    }
    out.changed = true;
    out.confirms = in_order && !before.gap && !before.not_found;
    out.ask_status = next.gap || next.authority_needed > 0;
    out.effect = effect_between(before, next, c.authority_changed || c.change.has_value());
    return out;
}

applied apply_status(const record& before, const status_word& s) {
    applied out;
    out.next = before;
    auto& next = out.next;
    const bool same = same_epoch(before, s.log_epoch);
    if (same && s.version < before.version) {
        // Nothing but another log_epoch lowers a version (wire.md section 5).
        out.ask_status = true;
        out.note = "the status is older than what is known";
        return out;
    }
    if (same && is_over(before) && s.state != before.state) {
        out.note = "refused: " + s.state + " after " + before.state;
        return out;
    }
    const bool repeated = same && before.version != 0 && s.version == before.version;
    if (repeated && s.state == "active" && before.state != s.state) {
        // One version has one state: of two the one that denies is believed.
        out.ask_status = true;
        out.note = "the status has another state for a version that is known";
        return out;
    }
    if (s.committed_at || s.version != before.version || !same) next.committed_at = s.committed_at;
    next.version = s.version;
    next.state = s.state;
    if (!s.log_epoch.empty()) next.log_epoch = s.log_epoch;
    if (s.expires_at) next.expires_at = s.expires_at;
    next.suspend_until = s.suspend_until;
    next.successor = s.successor;
    // Of two answers about one version, in whatever order they come, each stands by its word.
    next.fresh_until = s.fresh_until;
    if (repeated && s.fresh_until && before.fresh_until) {
        next.fresh_until = std::max(*s.fresh_until, *before.fresh_until);
    }
    next.gap = false;
    next.not_found = false;
    next.denied_as.clear();
    const bool authority_changed = s.authority && before.authority != s.authority;
    if (s.authority) {
        next.authority = s.authority;
        next.authority_version = s.version;
    } else if (s.version > before.version || !same) {
        next.authority.reset();
    }
    if (s.version >= before.authority_needed || !same) next.authority_needed = 0;
    out.changed = true;
    out.confirms = true;
    // A changed set is news to handlers only when there was another one before.
    out.effect = effect_between(before, next,
                                authority_changed && (before.authority || before.authority_needed));
    return out;
}

applied apply_not_found(const record& before) {
    applied out;
    out.next = before;
    if (before.version == 0 || before.not_found || is_over(before)) return out;
    out.next.not_found = true;
    out.next.fresh_until.reset();
    out.changed = true;
    out.note = "Status no longer knows this mission";
    return out;
}

}  // namespace mission::receiver
