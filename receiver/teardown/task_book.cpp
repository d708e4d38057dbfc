#include "receiver/teardown/task_book.hpp"

#include <algorithm>
#include <new>

#include "base/limits.hpp"
#include "receiver/teardown/plan.hpp"

namespace mission::receiver {
namespace {

constexpr unsigned freshness_tries = 5;  // stale and fresh are not durable: given up after these
// A handler's evidence is kept with its task and told in reports: a word, not a log.
constexpr std::size_t evidence_kept = 4096;
// One call may have outlived its timeout; the next one is the last that is begun beside it.
constexpr unsigned calls_of_a_task = 2;

std::string kept_evidence(std::string text) {
    if (text.size() <= evidence_kept) return text;
    auto end = evidence_kept;
    // Not in the middle of a character (UTF-8).
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    text.resize(end);
    return text + "...";
}

}  // namespace

void task_book::add_handler(ms::handler_options what, ms::handler run) {
    auto& h = handler_of(what.name);
    options_.push_back(what);
    h.what = std::move(what);
    h.run = std::move(run);
    h.registered = true;
    h.counts.registered = true;
}

task_book::handler_entry& task_book::handler_of(const std::string& name) {
    const auto [it, made] = handlers_.try_emplace(name);
    if (made) {
        it->second.what.name = it->second.counts.name = name;
        it->second.counts.registered = false;
    }
    return it->second;
}

// Issuers and ids have no NUL; a name comes last.
std::string task_book::thing_of(const mission_key& mission, const std::string& name) {
    std::string out;
    out.reserve(mission.issuer.size() + mission.id.size() + name.size() + 2);
    out.append(mission.issuer).append(1, '\0').append(mission.id).append(1, '\0').append(name);
    return out;
}

// -------------------------------------------------------------------------------------- planning

// What was planned before and not released is told once more: whoever planned it may have had no
// memory to write it, and plans it again.
std::vector<task_record> task_book::plan(std::vector<task_record> tasks, steady_time now) {
    std::vector<task_record> out;
    out.reserve(tasks.size());
    for (auto& t : tasks) {
        const auto known = items_.find(t.key);
        if (known != items_.end()) {
            const auto& i = *known->second;
            if (i.released) continue;
            if (i.task.open()) supersede(i, true, out);
            if (i.task.durable) out.push_back(i.task);
            continue;
        }
        // Its part is done; the thing is held only because another handler's is not.
        if (done_before_.count(t.key) != 0 && has_open(t.mission, t.name)) continue;
        if (const auto thing = things_.find(thing_of(t.mission, t.name)); thing != things_.end()) {
            const bool forbidden = std::any_of(
                thing->second.begin(), thing->second.end(),
                [&](const item* i) { return i->task.handler == t.handler && forbids(i->task, t); });
            if (forbidden) continue;
        }
        const auto& i = add(t, now);
        supersede(i, false, out);
        if (i.task.durable) out.push_back(i.task);
    }
    return out;
}

task_book::item& task_book::add(const task_record& t, steady_time now) {
    auto made = std::make_unique<item>();
    auto& i = *made;
    i.handler = &handler_of(t.handler);
    i.order = ++last_order_;
    i.task = t;
    const auto thing = thing_of(t.mission, t.name);
    const bool accounted = accounts_.count(t.mission) != 0;
    auto& lane = things_[thing];
    try {
        lane.push_back(&i);
        account_for(i, now);
        missions_.try_emplace(t.mission);
        items_.emplace(t.key, std::move(made));
    } catch (...) {
        // Whether `i` is still there or not.
        std::erase(lane, &i);
        if (lane.empty()) things_.erase(thing);
        if (const auto it = accounts_.find(t.mission); it != accounts_.end() && !accounted) {
            accounts_.erase(it);
        } else if (it != accounts_.end()) {
            it->second.open.erase(last_order_);
        }
        if (const auto it = missions_.find(t.mission); it != missions_.end() && it->second == 0)
            missions_.erase(it);
        throw;
    }
    ++missions_.find(t.mission)->second;
    ++open_;
    ++i.handler->counts.open;
    return i;
}

// Those of its lane that are not wanted any more. `again`: also those that were found so before.
void task_book::supersede(const item& by, bool again, std::vector<task_record>& out) {
    // What no transaction will name is not released either: it goes now.
    std::vector<std::string> gone;
    for (auto* other : things_.at(thing_of(by.task.mission, by.task.name))) {
        if (other == &by || other->task.handler != by.task.handler) continue;
        if (supersedes(by.task, other->task)) {
            other->task.evidence = "superseded by " + std::string(ms::name(by.task.why));
            other->task.updated = by.task.created;
            other->task.cancelled = true;
            over(*other);
        } else if (!again || !other->task.cancelled) {
            continue;
        }
        if (other->task.durable) {
            out.push_back(other->task);
        } else {
            gone.push_back(other->task.key);
        }
    }
    for (const auto& key : gone)
        retire(key);
}

void task_book::release(const std::vector<task_record>& tasks, steady_time now) {
    for (const auto& t : tasks) {
        const auto it = items_.find(t.key);
        if (it == items_.end()) continue;
        auto& i = *it->second;
        if (!i.released) {
            i.released = true;
            i.due = now;
            place_item(i);
        }
        if (!i.task.open()) retire(it->first);
    }
}

void task_book::restore(std::vector<task_record> tasks, steady_time now) {
    // What has been done of an end that is not over yet belongs to its account.
    std::unordered_set<mission_key, key_hash> ending;
    for (const auto& t : tasks) {
        if (t.open() && is_terminal(t.why)) ending.insert(t.mission);
    }
    std::vector<task_record> open, done;
    for (auto& t : tasks) {
        if (t.open()) {
            open.push_back(std::move(t));
            continue;
        }
        if (is_terminal(t.why) && ending.count(t.mission) != 0) {
            done.push_back(t);
            if (t.finished) done_before_.insert(t.key);
        }
        keep(std::move(t));
    }
    release(plan(std::move(open), now), now);
    for (auto& t : done) {
        auto& a = accounts_[t.mission].told;
        a.since = std::min(a.since, t.created);
        ++(t.finished ? a.acknowledged : a.released);
        if (a.named.size() < account_tasks_named) a.named.push_back(std::move(t));
    }
}

std::vector<task_record> task_book::cancel(const mission_key& mission, const std::string& name,
                                           const std::string& why) {
    std::vector<task_record> out;
    const auto thing = things_.find(thing_of(mission, name));
    // Without a name they are the mission's, not a held thing's.
    if (thing == things_.end() || name.empty()) return out;
    std::vector<std::string> gone;
    for (auto* i : thing->second) {
        if (!i->task.open()) continue;
        i->task.cancelled = true;
        i->task.evidence = why;
        over(*i);
        if (i->task.durable) out.push_back(i->task);
        gone.push_back(i->task.key);
    }
    for (const auto& key : gone)
        retire(key);
    return out;
}

bool task_book::retry_now(const std::string& key, steady_time now) {
    const auto it = items_.find(key);
    if (it == items_.end() || !it->second->task.open()) return false;
    unplace(*it->second);
    it->second->due = now;
    place_item(*it->second);
    return true;
}

// --------------------------------------------------------------------------------------- places

// An earlier open task of the lane, or one that still runs, goes first.
bool task_book::first_in_lane(const item& i) const {
    for (const auto* other : things_.at(thing_of(i.task.mission, i.task.name))) {
        if (other == &i) return true;
        if (other->task.handler != i.task.handler) continue;
        // A resume that waits for freshness does not stop the pause that staleness asks for.
        if (other->call != 0 || (other->task.open() && !other->held_back)) return false;
    }
    return true;
}

// A call that has outlived its timeout keeps its slot, and its task must not take them all.
bool task_book::may_take_slot(const item& i) const {
    const auto& h = *i.handler;
    if (h.busy >= h.what.concurrency) return false;
    if (i.calls == 0) return true;
    return i.calls < calls_of_a_task && h.busy + 1 < h.what.concurrency;
}

void task_book::place_item(item& i) {
    const bool wanted = i.released && i.task.open() && i.call == 0 && !i.held_back &&
                        i.handler->registered && first_in_lane(i);
    if (wanted == i.queued) return;
    if (!wanted) return unplace(i);
    i.handler->queue.emplace(i.due, i.order, &i);
    i.queued = true;
}

void task_book::unplace(item& i) {
    if (!i.queued) return;
    i.handler->queue.erase({i.due, i.order, &i});
    i.queued = false;
}

void task_book::place_lane(const item& of) {
    for (auto* i : things_.at(thing_of(of.task.mission, of.task.name))) {
        if (i->task.handler == of.task.handler) place_item(*i);
    }
}

void task_book::over(item& i) {
    unplace(i);
    held_back_.erase(&i);
    i.held_back = false;
    --open_;
    if (const auto it = missions_.find(i.task.mission); --it->second == 0) missions_.erase(it);
    --i.handler->counts.open;
    const auto it = accounts_.find(i.task.mission);
    if (it == accounts_.end() || it->second.open.erase(i.order) == 0) return;
    auto& a = it->second.told;
    ++(i.task.finished ? a.acknowledged : a.released);
    if (a.named.size() >= account_tasks_named) return;
    try {
        a.named.push_back(i.task);
    } catch (const std::bad_alloc&) {
        // It is counted, and not named.
    }
}

// That nothing follows a terminal task is the engine's: a mission that is over has no further
// effects.
void task_book::retire(const std::string& key) {
    const auto it = items_.find(key);
    if (it == items_.end() || it->second->call != 0 || it->second->task.open()) return;
    const auto i = std::move(it->second);
    items_.erase(it);
    const auto thing = things_.find(thing_of(i->task.mission, i->task.name));
    std::erase(thing->second, i.get());
    if (thing->second.empty()) {
        things_.erase(thing);
    } else {
        for (auto* other : thing->second) {
            if (other->task.handler == i->task.handler) place_item(*other);
        }
    }
    if (i->task.durable) keep(std::move(i->task));
}

void task_book::keep(task_record t) {
    finished_.push_back(std::move(t));
    if (finished_.size() > limits::finished_tasks_memory) finished_.pop_front();
}

void task_book::hold_back(const std::string& key) {
    const auto it = items_.find(key);
    if (it == items_.end() || !it->second->task.open()) return;
    it->second->held_back = true;
    held_back_.insert(it->second.get());
    place_lane(*it->second);
}

void task_book::let_go() {
    const auto all = std::move(held_back_);
    held_back_.clear();
    for (auto* i : all)
        i->held_back = false;
    for (auto* i : all)
        place_lane(*i);
}

// ---------------------------------------------------------------------------------------- calls

std::vector<task_record> task_book::due(steady_time now) const {
    std::vector<task_record> out;
    for (const auto& [name, h] : handlers_) {
        auto slots = h.what.concurrency > h.busy ? h.what.concurrency - h.busy : 0;
        for (auto it = h.queue.begin(); it != h.queue.end() && slots > 0; ++it) {
            if (std::get<steady_time>(*it) > now) break;
            const auto& i = *std::get<item*>(*it);
            // At most as many are passed over as there are slots: each has a call in one.
            if (!may_take_slot(i)) continue;
            out.push_back(i.task);
            --slots;
        }
    }
    return out;
}

std::optional<task_book::call> task_book::launch(const std::string& key, steady_time now) {
    const auto it = items_.find(key);
    if (it == items_.end()) return std::nullopt;
    auto& i = *it->second;
    if (!i.queued || i.due > now || !may_take_slot(i)) return std::nullopt;
    const auto id = ++last_call_;
    i.call = id;
    ++i.calls;
    ++i.task.attempts;
    ++i.handler->busy;
    place_item(i);
    calls_.emplace(id, open_call{.key = key, .order = i.order, .handler = i.handler});
    return call{id,
                i.handler->run,
                {i.task.key, i.task.why, i.task.mission.id, i.task.mission.issuer, i.task.version,
                 i.task.name, i.task.data, i.task.attempts}};
}

void task_book::begun(std::uint64_t id, steady_time now) {
    const auto it = calls_.find(id);
    if (it == calls_.end()) return;
    it->second.limit = now + it->second.handler->what.timeout;
    limits_.emplace(*it->second.limit, id);
}

void task_book::drop(std::uint64_t id, steady_time now) {
    const auto it = calls_.find(id);
    if (it == calls_.end()) return;
    const auto c = std::move(it->second);
    calls_.erase(it);
    --c.handler->busy;
    const auto found = items_.find(c.key);
    if (found == items_.end() || found->second->call != id) return;
    auto& i = *found->second;
    i.call = 0;
    --i.calls;
    --i.task.attempts;
    i.due = now;
    place_lane(i);
    retire(c.key);
}

task_book::returned task_book::finish(std::uint64_t id, ms::outcome o, steady_time now,
                                      wall_time at) {
    returned out;
    const auto it = calls_.find(id);
    if (it == calls_.end()) return out;
    const auto c = std::move(it->second);
    calls_.erase(it);
    if (c.limit) limits_.erase({*c.limit, id});
    auto& h = *c.handler;
    --h.busy;
    if (c.overdue) {
        --overdue_;
        --h.counts.overdue;
    }
    const bool acknowledged = o.kind == ms::outcome_kind::acknowledged;
    const auto found = items_.find(c.key);
    if (found == items_.end()) return out;
    auto& i = *found->second;
    if (i.order == c.order) --i.calls;
    out.late = i.call != id;
    if (!out.late) i.call = 0;
    // A late acknowledgement still counts: the thing is gone. A late failure says nothing new.
    if (i.task.open() && (!out.late || acknowledged)) {
        switch (o.kind) {
            case ms::outcome_kind::acknowledged:
                ++h.counts.acknowledged;
                break;
            case ms::outcome_kind::failed:
                ++h.counts.failed;
                break;
            case ms::outcome_kind::timed_out:
                ++h.counts.timed_out;
                break;
            case ms::outcome_kind::unknown:
                ++h.counts.unknown;
                break;
        }
        unplace(i);
        i.task.last = o.kind;
        i.task.evidence = kept_evidence(std::move(o.evidence));
        i.task.updated = at;
        if (acknowledged) {
            i.task.finished = true;
            over(i);
        } else if (!i.task.durable && i.task.attempts >= freshness_tries) {
            i.task.cancelled = true;
            over(i);
        } else {
            i.due = now + retry_delay(h.what, i.task.attempts, random_);
        }
        out.told = i.task;
    }
    place_lane(i);
    retire(c.key);
    return out;
}

std::vector<task_record> task_book::expire(steady_time now, wall_time at) {
    std::vector<task_record> out;
    while (!limits_.empty() && limits_.begin()->first <= now) {
        const auto id = limits_.begin()->second;
        limits_.erase(limits_.begin());
        auto& c = calls_.at(id);
        c.overdue = true;
        ++overdue_;
        ++c.handler->counts.overdue;
        ++c.handler->counts.timed_out;
        const auto found = items_.find(c.key);
        if (found == items_.end() || found->second->call != id) continue;
        auto& i = *found->second;
        i.call = 0;
        if (i.task.open()) {
            i.task.last = ms::outcome_kind::timed_out;
            i.task.evidence = "no outcome within the handler's timeout";
            i.task.updated = at;
            i.due = now + retry_delay(c.handler->what, i.task.attempts, random_);
            if (!i.task.durable && i.task.attempts >= freshness_tries) {
                i.task.cancelled = true;
                over(i);
            }
            out.push_back(i.task);
        }
        place_lane(i);
        retire(c.key);
    }
    return out;
}

std::optional<steady_time> task_book::next(steady_time now) const {
    std::optional<steady_time> out;
    const auto sooner = [&](steady_time t) { out = out ? std::min(*out, t) : t; };
    if (!limits_.empty()) sooner(limits_.begin()->first);
    for (const auto& [name, h] : handlers_) {
        if (h.busy >= h.what.concurrency) continue;  // a call that returns wakes us
        for (const auto& p : h.queue) {
            const auto& i = *std::get<item*>(p);
            if (!may_take_slot(i)) continue;
            sooner(std::max(std::get<steady_time>(p), now));
            break;
        }
    }
    return out;
}

std::optional<steady_time> task_book::last_limit() const {
    std::optional<steady_time> out;
    for (const auto& [id, c] : calls_) {
        if (c.limit) out = out ? std::max(*out, *c.limit) : *c.limit;
    }
    return out;
}

std::size_t task_book::running() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        calls_.begin(), calls_.end(), [](const auto& c) { return c.second.limit.has_value(); }));
}

// ---------------------------------------------------------------------------------------- looks

std::vector<task_book::listed> task_book::list(bool open_only) const {
    std::vector<listed> out;
    out.reserve(items_.size() + (open_only ? 0 : finished_.size()));
    if (!open_only) {
        for (const auto& t : finished_)
            out.push_back({t, false, false, std::nullopt});
    }
    for (const auto& [key, i] : items_) {
        if (open_only && !i->task.open()) continue;
        listed l{i->task, i->task.open() && !i->handler->registered, i->calls > 0, std::nullopt};
        if (i->queued) l.next = i->due;
        out.push_back(std::move(l));
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
        return std::tie(a.task.created, a.task.version, a.task.key) <
               std::tie(b.task.created, b.task.version, b.task.key);
    });
    return out;
}

std::vector<ms::handler_status> task_book::status() const {
    std::map<const handler_entry*, wall_time> oldest;
    for (const auto& [key, i] : items_) {
        if (!i->task.open()) continue;
        const auto [it, first] = oldest.emplace(i->handler, i->task.created);
        if (!first) it->second = std::min(it->second, i->task.created);
    }
    std::vector<ms::handler_status> out;
    for (const auto& [name, h] : handlers_) {
        if (!h.registered && h.counts.open == 0) continue;
        auto s = h.counts;
        s.running = h.busy;
        if (const auto it = oldest.find(&h); it != oldest.end()) s.oldest_open = it->second;
        out.push_back(std::move(s));
    }
    return out;
}

bool task_book::has_open(const mission_key& mission, const std::string& name) const {
    const auto it = things_.find(thing_of(mission, name));
    return it != things_.end() && std::any_of(it->second.begin(), it->second.end(),
                                              [](const item* i) { return i->task.open(); });
}

// ------------------------------------------------------------------------------------- accounts

void task_book::account_for(const item& i, steady_time now) {
    if (!is_terminal(i.task.why)) return;
    const auto [it, made] = accounts_.try_emplace(i.task.mission);
    auto& a = it->second;
    if (made) {
        a.told.mission = i.task.mission;
        a.told.since = i.task.created;
        a.since = now;
    }
    a.told.why = i.task.why;
    a.told.version = i.task.version;
    a.told.since = std::min(a.told.since, i.task.created);
    a.open.emplace(i.order, &i);
}

std::optional<teardown_account> task_book::take_closed(const mission_key& mission) {
    const auto it = accounts_.find(mission);
    if (it == accounts_.end() || !it->second.open.empty()) return std::nullopt;
    auto out = std::move(it->second.told);
    accounts_.erase(it);
    return out;
}

std::vector<teardown_account> task_book::take_slow(steady_time before) {
    std::vector<teardown_account> out;
    for (auto& [mission, a] : accounts_) {
        if (a.told_slow || a.open.empty() || a.since > before) continue;
        a.told_slow = true;
        auto told = a.told;
        told.open = a.open.size();
        // What is not confirmed is what somebody will look for.
        std::vector<task_record> named;
        for (const auto& [order, i] : a.open) {
            if (named.size() == account_tasks_named) break;
            named.push_back(i->task);
        }
        for (auto& t : told.named) {
            if (named.size() < account_tasks_named) named.push_back(std::move(t));
        }
        told.named = std::move(named);
        out.push_back(std::move(told));
    }
    return out;
}

}  // namespace mission::receiver
