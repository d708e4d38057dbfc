// What time makes due: samples of the log for heartbeats, requested verifications, the end of
// grace for removed subjects, the look at streams whose receivers are silent.
#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/delivery/notices.hpp"

namespace mission::transmitter {

void issuer_delivery::tick() {
    tick_timer_ = after(tick_interval_, [](issuer_delivery& d) { d.tick(); });
    remove_due_subjects();
    for (const auto row : inactivity_.take_due(now().steady)) {
        if (const auto s = find(row)) inactive(s);
    }
    if (sampling_ || streams_.empty()) return;
    sampling_ = true;
    auto sample = std::make_shared<log_sample>();
    db().submit(
        [sample](const store::rows& rows, wall_time at) -> result<store::changes> {
            *sample = sample_of(at, rows.head(), rows.oldest_cascade());
            return store::changes{};
        },
        [self = shared_from_this(), sample](const result<store::receipt>& receipt) {
            const bool ok = receipt.has_value();
            self->on_strand([sample, ok](issuer_delivery& d) {
                d.sampling_ = false;
                // Without a sample nothing is claimed: receivers become stale, as they should.
                if (ok) d.on_sample(*sample);
            });
        });
}

void issuer_delivery::on_sample(log_sample sample) {
    sample_ = sample;
    // What a sample has seen, the listener has told by the next one; if not, the log has it.
    head_ = std::max(head_, sampled_head_);
    sampled_head_ = sample.head;
    if (routed_ < head_) catch_up();
    const std::vector<store::stream_row> behind(behind_.begin(), behind_.end());
    for (const auto row : behind) {
        if (const auto s = find(row)) load_if_behind(s);
    }
    for (const auto row : heartbeats_.take_due(now().steady)) {
        if (const auto s = find(row)) heartbeat_due(s);
    }
}

void issuer_delivery::heartbeat_due(const stream_ptr& s) {
    if (!s->enabled() || !sample_) {
        heartbeats_.set(s->config.row, now().steady + settings().ssf.heartbeat);
        return;
    }
    if (!s->push() && s->polls.empty()) {
        s->wants_heartbeat = true;  // an idle poll stream gets its own when it polls
        return;
    }
    s->wants_heartbeat = false;
    const instant at = now();
    make_heartbeat(s->state, *sample_, s->config.continuity, issuer_.common->log_epoch, at.wall,
                   random());
    ++count_.heartbeats;
    heartbeats_.set(s->config.row, at.steady + settings().ssf.heartbeat);
    pump(s);
}

void issuer_delivery::verify(store::stream_row row, std::optional<std::string> state,
                             std::function<void(result<void>)> done) {
    on_strand([row, state = std::move(state), done = std::move(done)](issuer_delivery& d) {
        const stream_ptr s = d.find(row);
        if (!s || !s->newest()) return done(error{errc::stream_not_found});
        // Each is kept until it is settled, and a receiver that takes nothing settles nothing.
        if (s->state.specials.size() + s->verifying >= limits::waiting_verifications)
            return done(error{errc::verification_too_soon});
        ++s->verifying;
        const auto& delivered = s->newest()->epoch.events_delivered;
        // wire.md section 1: the drafts read it as the proof of what was committed before.
        const bool proves = std::find(delivered.begin(), delivered.end(),
                                      events::lifecycle_change_type) != delivered.end();
        events::verification body;
        body.state = state;
        auto event = std::make_shared<store::stream_event>();
        event->stream = row;
        event->jti = jose::random_id(18, d.random());
        event->type = events::verification_type;
        event->event = events::to_json(body);
        event->created_at = d.now().wall;
        d.db().submit(
            [event, proves, id = d.issuer_.id, stream_id = s->config.stream_id](
                const store::rows& rows, wall_time) -> result<store::changes> {
                if (!rows.find_stream(id, stream_id)) return error{errc::stream_not_found};
                event->after_seq = proves ? rows.head() : 0;
                store::changes out;
                out.stream_events.push_back(*event);
                return out;
            },
            [self = d.shared_from_this(), s, event, done](const result<store::receipt>& receipt) {
                self->on_strand([s, event, written = receipt.has_value()](issuer_delivery& again) {
                    --s->verifying;
                    if (!written) return;
                    verification_requested(s->state, special_of(*event), again.now());
                    ++again.count_.verifications;
                    again.pump(s);
                });
                done(receipt ? result<void>() : result<void>(receipt.error()));
            });
    });
}

// SSF 1.0 section 9.3: what a receiver has removed is delivered for a while longer. The rows say
// until when, so a restart goes on with what is due.
void issuer_delivery::remove_due_subjects() {
    constexpr std::size_t at_once = 1000;
    if (removing_ || !next_removal_ || *next_removal_ > now().wall) return;
    removing_ = true;
    next_removal_.reset();  // what is told from here on is looked at again
    struct found {
        std::vector<store::stream_subject> rows;
        std::optional<wall_time> next;
    };
    auto due = std::make_shared<found>();
    db().submit(
        [due, id = issuer_.id](const store::rows& rows, wall_time at) -> result<store::changes> {
            *due = {};
            store::changes out;
            // One more than is taken says when to come again.
            auto all = rows.due_subject_removals(id, wall_time::max(), at_once + 1);
            for (auto& row : all) {
                if (!row.remove_at) continue;
                if (*row.remove_at > at || due->rows.size() == at_once) {
                    due->next = row.remove_at;
                    break;
                }
                row.removed_seq = rows.head() + 1;
                row.remove_at.reset();
                due->rows.push_back(row);
            }
            out.subjects = due->rows;
            return out;
        },
        [self = shared_from_this(), due](const result<store::receipt>& receipt) {
            const bool ok = receipt.has_value();
            self->on_strand([due, ok](issuer_delivery& d) {
                d.removing_ = false;
                const auto next =
                    ok ? due->next : std::optional(d.now().wall);  // tried again at the next tick
                if (next) d.next_removal_ = std::min(d.next_removal_.value_or(*next), *next);
                if (!ok) return;
                for (const auto& row : due->rows)
                    d.subjects_.put(row);
            });
        });
}

}  // namespace mission::transmitter
