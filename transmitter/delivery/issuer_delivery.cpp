// Streams, the log, heartbeats and what others may ask: the strand's bookkeeping.
#include "transmitter/delivery/issuer_delivery.hpp"

#include <algorithm>
#include <future>

#include "jose/digest.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/delivery/cursor.hpp"
#include "transmitter/missions/visibility.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

namespace {

// One sample serves all heartbeats of a tick; it ages by at most a tick.
std::chrono::milliseconds tick_of(std::chrono::milliseconds heartbeat) {
    return std::clamp<std::chrono::milliseconds>(heartbeat / 10, std::chrono::milliseconds{50},
                                                 std::chrono::milliseconds{1000});
}

// How often the hold limits are looked at: they are coarse, and idle streams write their cursors
// then.
std::chrono::milliseconds trim_of(std::chrono::milliseconds heartbeat) {
    return std::clamp<std::chrono::milliseconds>(heartbeat * 10, std::chrono::seconds{1},
                                                 std::chrono::seconds{10});
}

stream_special special_of(const store::stream_event& row) {
    stream_special out;
    out.what = row.type == events::stream_updated_type ? stream_special::kind::stream_updated
                                                       : stream_special::kind::verification;
    out.jti = row.jti;
    out.type = row.type;
    out.event = row.event;
    out.after_seq = row.after_seq;
    out.created_at = row.created_at;
    out.stored = true;
    return out;
}

}  // namespace

issuer_delivery::issuer_delivery(issuer_service& issuer)
    : issuer_(issuer),
      strand_(issuer.common->runtime->make_strand()),
      jti_(issuer.common->settings.secrets_key, issuer.common->log_epoch),
      tick_interval_(tick_of(issuer.common->settings.ssf.heartbeat)),
      trim_interval_(trim_of(issuer.common->settings.ssf.heartbeat)) {}

result<void> issuer_delivery::start() {
    if (const auto made = make_client(); !made) return made.error();
    for (const auto& other : settings().issuers) {
        const auto id = db().add_issuer(other.url);
        if (!id) return id.error();
        all_issuers_.push_back(*id);
    }
    std::vector<loaded_stream> loaded;
    store::seq_t head = 0, tail = 1;
    const auto read = db().read_now([&](const store::rows& rows) {
        loaded.clear();
        head = rows.head();
        tail = rows.tail();
        for (auto& s : rows.streams(issuer_.id)) {
            loaded_stream one;
            one.epochs = rows.epochs(s.row);
            one.cursor = rows.find_cursor(s.row).value_or(store::cursor{});
            one.exceptions = rows.exceptions(s.row);
            one.events = rows.stream_events(s.row);
            one.config = std::move(s);
            loaded.push_back(std::move(one));
        }
    });
    if (!read) return read.error();
    {
        const std::lock_guard lock(shared_);
        for (const auto& one : loaded) {
            refs_[one.config.stream_id] = {one.config.row, one.config.client_id, one.config.status,
                                           one.config.method};
        }
    }
    std::promise<void> ready;
    strand_->post([&, self = shared_from_this()] {
        head_ = std::max(head_, head);
        for (auto& one : loaded)
            adopt(std::move(one), tail, false);
        tick();
        trim_timer_ = after(trim_interval_, [](issuer_delivery& d) { d.trim(); });
        ready.set_value();
    });
    ready.get_future().wait();
    return {};
}

void issuer_delivery::stop() {
    if (stop_called_.exchange(true)) return;
    auto done = std::make_shared<std::promise<void>>();
    auto future = done->get_future();
    strand_->post([self = shared_from_this(), done] {
        if (self->stopped_) return done->set_value();
        self->stopped_ = true;
        for (auto& [row, s] : self->streams_) {
            for (auto& p : s->polls)
                p.respond(poll_answer_json({}, false));
            s->polls.clear();
            s->wake.reset();
            s->requests.clear();  // cancels: what is unacknowledged is still in the store
        }
        self->tick_timer_.reset();
        self->flush_timer_.reset();
        self->trim_timer_.reset();
        auto items = std::make_shared<std::vector<flush_item>>(self->collect());
        self->streams_.clear();
        if (items->empty()) return done->set_value();
        self->db().submit(
            [items, id = self->issuer_.id](const store::rows& rows, wall_time) {
                return flush_decision(*items, id, rows);
            },
            [done](const result<store::receipt>&) { done->set_value(); });
    });
    // A runtime that has stopped already runs nothing: then there is nothing to wait for, and a
    // cursor that is not written only means redelivery.
    future.wait_for(limits::stop_grace);
    if (client_) client_->stop();
}

issuer_delivery::stream_ptr issuer_delivery::find(store::stream_row row) const {
    const auto it = streams_.find(row);
    return it == streams_.end() ? nullptr : it->second;
}

const jose::signer& issuer_delivery::signer_for(const stream_terms& terms) const {
    return issuer_.keys->set_signer(jose::parse_alg(terms.epoch.alg).value_or(jose::alg::es256));
}

void issuer_delivery::adopt(loaded_stream loaded, store::seq_t tail, bool fresh) {
    auto s = std::make_shared<live_stream>();
    const store::stream_row row = loaded.config.row;
    std::sort(loaded.epochs.begin(), loaded.epochs.end(),
              [](const auto& a, const auto& b) { return a.from_seq < b.from_seq; });
    for (auto& epoch : loaded.epochs) {
        auto terms = read_terms(std::move(epoch), loaded.config.stream_id);
        if (!terms) {
            log(level::error, "stream epoch unreadable",
                {{"stream", loaded.config.stream_id}, {"reason", terms.error().message()}});
            return;
        }
        s->terms.push_back(std::move(*terms));
    }
    if (!loaded.config.sealed_authorization.empty()) {
        auto opened = jose::open_sealed(settings().secrets_key,
                                        authorization_context(loaded.config.stream_id),
                                        loaded.config.sealed_authorization);
        if (opened) {
            s->authorization = std::move(*opened);
        } else {
            log(level::error, "authorization header unreadable: the secret key has changed",
                {{"stream", loaded.config.stream_id}});
        }
    }
    delivery_state& state = s->state;
    state.stream = row;
    state.limits = {settings().push.window, settings().ssf.redelivery, settings().ssf.max_stale};
    state.unsettled = window(loaded.cursor.acked_seq);
    if (loaded.cursor.acked_seq + 1 < tail) {
        // The log has been cut further than this cursor says: nobody knows what was in there.
        state.unsettled.scan_to(tail - 1);
        state.effects.lost.emplace_back("history before this point is no longer kept");
    }
    for (auto& e : loaded.exceptions) {
        if (!e.dead) s->restored_exceptions.emplace(e.seq, std::move(e));
    }
    for (const auto& e : loaded.events)
        state.specials.push_back(special_of(e));
    s->written = loaded.cursor.acked_seq;
    s->restored = std::move(loaded.cursor);
    s->config = std::move(loaded.config);
    streams_[row] = s;
    {
        const std::lock_guard lock(shared_);
        published& p = reports_[row];
        p.report.config = s->config;
        p.report.acked_seq = state.unsettled.position();
    }
    const auto interval = settings().ssf.heartbeat;
    const auto at = issuer_.common->time->steady_now();
    if (fresh || !s->push()) {
        // A new stream is told at once that it is complete: until then its receiver denies.
        heartbeats_.set(row, at);
    } else {
        heartbeats_.set(row, at + std::chrono::milliseconds(random().below(
                                      static_cast<std::uint64_t>(interval.count()) + 1)));
    }
    pump(s);
}

void issuer_delivery::stream_added(store::stream s, std::vector<store::stream_epoch> epochs,
                                   store::cursor c) {
    {
        const std::lock_guard lock(shared_);
        refs_[s.stream_id] = {s.row, s.client_id, s.status, s.method};
    }
    loaded_stream one;
    one.config = std::move(s);
    one.epochs = std::move(epochs);
    one.cursor = std::move(c);
    on_strand([one = std::move(one)](issuer_delivery& d) mutable {
        d.head_ = std::max(d.head_, one.cursor.acked_seq);
        d.adopt(std::move(one), 0, true);
        if (!d.sampling_) d.tick();
    });
}

void issuer_delivery::stream_removed(store::stream_row row) {
    {
        const std::lock_guard lock(shared_);
        std::erase_if(refs_, [&](const auto& ref) { return ref.second.row == row; });
        reports_.erase(row);
    }
    on_strand([row](issuer_delivery& d) {
        const stream_ptr s = d.find(row);
        if (!s) return;
        for (auto& p : s->polls)
            p.respond(error_answer({errc::stream_not_found}));
        s->polls.clear();
        s->wake.reset();
        s->requests.clear();
        d.heartbeats_.remove(row);
        d.dirty_.erase(row);
        d.streams_.erase(row);
        const std::lock_guard lock(d.shared_);
        d.reports_.erase(row);
    });
}

void issuer_delivery::committed(std::shared_ptr<const std::vector<store::signal>> batch) {
    if (!batch || batch->empty()) return;
    on_strand([batch = std::move(batch)](issuer_delivery& d) { d.on_committed(batch); });
}

void issuer_delivery::on_committed(const std::shared_ptr<const std::vector<store::signal>>& batch) {
    const store::seq_t first = batch->front().seq;
    head_ = std::max(head_, batch->back().seq);
    // Each body is read once, however many streams listen.
    std::vector<std::pair<store::seq_t, routed_ptr>> signals;
    for (const auto& row : *batch) {
        routed_ptr routed;
        if (row.issuer == issuer_.id) {
            auto read = read_signal(std::shared_ptr<const store::signal>(batch, &row));
            if (read) {
                routed = std::move(*read);
            } else {
                log(level::error, "signal unreadable", {{"reason", read.error().message()}});
            }
        }
        signals.emplace_back(row.seq, std::move(routed));
    }
    // Copied: a pump may end in removal of a stream.
    std::vector<stream_ptr> all;
    for (const auto& [row, s] : streams_)
        all.push_back(s);
    for (const auto& s : all) {
        window& w = s->state.unsettled;
        const bool follows = !s->loading && w.scanned() + 1 >= first;
        for (const auto& [seq, routed] : signals) {
            if (!follows || w.full()) break;
            if (seq <= w.scanned()) continue;
            if (routed) consider(*s, routed);
            w.scan_to(seq);
        }
        pump(s);  // also reads from the log what did not follow or did not fit
    }
}

void issuer_delivery::consider(live_stream& s, const routed_ptr& signal) {
    const store::seq_t seq = signal->row->seq;
    if (is_settled(s.restored, seq)) return;
    const terms_ptr terms = terms_at(s.terms, seq);
    if (!terms) return;
    match m =
        match_signal(*signal, *terms, interested_by_default(s.config), settings().event_type_base);
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
    admit(s.state, std::move(e), now());
}

void issuer_delivery::load_if_behind(const stream_ptr& s) {
    window& w = s->state.unsettled;
    if (s->loading || w.scanned() >= head_ || w.size() > limits::stream_window / 2) return;
    s->loading = true;
    const store::seq_t from = w.scanned(), until = head_;
    auto page = std::make_shared<std::vector<store::signal>>();
    db().read(
        [page, from, until](const store::rows& rows) {
            *page = rows.signals(from, until, limits::load_page);
        },
        [self = shared_from_this(), s, page, from, until](const result<void>& read) {
            if (!read) page->clear();
            const bool ok = read.has_value();
            self->on_strand([s, page, from, until, ok](issuer_delivery& d) {
                if (!ok) {
                    // Asked again at the next commit or tick.
                    s->loading = false;
                    return;
                }
                d.on_loaded(s, from, until, std::move(*page));
            });
        });
}

void issuer_delivery::on_loaded(const stream_ptr& s, store::seq_t after, store::seq_t until,
                                std::vector<store::signal> signals) {
    s->loading = false;
    window& w = s->state.unsettled;
    if (w.scanned() != after) return;  // the hold limit has passed it meanwhile
    const bool whole = signals.size() < limits::load_page;
    const auto batch = std::make_shared<const std::vector<store::signal>>(std::move(signals));
    for (const auto& row : *batch) {
        if (w.full()) break;
        if (row.issuer == issuer_.id) {
            auto read = read_signal(std::shared_ptr<const store::signal>(batch, &row));
            if (read) {
                consider(*s, *read);
            } else {
                log(level::error, "signal unreadable", {{"reason", read.error().message()}});
            }
        }
        w.scan_to(row.seq);
    }
    if (whole && !w.full()) w.scan_to(until);
    pump(s);
}

void issuer_delivery::pump(const stream_ptr& s) {
    if (s->config.status == store::stream_status::enabled) {
        if (s->push()) {
            push_due(s);
        } else {
            serve_waiting(s);
        }
    }
    if (s->state.effects.durable()) mark_dirty(*s);
    publish(*s);
    load_if_behind(s);
}

void issuer_delivery::publish(live_stream& s) {
    delivery_state& state = s.state;
    count_.dead_letters += state.effects.dead;
    const std::lock_guard lock(shared_);
    const auto it = reports_.find(s.config.row);
    if (it == reports_.end()) return;
    stream_report& r = it->second.report;
    r.acked_seq = state.unsettled.position();
    r.lag_signals = static_cast<std::int64_t>(state.unsettled.size()) +
                    std::max<store::seq_t>(head_ - state.unsettled.scanned(), 0);
    it->second.oldest = state.unsettled.empty()
                            ? wall_time{}
                            : state.unsettled.entries().begin()->second.signal->row->committed_at;
    r.held = state.receiver.held;
    r.held_reason = state.receiver.held ? state.receiver.reason : std::string{};
    r.last_success = state.receiver.last_success;
    r.last_failure = state.receiver.last_failure;
    if (state.effects.failed > 0) r.last_failure_reason = state.receiver.last_failure_reason;
    r.config.continuity = s.config.continuity;
    r.delivered += std::exchange(state.effects.delivered, 0);
    r.failed += std::exchange(state.effects.failed, 0);
    r.dead += std::exchange(state.effects.dead, 0);
}

void issuer_delivery::tick() {
    tick_timer_ = after(tick_interval_, [](issuer_delivery& d) { d.tick(); });
    if (sampling_ || streams_.empty()) return;
    sampling_ = true;
    auto sample = std::make_shared<log_sample>();
    db().submit(
        [sample](const store::rows& rows, wall_time at) -> result<store::changes> {
            *sample = sample_of(at, rows.head());
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
    head_ = std::max(head_, sample.head);
    std::vector<stream_ptr> behind;
    for (const auto& [row, s] : streams_) {
        if (s->state.unsettled.scanned() < head_) behind.push_back(s);
    }
    for (const auto& s : behind)
        load_if_behind(s);
    for (const auto row : heartbeats_.take_due(now().steady)) {
        if (const auto s = find(row)) heartbeat_due(s);
    }
}

void issuer_delivery::heartbeat_due(const stream_ptr& s) {
    if (s->config.status != store::stream_status::enabled || !sample_) {
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
                if (!receipt) return done(receipt.error());
                self->on_strand([s, event](issuer_delivery& again) {
                    s->state.specials.push_back(special_of(*event));
                    ++again.count_.verifications;
                    again.pump(s);
                });
                done({});
            });
    });
}

std::optional<delivery::stream_ref> issuer_delivery::find_stream(std::string_view stream_id) const {
    const std::lock_guard lock(shared_);
    const auto it = refs_.find(stream_id);
    if (it == refs_.end()) return std::nullopt;
    return it->second;
}

std::vector<stream_report> issuer_delivery::reports() const {
    std::vector<stream_report> out;
    const wall_time at = issuer_.common->time->now();
    const std::lock_guard lock(shared_);
    for (const auto& [row, p] : reports_) {
        out.push_back(p.report);
        if (p.oldest != wall_time{}) {
            out.back().lag_milliseconds = std::max<std::int64_t>((at - p.oldest).count(), 0);
        }
    }
    return out;
}

void issuer_delivery::acked_versions(
    const store::mission& m,
    std::function<void(result<std::vector<delivery::acked_version>>)> done) {
    auto signals = std::make_shared<std::vector<store::signal>>();
    db().read(
        [signals, row = m.record.row](const store::rows& rows) {
            *signals = rows.mission_signals(row);
        },
        [self = shared_from_this(), signals, m, done = std::move(done)](const result<void>& read) {
            if (!read) return done(read.error());
            self->strand_->post([self, signals, m, done] {
                std::vector<delivery::acked_version> out;
                const auto keys = keys_of(m);
                for (const auto& [row, s] : self->streams_) {
                    const terms_ptr terms = s->newest();
                    if (!terms || !may_know(terms->epoch.aud, terms->visibility.missions, keys)) {
                        continue;
                    }
                    const window& w = s->state.unsettled;
                    delivery::acked_version one{s->config.stream_id, s->config.client_id, 0};
                    // What the log no longer holds, every older stream has settled.
                    if (s->config.created_at <= m.record.approved_at) {
                        one.version =
                            signals->empty() ? m.state.version : signals->front().version - 1;
                    }
                    for (const auto& signal : *signals) {
                        const bool settled = signal.seq <= w.scanned() &&
                                             w.entries().find(signal.seq) == w.entries().end();
                        if (!settled) break;
                        if (terms_at(s->terms, signal.seq)) one.version = signal.version;
                    }
                    out.push_back(std::move(one));
                }
                done(std::move(out));
            });
        });
}

delivery_counters issuer_delivery::counters() const {
    delivery_counters out;
    out.signed_sets = count_.signed_sets;
    out.pushed = count_.pushed;
    out.push_failures = count_.push_failures;
    out.polled = count_.polled;
    out.acked = count_.acked;
    out.set_errors = count_.set_errors;
    out.heartbeats = count_.heartbeats;
    out.verifications = count_.verifications;
    out.dead_letters = count_.dead_letters;
    return out;
}

}  // namespace mission::transmitter
