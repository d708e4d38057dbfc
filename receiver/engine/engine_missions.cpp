// Which missions are known, what readers are shown of them, and when.
#include <algorithm>

#include "base/limits.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/teardown/plan.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {

using ms::log_level;
using ms::standing;

namespace {

constexpr int eviction_looks = 8;  // of some dozens of missions each
constexpr auto refused_logged_every = std::chrono::milliseconds(10'000);

std::uint32_t second_of(instant now) noexcept {
    return static_cast<std::uint32_t>(now.wall / 1000);
}

// Where there is no row: what readers are shown, and that no more is known than that.
record record_of(const mission_key& key, const published& p) {
    record r;
    r.key = key;
    r.version = p.version;
    r.state = std::string(ms::name(p.told));
    if (p.told == standing::gap || p.told == standing::unknown) r.state = "active";
    r.gap = true;
    r.not_found = p.told == standing::unknown;
    return r;
}

}  // namespace

// ------------------------------------------------------------------------------------ who is known

result<engine::slot*> engine::find(const mission_key& key) {
    if (auto* s = set_.find(key)) return s;
    const auto p = table_.find(key.issuer, key.id);
    // What has no row in the table has none on disk either, once all of them were read.
    if (!p && !loading_) return nullptr;
    auto row = state_.read(key);
    if (row.has_error()) return row.error();
    return bring_in(key, std::move(*row), p);
}

result<engine::slot*> engine::bring_in(const mission_key& key, std::optional<record> row,
                                       const std::optional<published>& p) {
    if (!p && !row) return nullptr;
    // What is not pinned has a row: the index of keys has lost it, and the next start would not.
    if (!row) state_.found_damaged({errc::store_corrupt, "a mission's row is not found"});
    const bool on_disk = row.has_value();
    if (!on_disk) row = record_of(key, *p);
    dropped_ = std::max(dropped_, set_.trim());
    auto& s = set_.add(key);  // the last that takes memory
    s.now = std::move(*row);
    s.on_disk = on_disk;
    // By our clock once, when it was told: not again, should the clock have been set back.
    s.fresh_until = p ? p->freshness.fresh_until : deadline_of(s.now);
    // It may be the one that was dropped last.
    s.revision = s.shown_revision = dropped_;
    if (s.now.gap || !s.now.denied_as.empty()) s.doubted_at = s.revision;
    if (p) {
        s.in_table = true;
        s.shown = p->told;
        return &s;
    }
    // Its row is read before its turn.
    ++unshown_;
    if (show(s, face_of(s.now, s.fresh_until), s.revision)) return &s;
    take_back(s);
    return error{errc::store_unavailable, "there is no memory for it"};
}

engine::slot* engine::admit(const mission_key& key, std::int64_t heard, after& later) {
    state_write w;
    const auto spare = [this](std::string_view issuer, std::string_view id) {
        return !evictable({std::string(issuer), std::string(id)});
    };
    bool room = table_.size() + unshown_ < max_missions_;
    // Until all rows are read nobody knows who was used last; and a row that is to be read again
    // would bring back what was evicted.
    for (int n = 0; !room && !loading_ && n < eviction_looks; ++n) {
        const auto victim = table_.least_used(spare);
        if (victim && evict(victim->issuer, victim->id))
            room = table_.size() + unshown_ < max_missions_;
    }
    if (!room) refuse(key, heard, w, later);
    if (!w.settings.empty()) {
        state_.submit(std::move(w), nullptr);
        horizon_unwritten_ = false;
    }
    if (!room) return nullptr;
    dropped_ = std::max(dropped_, set_.trim());
    auto& s = set_.add(key);
    ++unshown_;
    return &s;
}

void engine::take_back(slot& s) noexcept {
    if (s.in_table || s.waiting != 0) return;
    --unshown_;
    set_.drop(s);
}

bool engine::evictable(const mission_key& key) const {
    const auto* s = set_.peek(key);
    return (s == nullptr || !s->pinned()) && held_.count(key) == 0 && !runner_.has_open(key);
}

std::uint64_t& engine::evicted_at(std::string_view id) noexcept {
    return evicted_[std::hash<std::string_view>{}(id) % evicted_.size()];
}

// From here on it is `unknown`, which denies, and an old SET of it is no news.
bool engine::evict(const std::string& issuer, const std::string& id) {
    const mission_key key{issuer, id};
    const auto found = find(key);
    if (found.has_error()) return false;
    state_write w;
    raise_horizon(
        (*found)->now.heard_at != 0
            ? (*found)->now.heard_at
            : (hooks_.now().wall + std::chrono::milliseconds(limits::clock_skew).count()) / 1000,
        w);
    w.forgotten.push_back(key);
    // First: memory may end, and a row that stays would be believed by the next start.
    state_.submit(std::move(w), nullptr);
    horizon_unwritten_ = false;
    table_.erase(issuer, id);
    authorities_.forget(issuer, id);
    dropped_ = std::max(dropped_, (*found)->revision);
    set_.drop(**found);
    evicted_at(key.id) = ++revision_;
    counts_.missions_evicted.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void engine::refuse(const mission_key& key, std::int64_t heard, state_write& w, after& later) {
    // What is not kept is forgotten as well; and a Status that was asked for before it came knows
    // nothing of it.
    raise_horizon(heard, w);
    evicted_at(key.id) = ++revision_;
    counts_.missions_refused.fetch_add(1, std::memory_order_relaxed);
    ++refused_untold_;
    const auto now = hooks_.now().mono;
    if (refused_told_ != 0 && now - refused_told_ < refused_logged_every.count()) return;
    refused_told_ = std::max<std::int64_t>(now, 1);
    later.push_back([this, key, times = std::exchange(refused_untold_, 0)] {
        log(log_level::error, "the cache is full: missions stay unknown, which denies",
            {{"mission", key.id}, {"refused", std::to_string(times)}});
    });
}

void engine::raise_horizon(std::int64_t heard, state_write& w) {
    if (heard <= horizon_ && !horizon_unwritten_) return;
    horizon_ = std::max(heard, horizon_);
    // Again with the next, should memory end before this is handed on.
    horizon_unwritten_ = true;
    settings_["horizon"] = std::to_string(horizon_);
    w.settings.emplace_back("horizon", settings_["horizon"]);
}

// ------------------------------------------------------------------------------ what is shown of
// it

engine::face engine::face_of(const record& r, const deadline& fresh_until) {
    face f;
    f.what.told = told(r);
    f.what.foreign = !r.denied_as.empty();
    f.what.version = r.version;
    f.what.expires_wall = r.expires_at ? to_milliseconds(*r.expires_at) : 0;
    f.what.freshness = {fresh_until, r.confirmed_epoch};
    return f;
}

bool engine::show(slot& s, const face& f, std::uint64_t revision) {
    bool same = f.same_authority;
    if (revision == s.revision) {
        same = !s.shown_authority;
        s.shown_authority.reset();
    } else if (!same) {
        s.shown_authority = f.authority;
    }
    s.shown = f.what.told;
    s.shown_revision = revision;
    const auto& [issuer, id] = s.now.key;
    const bool shown = s.in_table && same
                           ? authorities_.put_same(issuer, id, f.what)
                           : authorities_.put(issuer, id, f.what, nullptr, second_of(hooks_.now()));
    if (shown && !s.in_table) {
        s.in_table = true;
        --unshown_;
    }
    return shown;
}

void engine::fetch_authority(std::string_view issuer, std::string_view id) {
    std::lock_guard lock(m_);
    const auto found = find({std::string(issuer), std::string(id)});
    if (found.has_error() || *found == nullptr) return;
    const auto& s = **found;
    const auto text = s.shown_authority ? *s.shown_authority
                                        : authority_text{s.now.authority, s.now.authority_version};
    // Under the lock: nothing else is shown in between.
    authorities_.keep(issuer, id, text.json ? parse_authority(*text.json, text.version) : nullptr);
}

// What may fail for want of memory comes first. Half of it done, the SET that comes again would be
// taken for a duplicate, and acknowledged with nothing on disk (I7).
void engine::take(slot& s, applied a, std::function<void(result<void>)> answered, after& later,
                  std::int64_t since) {
    const auto now = hooks_.now();
    const bool first = s.now.version == 0;
    auto& next = a.next;
    // A denial at once; a permission, and what extends one, after it is on disk.
    const bool at_once =
        told(next) != standing::active || (s.shown == standing::active && a.narrows);
    // By our clock once, when it is told: not again at each change, should the clock be set back.
    auto fresh_until = s.fresh_until;
    if (s.now.fresh_until != next.fresh_until) {
        fresh_until = next.fresh_until
                          ? deadline_within(to_milliseconds(*next.fresh_until), max_stale_, now)
                          : deadline{};
        const auto bound = std::chrono::milliseconds(max_stale_).count();
        if (since < now.mono) fresh_until.mono = std::min(fresh_until.mono, since + bound);
    }
    // Under another log_epoch the same version may carry another set.
    const bool same_authority =
        s.now.authority == next.authority && s.now.authority_version == next.authority_version;
    const bool confirmed = a.confirms && fresh_.covers(next.key.id);
    if (confirmed) next.confirmed_epoch = fresh_.word().epoch;
    auto f = face_of(next, fresh_until);
    f.same_authority = same_authority;
    const face shown_now{f.what, same_authority, {}};
    if (!same_authority) f.authority = {next.authority, next.authority_version};

    state_write w;
    (same_authority && s.on_disk ? w.states : w.missions).push_back(next);
    const auto effect = a.effect.value_or(first ? ms::effect::resumed : ms::effect::scope_changed);
    if (a.ask_status) later.push_back([this, key = next.key] { hooks_.ask_status(key, true); });
    const auto tasks = std::make_shared<std::vector<task_record>>();
    plan_kept plan(runner_, *tasks);
    if (a.effect) {
        *tasks = runner_.plan(plan_tasks(runner_.handlers(), holds_of(next.key), *a.effect,
                                         next.key, next.version, to_wall(now)));
        w.tasks = *tasks;
    }
    if (a.effect && is_terminal(*a.effect) && w.tasks.empty() && held_.count(next.key) != 0) {
        later.push_back([this, id = next.key.id] {
            log(log_level::warning,
                "a mission that has ended is held, and no handler is there for it",
                {{"mission", id}});
        });
    }
    // A disk that refuses keeps nothing running: it is torn down now, and again, with the same
    // keys, should we die before that is written.
    if (!tasks->empty() && (is_terminal(effect) || effect == ms::effect::suspended)) {
        answered = [this, tasks, answered = std::move(answered)](const result<void>& r) {
            if (r.has_error()) runner_.release_early(*tasks);
            if (answered) answered(r);
        };
    }
    const auto revision = revision_ + 1;
    state_.submit(std::move(w), std::move(answered),
                  // It is pinned until then, and stays where it is.
                  [this, slot = &s, revision, f = std::move(f), tasks, effect, tell = a.changed] {
                      committed(*slot, revision, f, *tasks, effect, tell);
                  });
    plan.handed_on();

    // It is on its way, and what follows takes no memory.
    ++s.waiting;
    s.revision = revision_ = revision;
    s.fresh_until = fresh_until;
    if (!same_authority && !s.shown_authority)
        s.shown_authority = authority_text{std::move(s.now.authority), s.now.authority_version};
    s.now = std::move(next);
    if (confirmed) fresh_.note_confirmed();
    // Without room for it now there may be some once it is on disk.
    if (at_once) (void)show(s, shown_now, revision);
    if (a.ask_status) counts_.gaps.fetch_add(1, std::memory_order_relaxed);
}

// On the state's writer thread, before the SET is acknowledged.
void engine::committed(slot& s, std::uint64_t revision, const face& seen,
                       const std::vector<task_record>& tasks, ms::effect effect, bool tell) {
    after later;
    ms::mission_view v;
    std::optional<mission_key> changed;  // for those who hold something
    {
        std::lock_guard lock(m_);
        --s.waiting;
        s.on_disk = true;
        // Not behind a denial that was shown before it was on disk; a later permission that is
        // not on disk yet does not keep this one back.
        if (!s.in_table || revision > s.shown_revision) (void)show(s, seen, revision);
        if (!seen.same_authority) (void)set_.find(s.now.key);  // it weighs less now
        if (tell) v = view_locked(s);
        if (!held_.empty()) changed = s.now.key;
        if (!s.in_table && s.waiting == 0) {
            // There is no memory for it in the table.
            const auto key = s.now.key;
            state_write w;
            refuse(key, s.now.heard_at, w, later);
            w.forgotten.push_back(key);
            take_back(s);
            evicted_at(key.id) = ++revision_;
            state_.submit(std::move(w), nullptr);
        }
        dropped_ = std::max(dropped_, set_.trim());
        if (changed) watch_anew(hooks_.now(), later, &*changed);
    }
    runner_.release(tasks);
    if (!changed) runner_.poke();  // for tasks of the mission alone
    for (auto& f : later)
        f();
    if (!tell) return;
    if (hooks_.log) {
        std::vector<ms::log_field> fields;
        fields.reserve(5);
        fields.push_back({"mission", v.id});
        fields.push_back({"version", std::to_string(v.now.version)});
        fields.push_back({"state", peer_words(v.state)});
        fields.push_back({"effect", std::string(ms::name(effect))});
        fields.push_back({"reason", peer_words(v.reason)});
        log(log_level::info, "mission changed", std::move(fields));
    }
    if (hooks_.on_change) hooks_.on_change(v, effect);
}

// What a SET says cannot be applied, because the row it is about cannot be read, or there is no
// memory for it: it comes again. A denial is shown now.
void engine::deny_unread(const events::mission_change& c) noexcept {
    if (c.state == "active") return;
    auto p = table_.find(c.issuer, c.mission_id);
    if (!p || c.version <= p->version || ms::is_terminal(p->told)) return;
    p->told = standing_of(c.state);
    (void)authorities_.put_same(c.issuer, c.mission_id, *p);
    // What is on its way to the disk, or was asked for, is older: it does not permit again.
    const auto revision = ++revision_;
    evicted_at(c.mission_id) = revision;
    if (auto* s = set_.seek(c.issuer, c.mission_id)) {
        s->shown = p->told;
        s->shown_revision = revision;
    }
}

// -------------------------------------------------------------------------------------- for people

ms::mission_view engine::view_of(const record& r) const {
    ms::mission_view v;
    v.id = r.key.id;
    v.issuer = r.key.issuer;
    if (const auto p = table_.find(v.issuer, v.id)) {
        v.now = judge(*p, table_.stream(), hooks_.now());
    }
    v.state = r.state;
    v.log_version = r.version;
    v.committed_at = r.committed_at;
    v.expires_at = r.expires_at;
    v.fresh_until = r.fresh_until;
    v.suspend_until = r.suspend_until;
    v.successor = r.successor;
    v.reason = r.reason;
    return v;
}

ms::mission_view engine::view_locked(const slot& s) const {
    return view_of(s.now);
}

std::optional<ms::mission_view> engine::view(const mission_key& key) {
    std::lock_guard lock(m_);
    const auto found = find(key);
    if (found.has_error() || *found == nullptr || (*found)->now.version == 0) return std::nullopt;
    return view_locked(**found);
}

std::vector<ms::mission_view> engine::list(std::size_t limit) const {
    std::vector<record> rows;
    // Not under our lock: a thousand rows are read in some milliseconds.
    row_place first;
    (void)state_.each(first, limit, false, [&](const record& r) { rows.push_back(r); });
    std::lock_guard lock(m_);
    std::vector<ms::mission_view> out;
    std::set<mission_key> told;
    for (const auto& r : rows) {
        const auto* s = set_.peek(r.key);
        // Who is in neither was evicted meanwhile.
        if (s == nullptr && !loading_ && !table_.find(r.key.issuer, r.key.id)) continue;
        out.push_back(s != nullptr ? view_locked(*s) : view_of(r));
        told.insert(r.key);
    }
    set_.each([&](const slot& s) {
        if (out.size() >= limit) return false;
        if (s.now.version != 0 && told.count(s.now.key) == 0) out.push_back(view_locked(s));
        return true;
    });
    return out;
}

std::vector<mission_key> engine::doubtful(std::size_t limit) const {
    auto rows = state_.in_doubt(limit);
    std::lock_guard lock(m_);
    std::set<mission_key> out;
    if (rows.has_value()) {
        for (auto& key : *rows) {
            const auto* s = set_.peek(key);
            if (s == nullptr || told(s->now) == standing::gap || !s->now.denied_as.empty())
                out.insert(std::move(key));
        }
    }
    set_.each([&](const slot& s) {
        if (out.size() >= limit) return false;
        if (told(s.now) == standing::gap || !s.now.denied_as.empty()) out.insert(s.now.key);
        return true;
    });
    return {out.begin(), out.end()};
}

}  // namespace mission::receiver
