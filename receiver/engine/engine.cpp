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

// More than there are heartbeats in a century; what an entry of the table can keep.
constexpr std::uint64_t epoch_max = UINT32_MAX / 4 * 3;

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
    : engine(s, runner, max_missions, std::move(h), memory()) {}

engine::engine(state& s, task_runner& runner, std::size_t max_missions, hooks h, memory working)
    : state_(s),
      runner_(runner),
      hooks_(std::move(h)),
      max_missions_(max_missions),
      table_(max_missions),
      authorities_(table_),
      set_(working.missions, working.octets) {
    authorities_.set_fetcher(
        [this](std::string_view issuer, std::string_view id) { fetch_authority(issuer, id); });
}

void engine::log(log_level level, std::string_view message,
                 std::vector<ms::log_field> fields) const {
    if (hooks_.log) hooks_.log(level, message, fields);
}

void engine::load(state_snapshot snapshot) {
    std::vector<task_record> missing;
    after later;
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
    d.settled_until = number_in<std::int64_t>(settings_["settled_until"]);
    if (const auto epoch = number_in<std::uint64_t>(settings_["epoch"])) {
        d.epoch = *epoch;
    }
    const auto now = hooks_.now();
    const bool any = snapshot.missions_stored || !snapshot.missions.empty();
    const bool counted = number_in<std::uint64_t>(settings_["epoch"]).has_value();
    if ((!counted && any) || d.epoch > epoch_max) {
        // Not known which it was: one that no count has come to, in which nothing is confirmed.
        d.epoch = static_cast<std::uint64_t>(std::max<std::int64_t>(now.wall / 1000, 1));
    }
    // No Status is fresh for longer than the transmitter's bound, and no stream: what seems so was
    // written under a clock that has been set back since, and how long ago that was nobody knows.
    const auto bound =
        std::chrono::seconds(number_in<std::int64_t>(settings_["max_stale_seconds"]).value_or(0));
    const auto believed = to_wall(now) + bound + limits::clock_skew;
    live_kept_ = number_in<std::int64_t>(settings_["live_until"]).value_or(0);
    const bool set_back = from_milliseconds(live_kept_) > believed;
    fresh_ = stream_freshness(d, any);
    horizon_ = number_in<std::int64_t>(settings_["horizon"]).value_or(0);
    state_write w;
    // A file that is older than the stream's last word may be an old copy, with which nobody would
    // notice what has been acknowledged since: nothing in it is relied on unconfirmed, and a SET of
    // before now is no first contact, as with a stream that is older than what is remembered. So
    // also of a file without missions: they may have come since.
    const bool heard = live_kept_ != 0 || d.settled_until;
    if ((any || heard) && (set_back || live_kept_ <= now.wall)) {
        fresh_.on_doubt();
        raise_horizon(before_this_second(now), w);
        later.push_back([this, live = live_kept_] {
            log(log_level::warning,
                "the state is older than the stream's last word, or a copy: entries are confirmed "
                "by Status when they are asked for",
                {{"live_until", to_rfc3339(from_milliseconds(live))}});
        });
    }
    table_.set_stream(fresh_.word());
    // Asked for before the restart: the answer may still come, and is none that we do not know.
    for (auto& state : words(settings_["verify_states"]))
        awaited_[std::move(state)] = {};
    for (const auto& [iss, jti, at] : snapshot.jtis)
        seen_.add(iss, jti, at);
    if (hooks_.events != nullptr) hooks_.events->restore(std::move(snapshot.events));
    if (snapshot.rebuilt) forget_history(now, w, later);
    row_terms_ = {set_back ? std::chrono::seconds(0) : bound, to_milliseconds(believed), now};
    for (auto& m : snapshot.missions) {
        auto& s = set_.add(m.key);
        s.now = std::move(m);
        s.fresh_until = deadline_of(s.now);
        ++unshown_;
        // Where there is no memory for it it stays unknown, and has no place that others could
        // take.
        if (!show(s, face_of(s.now, s.fresh_until), s.revision)) take_back(s);
    }
    loading_ = snapshot.missions_stored;
    state_.when_lost([this] { state_lost(); });
    for (const auto& h : snapshot.holds)
        note_hold_loaded(h);
    lock.unlock();
    runner_.restore(std::move(snapshot.tasks));

    // A held mission that had ended: every handler of today gets its task (known ones are kept).
    lock.lock();
    for (const auto& [key, h] : held_) {
        const auto found = find(key);
        // Its own state: a denial of another log_epoch ends nothing before Status has decided.
        if (found.has_error() || *found == nullptr || (*found)->now.version == 0) continue;
        const auto ended = ended_effect(standing_of((*found)->now.state));
        if (!ended) continue;
        // A state that nobody knows, in a row that is in doubt: damaged perhaps. Status decides.
        if (*ended == ms::effect::ended && (*found)->now.gap) continue;
        auto tasks = plan_tasks(runner_.handlers(), holds_of(key), *ended, key,
                                (*found)->now.version, to_wall(now));
        for (auto& t : tasks)
            missing.push_back(std::move(t));
    }
    put_stream(w);
    w.tasks = runner_.plan(std::move(missing));
    if (w.tasks.empty()) {
        if (!w.settings.empty()) state_.submit(std::move(w), nullptr);
    } else {
        auto tasks = w.tasks;
        state_.submit(std::move(w), nullptr, [this, tasks] { runner_.release(tasks); });
    }
    stream_unwritten_ = false;
    lock.unlock();
    for (auto& f : later)
        f();
    if (loading_) in_background([this] { load_missions(); });
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

engine::asked_at engine::status_asked(const mission_key&) const {
    std::lock_guard lock(m_);
    // Whatever changes from here on has a higher revision.
    return {fresh_.word().epoch, revision_, hooks_.now().mono};
}

void engine::on_status(const mission_key& key, const result<status_word>& word, asked_at asked,
                       std::function<void()> settled) {
    after later;
    bool submitted = false;
    {
        std::lock_guard lock(m_);
        auto found = find(key);
        if (auto h = held_.find(key); h != held_.end()) h->second.awaiting_first_status = false;
        slot* s = found.has_value() ? *found : nullptr;
        record before;
        before.key = key;
        if (s != nullptr) before = s->now;
        applied a;
        a.next = before;
        // An answer that was under way when an event of another log_epoch came cannot decide about
        // it, and "no such mission" says nothing once a later SET has told of it.
        const std::uint64_t revision = s == nullptr ? evicted_at(key.id) : s->revision;
        // One of another history than the entry's decides only when nothing came in between: which
        // of the two is the later one, no version tells.
        const bool foreign = word.has_value() && before.version != 0 && !word->log_epoch.empty() &&
                             !before.log_epoch.empty() && word->log_epoch != before.log_epoch;
        // The same for one that was forgotten since: it may have been about an earlier version,
        // also than what an old SET has told anew.
        const bool overtaken = word.has_value() && !foreign && s != nullptr
                                   ? std::max(s->doubted_at, evicted_at(key.id)) > asked.revision
                                   : revision > asked.revision;
        if (found.has_error()) {
            a.note = "its row cannot be read: " + found.error().message();
        } else if (overtaken) {
            a.note = "the status was asked for before the last event came";
            if (foreign && !ms::is_terminal(told(before))) {
                // As with an event of another history: its denial holds, another answer decides.
                a.next.gap = true;
                if (word->state != "active") a.next.denied_as = word->state;
                a.changed = true;
                s->doubted_at = revision_ + 1;
            }
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
        const auto heard = word.has_value() ? to_milliseconds(word->issued_at) / 1000 : 0;
        const bool unknown = s == nullptr;
        if (a.changed && unknown) s = admit(key, heard, later);
        const place_kept place(*this, unknown ? s : nullptr);
        if (a.changed && s != nullptr) {
            a.next.heard_at = std::max(a.next.heard_at, heard);
            const bool news = before.version != a.next.version || before.state != a.next.state ||
                              before.authority != a.next.authority;
            a.changed = news;
            take(
                *s, std::move(a),
                [settled](const result<void>&) {
                    if (settled) settled();
                },
                later, asked.mono);
            submitted = true;
        } else {
            watch_anew(hooks_.now(), later, &key);
        }
    }
    for (auto& f : later)
        f();
    if (!submitted && settled) settled();
}

bool engine::wants_status(const mission_key& key) const {
    std::lock_guard lock(m_);
    const auto* s = set_.peek(key);
    const auto p = table_.find(key.issuer, key.id);
    const bool held = held_.count(key) != 0;
    if (s == nullptr && !p) return held;
    const auto said = s != nullptr ? told(s->now) : p->told;
    const bool foreign = s != nullptr ? !s->now.denied_as.empty() : p->foreign;
    if (said == standing::gap || foreign) return true;
    if (!held || ms::is_terminal(said)) return false;
    return !p || !is_fresh(p->freshness, table_.stream(), hooks_.now());
}

bool engine::denial_aged(const mission_key& key) {
    const auto p = table_.find(key.issuer, key.id);
    if (!p) return false;
    if (ms::is_terminal(p->told))
        return p->freshness.confirmed_epoch != table_.stream().epoch && ended_elsewhere(key);
    return (p->told == standing::suspended || p->told == standing::active) &&
           !is_fresh(p->freshness, table_.stream(), hooks_.now());
}

// Nothing revives what has ended but a history in which it has not (I8).
bool engine::ended_elsewhere(const mission_key& key) {
    std::unique_lock lock(m_);
    const auto elsewhere = [this](const record& r) {
        const auto& history = fresh_.kept().log_epoch;
        return !r.log_epoch.empty() && !history.empty() && r.log_epoch != history;
    };
    if (const auto* s = set_.find(key)) return elsewhere(s->now);
    const auto before = revision_;
    // Not under our lock: SETs wait for that, and any number of callers may ask here.
    lock.unlock();
    auto row = state_.read(key);
    lock.lock();
    if (const auto* s = set_.find(key)) return elsewhere(s->now);
    if (row.has_error()) return false;
    const auto p = table_.find(key.issuer, key.id);
    if (!p || !*row) {
        // Forgotten meanwhile, or its row is lost: then that is looked into.
        const auto found = find(key);
        return found.has_value() && *found != nullptr && elsewhere((*found)->now);
    }
    const bool out = elsewhere(**row);
    // It is still what was read: who asks again need not wait for the disk.
    if (revision_ == before) (void)bring_in(key, std::move(*row), p);
    return out;
}

std::size_t engine::working() const {
    std::lock_guard lock(m_);
    return set_.size();
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
