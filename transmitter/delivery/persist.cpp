// What delivery makes durable: cursors, exceptions, raised continuity; and the trimming of the log.
//
// Batched: everything that was settled within flush_delay is one transaction, and one flush runs at
// a time. A crash before it only means redelivery under the same jti.
#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/delivery/hold.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/delivery/notices.hpp"

namespace mission::transmitter {

void issuer_delivery::mark_dirty(const live_stream& s) {
    dirty_[s.config.row] = true;
    if (!flushing_ && !flush_timer_) arm_flush(limits::flush_delay);
}

void issuer_delivery::arm_flush(std::chrono::milliseconds delay) {
    flush_timer_ = after(delay, [](issuer_delivery& d) { d.flush(); });
}

store::stream_event issuer_delivery::stream_updated_event(const live_stream& s,
                                                          std::string reason) {
    store::stream_event e;
    e.stream = s.config.row;
    e.jti = jose::random_id(18, random());
    e.type = events::stream_updated_type;
    e.event = events::to_json(
        events::stream_updated{std::string(store::name(s.config.status)), std::move(reason)});
    e.created_at = now().wall;
    return e;
}

std::optional<issuer_delivery::flush_item> issuer_delivery::collect_stream(live_stream& s) {
    const store::stream_row row = s.config.row;
    sync(s);
    note_position(s);
    const bool to_tell = s.untold_loss && s.enabled();
    if (!s.state.effects.durable() && !to_tell && !ledger_.to_close(row)) return std::nullopt;
    flush_item item;
    item.row = row;
    item.stream_id = s.config.stream_id;
    item.effects = std::exchange(s.state.effects, {});
    if (item.effects.cursor_moved || ledger_.to_close(row)) {
        // An idle stream stands where R does: no row of its own is written.
        if (const auto open = ledger_.begin_write(row)) {
            item.cursor = s.state.unsettled.cursor(row);
            item.cursor->open = *open;
        }
    }
    if (!item.effects.lost.empty()) {
        s.state.continuity_pending = true;
        // Nobody is told while the stream is disabled; a stream-updated that has not left yet tells
        // of this as well.
        if (s.disabled()) {
            s.untold_loss = true;
        } else if (!tells_loss(s.state)) {
            item.announcement =
                stream_updated_event(s, std::string(loss_reason) + ": " + item.effects.lost.back());
        }
    } else if (to_tell) {
        s.state.continuity_pending = true;
        item.announcement =
            stream_updated_event(s, std::string(loss_reason) + " while the stream was disabled");
    }
    return item;
}

issuer_delivery::flush_batch issuer_delivery::collect(bool everything) {
    flush_batch batch;
    if (everything) {
        for (const auto row : ledger_.working_rows()) {
            const stream_ptr s = find(row);
            if (!s) continue;
            s->state.effects.cursor_moved = true;
            dirty_[row] = true;
        }
    }
    for (const auto& [row, unused] : std::exchange(dirty_, {})) {
        const stream_ptr s = find(row);
        if (!s) continue;
        if (auto item = collect_stream(*s)) batch.items.push_back(std::move(*item));
    }
    routed_dirty_ = false;
    // After begin_write() of everything that this transaction opens.
    const store::seq_t limit = ledger_.routed_limit(routed_);
    if (limit > routed_written_) batch.routed = limit;
    return batch;
}

// Pure and repeatable: what the decision finds out (continuity) it overwrites at each run.
result<store::changes> issuer_delivery::flush_decision(flush_batch& batch, store::issuer_id issuer,
                                                       const store::rows& rows) {
    store::changes out;
    for (auto& item : batch.items) {
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
        if (item.announcement) out.stream_events.push_back(*item.announcement);
        if (item.effects.lost.empty()) continue;
        // I3: in the transaction that moves the cursor past what is dropped.
        store::stream raised = *row;
        item.continuity = ++raised.continuity;
        out.updated_streams.push_back(std::move(raised));
    }
    if (batch.routed > 0) out.routed.emplace_back(issuer, batch.routed);
    return out;
}

void issuer_delivery::flush() {
    flush_timer_.reset();
    if (flushing_) return;
    auto batch = std::make_shared<flush_batch>(collect());
    if (batch->empty()) return;
    flushing_ = true;
    db().submit([batch, id = issuer_.id](const store::rows& rows,
                                         wall_time) { return flush_decision(*batch, id, rows); },
                [self = shared_from_this(), batch](const result<store::receipt>& receipt) {
                    result<void> outcome;
                    if (!receipt) outcome = receipt.error();
                    self->on_strand([batch, outcome](issuer_delivery& d) {
                        d.on_flushed(std::move(*batch), outcome);
                    });
                });
}

void issuer_delivery::on_flushed(flush_batch batch, const result<void>& outcome) {
    flushing_ = false;
    if (outcome) routed_written_ = std::max(routed_written_, batch.routed);
    for (auto& item : batch.items) {
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
            e.cursor_moved = e.cursor_moved || item.effects.cursor_moved || item.cursor;
            put_back(e.exceptions, item.effects.exceptions);
            put_back(e.settled_exceptions, item.effects.settled_exceptions);
            put_back(e.settled_events, item.effects.settled_events);
            put_back(e.lost, item.effects.lost);
            if (item.cursor) ledger_.failed(item.row);
            dirty_[item.row] = true;
            continue;
        }
        if (!item.effects.lost.empty()) {
            s->config.continuity = std::max(s->config.continuity, item.continuity);
            drop_heartbeat(state);
            heartbeats_.set(item.row, now().steady);
        }
        if (item.announcement) {
            s->untold_loss = false;
            state.specials.push_back(special_of(*item.announcement));
        }
        if (!s->untold_loss) state.continuity_pending = false;
        pump(s);
    }
    if (!outcome) {
        routed_dirty_ = true;
        log(level::warning, "cursors not written", {{"reason", outcome.error().message()}});
    }
    if (dirty_.empty() && !routed_dirty_) return;
    if (!flush_timer_) arm_flush(outcome ? limits::flush_delay : limits::flush_retry);
}

// Looks for what the hold limits say about the log, on a reader thread.
void issuer_delivery::trim() {
    trim_timer_ = after(trim_interval_, [](issuer_delivery& d) { d.trim(); });
    struct found {
        store::seq_t head = 0, tail = 1, last_too_old = 0;
    };
    auto out = std::make_shared<found>();
    const wall_time oldest = now().wall - settings().ssf.hold_days;
    db().read(
        [out, oldest](const store::rows& rows) {
            out->head = rows.head();
            out->tail = rows.tail();
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
            self->on_strand([out](issuer_delivery& d) {
                d.on_trim_limits(out->head, out->tail, out->last_too_old);
            });
        });
}

void issuer_delivery::on_trim_limits(store::seq_t head, store::seq_t tail,
                                     store::seq_t last_too_old) {
    const store::seq_t limit = hold_limit(head, settings().ssf.hold_signals, last_too_old);
    for (const auto row : ledger_.working_rows()) {
        const stream_ptr s = find(row);
        if (!s || s->state.unsettled.position() >= limit) continue;
        if (overrun(s->state, limit)) {
            log(level::warning, "signals dropped: held too long",
                {{"stream", s->config.stream_id}});
        }
        pump(s);
    }
    // Who has worked for long gets a cursor of its own, and no longer holds R back.
    for (const auto row : ledger_.holding_back(now().steady, trim_interval_)) {
        const stream_ptr s = find(row);
        if (!s) continue;
        s->state.effects.cursor_moved = true;
        mark_dirty(*s);
    }
    // Signals that concerned nobody move R here, so that the log can be cut behind them.
    routed_dirty_ = routed_dirty_ || routed_ > routed_written_;
    if (routed_dirty_ && !flushing_ && !flush_timer_) arm_flush(limits::flush_delay);
    subjects_.sweep([this](store::stream_row row) { return !streams_.contains(row); }, tail);
    cut_log();
}

// The log belongs to all issuers: the first one cuts it, behind everything that anybody's durable
// rows may still ask for (position_ledger.hpp).
void issuer_delivery::cut_log() {
    if (all_issuers_.empty() || all_issuers_.front() != issuer_.id) return;
    auto until = std::make_shared<store::seq_t>(0);
    db().read(
        [until, issuers = all_issuers_](const store::rows& rows) {
            std::vector<store::seq_t> positions;
            for (const auto issuer : issuers) {
                positions.push_back(rows.routed_seq(issuer));
                for (const auto& c : rows.open_cursors(issuer))
                    positions.push_back(c.acked_seq);
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
