// What the host holds: declared durably, torn down with its mission, paused while we cannot know.
#include <algorithm>
#include <cstdlib>
#include <future>
#include <new>
#include <thread>

#include "receiver/engine/engine.hpp"
#include "receiver/teardown/plan.hpp"

namespace mission::receiver {

using ms::standing;
using std::chrono::milliseconds;

namespace {

constexpr auto commit_wait = std::chrono::seconds(10);
constexpr auto tick = std::chrono::milliseconds(5);  // a coarse clock's resolution, and some
// A transmitter that is down at our start keeps nothing running for longer than this.
constexpr auto first_status_wait = std::chrono::seconds(5);
constexpr auto longest_watch = std::chrono::milliseconds(60'000);
// Where memory has ended: until it is looked whether there is some again.
constexpr auto no_memory_wait = std::chrono::milliseconds(100);
// The wall clock against the monotonic one: further than this it was set.
constexpr std::int64_t clock_set = 250;

}  // namespace

void engine::note_hold_loaded(const hold_record& h) {
    auto& m = held_[h.mission];
    m.things[h.name] = h.data;
    // It may have been paused before the restart: the first look decides, once Status has spoken.
    m.awaiting_first_status = true;
    first_status_until_ = hooks_.now().mono + milliseconds(first_status_wait).count();
}

std::vector<hold_record> engine::holds_of(const mission_key& key) const {
    std::vector<hold_record> out;
    const auto it = held_.find(key);
    if (it == held_.end()) return out;
    for (const auto& [name, data] : it->second.things)
        out.push_back({key, name, data});
    return out;
}

bool engine::hold(const mission_key& key, const std::string& name, const std::string& data) {
    auto committed = std::make_shared<std::promise<bool>>();
    auto answer = committed->get_future();
    std::optional<std::string> previous;
    // Nothing would be written: no promise to wait for.
    if (!state_.accepts()) return false;
    {
        std::lock_guard lock(m_);
        if (!table_.check(key.issuer, key.id, hooks_.now()).permitted()) return false;
        auto& m = held_[key];
        if (m.things.empty()) m.paused = pause::none;
        if (auto it = m.things.find(name); it != m.things.end()) previous = it->second;
        m.things[name] = data;
        state_write w;
        w.holds.push_back({key, name, data});
        state_.submit(std::move(w),
                      [committed](const result<void>& r) { committed->set_value(r.has_value()); });
    }
    const bool durable = answer.wait_for(commit_wait) == std::future_status::ready && answer.get();
    after later;
    bool ok = durable;
    {
        std::lock_guard lock(m_);
        // It may have ended meanwhile. Then its tasks name this hold already, and nothing that the
        // host is about to hand out escapes them; what merely went stale is taken back.
        const auto now = table_.check(key.issuer, key.id, hooks_.now());
        ok = ok && now.permitted();
        // By its own state: what a clock or another log_epoch denies has made no tasks.
        const auto known = find(key);
        const bool ended = known.has_value() && *known != nullptr &&
                           ms::is_terminal(standing_of((*known)->now.state));
        if (!ok && !ended) {
            auto it = held_.find(key);
            state_write w;
            if (it != held_.end() && previous) {
                it->second.things[name] = *previous;
                w.holds.push_back({key, name, *previous});
            } else if (it != held_.end()) {
                it->second.things.erase(name);
                if (it->second.things.empty()) drop_held(it);
                w.released.emplace_back(key, name);
            }
            state_.submit(std::move(w), nullptr);
        }
        watch_anew(hooks_.now(), later, &key);
    }
    for (auto& f : later)
        f();
    return ok;
}

void engine::release(const mission_key& key, const std::string& name) {
    std::lock_guard lock(m_);
    auto it = held_.find(key);
    if (it == held_.end() || it->second.things.count(name) == 0) return;
    state_write w;
    w.released.emplace_back(key, name);
    w.tasks = runner_.cancel(key, name, "released by the host");
    auto cancelled = w.tasks;
    state_.submit(std::move(w), nullptr,
                  [this, cancelled = std::move(cancelled)] { runner_.release(cancelled); });
    it->second.things.erase(name);
    if (it->second.things.empty()) drop_held(it);
}

void engine::drop_held(std::map<mission_key, held_mission>::iterator it) {
    looks_.erase({it->second.look_at, &it->first});
    doubted_.erase(&it->first);
    held_.erase(it);
}

std::vector<hold_record> engine::held(std::string_view mission_id) const {
    std::lock_guard lock(m_);
    std::vector<hold_record> out;
    for (const auto& [key, m] : held_) {
        if (!mission_id.empty() && key.id != mission_id) continue;
        for (const auto& [name, data] : m.things)
            out.push_back({key, name, data});
    }
    return out;
}

std::vector<mission_key> engine::held_missions() const {
    std::lock_guard lock(m_);
    std::vector<mission_key> out;
    for (const auto& [key, m] : held_)
        out.push_back(key);
    return out;
}

void engine::watch() {
    after later;
    {
        std::lock_guard lock(m_);
        watch_anew(hooks_.now(), later);
    }
    // Nobody else would look again, or ask: what memory fails is tried until there is some.
    const auto insist = [this](const auto& f) {
        do {
            try {
                return f();
            } catch (const std::bad_alloc&) {
                std::this_thread::sleep_for(no_memory_wait);
            }
        } while (!stopping_.load(std::memory_order_relaxed));
    };
    if (later.empty() && hooks_.wake_after) insist([this] { hooks_.wake_after(no_memory_wait); });
    for (const auto& f : later)
        insist(f);
}

void engine::watch_anew(instant now, after& later, const mission_key* changed) noexcept {
    const auto before = static_cast<std::ptrdiff_t>(later.size());
    auto wait = no_memory_wait;
    try {
        wait = watch_locked(now, later, changed);
    } catch (const std::bad_alloc&) {
        later.erase(later.begin() + before, later.end());
        watched_once_ = false;
    }
    try {
        if (hooks_.wake_after) later.push_back([this, wait] { hooks_.wake_after(wait); });
    } catch (const std::bad_alloc&) {
        // The timer that was set before is still there.
    }
}

// Looks at the held missions that may have become something else since their last look; returns
// when to look again. All of them at a new epoch or when a clock was set, else those whose time has
// come, the one that changed, and, when the stream was heard of again, those that waited for it.
std::chrono::milliseconds engine::watch_locked(instant now, after& later,
                                               const mission_key* changed) {
    const auto stream = table_.stream();
    const auto offset = now.wall - now.mono;
    const bool all = !watched_once_ || stream.epoch != watched_.epoch ||
                     stream.live_until.wall < watched_.live_until.wall ||
                     stream.live_until.mono < watched_.live_until.mono ||
                     std::abs(offset - watched_offset_) > clock_set;

    using entry = std::map<mission_key, held_mission>::value_type;
    std::vector<std::pair<entry*, look>> looked_at;
    const auto look_once = [&, watch = ++watches_](entry& held) {
        auto& m = held.second;
        if (std::exchange(m.looked, watch) != watch) looked_at.push_back({&held, {}});
    };
    if (all) {
        for (auto& held : held_)
            look_once(held);
    } else {
        if (stream != watched_) {
            for (const auto* key : doubted_)
                look_once(*held_.find(*key));
        }
        for (const auto& [at, key] : looks_) {
            if (at > now.mono) break;
            look_once(*held_.find(*key));
        }
        if (changed != nullptr) {
            if (const auto it = held_.find(*changed); it != held_.end()) look_once(*it);
        }
    }
    std::vector<task_record> tasks;
    for (auto& [held, to] : looked_at) {
        const auto& [key, m] = *held;
        looks_.emplace(m.look_at, &key);  // if it is new
        to = look_at_held(key, m, now, tasks, later);
        if (!to.permitted) doubted_.insert(&key);
    }
    later.reserve(later.size() + 2);
    if (!tasks.empty()) {
        const auto planned = tasks;
        (void)runner_.plan(std::move(tasks));
        runner_.release(planned);
    }

    // What follows takes no memory.
    for (auto& [held, to] : looked_at) {
        auto& [key, m] = *held;
        m.paused = to.paused;
        m.awaiting_first_status = to.awaiting_first_status;
        m.asked_for = to.asked_for;
        if (to.permitted) doubted_.erase(&key);
        auto place = looks_.extract({m.look_at, &key});
        m.look_at = place.value().first = now.mono + to.wait.count();
        looks_.insert(std::move(place));
    }
    if (all) watched_offset_ = offset;
    watched_ = stream;
    watched_once_ = true;
    later.push_back([this] { runner_.poke(); });
    if (looks_.empty()) return longest_watch;
    return std::clamp(milliseconds(looks_.begin()->first - now.mono), tick, longest_watch);
}

// Whether it is to be paused or continued, and when to look at it again.
engine::look engine::look_at_held(const mission_key& key, const held_mission& m, instant now,
                                  std::vector<task_record>& tasks, after& later) {
    look out{m.paused, m.awaiting_first_status, m.asked_for, false, longest_watch};
    auto& next = out.wait;
    auto emit = [&](ms::effect why, std::int64_t version) {
        auto made = plan_tasks(runner_.handlers(), holds_of(key), why, key, version, to_wall(now));
        for (auto& t : made) {
            // The same version may become stale many times: each time is a task of its own.
            t.key += "-" + std::to_string(++freshness_tasks_);
            tasks.push_back(std::move(t));
        }
    };
    const auto stream = table_.stream();
    const auto p = table_.find(key.issuer, key.id);
    const auto a = p ? judge(*p, stream, now) : ms::answer{};
    if (a.permitted()) {
        out.permitted = true;
        out.awaiting_first_status = false;
        // Also when it is undecided: a process may have been paused before a restart.
        if (m.paused != pause::none) emit(ms::effect::fresh, a.version);
        out.paused = pause::none;
        auto until = p->freshness.fresh_until;
        // The sooner clock decides, as in every look.
        const auto left = [now](const deadline& d) {
            return milliseconds(std::min(d.wall - now.wall, d.mono - now.mono));
        };
        const bool vouched =
            p->freshness.confirmed_epoch == stream.epoch && left(stream.live_until) >= left(until);
        if (vouched) {
            until = stream.live_until;
        } else if (m.asked_for != until.wall) {
            // On its own fresh_until: asked for again before that ends, so that nothing which
            // is held is paused every time.
            const auto ahead = milliseconds(max_stale_) / 3;
            if (left(until) <= ahead) {
                out.asked_for = until.wall;
                later.push_back([this, key] {
                    if (hooks_.ask_status) hooks_.ask_status(key, false);
                });
            } else {
                next = std::min(next, left(until) - ahead + tick);
            }
        }
        next = std::min(next, left(until) + tick);
        if (p->expires_wall != 0) {
            next = std::min(next, milliseconds(p->expires_wall - now.wall) + tick);
        }
        next = std::max(next, tick);
        return out;
    }
    const auto said = p ? p->told : standing::unknown;
    // Suspended and ended are durable effects of their own.
    // ... but a denial of another log_epoch has none: paused until Status has decided.
    if (!(p && p->foreign) && (said == standing::suspended || ms::is_terminal(said))) return out;
    if (m.paused == pause::paused) return out;
    if (m.awaiting_first_status && now.mono < first_status_until_) {
        next = std::max(milliseconds(first_status_until_ - now.mono) + tick, tick);
        return out;
    }
    out.paused = pause::paused;
    emit(ms::effect::stale, a.version);
    later.push_back([this, key, what = a.what] {
        log(ms::log_level::warning, "a held mission cannot be relied on",
            {{"mission", key.id}, {"state", std::string(ms::name(what))}});
        if (hooks_.ask_status) hooks_.ask_status(key, false);
    });
    return out;
}

bool engine::may_run(const task_record& t) const {
    if (t.why != ms::effect::resumed && t.why != ms::effect::fresh) return true;
    return table_.check(t.mission.issuer, t.mission.id, hooks_.now()).permitted();
}

void engine::task_done(const task_record& t, state_write& w) {
    if (!is_terminal(t.why) || t.name.empty()) return;
    std::lock_guard lock(m_);
    // Another handler may still have to do its part with the same thing.
    if (runner_.has_open(t.mission, t.name)) return;
    auto it = held_.find(t.mission);
    if (it == held_.end() || it->second.things.count(t.name) == 0) return;
    w.released.emplace_back(t.mission, t.name);
    it->second.things.erase(t.name);
    if (it->second.things.empty()) drop_held(it);
}

}  // namespace mission::receiver
