// What delivery makes durable: cursors, exceptions, raised continuity; and the trimming of the log.
//
// Batched: everything that was settled within flush_delay is one transaction, and one flush runs at
// a time. A crash before it only means redelivery under the same jti.
#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/delivery/hold.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"

namespace mission::transmitter {

void issuer_delivery::mark_dirty(const live_stream& s) {
    dirty_[s.config.row] = true;
    if (!flushing_ && !flush_timer_) arm_flush(limits::flush_delay);
}

void issuer_delivery::arm_flush(std::chrono::milliseconds delay) {
    flush_timer_ = after(delay, [](issuer_delivery& d) { d.flush(); });
}

std::vector<issuer_delivery::flush_item> issuer_delivery::collect() {
    std::vector<flush_item> items;
    for (const auto& [row, unused] : dirty_) {
        const stream_ptr s = find(row);
        if (!s || !s->state.effects.durable()) continue;
        flush_item item;
        item.row = row;
        item.stream_id = s->config.stream_id;
        item.effects = std::exchange(s->state.effects, {});
        if (item.effects.cursor_moved) {
            item.cursor = s->state.unsettled.cursor(row);
            s->written = item.cursor->acked_seq;
        }
        if (!item.effects.lost.empty()) {
            s->state.continuity_pending = true;
            // A stream-updated that has not left yet tells of this as well.
            const bool told =
                std::any_of(s->state.specials.begin(), s->state.specials.end(), [](const auto& e) {
                    return e.what == stream_special::kind::stream_updated && !e.offered;
                });
            if (!told) {
                store::stream_event e;
                e.stream = row;
                e.jti = jose::random_id(18, random());
                e.type = events::stream_updated_type;
                e.event = events::to_json(events::stream_updated{
                    "enabled", "events were dropped: " + item.effects.lost.back()});
                e.created_at = now().wall;
                item.announcement = std::move(e);
            }
        }
        items.push_back(std::move(item));
    }
    dirty_.clear();
    return items;
}

// Pure and repeatable: what the decision finds out (continuity) it overwrites at each run.
result<store::changes> issuer_delivery::flush_decision(std::vector<flush_item>& items,
                                                       store::issuer_id issuer,
                                                       const store::rows& rows) {
    store::changes out;
    for (auto& item : items) {
        const auto row = rows.find_stream(issuer, item.stream_id);
        if (!row || row->row != item.row) continue;  // removed meanwhile
        if (item.cursor) out.cursors.push_back(*item.cursor);
        for (const auto& e : item.effects.exceptions)
            out.exceptions.push_back(e);
        for (const auto seq : item.effects.settled_exceptions) {
            out.settled_exceptions.emplace_back(item.row, seq);
        }
        for (const auto& jti : item.effects.settled_events) {
            out.settled_stream_events.emplace_back(item.row, jti);
        }
        if (item.effects.lost.empty()) continue;
        // I3: in the transaction that moves the cursor past what is dropped.
        store::stream raised = *row;
        item.continuity = ++raised.continuity;
        out.updated_streams.push_back(std::move(raised));
        if (item.announcement) out.stream_events.push_back(*item.announcement);
    }
    return out;
}

void issuer_delivery::flush() {
    flush_timer_.reset();
    if (flushing_) return;
    auto items = std::make_shared<std::vector<flush_item>>(collect());
    if (items->empty()) return;
    flushing_ = true;
    db().submit([items, id = issuer_.id](const store::rows& rows,
                                         wall_time) { return flush_decision(*items, id, rows); },
                [self = shared_from_this(), items](const result<store::receipt>& receipt) {
                    result<void> outcome;
                    if (!receipt) outcome = receipt.error();
                    self->on_strand([items, outcome](issuer_delivery& d) {
                        d.on_flushed(std::move(*items), outcome);
                    });
                });
}

void issuer_delivery::on_flushed(std::vector<flush_item> items, const result<void>& outcome) {
    flushing_ = false;
    for (auto& item : items) {
        const stream_ptr s = find(item.row);
        if (!s) continue;
        delivery_state& state = s->state;
        if (!outcome) {
            // Put back in front of what has come since; `cursor` is computed anew.
            delivery_effects& e = state.effects;
            const auto put_back = [](auto& into, auto& from) {
                into.insert(into.begin(), std::make_move_iterator(from.begin()),
                            std::make_move_iterator(from.end()));
            };
            e.cursor_moved = e.cursor_moved || item.effects.cursor_moved;
            put_back(e.exceptions, item.effects.exceptions);
            put_back(e.settled_exceptions, item.effects.settled_exceptions);
            put_back(e.settled_events, item.effects.settled_events);
            put_back(e.lost, item.effects.lost);
            dirty_[item.row] = true;
            continue;
        }
        if (!item.effects.lost.empty()) {
            s->config.continuity = std::max(s->config.continuity, item.continuity);
            state.continuity_pending = false;
            drop_heartbeat(state);
            if (item.announcement) {
                stream_special told;
                told.what = stream_special::kind::stream_updated;
                told.jti = item.announcement->jti;
                told.type = item.announcement->type;
                told.event = item.announcement->event;
                told.created_at = item.announcement->created_at;
                told.stored = true;
                state.specials.push_back(std::move(told));
            }
            heartbeats_.set(item.row, now().steady);
        }
        pump(s);
    }
    if (dirty_.empty()) return;
    if (!outcome) {
        log(level::warning, "cursors not written", {{"reason", outcome.error().message()}});
    }
    if (!flush_timer_) arm_flush(outcome ? limits::flush_delay : limits::flush_retry);
}

// Looks for what the hold limits say about the log, on a reader thread.
void issuer_delivery::trim() {
    trim_timer_ = after(trim_interval_, [](issuer_delivery& d) { d.trim(); });
    struct found {
        store::seq_t head = 0, last_too_old = 0;
    };
    auto out = std::make_shared<found>();
    const wall_time oldest = now().wall - settings().ssf.hold_days;
    db().read(
        [out, oldest](const store::rows& rows) {
            out->head = rows.head();
            // Commit times ascend with seq: a binary search for the first one young enough.
            store::seq_t low = rows.tail(), high = out->head + 1;
            while (low < high) {
                const store::seq_t middle = low + (high - low) / 2;
                const auto one = rows.signals(middle - 1, middle, 1);
                if (!one.empty() && one.front().committed_at < oldest) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            out->last_too_old = low - 1;
        },
        [self = shared_from_this(), out](const result<void>& read) {
            if (!read) return;
            self->on_strand(
                [out](issuer_delivery& d) { d.on_trim_limits(out->head, out->last_too_old); });
        });
}

void issuer_delivery::on_trim_limits(store::seq_t head, store::seq_t last_too_old) {
    const store::seq_t limit = hold_limit(head, settings().ssf.hold_signals, last_too_old);
    std::vector<stream_ptr> all;
    for (const auto& [row, s] : streams_)
        all.push_back(s);
    for (const auto& s : all) {
        if (overrun(s->state, limit)) {
            log(level::warning, "signals dropped: held too long",
                {{"stream", s->config.stream_id}});
        }
        // Idle streams write their cursor only here, so that the log can be cut behind them.
        if (s->state.unsettled.position() > s->written) s->state.effects.cursor_moved = true;
        pump(s);
    }
    // The log belongs to all issuers: the first one cuts it, behind everybody's durable cursor.
    if (all_issuers_.empty() || all_issuers_.front() != issuer_.id) return;
    auto until = std::make_shared<store::seq_t>(0);
    db().read(
        [until, issuers = all_issuers_](const store::rows& rows) {
            std::vector<store::seq_t> positions;
            for (const auto issuer : issuers) {
                for (const auto& s : rows.streams(issuer)) {
                    positions.push_back(
                        rows.find_cursor(s.row).value_or(store::cursor{}).acked_seq);
                }
            }
            *until = trim_limit(rows.head(), positions);
            if (*until < rows.tail()) *until = 0;
        },
        [self = shared_from_this(), until](const result<void>& read) {
            if (!read || *until == 0) return;
            self->db().trim(*until, [](const result<void>& trimmed) {
                if (trimmed) return;
                log(level::warning, "log not trimmed", {{"reason", trimmed.error().message()}});
            });
        });
}

}  // namespace mission::transmitter
