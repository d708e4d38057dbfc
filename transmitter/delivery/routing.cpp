// From the log to the windows of the streams that match, and to no other.
//
//      commit --> route: candidates by audience and by subject --> consider: terms, filter, forms
//                                                                     |
//      the log --> load, for a stream that is behind -----------------+--> window
#include <algorithm>

#include "transmitter/delivery/cursor.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {

void issuer_delivery::committed(std::shared_ptr<const std::vector<store::signal>> batch) {
    if (!batch || batch->empty()) return;
    on_strand([batch = std::move(batch)](issuer_delivery& d) { d.on_committed(batch); });
}

void issuer_delivery::on_committed(const std::shared_ptr<const std::vector<store::signal>>& batch) {
    head_ = std::max(head_, batch->back().seq);
    if (!started_ || batch->back().seq <= routed_) return;
    if (catching_up_ || batch->front().seq > routed_ + 1) return catch_up();
    route(batch, batch->back().seq);
}

// At start, and should ever a batch be missed: the log has what was committed.
void issuer_delivery::catch_up() {
    if (catching_up_ || !started_ || routed_ >= head_) return;
    catching_up_ = true;
    const store::seq_t from = routed_, until = head_;
    auto page = std::make_shared<std::vector<store::signal>>();
    db().read(
        [page, from, until](const store::rows& rows) {
            *page = rows.signals(from, until, limits::load_page);
        },
        [self = shared_from_this(), page, until](const result<void>& read) {
            const bool ok = read.has_value();
            self->on_strand([page, until, ok](issuer_delivery& d) {
                d.catching_up_ = false;
                if (!ok) return;  // asked again at the next commit or tick
                const bool whole = page->size() < limits::load_page;
                const store::seq_t last = whole ? until : page->back().seq;
                d.route(std::make_shared<const std::vector<store::signal>>(std::move(*page)), last);
                d.catch_up();
            });
        });
}

void issuer_delivery::route(const std::shared_ptr<const std::vector<store::signal>>& page,
                            store::seq_t until) {
    for (const auto& row : *page) {
        if (row.seq <= routed_) continue;
        if (row.issuer == issuer_.id)
            route_signal(std::shared_ptr<const store::signal>(page, &row));
        routed_ = row.seq;
    }
    routed_ = std::max(routed_, until);
    published_routed_ = routed_;
    std::vector<store::stream_row> due = std::exchange(touched_, {});
    while (!waiting_for_.empty() && waiting_for_.begin()->first <= routed_) {
        due.push_back(waiting_for_.begin()->second);
        waiting_for_.erase(waiting_for_.begin());
    }
    std::sort(due.begin(), due.end());
    due.erase(std::unique(due.begin(), due.end()), due.end());
    for (const auto row : due) {
        if (const auto s = find(row)) pump(s);
    }
}

signal_subjects issuer_delivery::about(const store::signal& row, const routed_ptr& event) const {
    if (subjects_.empty()) return {};
    if (row.kind == store::signal_kind::mission) {
        return subjects_of(row.keys, issuer_.settings.url, subjects_.hasher());
    }
    return event ? subjects_of(event->subject, subjects_.hasher()) : signal_subjects{};
}

// `event`: an emitted event, read; null when it cannot be.
std::vector<store::stream_row> issuer_delivery::candidates_of(const store::signal& row,
                                                              const routed_ptr& event,
                                                              const signal_subjects& about) const {
    std::vector<store::stream_row> out;
    if (row.kind == store::signal_kind::mission) {
        out = audiences_.concerned(row.keys);
    } else if (!event) {
        return audiences_.beside_missions();  // to whom it was addressed nobody knows
    } else if (event->emitted.audience) {
        for (const auto& client : *event->emitted.audience) {
            const auto streams = audiences_.of_client(client);
            out.insert(out.end(), streams.begin(), streams.end());
        }
        return out;
    } else {
        out = audiences_.delivered(event->emitted.type);
    }
    const auto followers = subjects_.candidates(about, row.seq);
    out.insert(out.end(), followers.begin(), followers.end());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

routed_ptr issuer_delivery::read_row(const std::shared_ptr<const store::signal>& row) {
    auto read = read_signal(row);
    if (read) return std::move(*read);
    ++count_.unreadable;
    log(level::error, "signal unreadable",
        {{"seq", std::to_string(row->seq)}, {"reason", read.error().message()}});
    return nullptr;
}

void issuer_delivery::route_signal(const std::shared_ptr<const store::signal>& row) {
    // A mission's body is read when somebody has room for it, and once, however many have.
    const bool is_event = row->kind == store::signal_kind::event;
    routed_ptr signal = is_event ? read_row(row) : nullptr;
    const signal_subjects what = about(*row, signal);
    const auto candidates = candidates_of(*row, signal, what);
    bool read = is_event;
    for (const auto stream : candidates) {
        const auto it = streams_.find(stream);
        if (it == streams_.end()) continue;
        live_stream& s = *it->second;
        if (s.behind || s.disabled() || row->seq <= s.state.unsettled.scanned()) continue;
        sync(s);
        if (s.state.unsettled.full()) {
            fall_behind(s);
            continue;
        }
        if (!std::exchange(read, true)) signal = read_row(row);
        if (signal) {
            consider(s, signal, what);
            touched_.push_back(stream);
        } else {
            lose_unreadable(s, *row, what);
        }
    }
}

bool issuer_delivery::interested_in(const live_stream& s, const stream_terms& terms,
                                    const signal_subjects& about, store::seq_t seq) const {
    if (!s.subjects) return interested_by_default(s.config);
    const auto opinion = subjects_.ask(s.config.row, about, terms.visibility, seq);
    return interested(s.config.default_all, opinion.included, opinion.excluded);
}

// What does not fit stays in the log, and is read when there is room (I6).
void issuer_delivery::fall_behind(live_stream& s) {
    s.behind = true;
    behind_.insert(s.config.row);
    touched_.push_back(s.config.row);
}

// I3: nobody can say what it was, so nobody may take itself for complete.
void issuer_delivery::lose_unreadable(live_stream& s, const store::signal& row,
                                      const signal_subjects& about) {
    const terms_ptr terms = terms_at(s.terms, row.seq);
    if (!terms || is_settled(s.restored, row.seq)) return;
    if (row.kind == store::signal_kind::mission &&
        (!may_know(terms->epoch.aud, terms->visibility.missions, row.keys) ||
         !interested_in(s, *terms, about, row.seq))) {
        return;
    }
    s.state.effects.lost.emplace_back("a signal could not be read");
    s.state.effects.cursor_moved = true;
    touched_.push_back(s.config.row);
}

void issuer_delivery::consider(live_stream& s, const routed_ptr& signal,
                               const signal_subjects& about) {
    const store::seq_t seq = signal->row->seq;
    if (is_settled(s.restored, seq)) return;
    const terms_ptr terms = terms_at(s.terms, seq);
    if (!terms) return;
    match m = match_signal(*signal, *terms, interested_in(s, *terms, about, seq),
                           settings().event_type_base);
    if (m.withheld) {
        s.state.effects.lost.emplace_back("a change of authority was withheld");
        s.state.effects.cursor_moved = true;
    }
    if (m.forms.empty()) return;
    window_entry e;
    e.seq = seq;
    e.signal = signal;
    e.terms = terms;
    for (auto& planned : m.forms) {
        window_set set;
        set.form = planned.form;
        set.shape = planned.shape;
        set.jti = jti_(s.config.stream_id, seq, planned.type);
        set.type = std::move(planned.type);
        e.sets.push_back(std::move(set));
    }
    if (const auto it = s.restored_exceptions.find(seq); it != s.restored_exceptions.end()) {
        // What was rejected before a restart has its tries behind it, but not its accuser's
        // credit: whether others were accepted meanwhile is found out anew.
        e.rejections = std::min(it->second.attempts, limits::dead_letter_tries - 1);
        e.first_rejected = now().steady;
        e.rejected_since = it->second.since;
        e.err = it->second.err;
        e.description = it->second.description;
        s.restored_exceptions.erase(it);
    }
    ++count_.matched;
    admit(s.state, std::move(e), now());
}

void issuer_delivery::load_if_behind(const stream_ptr& s) {
    window& w = s->state.unsettled;
    if (!s->behind || s->loading) return;
    if (w.scanned() >= routed_) {
        s->behind = false;
        behind_.erase(s->config.row);
        note_position(*s);
        return;
    }
    if (w.size() > limits::stream_window / 2) return;
    s->loading = true;
    const store::seq_t from = w.scanned(), until = routed_;
    auto page = std::make_shared<std::vector<store::signal>>();
    db().read(
        [page, from, until](const store::rows& rows) {
            *page = rows.signals(from, until, limits::load_page);
        },
        [self = shared_from_this(), s, page, from, until](const result<void>& read) {
            if (!read) page->clear();
            const bool ok = read.has_value();
            self->on_strand([s, page, from, until, ok](issuer_delivery& d) {
                s->loading = false;
                if (!ok) return;  // asked again at the next tick
                d.on_loaded(s, from, until, std::move(*page));
            });
        });
}

void issuer_delivery::on_loaded(const stream_ptr& s, store::seq_t after, store::seq_t until,
                                std::vector<store::signal> signals) {
    if (find(s->config.row) != s || !s->behind) return;
    window& w = s->state.unsettled;
    // Moved meanwhile: the hold limit has passed it, or a replay.
    if (w.scanned() != after) return pump(s);
    const bool whole = signals.size() < limits::load_page;
    const auto batch = std::make_shared<const std::vector<store::signal>>(std::move(signals));
    for (const auto& row : *batch) {
        if (w.full()) break;
        if (row.issuer == issuer_.id) {
            const routed_ptr signal = read_row(std::shared_ptr<const store::signal>(batch, &row));
            const signal_subjects what = about(row, signal);
            if (signal) {
                consider(*s, signal, what);
            } else {
                lose_unreadable(*s, row, what);
            }
        }
        w.scan_to(row.seq);
    }
    if (whole && !w.full()) w.scan_to(until);
    touched_.clear();
    pump(s);
}

// A stream that follows has looked at all that was routed: what it did not get did not concern it.
void issuer_delivery::sync(live_stream& s) {
    if (!s.behind) s.state.unsettled.scan_to(routed_);
}

void issuer_delivery::note_position(live_stream& s) {
    const store::stream_row row = s.config.row;
    const bool idle = !s.behind && s.state.unsettled.empty();
    const bool worked = ledger_.working(row);
    ledger_.note(row, s.state.unsettled.position(), idle, now().steady);
    if (worked && idle) {
        routed_dirty_ = true;
        if (!flushing_ && !flush_timer_) arm_flush(limits::flush_delay);
    }
}

void issuer_delivery::pump(const stream_ptr& s) {
    load_if_behind(s);
    sync(*s);
    if (s->push()) {
        push_due(s);
    } else {
        serve_waiting(s);
    }
    note_position(*s);
    const store::stream_row row = s->config.row;
    const bool to_tell = s->untold_loss && s->enabled();
    if (s->state.effects.durable() || to_tell || ledger_.to_close(row)) mark_dirty(*s);
    // What proves completeness waits until that much has been routed, and no signal of its own may
    // come to wake it.
    for (const auto& e : s->state.specials) {
        if (e.after_seq > routed_) waiting_for_.emplace(e.after_seq, row);
    }
    publish(*s);
}

}  // namespace mission::transmitter
