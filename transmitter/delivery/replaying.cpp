// Replay: an operator has a stream told again what it has settled. The same claims under the same
// jti, because a SET is a function of the signal, the epoch and the form (I4).
#include <algorithm>

#include "transmitter/delivery/cursor.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"

namespace mission::transmitter {

struct issuer_delivery::replay_job {
    stream_ptr s;
    delivery::replay_request what;
    std::function<void(result<std::size_t>)> done;
    store::seq_t next = 0, until = 0;   // of a range: what is still to be counted
    std::vector<store::seq_t> matched;  // of single ones: what concerned the stream
    std::size_t settled = 0;            // goes again
};

void issuer_delivery::replay(store::stream_row row, delivery::replay_request what,
                             std::function<void(result<std::size_t>)> done) {
    strand_->post(
        [self = shared_from_this(), row, what = std::move(what), done = std::move(done)]() mutable {
            if (self->stopped_) return done(error{errc::unavailable});
            const stream_ptr s = self->find(row);
            if (!s) return done(error{errc::stream_not_found});
            if (s->disabled())
                return done(error{errc::stream_not_enabled, "nothing is held there"});
            auto job = std::make_shared<replay_job>();
            job->s = s;
            std::sort(what.only.begin(), what.only.end());
            what.only.erase(std::unique(what.only.begin(), what.only.end()), what.only.end());
            job->what = std::move(what);
            job->done = std::move(done);
            job->next = std::max<store::seq_t>(job->what.from, 1);
            job->until = self->routed_;
            self->count_replayed(std::move(job));
        });
}

// Page by page: the reading elsewhere, the matching here.
void issuer_delivery::count_replayed(std::shared_ptr<replay_job> job) {
    auto page = std::make_shared<std::vector<store::signal>>();
    const bool range = job->what.from > 0;
    db().read(
        [page, job, range](const store::rows& rows) {
            page->clear();
            if (range) {
                *page = rows.signals(job->next - 1, job->until, limits::load_page);
                return;
            }
            for (const auto seq : job->what.only) {
                if (seq < 1 || seq > job->until) continue;
                for (auto& one : rows.signals(seq - 1, seq, 1))
                    page->push_back(std::move(one));
            }
        },
        [self = shared_from_this(), page, job, range](const result<void>& read) {
            if (!read) return job->done(read.error());
            self->strand_->post([self, page, job, range] {
                live_stream& s = *job->s;
                if (self->stopped_) return job->done(error{errc::unavailable});
                if (self->find(s.config.row) != job->s)
                    return job->done(error{errc::stream_not_found});
                self->sync(s);
                const window& w = s.state.unsettled;
                const bool more = range && page->size() == limits::load_page;
                if (more) job->next = page->back().seq + 1;
                const auto shared =
                    std::make_shared<const std::vector<store::signal>>(std::move(*page));
                for (const auto& row : *shared) {
                    const terms_ptr terms = terms_at(s.terms, row.seq);
                    if (row.issuer != self->issuer_.id || !terms || row.seq > w.scanned()) continue;
                    const auto signal =
                        self->read_row(std::shared_ptr<const store::signal>(shared, &row));
                    if (!signal) continue;
                    const bool wanted =
                        self->interested_in(s, *terms, self->about(row, signal), row.seq);
                    const auto m =
                        match_signal(*signal, *terms, wanted, self->settings().event_type_base);
                    if (m.forms.empty()) continue;
                    if (w.entries().find(row.seq) == w.entries().end()) ++job->settled;
                    if (!range) job->matched.push_back(row.seq);
                }
                if (more) return self->count_replayed(job);
                self->rewind(job);
            });
        });
}

void issuer_delivery::rewind(const std::shared_ptr<replay_job>& job) {
    live_stream& s = *job->s;
    if (job->settled == 0) return job->done(std::size_t{0});
    if (s.disabled()) return job->done(error{errc::stream_not_enabled, "nothing is held there"});
    const store::stream_row row = s.config.row;
    const window& w = s.state.unsettled;
    std::vector<store::seq_t> open;
    store::seq_t looked_at = w.scanned();
    if (job->what.from > 0) {
        looked_at = std::min(looked_at, job->what.from - 1);
        for (const auto& [seq, e] : w.entries()) {
            if (seq <= looked_at) open.push_back(seq);
        }
    } else {
        open = job->matched;
        for (const auto& [seq, e] : w.entries())
            open.push_back(seq);
        std::sort(open.begin(), open.end());
        open.erase(std::unique(open.begin(), open.end()), open.end());
    }
    auto cursor = std::make_shared<store::cursor>(make_cursor(row, open, looked_at));
    cursor->open = true;
    const store::seq_t from = job->what.from;
    move_to(s, *cursor);
    // Until a flush has written it too the stream holds R back (position_ledger.hpp).
    ledger_.failed(row);
    s.state.effects.cursor_moved = true;
    count_.replayed += job->settled;
    db().submit(
        [cursor, from, only = job->matched, id = issuer_.id, stream_id = s.config.stream_id](
            const store::rows& rows, wall_time) -> result<store::changes> {
            const auto present = rows.find_stream(id, stream_id);
            if (!present || present->row != cursor->stream) return error{errc::stream_not_found};
            store::changes out;
            out.cursors.push_back(*cursor);
            for (const auto& e : rows.exceptions(cursor->stream)) {
                const bool again =
                    from > 0 ? e.seq >= from : std::binary_search(only.begin(), only.end(), e.seq);
                if (again) out.settled_exceptions.emplace_back(cursor->stream, e.seq);
            }
            return out;
        },
        [job](const result<store::receipt>& receipt) {
            if (!receipt) return job->done(receipt.error());
            job->done(job->settled);
        });
    pump(job->s);
}

}  // namespace mission::transmitter
