// What is told of streams: found at start, added, changed, removed.
#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/delivery/notices.hpp"
#include "transmitter/streams/config.hpp"
#include "transmitter/streams/extra.hpp"

namespace mission::transmitter {

namespace {

bool same_transport(const store::stream& a, const store::stream& b) {
    return a.method == b.method && a.endpoint_url == b.endpoint_url &&
           a.sealed_authorization == b.sealed_authorization;
}

}  // namespace

// False when an epoch cannot be read: the stream is left as it was, or out.
bool issuer_delivery::read_config(live_stream& s, store::stream config,
                                  std::vector<store::stream_epoch> epochs) {
    std::sort(epochs.begin(), epochs.end(),
              [](const auto& a, const auto& b) { return a.from_seq < b.from_seq; });
    std::vector<terms_ptr> all;
    for (auto& epoch : epochs) {
        auto terms = read_terms(std::move(epoch), config.stream_id, config.client_id);
        if (!terms) {
            log(level::error, "stream epoch unreadable",
                {{"stream", config.stream_id}, {"reason", terms.error().message()}});
            return false;
        }
        all.push_back(std::move(*terms));
    }
    s.terms = std::move(all);
    s.authorization.clear();
    if (!config.sealed_authorization.empty()) {
        auto opened =
            jose::open_sealed(settings().secrets_key, authorization_context(config.stream_id),
                              config.sealed_authorization);
        if (opened) {
            s.authorization = std::move(*opened);
        } else {
            log(level::error, "authorization header unreadable: the secret key has changed",
                {{"stream", config.stream_id}});
        }
    }
    s.config = std::move(config);
    s.unconfigured = issuer_.find_client(s.config.client_id) == nullptr;
    s.state.quiet = !s.enabled();
    return true;
}

void issuer_delivery::list(live_stream& s) {
    // Signals still to be routed may fall into any epoch that is not over by then.
    std::vector<terms_ptr> open;
    for (std::size_t i = 0; i < s.terms.size(); ++i) {
        const bool over = i + 1 < s.terms.size() && s.terms[i + 1]->epoch.from_seq <= routed_ + 1;
        if (!over) open.push_back(s.terms[i]);
    }
    audiences_.set(s.config.row, s.config.client_id, s.config.default_all, open);
}

void issuer_delivery::adopt(loaded_stream loaded, store::seq_t tail, bool fresh) {
    auto s = std::make_shared<live_stream>();
    const store::stream_row row = loaded.config.row;
    if (!read_config(*s, std::move(loaded.config), std::move(loaded.epochs))) {
        // Nothing is known of what it has settled: R may not pass it.
        ledger_.restore(row, loaded.cursor.open);
        ledger_.note(row, loaded.cursor.acked_seq, false, now().steady);
        return;
    }
    if (s->unconfigured) {
        log(level::warning, "stream not delivered: its client is not configured",
            {{"stream", s->config.stream_id}, {"client", s->config.client_id}});
    }
    delivery_state& state = s->state;
    state.stream = row;
    state.limits = {settings().push.window, settings().ssf.redelivery, settings().ssf.max_stale};
    state.unsettled = window(loaded.cursor.acked_seq);
    ledger_.restore(row, loaded.cursor.open);
    if (s->disabled()) {
        // What waited when it was disabled was dropped; a crash may have come before that was
        // written (I3).
        if (loaded.cursor.acked_seq < extra_number(s->config.extra, "disabled_at").value_or(0)) {
            state.effects.lost.emplace_back("the stream was disabled");
            state.effects.cursor_moved = true;
        }
        state.unsettled.scan_to(routed_);
        s->untold_loss = true;
    } else if (loaded.cursor.acked_seq + 1 < tail) {
        // The log has been cut further than this cursor says: nobody knows what was in there.
        state.unsettled.scan_to(tail - 1);
        state.effects.lost.emplace_back("history before this point is no longer kept");
    }
    s->behind = state.unsettled.scanned() < routed_;
    if (s->behind) behind_.insert(row);
    for (auto& e : loaded.exceptions) {
        if (!e.dead) s->restored_exceptions.emplace(e.seq, std::move(e));
    }
    for (const auto& e : loaded.events)
        state.specials.push_back(special_of(e));
    review_notices(state, s->config.status, paused_by_us(s->config));
    s->restored = std::move(loaded.cursor);
    const auto at = issuer_.common->time->steady_now();
    s->last_heard = at;
    streams_[row] = s;
    list(*s);
    {
        const std::lock_guard lock(shared_);
        published& p = reports_[row];
        p.report.config = s->config;
        p.report.acked_seq = state.unsettled.position();
    }
    const auto interval = settings().ssf.heartbeat;
    if (fresh || !s->push()) {
        // A new stream is told at once that it is complete: until then its receiver denies.
        heartbeats_.set(row, at);
    } else {
        heartbeats_.set(row, at + std::chrono::milliseconds(random().below(
                                      static_cast<std::uint64_t>(interval.count()) + 1)));
    }
    if (const auto limit = settings().ssf.inactivity_timeout) inactivity_.set(row, at + *limit);
    pump(s);
}

void issuer_delivery::stream_added(store::stream s, std::vector<store::stream_epoch> epochs,
                                   store::cursor c) {
    publish_ref(s);
    {
        const std::lock_guard lock(shared_);
        published& p = reports_[s.row];
        p.report.config = s;
        p.report.acked_seq = c.acked_seq;
    }
    loaded_stream one;
    one.config = std::move(s);
    one.epochs = std::move(epochs);
    one.cursor = std::move(c);
    on_strand([one = std::move(one)](issuer_delivery& d) mutable {
        d.adopt(std::move(one), 0, true);
        if (!d.sampling_) d.tick();
    });
}

void issuer_delivery::stream_removed(store::stream_row row) {
    {
        const std::lock_guard lock(shared_);
        if (const auto it = reports_.find(row); it != reports_.end()) {
            refs_.erase(it->second.report.config.stream_id);
            reports_.erase(it);
            waiting_streams_.erase(row);
        } else {
            // One that could not be read at the start.
            std::erase_if(refs_, [&](const auto& ref) { return ref.second.row == row; });
        }
    }
    on_strand([row](issuer_delivery& d) {
        d.ledger_.forget(row);
        const stream_ptr s = d.find(row);
        if (!s) return;
        for (auto& p : s->polls)
            p.respond(error_answer({errc::stream_not_found}));
        s->polls.clear();
        s->wake.reset();
        s->requests.clear();
        d.heartbeats_.remove(row);
        d.inactivity_.remove(row);
        d.audiences_.remove(row);
        d.behind_.erase(row);
        d.dirty_.erase(row);
        d.streams_.erase(row);
        const std::lock_guard lock(d.shared_);
        d.reports_.erase(row);
        d.waiting_streams_.erase(row);
    });
}

void issuer_delivery::stream_changed(delivery::stream_change change) {
    publish_ref(change.stream);
    on_strand([change = std::move(change)](issuer_delivery& d) mutable {
        d.apply_change(std::move(change));
    });
}

void issuer_delivery::apply_change(delivery::stream_change change) {
    const stream_ptr s = find(change.stream.row);
    if (!s) return;  // could not be read at start, and still cannot be trusted
    const store::stream before = s->config;
    const bool same_terms_kept = !s->terms.empty() && !change.epochs.empty() &&
                                 s->newest()->epoch.from_seq == change.epochs.back().from_seq &&
                                 same_terms(s->newest()->epoch, change.epochs.back());
    if (!read_config(*s, std::move(change.stream), std::move(change.epochs))) return;
    // A flush may have raised it further meanwhile, or is about to.
    s->config.continuity = std::max(s->config.continuity, before.continuity);
    if (s->config.continuity != before.continuity) drop_heartbeat(s->state);
    if (!same_transport(before, s->config)) {
        give_up_requests(*s);
        if (s->push()) {
            for (auto& p : s->polls)
                p.respond(poll_answer_json({}, false));
            s->polls.clear();
        }
    }
    list(*s);
    if (change.cursor) move_to(*s, *change.cursor);
    apply_status(*s, before.status, change.events);
    {
        const std::lock_guard lock(shared_);
        if (const auto it = reports_.find(s->config.row); it != reports_.end()) {
            it->second.report.config = s->config;
        }
    }
    const bool again = s->enabled() && before.status != store::stream_status::enabled;
    // An idle poll stream's heartbeat has left the schedule and waits for a poll; with push there
    // is none to come.
    const bool moved = before.method != s->config.method;
    if (again || moved || !same_terms_kept) heartbeats_.set(s->config.row, now().steady);
    pump(s);
}

void issuer_delivery::apply_status(live_stream& s, store::stream_status before,
                                   const std::vector<store::stream_event>& told) {
    const store::stream_row row = s.config.row;
    delivery_state& state = s.state;
    const bool changed = before != s.config.status;
    if (changed) s.pausing = false;
    review_notices(state, s.config.status, paused_by_us(s.config));
    if (changed && s.disabled()) {
        // SSF 1.0 section 8.1.2.1: not transmitted, and not held.
        sync(s);
        // What was committed before it was disabled is still to come here when that was just now,
        // or while the log is caught up with: nobody has looked whether it concerned the stream.
        const bool missed =
            s.behind || routed_ < extra_number(s.config.extra, "disabled_at").value_or(0);
        s.requests.clear();
        ++s.generation;
        drop_everything(state, missed);
        drop_heartbeat(state);
        s.untold_loss = s.untold_loss || !state.effects.lost.empty();
        s.restored_exceptions.clear();
        s.behind = false;
        behind_.erase(row);
        state.unsettled.scan_to(routed_);
    }
    for (const auto& e : told)
        state.specials.push_back(special_of(e));
    review_notices(state, s.config.status, paused_by_us(s.config));
    if (!changed || !s.enabled()) return;
    // It goes on at once, and has all its time again.
    const instant at = now();
    state.receiver.next_try = at.steady;
    state.receiver.held_since = at;
    s.last_heard = at.steady;
    if (const auto limit = settings().ssf.inactivity_timeout)
        inactivity_.set(row, at.steady + *limit);
    if (tells_loss(state)) s.untold_loss = false;
    state.continuity_pending = state.continuity_pending || s.untold_loss;
}

// Somebody's committed decision, or a replay, says where the stream stands.
void issuer_delivery::move_to(live_stream& s, store::cursor c) {
    const store::stream_row row = s.config.row;
    give_up_requests(s);
    s.state.unsettled = window(c.acked_seq);
    s.restored_exceptions.clear();
    ledger_.written(row, c.open);
    s.behind = c.acked_seq < routed_ && !s.disabled();
    if (s.behind) {
        behind_.insert(row);
    } else {
        behind_.erase(row);
    }
    s.restored = std::move(c);
}

void issuer_delivery::give_up_requests(live_stream& s) {
    s.requests.clear();  // cancels
    ++s.generation;
    restart_relation(s.state);
}

void issuer_delivery::subjects_changed(store::stream_row row,
                                       std::vector<store::stream_subject> rows) {
    on_strand([row, rows = std::move(rows)](issuer_delivery& d) {
        if (const stream_ptr s = d.find(row)) s->subjects = true;
        for (auto one : rows) {
            one.stream = row;
            if (!d.subjects_.put(one)) {
                log(level::error, "subject of a stream unreadable",
                    {{"stream", std::to_string(static_cast<std::int64_t>(row))}});
            }
            if (one.remove_at && !one.removed_seq) {
                d.next_removal_ =
                    std::min(d.next_removal_.value_or(*one.remove_at), *one.remove_at);
            }
        }
    });
}

void issuer_delivery::touched(store::stream_row row) {
    on_strand([row](issuer_delivery& d) {
        if (const stream_ptr s = d.find(row)) s->last_heard = d.now().steady;
    });
}

}  // namespace mission::transmitter
