// Beginning, end, and what others may ask.
#include "transmitter/delivery/issuer_delivery.hpp"

#include <algorithm>
#include <future>

#include "transmitter/api/router.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {

namespace {

// One sample serves all heartbeats of a tick; it ages by at most a tick.
std::chrono::milliseconds tick_of(std::chrono::milliseconds heartbeat) {
    return std::clamp<std::chrono::milliseconds>(heartbeat / 10, std::chrono::milliseconds{50},
                                                 std::chrono::milliseconds{1000});
}

// How often the hold limits are looked at: they are coarse, and how far the log may be cut is
// written then.
std::chrono::milliseconds trim_of(std::chrono::milliseconds heartbeat) {
    return std::clamp<std::chrono::milliseconds>(heartbeat * 10, std::chrono::seconds{1},
                                                 std::chrono::seconds{10});
}

}  // namespace

issuer_delivery::issuer_delivery(issuer_service& issuer)
    : issuer_(issuer),
      strand_(issuer.common->runtime->make_strand()),
      jti_(issuer.common->settings.secrets_key, issuer.common->log_epoch),
      subjects_({}),
      tick_interval_(tick_of(issuer.common->settings.ssf.heartbeat)),
      trim_interval_(trim_of(issuer.common->settings.ssf.heartbeat)) {}

result<void> issuer_delivery::start() {
    if (const auto made = make_client(); !made) return made.error();
    for (const auto& other : settings().issuers) {
        const auto id = db().add_issuer(other.url);
        if (!id) return id.error();
        all_issuers_.push_back(*id);
    }
    auto loaded = load();
    if (!loaded) return loaded.error();
    if (const auto done = reconcile(loaded->streams); !done) return done.error();
    for (const auto& one : loaded->streams)
        publish_ref(one.config);
    std::promise<void> ready;
    strand_->post([&, self = shared_from_this()] {
        head_ = std::max(head_, loaded->head);
        // What was routed before, and what is no longer there to be routed.
        routed_ = std::max(loaded->routed, loaded->tail - 1);
        routed_written_ = loaded->routed;
        subjects_ = std::move(*loaded->subjects);
        next_removal_ = loaded->first_removal;
        started_ = true;
        for (auto& one : loaded->streams)
            adopt(std::move(one), loaded->tail, false);
        for (const auto row : loaded->with_subjects) {
            if (const auto s = find(row)) s->subjects = true;
        }
        published_routed_ = routed_;
        catch_up();
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
        auto batch = std::make_shared<flush_batch>(self->collect(true));
        self->streams_.clear();
        if (batch->empty()) return done->set_value();
        self->db().submit(
            [batch, id = self->issuer_.id](const store::rows& rows, wall_time) {
                return flush_decision(*batch, id, rows);
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

std::shared_ptr<const jose::signer> issuer_delivery::signer_for(const stream_terms& terms) const {
    return issuer_.keys->set_signer(jose::parse_alg(terms.epoch.alg).value_or(jose::alg::es256));
}

std::optional<delivery::stream_ref> issuer_delivery::find_stream(std::string_view stream_id) const {
    const std::lock_guard lock(shared_);
    const auto it = refs_.find(stream_id);
    if (it == refs_.end()) return std::nullopt;
    return it->second;
}

void issuer_delivery::publish_ref(const store::stream& s) {
    const std::lock_guard lock(shared_);
    refs_[s.stream_id] = {s.row, s.client_id, s.status, s.method, s.status_reason};
}

void issuer_delivery::publish(live_stream& s) {
    delivery_state& state = s.state;
    count_.dead_letters += state.effects.dead;
    const std::lock_guard lock(shared_);
    const auto it = reports_.find(s.config.row);
    if (it == reports_.end()) return;
    stream_report& r = it->second.report;
    r.acked_seq = state.unsettled.position();
    r.lag_signals = static_cast<std::int64_t>(state.unsettled.size());
    if (s.behind) r.lag_signals += std::max<store::seq_t>(routed_ - state.unsettled.scanned(), 0);
    it->second.follows = !s.behind && state.unsettled.empty();
    it->second.oldest = state.unsettled.empty()
                            ? wall_time{}
                            : state.unsettled.entries().begin()->second.signal->row->committed_at;
    r.held = state.receiver.held;
    r.held_since = state.receiver.held ? state.receiver.held_since.wall : wall_time{};
    r.held_reason = state.receiver.held ? state.receiver.reason : std::string{};
    r.last_success = state.receiver.last_success;
    r.last_failure = state.receiver.last_failure;
    if (state.effects.failed > 0) r.last_failure_reason = state.receiver.last_failure_reason;
    if (s.enabled() && !r.held && !state.unsettled.empty())
        waiting_streams_.insert(s.config.row);
    else
        waiting_streams_.erase(s.config.row);
    r.config.continuity = s.config.continuity;
    r.delivered += std::exchange(state.effects.delivered, 0);
    r.failed += std::exchange(state.effects.failed, 0);
    r.dead += std::exchange(state.effects.dead, 0);
}

std::chrono::milliseconds issuer_delivery::healthy_lag() const {
    const wall_time at = issuer_.common->time->now();
    auto lag = std::chrono::milliseconds(0);
    const std::lock_guard lock(shared_);
    for (const auto row : waiting_streams_) {
        const auto it = reports_.find(row);
        if (it == reports_.end()) continue;
        const published& p = it->second;
        // Who takes nothing is not waited for.
        if (p.report.last_success + limits::at_work >= at) lag = std::max(lag, at - p.oldest);
    }
    return lag;
}

// Under `shared_`.
stream_report issuer_delivery::report_from(const published& p) const {
    stream_report out = p.report;
    // Who has settled everything is not touched by what does not concern it.
    if (p.follows) out.acked_seq = std::max<store::seq_t>(out.acked_seq, published_routed_);
    if (p.oldest != wall_time{}) {
        const wall_time at = issuer_.common->time->now();
        out.lag_milliseconds = std::max<std::int64_t>((at - p.oldest).count(), 0);
    }
    return out;
}

std::vector<stream_report> issuer_delivery::reports() const {
    // In steps: the strand and every request wait for `shared_`.
    constexpr std::size_t at_once = 256;
    std::vector<stream_report> out;
    store::stream_row next{};
    for (bool more = true; more;) {
        const std::lock_guard lock(shared_);
        auto it = reports_.lower_bound(next);
        for (std::size_t n = 0; n < at_once && it != reports_.end(); ++n, ++it)
            out.push_back(report_from(it->second));
        more = it != reports_.end();
        if (more) next = it->first;
    }
    return out;
}

std::optional<stream_report> issuer_delivery::report_of(std::string_view stream_id) const {
    const std::lock_guard lock(shared_);
    const auto ref = refs_.find(stream_id);
    if (ref == refs_.end()) return std::nullopt;
    const auto it = reports_.find(ref->second.row);
    if (it == reports_.end()) return std::nullopt;
    return report_from(it->second);
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
                for (const auto row : self->audiences_.knowing(keys)) {
                    const stream_ptr s = self->find(row);
                    const terms_ptr terms = s ? s->newest() : nullptr;
                    if (!terms || !may_know(terms->epoch.aud, terms->visibility.missions, keys)) {
                        continue;
                    }
                    self->sync(*s);
                    const window& w = s->state.unsettled;
                    delivery::acked_version one{s->config.stream_id, s->config.client_id, 0};
                    // What the log no longer holds, every older stream has settled.
                    if (s->config.created_at <= m.record.approved_at) {
                        one.version =
                            signals->empty() ? m.state.version : signals->front().version - 1;
                    }
                    if (s->disabled()) {
                        one.version = 0;  // nothing is sent there, and nothing held
                        out.push_back(std::move(one));
                        continue;
                    }
                    for (const auto& signal : *signals) {
                        const bool settled = signal.seq <= w.scanned() &&
                                             w.entries().find(signal.seq) == w.entries().end();
                        if (!settled) break;
                        const terms_ptr then = terms_at(s->terms, signal.seq);
                        const auto what = self->about(signal, nullptr);
                        if (then && self->interested_in(*s, *then, what, signal.seq))
                            one.version = signal.version;
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
    out.matched = count_.matched;
    out.replayed = count_.replayed;
    out.paused = count_.paused;
    out.unreadable = count_.unreadable;
    return out;
}

}  // namespace mission::transmitter
