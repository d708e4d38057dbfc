#include "transmitter/delivery/poll_select.hpp"

#include <algorithm>

#include "transmitter/delivery/classify.hpp"

namespace mission::transmitter {

std::size_t apply_acks(delivery_state& s, const std::vector<std::string>& acks, instant now) {
    std::size_t known = 0;
    for (const auto& jti : acks) {
        if (accepted(s, jti, now)) ++known;
    }
    return known;
}

void apply_set_errors(delivery_state& s, const std::vector<set_error_report>& errors, instant now,
                      random_source& random) {
    for (const auto& e : errors) {
        if (classify_error_code(e.err) == verdict::set_rejected) {
            rejected(s, e.jti, e.err, e.description, now, random);
        } else {
            const std::string reason = e.description.empty() ? e.err : e.err + ": " + e.description;
            relation_failed(s, e.jti, reason, std::nullopt, now, random);
        }
    }
}

poll_selection select_for_poll(delivery_state& s, std::size_t max_events, const terms_ptr& terms,
                               bool log_has_more, steady_time now) {
    poll_selection out;
    if (max_events == 0) return out;  // only acks
    relation& r = s.receiver;
    if (r.held && now < r.next_try) {
        out.next = r.next_try;
        return out;
    }
    // A receiver that could not use its SETs is asked with one before it gets the rest.
    const std::size_t room = r.held ? 1 : std::min(max_events, limits::poll_max_events);
    const auto wait_for = [&](steady_time t) {
        if (t > now && (!out.next || t < *out.next)) out.next = t;
    };

    for (auto& e : s.specials) {
        if (!may_go(s, e, now)) {
            if (!s.quiet || e.tells_status) wait_for(e.not_before);
            continue;
        }
        if (out.sets.size() == room) {
            out.more_available = true;
            break;
        }
        e.offered = true;
        e.not_before = now + s.limits.redelivery;
        out.sets.push_back(outgoing(e, terms));
    }
    for (auto& [seq, e] : s.unsettled.entries()) {
        if (s.quiet) break;
        if (e.awaiting_probe) continue;
        if (!s.unsettled.oldest_of_mission(e)) {
            // Its turn comes as soon as this answer's version of the mission is acknowledged.
            out.more_available = out.more_available || !out.sets.empty();
            continue;
        }
        if (e.not_before > now) {
            wait_for(e.not_before);
            continue;
        }
        bool whole = true;
        for (auto& set : e.sets) {
            if (set.settled) continue;
            if (out.sets.size() == room) {
                whole = false;
                break;
            }
            out.sets.push_back(outgoing(e, set));
            e.offered = true;
        }
        if (!whole) {
            // With one of two forms offered the other follows once that is acknowledged.
            out.more_available = true;
            const bool some = !out.sets.empty() && out.sets.back().signal == e.signal;
            if (some) e.not_before = now + s.limits.redelivery;
            break;
        }
        e.not_before = now + s.limits.redelivery;
    }
    if (out.sets.empty()) {
        out.more_available = false;
        return out;
    }
    out.next.reset();
    out.more_available = out.more_available || (log_has_more && !s.quiet);
    if (r.held) r.next_try = now + s.limits.redelivery;
    return out;
}

}  // namespace mission::transmitter
