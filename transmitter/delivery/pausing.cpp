// Streams that we pause ourselves: the relation stayed bad, or the receiver is silent.
//
// SSF 1.0 section 8.1.5: it is told by stream-updated, which goes although the stream is paused.
// When the receiver or an operator enables the stream again it goes on where it stopped.
#include "events/set.hpp"
#include "jose/digest.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/streams/config.hpp"
#include "transmitter/streams/extra.hpp"

namespace mission::transmitter {

void issuer_delivery::pause(const stream_ptr& s, std::string reason) {
    if (s->pausing || !s->enabled()) return;
    s->pausing = true;
    reason = cut_utf8(reason, limits::reason_bytes);
    struct work {
        delivery::stream_change change;
        store::stream_event told;
    };
    auto w = std::make_shared<work>();
    w->told.stream = s->config.row;
    w->told.jti = jose::random_id(18, random());
    w->told.type = events::stream_updated_type;
    w->told.event = events::to_json(events::stream_updated{"paused", reason});
    w->told.created_at = now().wall;
    db().submit(
        [w, reason, id = issuer_.id, stream_id = s->config.stream_id, row = s->config.row](
            const store::rows& rows, wall_time) -> result<store::changes> {
            auto present = rows.find_stream(id, stream_id);
            if (!present || present->row != row) return error{errc::stream_not_found};
            if (present->status != store::stream_status::enabled)
                return error{errc::stream_conflict, "no longer enabled"};
            present->status = store::stream_status::paused;
            present->status_reason = reason;
            present->extra = with_extra(present->extra, "paused_by", "transmitter");
            store::changes out;
            out.updated_streams.push_back(*present);
            out.stream_events.push_back(w->told);
            w->change = {};
            w->change.stream = std::move(*present);
            w->change.epochs = rows.epochs(row);
            w->change.events = {w->told};
            return out;
        },
        [self = shared_from_this(), s, w, reason](const result<store::receipt>& receipt) {
            if (receipt) {
                ++self->count_.paused;
                log(level::warning, "stream paused",
                    {{"stream", s->config.stream_id}, {"reason", reason}});
                self->stream_changed(std::move(w->change));
                return;
            }
            // Somebody else's change came first, or the store cannot be written: the next failure
            // or tick asks again.
            self->on_strand([s](issuer_delivery&) { s->pausing = false; });
        });
}

void issuer_delivery::inactive(const stream_ptr& s) {
    const auto limit = settings().ssf.inactivity_timeout;
    if (!limit || !s->enabled()) return;  // scheduled again when it is enabled
    const steady_time at = now().steady;
    if (!s->polls.empty()) s->last_heard = at;  // it is listening
    if (s->last_heard + *limit > at) {
        inactivity_.set(s->config.row, s->last_heard + *limit);
        return;
    }
    inactivity_.set(s->config.row, at + *limit);
    pause(s, "inactivity");
}

}  // namespace mission::transmitter
