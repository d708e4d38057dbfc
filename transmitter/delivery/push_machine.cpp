#include "transmitter/delivery/push_machine.hpp"

#include <algorithm>

namespace mission::transmitter {

namespace {

bool may_be_pushed(const delivery_state& s, const window_entry& e, steady_time now) {
    return !e.in_flight() && !e.awaiting_probe && e.not_before <= now &&
           s.unsettled.oldest_of_mission(e);
}

bool has_status_to_tell(const delivery_state& s) {
    return std::any_of(s.specials.begin(), s.specials.end(),
                       [](const auto& e) { return e.tells_status; });
}

}  // namespace

outgoing_set outgoing(const window_entry& e, const window_set& set) {
    outgoing_set out;
    out.jti = set.jti;
    out.type = set.type;
    out.signal = e.signal;
    out.terms = e.terms;
    out.form = set.form;
    out.shape = set.shape;
    return out;
}

outgoing_set outgoing(const stream_special& e, terms_ptr terms) {
    outgoing_set out;
    out.jti = e.jti;
    out.type = e.type;
    out.terms = std::move(terms);
    out.event = e.event;
    out.created_at = e.created_at;
    return out;
}

std::vector<outgoing_set> next_pushes(delivery_state& s, const terms_ptr& terms, steady_time now) {
    std::vector<outgoing_set> out;
    relation& r = s.receiver;
    if (s.quiet && !has_status_to_tell(s)) return out;
    // What is under way cannot be called back: the word that nothing more comes is the last one.
    if (s.quiet && !r.held && s.in_flight > 0) return out;
    if (r.held && (!r.probe.empty() || now < r.next_try)) return out;
    const std::size_t room = r.held ? 1 : s.limits.push_window;
    // While held, answers of the old window may still be under way; the probe does not wait for
    // them, a receiver that hangs would delay it.
    const std::size_t occupied = r.held ? 0 : s.in_flight;
    const auto full = [&] { return occupied + out.size() >= room; };

    for (auto& e : s.specials) {
        // wire.md section 1: a requested verification is pushed within a second, whatever the
        // receiver does with the rest. There are few of them (limits::waiting_verifications).
        const bool jumps = !r.held && e.what == stream_special::kind::verification;
        if ((full() && !jumps) || !may_go(s, e, now)) continue;
        e.in_flight = e.offered = true;
        out.push_back(outgoing(e, terms));
    }
    for (auto& [seq, e] : s.unsettled.entries()) {
        if (full() || s.quiet) break;
        if (!may_be_pushed(s, e, now)) continue;
        // Two forms of one signal go one after the other: they are of one mission.
        window_set* set = e.unsettled_set();
        set->in_flight = true;
        e.offered = true;
        out.push_back(outgoing(e, *set));
    }
    s.in_flight += out.size();
    if (r.held && !out.empty()) r.probe = out.front().jti;
    return out;
}

std::optional<steady_time> next_push_time(const delivery_state& s, steady_time now) {
    const relation& r = s.receiver;
    if (s.quiet && !has_status_to_tell(s)) return std::nullopt;
    if (r.held) {
        // A probe under way is answered or times out: an event either way.
        if (!r.probe.empty()) return std::nullopt;
        if (now < r.next_try) return r.next_try;
    }
    std::optional<steady_time> at;
    const auto consider = [&](steady_time t) {
        if (t > now && (!at || t < *at)) at = t;
    };
    for (const auto& e : s.specials) {
        if (!e.in_flight && (!s.quiet || e.tells_status)) consider(e.not_before);
    }
    if (s.quiet) return at;
    for (const auto& [seq, e] : s.unsettled.entries()) {
        if (!e.awaiting_probe) consider(e.not_before);
    }
    return at;
}

}  // namespace mission::transmitter
