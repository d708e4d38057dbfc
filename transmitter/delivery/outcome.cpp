#include "transmitter/delivery/outcome.hpp"

#include <algorithm>
#include <utility>

#include "events/mission_event.hpp"
#include "jose/digest.hpp"
#include "transmitter/delivery/backoff.hpp"
#include "transmitter/streams/members.hpp"

namespace mission::transmitter {

namespace {

store::exception exception_of(const delivery_state& s, const window_entry& e, bool dead,
                              instant now) {
    store::exception out;
    out.stream = s.stream;
    out.seq = e.seq;
    out.dead = dead;
    out.attempts = e.rejections;
    out.err = e.err;
    out.description = e.description;
    out.since = e.rejected_since;
    out.last = now.wall;
    return out;
}

void stop_awaiting(delivery_state& s, window_entry& e) {
    if (!e.awaiting_probe) return;
    e.awaiting_probe = false;
    --s.awaiting_probe;
}

// The entry is taken from the stream by a declared rule: recorded, and continuity raised (I3).
void bury(delivery_state& s, window_entry& e, std::string_view why, instant now) {
    stop_awaiting(s, e);
    store::exception record = exception_of(s, e, true, now);
    record.description.insert(0, std::string(why).append(": "));
    record.description = cut_utf8(record.description, 1024);
    s.effects.exceptions.push_back(std::move(record));
    s.effects.lost.emplace_back(why);
    ++s.effects.dead;
    s.effects.cursor_moved = true;
    s.unsettled.erase(e.seq);
}

// Another SET was accepted: what has used up its tries is bad itself.
void bury_the_awaiting(delivery_state& s, instant now) {
    if (s.awaiting_probe == 0) return;
    std::vector<store::seq_t> dead;
    for (const auto& [seq, e] : s.unsettled.entries()) {
        if (e.awaiting_probe) dead.push_back(seq);
    }
    for (const auto seq : dead) {
        bury(s, *s.unsettled.find(seq), "the receiver refuses this event", now);
    }
}

// The probe failed: the fault lies with the relation, the SETs get all their tries again.
void forgive_the_awaiting(delivery_state& s, instant now) {
    if (s.awaiting_probe == 0) return;
    for (auto& [seq, e] : s.unsettled.entries()) {
        if (!e.awaiting_probe) continue;
        stop_awaiting(s, e);
        e.rejections = 0;
        e.not_before = now.steady;
    }
}

void ensure_probe(delivery_state& s, instant now, random_source& random) {
    const bool there = std::any_of(s.specials.begin(), s.specials.end(), [](const auto& e) {
        return e.what == stream_special::kind::probe;
    });
    if (there) return;
    stream_special probe;
    probe.what = stream_special::kind::probe;
    probe.jti = jose::random_id(18, random);
    probe.type = events::verification_type;
    probe.event = "{}";
    probe.created_at = now.wall;
    s.specials.push_back(std::move(probe));
}

void remove_special(delivery_state& s, std::string_view jti) {
    std::erase_if(s.specials, [&](const stream_special& e) {
        if (e.jti != jti) return false;
        if (e.stored) s.effects.settled_events.push_back(e.jti);
        return true;
    });
}

// Push: the request that carried it is over.
void landed(delivery_state& s, bool& in_flight) {
    if (!in_flight) return;
    in_flight = false;
    --s.in_flight;
}

void note_failure(delivery_state& s, std::string reason, instant now) {
    s.receiver.last_failure = now.wall;
    s.receiver.last_failure_reason = std::move(reason);
    ++s.effects.failed;
}

// The SET that was to show whether the relation is well again was judged by itself: not yet the
// end of the hold, the next one follows at the relation's own pace.
void probe_judged(delivery_state& s, std::string_view jti, instant now, random_source& random) {
    relation& r = s.receiver;
    if (!r.held || r.probe != jti) return;
    r.probe.clear();
    r.next_try = now.steady + backoff(++r.failures, random);
}

void reject_special(delivery_state& s, stream_special& e, const std::string& reason, instant now,
                    random_source& random) {
    using kind = stream_special::kind;
    landed(s, e.in_flight);
    const std::string jti = e.jti;
    if (e.what != kind::probe) probe_judged(s, jti, now, random);
    switch (e.what) {
        case kind::probe:
            relation_failed(s, jti, "the probe was refused: " + reason, std::nullopt, now, random);
            return;
        case kind::heartbeat:
            remove_special(s, jti);  // the next one carries more
            return;
        case kind::verification:
        case kind::stream_updated:
            if (++e.rejections >= limits::dead_letter_tries) {
                remove_special(s, jti);
            } else {
                e.not_before = now.steady + rejection_gap(e.rejections, s.limits.max_stale);
            }
            return;
    }
}

}  // namespace

stream_special* delivery_state::find_special(std::string_view jti) noexcept {
    for (auto& e : specials) {
        if (e.jti == jti) return &e;
    }
    return nullptr;
}

void admit(delivery_state& s, window_entry e, instant now) {
    window_entry* before = s.unsettled.oldest(e.mission());
    const bool stands_rejected =
        before != nullptr && before->rejections > 0 && !before->in_flight();
    const store::seq_t earlier = stands_rejected ? before->seq : 0;
    s.unsettled.add(std::move(e));
    if (stands_rejected) {
        bury(s, *s.unsettled.find(earlier), "superseded by a later version", now);
    }
}

bool accepted(delivery_state& s, std::string_view jti, instant now) {
    const auto [e, set] = s.unsettled.find(jti);
    stream_special* special = e == nullptr ? s.find_special(jti) : nullptr;
    if (e == nullptr && special == nullptr) return false;
    s.receiver.held = false;
    s.receiver.failures = 0;
    s.receiver.probe.clear();
    s.receiver.last_accepted = now.steady;
    s.receiver.last_success = now.wall;
    if (e != nullptr) {
        landed(s, set->in_flight);
        if (e->rejections > 0) s.effects.settled_exceptions.push_back(e->seq);
        stop_awaiting(s, *e);
        e->not_before = {};
        ++s.effects.delivered;
        if (s.unsettled.settle(jti)) s.effects.cursor_moved = true;
    } else {
        landed(s, special->in_flight);
        remove_special(s, std::string(jti));
    }
    bury_the_awaiting(s, now);
    return true;
}

void rejected(delivery_state& s, std::string_view jti, std::string err, std::string description,
              instant now, random_source& random) {
    const std::string reason = description.empty() ? err : err + ": " + description;
    if (stream_special* special = s.find_special(jti)) {
        note_failure(s, reason, now);
        reject_special(s, *special, reason, now, random);
        return;
    }
    const auto [e, set] = s.unsettled.find(jti);
    if (e == nullptr) return;
    note_failure(s, reason, now);
    landed(s, set->in_flight);
    probe_judged(s, jti, now, random);
    if (e->rejections++ == 0) {
        e->first_rejected = now.steady;
        e->rejected_since = now.wall;
    }
    e->err = std::move(err);
    e->description = std::move(description);
    if (s.unsettled.has_later_version(*e)) {
        bury(s, *e, "superseded by a later version", now);
        return;
    }
    if (e->rejections < limits::dead_letter_tries) {
        s.effects.exceptions.push_back(exception_of(s, *e, false, now));
        e->not_before = now.steady + rejection_gap(e->rejections, s.limits.max_stale);
    } else if (s.receiver.last_accepted > e->first_rejected) {
        bury(s, *e, "the receiver refuses this event", now);
    } else {
        s.effects.exceptions.push_back(exception_of(s, *e, false, now));
        if (!e->awaiting_probe) {
            e->awaiting_probe = true;
            ++s.awaiting_probe;
        }
        ensure_probe(s, now, random);
    }
}

void relation_failed(delivery_state& s, std::string_view jti, std::string reason,
                     std::optional<std::chrono::milliseconds> retry_after, instant now,
                     random_source& random) {
    relation& r = s.receiver;
    const bool was_probe = r.probe == jti;
    if (stream_special* special = s.find_special(jti)) {
        landed(s, special->in_flight);
        special->not_before = {};
        if (special->what == stream_special::kind::probe) {
            remove_special(s, std::string(jti));
            forgive_the_awaiting(s, now);
        }
    } else if (const auto [e, set] = s.unsettled.find(jti); e != nullptr) {
        landed(s, set->in_flight);
        e->not_before = {};
    } else {
        return;
    }
    note_failure(s, reason, now);
    // Of the many requests that fail together only the first counts as a failure of the relation.
    if (!r.held || was_probe) {
        r.probe.clear();
        ++r.failures;
        r.next_try = now.steady + std::max(backoff(r.failures, random),
                                           retry_after.value_or(std::chrono::milliseconds{0}));
    }
    if (!r.held) r.held_since = now;
    r.held = true;
    r.reason = std::move(reason);
}

void not_sent(delivery_state& s, std::string_view jti) {
    if (s.receiver.probe == jti) s.receiver.probe.clear();
    if (stream_special* special = s.find_special(jti)) {
        landed(s, special->in_flight);
        special->not_before = {};
        special->offered = false;
    } else if (const auto [e, set] = s.unsettled.find(jti); e != nullptr) {
        landed(s, set->in_flight);
        e->not_before = {};
    }
}

void verification_requested(delivery_state& s, stream_special e, instant now) {
    relation& r = s.receiver;
    // Before the stream's other events, or one of them would be the one SET that is tried.
    const auto others = std::find_if(s.specials.begin(), s.specials.end(), [](const auto& one) {
        return one.what != stream_special::kind::verification;
    });
    s.specials.insert(others, std::move(e));
    if (r.held) r.next_try = std::min(r.next_try, now.steady);
}

void restart_relation(delivery_state& s) {
    for (auto& [seq, e] : s.unsettled.entries()) {
        for (auto& set : e.sets)
            set.in_flight = false;
        e.not_before = {};
        e.awaiting_probe = false;
        if (e.rejections > 0) s.effects.settled_exceptions.push_back(seq);
        e.rejections = 0;
    }
    std::erase_if(s.specials,
                  [](const stream_special& e) { return e.what == stream_special::kind::probe; });
    for (auto& e : s.specials) {
        e.in_flight = false;
        e.not_before = {};
        e.rejections = 0;
    }
    s.in_flight = s.awaiting_probe = 0;
    const relation before = std::exchange(s.receiver, {});
    s.receiver.last_success = before.last_success;
    s.receiver.last_failure = before.last_failure;
    s.receiver.last_failure_reason = before.last_failure_reason;
}

void drop_everything(delivery_state& s, bool behind) {
    std::vector<store::seq_t> all;
    for (const auto& [seq, e] : s.unsettled.entries()) {
        all.push_back(seq);
        if (e.rejections > 0) s.effects.settled_exceptions.push_back(seq);
    }
    for (const auto seq : all)
        s.unsettled.erase(seq);
    std::erase_if(s.specials, [&](const stream_special& e) {
        if (e.tells_status) return false;
        if (e.stored) s.effects.settled_events.push_back(e.jti);
        return true;
    });
    restart_relation(s);
    s.effects.cursor_moved = true;
    if (behind || !all.empty()) s.effects.lost.emplace_back("the stream was disabled");
}

bool given_up(const delivery_state& s, std::chrono::milliseconds pause_after, instant now) {
    const relation& r = s.receiver;
    return r.held && !s.quiet && now.steady - r.held_since.steady >= pause_after;
}

bool may_go(const delivery_state& s, const stream_special& e, steady_time now) {
    if (s.quiet && !e.tells_status) return false;
    if (e.in_flight || e.not_before > now) return false;
    if (e.after_seq > s.unsettled.position()) return false;
    if (e.what != stream_special::kind::heartbeat) return true;
    // wire.md section 1: before the first heartbeat after a raised `continuity` goes a
    // stream-updated that says so.
    return !s.continuity_pending && s.effects.lost.empty() &&
           std::none_of(s.specials.begin(), s.specials.end(), [](const auto& other) {
               return other.what == stream_special::kind::stream_updated;
           });
}

}  // namespace mission::transmitter
