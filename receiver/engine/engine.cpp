#include "receiver/engine/engine.hpp"

#include <algorithm>
#include <charconv>

#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "receiver/teardown/plan.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {

using ms::log_level;
using ms::standing;

namespace {

std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find(' ', at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

// nullopt for what is no number: a state that somebody has touched stops nobody from starting.
template <class Number>
std::optional<Number> number_in(const std::string& text) {
    Number n{};
    const auto r = std::from_chars(text.data(), text.data() + text.size(), n);
    if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return std::nullopt;
    return n;
}

}  // namespace

engine::engine(state& s, task_runner& runner, std::size_t max_missions, hooks h)
    : state_(s),
      runner_(runner),
      hooks_(std::move(h)),
      max_missions_(max_missions),
      table_(max_missions),
      authorities_(table_) {}

void engine::log(log_level level, std::string_view message,
                 std::vector<ms::log_field> fields) const {
    if (hooks_.log) hooks_.log(level, message, fields);
}

void engine::load(state_snapshot snapshot) {
    std::vector<task_record> missing;
    std::unique_lock lock(m_);
    for (auto& [name, value] : snapshot.settings)
        settings_[name] = value;
    stream_freshness::durable d;
    d.identity.stream_id = settings_["stream_id"];
    d.identity.events_delivered = words(settings_["events_delivered"]);
    d.identity.missions = words(settings_["covered_missions"]);
    d.identity.subjects = settings_["subjects_digest"];
    d.identity.all_subjects = settings_["all_subjects"] == "1";
    d.continuity = number_in<std::int64_t>(settings_["continuity"]);
    d.log_epoch = settings_["log_epoch"];
    if (const auto epoch = number_in<std::uint64_t>(settings_["epoch"])) {
        d.epoch = *epoch;
    } else {
        // Not known which it was: one in which nothing is confirmed.
        for (const auto& m : snapshot.missions)
            d.epoch = std::max(d.epoch, m.confirmed_epoch + 1);
    }
    fresh_ = stream_freshness(d);
    table_.set_stream(fresh_.word());
    // Asked for before the restart: the answer may still come, and is none that we do not know.
    for (auto& state : words(settings_["verify_states"]))
        awaited_[std::move(state)] = {};
    for (const auto& [iss, jti, at] : snapshot.jtis)
        seen_.add(iss, jti, at);
    if (hooks_.events != nullptr) hooks_.events->restore(std::move(snapshot.events));
    const auto now = hooks_.now();
    // No Status is fresh for longer than the transmitter's bound: what seems so was written under a
    // clock that has been set back since, and how long ago that was nobody knows.
    const auto bound =
        std::chrono::seconds(number_in<std::int64_t>(settings_["max_stale_seconds"]).value_or(0));
    const auto believed = to_wall(now) + bound + limits::clock_skew;
    for (auto& m : snapshot.missions) {
        slot s;
        s.now = std::move(m);
        if (s.now.fresh_until && bound.count() > 0 && *s.now.fresh_until <= believed) {
            s.fresh_until = deadline_at(to_milliseconds(*s.now.fresh_until), now);
        }
        auto& at = missions_[s.now.key] = std::move(s);
        show(at, face_of(at), at.revision);
    }
    for (const auto& h : snapshot.holds)
        note_hold_loaded(h);
    lock.unlock();
    runner_.restore(std::move(snapshot.tasks));

    // A held mission that had ended: every handler of today gets its task (known ones are kept).
    lock.lock();
    for (const auto& [key, h] : held_) {
        const auto it = missions_.find(key);
        // Its own state: a denial of another log_epoch ends nothing before Status has decided.
        if (it == missions_.end() || it->second.now.version == 0) continue;
        const auto ended = ended_effect(standing_of(it->second.now.state));
        if (!ended) continue;
        auto tasks = plan_tasks(runner_.handlers(), holds_of(key), *ended, key,
                                it->second.now.version, to_wall(now));
        for (auto& t : tasks)
            missing.push_back(std::move(t));
    }
    state_write w;
    w.tasks = runner_.plan(std::move(missing));
    if (!w.tasks.empty()) {
        auto tasks = w.tasks;
        state_.submit(std::move(w), nullptr, [this, tasks] { runner_.release(tasks); });
    }
}

void engine::set_issuers(std::string transmitter, std::vector<std::string> mission_issuers) {
    std::lock_guard lock(m_);
    transmitter_ = std::move(transmitter);
    mission_issuers_ = std::move(mission_issuers);
    if (mission_issuers_.empty()) mission_issuers_.push_back(transmitter_);
}

std::string engine::transmitter() const {
    std::lock_guard lock(m_);
    return transmitter_;
}

// ------------------------------------------------------------------------------------ missions

engine::face engine::face_of(slot& s) {
    published p;
    p.told = told(s.now);
    p.version = s.now.version;
    p.expires_wall = s.now.expires_at ? to_milliseconds(*s.now.expires_at) : 0;
    p.freshness = {s.fresh_until, s.now.confirmed_epoch};
    if (!s.now.authority) {
        s.authority = nullptr;
    } else if (!s.authority || s.authority->version != s.now.authority_version) {
        s.authority = parse_authority(*s.now.authority, s.now.authority_version);
    }
    return {p, s.authority};
}

bool engine::show(slot& s, const face& f, std::uint64_t revision) {
    s.shown = f.what.told;
    s.shown_revision = revision;
    return authorities_.put(s.now.key.issuer, s.now.key.id, f.what, f.authority);
}

void engine::take(slot& s, applied a, std::function<void(result<void>)> answered, after& later) {
    const auto now = hooks_.now();
    const bool first = s.now.version == 0;
    // A denial at once; a permission, and what extends one, after it is on disk.
    const bool at_once =
        told(a.next) != standing::active || (s.shown == standing::active && a.narrows);
    // Under another log_epoch the same version may carry another set.
    if (s.now.authority != a.next.authority) s.authority = nullptr;
    s.now = std::move(a.next);
    if (a.confirms && fresh_.covers(s.now.key.id)) s.now.confirmed_epoch = fresh_.word().epoch;
    s.fresh_until =
        s.now.fresh_until ? deadline_at(to_milliseconds(*s.now.fresh_until), now) : deadline{};
    ++s.revision;
    auto f = face_of(s);
    if (at_once && !show(s, f, s.revision)) {
        later.push_back(
            [this] { log(log_level::error, "the cache is full: the mission stays unknown", {}); });
    }

    state_write w;
    w.missions.push_back(s.now);
    if (a.effect) {
        w.tasks = runner_.plan(plan_tasks(runner_.handlers(), holds_of(s.now.key), *a.effect,
                                          s.now.key, s.now.version, to_wall(now)));
    }
    const bool tell = a.changed;
    const auto effect = a.effect.value_or(first ? ms::effect::resumed : ms::effect::scope_changed);
    auto tasks = w.tasks;
    state_.submit(
        std::move(w), std::move(answered),
        [this, key = s.now.key, revision = s.revision, f = std::move(f), tasks = std::move(tasks),
         effect, tell] { committed(key, revision, f, tasks, effect, tell); });
    if (a.ask_status) {
        counts_.gaps.fetch_add(1, std::memory_order_relaxed);
        later.push_back([this, key = s.now.key] { hooks_.ask_status(key, true); });
    }
}

// On the state's writer thread, before the SET is acknowledged.
void engine::committed(const mission_key& key, std::uint64_t revision, const face& seen,
                       const std::vector<task_record>& tasks, ms::effect effect, bool tell) {
    after later;
    ms::mission_view v;
    {
        std::lock_guard lock(m_);
        auto it = missions_.find(key);
        if (it == missions_.end()) return;
        // Not behind a denial that was shown before it was on disk; a later permission that is not
        // on disk yet does not keep this one back.
        if (revision > it->second.shown_revision && !show(it->second, seen, revision)) {
            later.push_back([this] {
                log(log_level::error, "the cache is full: the mission stays unknown", {});
            });
        }
        v = view_locked(it->second);
        watch_anew(hooks_.now(), later);
    }
    runner_.release(tasks);
    for (auto& f : later)
        f();
    if (!tell) return;
    log(log_level::info, "mission changed",
        {{"mission", v.id},
         {"version", std::to_string(v.now.version)},
         {"state", peer_words(v.state)},
         {"effect", std::string(ms::name(effect))},
         {"reason", peer_words(v.reason)}});
    if (hooks_.on_change) hooks_.on_change(v, effect);
}

engine::asked_at engine::status_asked(const mission_key& key) const {
    std::lock_guard lock(m_);
    const auto it = missions_.find(key);
    return {fresh_.word().epoch, it == missions_.end() ? 0 : it->second.revision};
}

void engine::on_status(const mission_key& key, const result<status_word>& word, asked_at asked,
                       std::function<void()> settled) {
    after later;
    bool submitted = false;
    {
        std::lock_guard lock(m_);
        auto it = missions_.find(key);
        if (auto h = held_.find(key); h != held_.end()) h->second.awaiting_first_status = false;
        record before;
        before.key = key;
        if (it != missions_.end()) before = it->second.now;
        applied a;
        a.next = before;
        // An answer that was under way when an event of another log_epoch came cannot decide about
        // it, and "no such mission" says nothing once a later SET has told of it.
        const std::uint64_t revision = it == missions_.end() ? 0 : it->second.revision;
        const bool overtaken = word.has_value()
                                   ? revision != 0 && it->second.doubted_at > asked.revision
                                   : revision != asked.revision;
        if (overtaken) {
            a.note = "the status was asked for before the last event came";
        } else if (word.has_value()) {
            a = apply_status(before, *word);
            // Asked before the running epoch began: true, but it confirms nothing in it.
            if (asked.epoch != fresh_.word().epoch) a.confirms = false;
        } else if (word.error() == errc::mission_not_found) {
            a = apply_not_found(before);
        }
        if (!a.note.empty()) {
            later.push_back([this, key, note = a.note] {
                log(log_level::warning, note, {{"mission", key.id}});
            });
        }
        a.ask_status = false;  // the desk asks again while wants_status() says so
        if (a.changed && (it != missions_.end() || missions_.size() < max_missions_)) {
            auto& s = missions_[key];
            s.now.key = key;
            const bool news = s.now.version != a.next.version || s.now.state != a.next.state ||
                              s.now.authority != a.next.authority;
            a.changed = news;
            take(
                s, std::move(a),
                [settled](const result<void>&) {
                    if (settled) settled();
                },
                later);
            submitted = true;
        } else {
            watch_anew(hooks_.now(), later);
        }
    }
    for (auto& f : later)
        f();
    if (!submitted && settled) settled();
}

bool engine::wants_status(const mission_key& key) const {
    std::lock_guard lock(m_);
    const auto it = missions_.find(key);
    if (it == missions_.end()) return held_.count(key) != 0;
    const auto& s = it->second;
    if (told(s.now) == standing::gap || !s.now.denied_as.empty()) return true;
    if (held_.count(key) == 0 || ms::is_terminal(told(s.now))) return false;
    const auto p = table_.find(key.issuer, key.id);
    return !p || !is_fresh(p->freshness, table_.stream(), hooks_.now());
}

std::vector<mission_key> engine::doubtful(std::size_t limit) const {
    std::lock_guard lock(m_);
    std::vector<mission_key> out;
    for (const auto& [key, s] : missions_) {
        if (out.size() >= limit) break;
        if (told(s.now) == standing::gap || !s.now.denied_as.empty()) out.push_back(key);
    }
    return out;
}

ms::mission_view engine::view_locked(const slot& s) const {
    ms::mission_view v;
    v.id = s.now.key.id;
    v.issuer = s.now.key.issuer;
    if (const auto p = table_.find(v.issuer, v.id)) {
        v.now = judge(*p, table_.stream(), hooks_.now());
    }
    v.state = s.now.state;
    v.log_version = s.now.version;
    v.committed_at = s.now.committed_at;
    v.expires_at = s.now.expires_at;
    v.fresh_until = s.now.fresh_until;
    v.suspend_until = s.now.suspend_until;
    v.successor = s.now.successor;
    v.reason = s.now.reason;
    return v;
}

std::optional<ms::mission_view> engine::view(const mission_key& key) const {
    std::lock_guard lock(m_);
    const auto it = missions_.find(key);
    if (it == missions_.end() || it->second.now.version == 0) return std::nullopt;
    return view_locked(it->second);
}

std::vector<ms::mission_view> engine::list(std::size_t limit) const {
    std::lock_guard lock(m_);
    std::vector<ms::mission_view> out;
    for (const auto& [key, s] : missions_) {
        if (out.size() >= limit) break;
        if (s.now.version != 0) out.push_back(view_locked(s));
    }
    return out;
}

std::string engine::setting(const std::string& name) const {
    std::lock_guard lock(m_);
    const auto it = settings_.find(name);
    return it == settings_.end() ? std::string() : it->second;
}

void engine::set_setting(const std::string& name, const std::string& value) {
    std::lock_guard lock(m_);
    if (settings_[name] == value) return;
    settings_[name] = value;
    state_write w;
    w.settings.emplace_back(name, value);
    state_.submit(std::move(w), nullptr);
}

}  // namespace mission::receiver
