// The engine's side of the stream: SETs, epochs, verification.
#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/verify/verify.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {

using ms::log_level;
using std::chrono::milliseconds;

namespace {

set_outcome failed(error e) {
    const auto fate = disposal_of(e.code) == disposal::retry ? set_fate::retry : set_fate::reject;
    return {fate, std::move(e)};
}

// Missions whose table is walked over by whoever begins an epoch: less than a millisecond.
constexpr std::size_t walked_at_once = 10'000;

// What is kept for every mission there is.
bool too_long(const events::mission_change& c) {
    const auto successor = c.successor ? c.successor->size() : 0;
    return std::max({c.state.size(), c.log_epoch.size(), successor}) > limits::set_text_bytes;
}

// Not in the middle of a character.
std::string cut(std::string text, std::size_t octets) {
    if (text.size() <= octets) return text;
    while (octets > 0 && (static_cast<unsigned char>(text[octets]) & 0xC0) == 0x80)
        --octets;
    text.resize(octets);
    return text;
}

bool names_mission(const events::subject& s, const std::string& id) {
    static const std::string name = "id";
    const auto it = s.members.find(name);
    return s.format == "opaque" && it != s.members.end() && it->second == id;
}

record nothing_of(const mission_key& key) {
    record r;
    r.key = key;
    return r;
}

// Answers once the transaction that carries the SET's meaning is over.
std::function<void(result<void>)> acknowledging(std::function<void(set_outcome)> done) {
    return [done = std::move(done)](const result<void>& r) {
        done(r.has_value() ? set_outcome{} : set_outcome{set_fate::retry, r.error()});
    };
}

}  // namespace

void engine::receive(events::received_set set, std::function<void(set_outcome)> done) {
    counts_.sets_received.fetch_add(1, std::memory_order_relaxed);
    if (!state_.accepts()) {
        return done({set_fate::retry, {errc::store_unavailable, "too much waits for the disk"}});
    }
    if (set.event == nullptr || !set.event->IsObject()) {
        return done(failed({errc::bad_claims, "events"}));
    }
    if (events::is_mission_event(set.type)) {
        const auto member = critical_member(set.sub_id ? &*set.sub_id : nullptr);
        if (!member.empty()) return drop(set, member, std::move(done));
        return receive_mission(set, std::move(done));
    }
    bool known = false;
    {
        std::lock_guard lock(m_);
        known = known_jti(set);
    }
    if (known) {
        counts_.sets_duplicate.fetch_add(1, std::memory_order_relaxed);
        // What made it known may still wait for the disk: an empty unit comes after it.
        std::lock_guard lock(m_);
        state_.submit({}, acknowledging(std::move(done)));
        return;
    }
    if (set.type == events::verification_type) return receive_verification(set, std::move(done));
    if (set.type == events::stream_updated_type) return receive_updated(set, std::move(done));
    receive_event(set, std::move(done));
}

void engine::receive_mission(events::received_set& set, std::function<void(set_outcome)> done) {
    if (!set.sub_id) return done(failed({errc::bad_claims, "sub_id"}));
    auto change = events::parse_mission_event(set.type, *set.event, *set.sub_id);
    if (change.has_error()) return done(failed(change.error()));
    auto& c = *change;
    if (too_long(c)) return done(failed({errc::bad_claims, "mission"}));
    // To refuse a denial for the length of its reason would do no good.
    if (c.reason) c.reason = cut(std::move(*c.reason), limits::reason_bytes);
    if (!events::valid_mission_id(c.mission_id) || c.version < 1) {
        return done(failed({errc::bad_claims, "mission"}));
    }
    // wire.md section 5: sub_id has to name the same mission.
    const auto& subject = *set.sub_id;
    const auto* named = &subject;
    if (subject.is_complex()) {
        const auto it = subject.complex.find("mission");
        named = it == subject.complex.end() ? nullptr : &it->second;
    }
    if (named == nullptr || !names_mission(*named, c.mission_id)) {
        return done(failed({errc::mission_conflict, "sub_id names another mission"}));
    }

    after later;
    {
        std::unique_lock lock(m_);
        if (std::find(mission_issuers_.begin(), mission_issuers_.end(), c.issuer) ==
            mission_issuers_.end()) {
            lock.unlock();
            return done(failed({errc::forbidden, "the mission issuer is not this transmitter's"}));
        }
        result<void> taken;
        try {
            taken = apply_change(c, set.iat, done, later);
        } catch (...) {
            // No memory for it. It is not answered, and so comes again.
            deny_unread(c);
            throw;
        }
        if (taken.has_error()) {
            deny_unread(c);
            lock.unlock();
            return done({set_fate::retry, taken.error()});
        }
    }
    for (auto& f : later)
        f();
}

// `done` is taken where there is no error.
result<void> engine::apply_change(const events::mission_change& c, std::int64_t iat,
                                  std::function<void(set_outcome)>& done, after& later) {
    const mission_key key{c.issuer, c.mission_id};
    const auto found = find(key);
    if (found.has_error()) return found.error();
    slot* s = *found;
    auto a = s != nullptr ? apply_event(s->now, c) : apply_event(nothing_of(key), c);
    // Not a reason to ask: what is unconfirmed is asked about when it is wanted.
    a.confirms = a.confirms && fresh_.vouches(c.log_epoch, iat);
    // Nor is a SET from before we lost our memory gap-free: what came after it may be gone.
    const bool confirmed = s != nullptr && s->now.confirmed_epoch == fresh_.word().epoch;
    if (!confirmed && iat <= horizon_) a.confirms = false;
    if (!a.note.empty()) {
        later.push_back([this, key, note = a.note] {
            log(log_level::warning, note, {{"mission", key.id}});
        });
    }
    // `gap` with nothing applied: the event belongs to another log_epoch.
    const bool doubted = s != nullptr && a.ask_status && a.next.version == s->now.version;
    if (doubted) s->doubted_at = revision_ + 1;
    if (doubted && !a.changed) s->revision = ++revision_;
    if (!a.changed) {
        counts_.sets_duplicate.fetch_add(1, std::memory_order_relaxed);
        if (a.ask_status) later.push_back([this, key] { hooks_.ask_status(key, true); });
        // Its version may be in memory and not on disk yet: the empty unit comes after it.
        state_.submit({}, acknowledging(std::move(done)));
        return {};
    }
    const bool unknown = s == nullptr;
    if (unknown) s = admit(key, iat, later);
    const place_kept place(*this, unknown ? s : nullptr);
    if (s == nullptr) {
        // No room. Denied as unknown; to refuse the SET would hold the stream for everybody else.
        // Behind the end of its row: it may be the one that was forgotten a moment ago.
        state_.submit({}, acknowledging(std::move(done)));
        return {};
    }
    a.next.heard_at = std::max(a.next.heard_at, iat);
    take(*s, std::move(a), acknowledging(std::move(done)), later);
    return {};
}

void engine::receive_verification(events::received_set& set,
                                  std::function<void(set_outcome)> done) {
    auto v = events::parse_verification(*set.event);
    if (v.has_error()) return done(failed(v.error()));
    after later;
    {
        std::unique_lock lock(m_);
        if (set.sub_id && !fresh_.kept().identity.stream_id.empty() &&
            *set.sub_id != events::stream_subject(fresh_.kept().identity.stream_id)) {
            lock.unlock();
            return done(failed({errc::bad_claims, "sub_id names another stream"}));
        }
        const auto now = hooks_.now();
        if (v->as_of && v->continuity && v->log_epoch) {
            counts_.heartbeats.fetch_add(1, std::memory_order_relaxed);
            receive_heartbeat({*v->as_of, *v->continuity, *v->log_epoch}, now, std::move(done),
                              later);
        } else if (v->state) {
            const auto it = awaited_.find(*v->state);
            if (it == awaited_.end()) {
                lock.unlock();
                // SSF 1.0 "Verification": the state is the one that was asked with.
                return done(failed({errc::stream_conflict, "unknown verification state"}));
            }
            const auto requested = it->second;
            if (verification_proves_ && requested.wall != 0) fresh_.on_proof(requested, max_stale_);
            if (requested.wall != 0 && hooks_.on_verified) {
                later.push_back([this] { hooks_.on_verified(); });
            }
            state_write w;
            if (live_to_keep() || stream_unwritten_) put_stream(w);
            submit_known(set, std::move(w), acknowledging(std::move(done)));
            stream_unwritten_ = false;
            awaited_.erase(it);
        } else {
            submit_known(set, {}, acknowledging(std::move(done)));
        }
        table_.set_stream(fresh_.word());
        watch_anew(now, later);
    }
    for (auto& f : later)
        f();
}

void engine::receive_heartbeat(const stream_freshness::heartbeat& h, instant now,
                               std::function<void(set_outcome)> done, after& later) {
    auto before = fresh_;
    try {
        const bool news = fresh_.on_heartbeat(h, now, max_stale_);
        // Owed: memory ended before the last epoch's were asked for.
        if (news || (confirm_owed_ && confirming_.expired())) begin_epoch(later);
        const auto &kept = fresh_.kept(), &was = before.kept();
        // Many heartbeats change nothing that has to be remembered: no write for them.
        if (kept.continuity != was.continuity || kept.log_epoch != was.log_epoch ||
            kept.epoch != was.epoch || !was.settled_until || live_to_keep() || stream_unwritten_) {
            submit_stream({}, acknowledging(std::move(done)));
        } else {
            later.push_back([done = std::move(done)] { done({}); });
        }
    } catch (...) {
        // It would tell nothing new when it comes again. Readers keep the new epoch until then.
        fresh_ = std::move(before);
        throw;
    }
}

void engine::receive_updated(events::received_set& set, std::function<void(set_outcome)> done) {
    auto u = events::parse_stream_updated(*set.event);
    if (u.has_error()) return done(failed(u.error()));
    after later;
    later.push_back([this, status = u->status, reason = u->reason.value_or("")] {
        log(log_level::warning, "the stream was updated",
            {{"status", peer_words(status)}, {"reason", peer_words(reason)}});
        if (hooks_.on_updated) hooks_.on_updated(status, reason);
    });
    {
        std::unique_lock lock(m_);
        const auto& own = fresh_.kept().identity.stream_id;
        // SSF 1.0 section 8.1.5: the subject is the stream.
        if (!set.sub_id || (!own.empty() && *set.sub_id != events::stream_subject(own))) {
            lock.unlock();
            return done(failed({errc::bad_claims, "sub_id does not name our stream"}));
        }
        fresh_.on_stream_updated(u->status == "enabled");
        begin_epoch(later);
        state_write w;
        put_stream(w);
        submit_known(set, std::move(w), acknowledging(std::move(done)));
        stream_unwritten_ = false;
        watch_anew(hooks_.now(), later);
    }
    for (auto& f : later)
        f();
}

void engine::note_status(const std::string& status, const std::string& reason) {
    log(log_level::warning, "the stream was updated",
        {{"status", peer_words(status)}, {"reason", peer_words(reason)}});
    after later;
    {
        std::lock_guard lock(m_);
        fresh_.on_stream_updated(status == "enabled");
        begin_epoch(later);
        submit_stream({}, nullptr);
        watch_anew(hooks_.now(), later);
    }
    if (hooks_.on_updated) later.push_back([&] { hooks_.on_updated(status, reason); });
    for (auto& f : later)
        f();
}

void engine::on_stream(stream_identity identity) {
    after later;
    {
        std::lock_guard lock(m_);
        if (!fresh_.on_stream(std::move(identity))) return;
        begin_epoch(later);
        submit_stream({}, nullptr);
        // What is held and was fresh by the stream alone is so no more: paused at once.
        watch_anew(hooks_.now(), later);
    }
    for (auto& f : later)
        f();
}

void engine::begin_epoch(after& later) {
    stream_unwritten_ = true;  // first: memory may end before the epoch is put
    table_.set_stream(fresh_.word());
    // Held missions first, then by last use; who is not in use is confirmed when asked for.
    if (!hooks_.confirm) return;
    confirm_owed_ = true;
    if (!confirming_.expired()) return;
    const auto walk = std::make_shared<char>();
    later.push_back([this, walk] {
        // A walk over a large table takes a while.
        if (table_.size() > walked_at_once)
            return in_background([this, walk] { confirm_in_use(); });
        confirm_in_use();
    });
    confirming_ = walk;
}

void engine::confirm_in_use() {
    constexpr std::size_t confirmed_at_once_max = 10'000;
    std::vector<mission_key> order;
    {
        std::lock_guard lock(m_);
        confirming_.reset();
        for (const auto& [key, h] : held_)
            order.push_back(key);
    }
    if (table_.size() > walked_at_once && !order.empty()) hooks_.confirm(order);
    auto used = table_.unconfirmed(confirmed_at_once_max);
    {
        std::lock_guard lock(m_);
        for (auto& u : used) {
            mission_key key{std::move(u.issuer), std::move(u.id)};
            if (held_.count(key) == 0) order.push_back(std::move(key));
        }
    }
    if (!order.empty()) {
        log(log_level::info, "a new epoch of the stream: entries are confirmed by Status",
            {{"missions", std::to_string(order.size())}});
        hooks_.confirm(std::move(order));
    }
    std::lock_guard lock(m_);
    if (confirming_.expired()) confirm_owed_ = false;
}

// How long the stream is live tells the next run whether it has missed more than that. Written in
// steps of an eighth of the bound: a file that says less than is true is confirmed once too often.
bool engine::live_to_keep() const {
    const auto until = fresh_.word().live_until.wall;
    const auto ahead = until - live_kept_;
    return until != 0 && (ahead > milliseconds(max_stale_).count() / 8 || ahead < 0);
}

void engine::put_stream(state_write& w) {
    // Noted in memory and not submitted, it would not be written for being the same.
    const bool all = std::exchange(stream_unwritten_, true);
    if (live_to_keep()) live_kept_ = fresh_.word().live_until.wall;
    const auto& kept = fresh_.kept();
    std::string events, missions;
    for (const auto& e : kept.identity.events_delivered)
        events += (events.empty() ? "" : " ") + e;
    for (const auto& m : kept.identity.missions)
        missions += (missions.empty() ? "" : " ") + m;
    const std::pair<const char*, std::string> values[] = {
        {"stream_id", kept.identity.stream_id},
        {"events_delivered", events},
        {"all_subjects", kept.identity.all_subjects ? "1" : "0"},
        {"covered_missions", missions},
        {"subjects_digest", kept.identity.subjects},
        {"continuity", kept.continuity ? std::to_string(*kept.continuity) : ""},
        {"log_epoch", kept.log_epoch},
        {"epoch", std::to_string(kept.epoch)},
        {"live_until", std::to_string(live_kept_)},
        {"settled_until", kept.settled_until ? std::to_string(*kept.settled_until) : ""},
    };
    for (const auto& [name, value] : values) {
        if (settings_[name] == value && !all) continue;
        settings_[name] = value;
        w.settings.emplace_back(name, value);
    }
}

void engine::submit_stream(state_write w, std::function<void(result<void>)> answered) {
    put_stream(w);
    state_.submit(std::move(w), std::move(answered));
    stream_unwritten_ = false;
}

void engine::expect_verification(const std::string& state, std::function<void(bool)> ready) {
    constexpr std::size_t awaited_max = 8;
    std::lock_guard lock(m_);
    while (awaited_.size() >= awaited_max)
        // The oldest: a newer one may still be on its way.
        awaited_.erase(std::min_element(
            awaited_.begin(), awaited_.end(),
            [](const auto& a, const auto& b) { return a.second.mono < b.second.mono; }));
    awaited_[state] = hooks_.now();
    std::string all;
    for (const auto& [text, at] : awaited_)
        all += (all.empty() ? "" : " ") + text;
    settings_["verify_states"] = all;
    state_write w;
    w.settings.emplace_back("verify_states", all);
    state_.submit(std::move(w),
                  [ready = std::move(ready)](const result<void>& r) { ready(r.has_value()); });
}

void engine::set_max_stale(std::chrono::seconds s) {
    {
        std::lock_guard lock(m_);
        max_stale_ = s;
    }
    set_setting("max_stale_seconds", std::to_string(s.count()));
}

void engine::set_verification_proves(bool proves) {
    std::lock_guard lock(m_);
    verification_proves_ = proves;
}

std::uint64_t engine::epoch() const {
    std::lock_guard lock(m_);
    return fresh_.word().epoch;
}

stream_freshness engine::freshness() const {
    std::lock_guard lock(m_);
    return fresh_;
}

bool engine::known_jti(const events::received_set& set) const {
    return seen_.has(set.iss, set.jti);
}

void engine::submit_known(const events::received_set& set, state_write w,
                          std::function<void(result<void>)> answered,
                          std::function<void()> committed) {
    const auto now = to_wall(hooks_.now());
    const bool news = seen_.add(set.iss, set.jti, now);
    try {
        if (news) w.jtis.push_back({set.iss, set.jti, now});
        state_.submit(std::move(w), std::move(answered), std::move(committed));
    } catch (...) {
        // Known and not on disk, it would be acknowledged when it comes again.
        if (news) seen_.take_back();
        throw;
    }
}

}  // namespace mission::receiver
