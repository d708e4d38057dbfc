#include "receiver/teardown/task_book.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/limits.hpp"
#include "receiver/teardown/plan.hpp"

namespace mission::receiver {

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

void task_book::note(std::string& into, const std::string& text) noexcept {
    try {
        into = text;
    } catch (const std::bad_alloc&) {
        into.clear();
    }
}

// Issuers and ids have no NUL; a name comes last.
std::string task_book::thing_of(const mission_key& mission, const std::string& name) {
    std::string out;
    out.reserve(mission.issuer.size() + mission.id.size() + name.size() + 2);
    out.append(mission.issuer).append(1, '\0').append(mission.id).append(1, '\0').append(name);
    return out;
}

// -------------------------------------------------------------------------------------- planning

// What is superseded is told of before what supersedes it.
std::vector<task_record> task_book::plan(std::vector<task_record> tasks, steady_time now) {
    std::vector<task_record> out;
    out.reserve(tasks.size());
    std::vector<item*> added;
    added.reserve(tasks.size());
    try {
        for (auto& t : tasks) {
            if (items_.count(t.key) != 0) continue;
            // Its part is done; the thing is held only because another handler's is not.
            if (done_before_.count(t.key) != 0 && has_open(t.mission, t.name)) continue;
            if (const auto at = things_.find(thing_of(t.mission, t.name)); at != things_.end()) {
                const bool forbidden =
                    std::any_of(at->second.begin(), at->second.end(), [&](const item* i) {
                        return i->task.handler == t.handler && forbids(i->task, t);
                    });
                if (forbidden) continue;
            }
            auto& i = add(t, now);
            added.push_back(&i);
            supersede(i, out);
            if (i.task.durable) out.push_back(i.task);
        }
    } catch (...) {
        for (auto i = added.rbegin(); i != added.rend(); ++i)
            take_back(**i);
        throw;
    }
    // What is not written is not taken back.
    for (const auto* i : added) {
        if (!i->task.durable) settle(*i);
    }
    return out;
}

task_book::item& task_book::add(const task_record& t, steady_time now) {
    auto made = std::make_unique<item>();
    auto& i = *made;
    i.handler = &handler_of(t.handler);
    i.order = ++last_order_;
    i.task = t;
    std::set<place> one;
    one.emplace(steady_time{}, 0, &i);
    i.place_node = one.extract(one.begin());
    std::set<item*> other;
    other.insert(&i);
    i.held_back_node = other.extract(other.begin());
    auto& thing = *things_.try_emplace(thing_of(t.mission, t.name)).first;
    i.thing = &thing;
    const bool accounted = accounts_.count(t.mission) != 0;
    try {
        thing.second.push_back(&i);
        account_for(i, now);
        missions_.try_emplace(t.mission);
        items_.emplace(t.key, std::move(made));
    } catch (...) {
        // Whether `i` is still there or not.
        std::erase(thing.second, &i);
        if (thing.second.empty()) things_.erase(things_.find(thing.first));
        if (const auto it = accounts_.find(t.mission); it != accounts_.end() && !accounted) {
            accounts_.erase(it);
        } else if (it != accounts_.end()) {
            it->second.open.erase(last_order_);
        }
        if (const auto it = missions_.find(t.mission); it != missions_.end() && it->second.all == 0)
            missions_.erase(it);
        throw;
    }
    auto& of_mission = missions_.find(t.mission)->second;
    ++of_mission.all;
    ++of_mission.open;
    ++open_;
    ++i.handler->counts.open;
    return i;
}

void task_book::supersede(const item& by, std::vector<task_record>& out) {
    for (auto* other : by.thing->second) {
        if (other == &by || other->task.handler != by.task.handler) continue;
        if (!supersedes(by.task, other->task)) continue;
        auto evidence = "superseded by " + std::string(ms::name(by.task.why));
        if (other->task.durable) {
            auto& told = out.emplace_back(other->task);
            told.evidence = evidence;
            told.updated = by.task.created;
            told.cancelled = true;
        }
        other->evidence_before = std::exchange(other->task.evidence, std::move(evidence));
        other->updated_before = std::exchange(other->task.updated, by.task.created);
        other->task.cancelled = true;
        other->superseded_by = by.order;
        over(*other);
    }
}

void task_book::unplan(const std::vector<task_record>& tasks) noexcept {
    for (auto t = tasks.rbegin(); t != tasks.rend(); ++t) {
        const auto it = t->cancelled ? items_.end() : items_.find(t->key);
        if (it != items_.end() && !it->second->released) take_back(*it->second);
    }
}

void task_book::take_back(item& i) noexcept {
    for (auto* other : i.thing->second) {
        if (other->superseded_by != i.order) continue;
        // None of an end is ever superseded: no account knows of it.
        other->superseded_by = 0;
        other->task.evidence = std::move(other->evidence_before);
        other->task.updated = other->updated_before;
        other->task.cancelled = false;
        ++missions_.find(other->task.mission)->second.open;
        ++open_;
        ++other->handler->counts.open;
    }
    if (i.task.open()) close(i);
    if (const auto it = accounts_.find(i.task.mission); it != accounts_.end()) {
        const auto& told = it->second.told;
        const bool only = it->second.open.erase(i.order) != 0 && it->second.open.empty();
        if (only && told.acknowledged == 0 && told.released == 0) accounts_.erase(it);
    }
    (void)remove(i);
}

// Units are written in the order of their plans: no earlier one is taken back any more.
void task_book::settle(const item& by) noexcept {
    auto& all = by.thing->second;
    for (auto n = all.size(); n-- > 0;) {
        auto& other = *all[n];
        if (other.superseded_by == 0 || other.superseded_by > by.order) continue;
        other.superseded_by = 0;
        (void)retire(other);
    }
}

void task_book::release(const std::vector<task_record>& tasks, steady_time now) noexcept {
    for (const auto& t : tasks) {
        const auto it = items_.find(t.key);
        if (it == items_.end()) continue;
        auto& i = *it->second;
        // What was cancelled may be open again: planned anew.
        if (!t.cancelled && !i.released) {
            i.released = true;
            i.due = now;
            settle(i);
            note_end(i);
            place_item(i);
        }
        (void)retire(i);
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
    auto& all = thing->second;
    for (const auto* i : all) {
        if (!i->task.open() || !i->task.durable) continue;
        auto& told = out.emplace_back(i->task);
        told.cancelled = true;
        told.evidence = why;
    }
    for (auto* i : all) {
        i->superseded_by = 0;
        if (!i->task.open()) continue;
        i->task.cancelled = true;
        note(i->task.evidence, why);
        over(*i);
    }
    // The last one takes the thing with it.
    for (auto n = all.size(); n-- > 0;)
        (void)retire(*all[n]);
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
bool task_book::first_in_lane(const item& i) const noexcept {
    for (const auto* other : i.thing->second) {
        if (other == &i) return true;
        if (other->task.handler != i.task.handler) continue;
        // A resume that waits for freshness does not stop the pause that staleness asks for.
        if (other->call != 0 || (other->task.open() && !other->held_back)) return false;
    }
    return true;
}

void task_book::place_item(item& i) noexcept {
    const bool wanted = i.released && i.task.open() && i.call == 0 && !i.held_back &&
                        i.handler->registered && first_in_lane(i);
    if (wanted == i.queued) return;
    if (!wanted) return unplace(i);
    i.place_node.value() = {i.due, i.order, &i};
    i.handler->queue.insert(std::move(i.place_node));
    i.queued = true;
}

void task_book::unplace(item& i) noexcept {
    if (!i.queued) return;
    i.place_node = i.handler->queue.extract({i.due, i.order, &i});
    i.queued = false;
}

void task_book::place_lane(const item& of) noexcept {
    for (auto* i : of.thing->second) {
        if (i->task.handler == of.task.handler) place_item(*i);
    }
}

void task_book::close(item& i) noexcept {
    unplace(i);
    if (std::exchange(i.held_back, false)) i.held_back_node = held_back_.extract(&i);
    --open_;
    --missions_.find(i.task.mission)->second.open;
    --i.handler->counts.open;
}

void task_book::over(item& i) noexcept {
    close(i);
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
bool task_book::retire(item& i) noexcept {
    if (i.call != 0 || i.task.open() || i.superseded_by != 0) return false;
    const auto own = remove(i);
    if (own->task.durable) keep(std::move(own->task));
    return true;
}

std::unique_ptr<task_book::item> task_book::remove(item& i) noexcept {
    const auto it = items_.find(i.task.key);
    auto own = std::move(it->second);
    items_.erase(it);
    const auto of_mission = missions_.find(i.task.mission);
    if (--of_mission->second.all == 0) missions_.erase(of_mission);
    auto& [name, all] = *i.thing;
    std::erase(all, &i);
    if (all.empty()) {
        things_.erase(things_.find(name));
    } else {
        place_lane(i);
    }
    return own;
}

// To be looked at.
void task_book::keep(task_record t) noexcept {
    try {
        finished_.push_back(std::move(t));
    } catch (const std::bad_alloc&) {
        return;
    }
    if (finished_.size() > limits::finished_tasks_memory) finished_.pop_front();
}

void task_book::hold_back(const std::string& key) noexcept {
    const auto it = items_.find(key);
    if (it == items_.end() || !it->second->task.open() || it->second->held_back) return;
    it->second->held_back = true;
    held_back_.insert(std::move(it->second->held_back_node));
    place_lane(*it->second);
}

void task_book::let_go() noexcept {
    auto all = std::move(held_back_);
    held_back_.clear();
    for (auto* i : all)
        i->held_back = false;
    while (!all.empty()) {
        auto* i = *all.begin();
        i->held_back_node = all.extract(all.begin());
        place_lane(*i);
    }
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
        a.told.why = i.task.why;
        a.told.version = i.task.version;
        a.told.since = i.task.created;
        a.since = now;
    }
    a.open.emplace(i.order, &i);
}

void task_book::note_end(const item& i) noexcept {
    const auto it = is_terminal(i.task.why) ? accounts_.find(i.task.mission) : accounts_.end();
    if (it == accounts_.end()) return;
    auto& told = it->second.told;
    told.why = i.task.why;
    told.version = i.task.version;
    told.since = std::min(told.since, i.task.created);
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
