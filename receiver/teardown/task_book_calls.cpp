// The calls of handlers: which are due, what becomes of them, and of those that do not return.
#include <algorithm>
#include <new>

#include "receiver/teardown/plan.hpp"
#include "receiver/teardown/task_book.hpp"

namespace mission::receiver {
namespace {

constexpr unsigned freshness_tries = 5;  // stale and fresh are not durable: given up after these
// A handler's evidence is kept with its task and told in reports: a word, not a log.
constexpr std::size_t evidence_kept = 4096;
// One call may have outlived its timeout; the next one is the last that is begun beside it.
constexpr unsigned calls_of_a_task = 2;

std::string kept_evidence(std::string text) noexcept {
    if (text.size() <= evidence_kept) return text;
    const std::string_view cut = "...";
    auto end = evidence_kept - cut.size();
    // Not in the middle of a character (UTF-8).
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return std::move(text.replace(end, std::string::npos, cut));
}

}  // namespace

// A call that has outlived its timeout keeps its slot, and its task must not take them all.
bool task_book::may_take_slot(const item& i) const noexcept {
    const auto& h = *i.handler;
    if (h.busy >= h.what.concurrency) return false;
    if (i.calls == 0) return true;
    return i.calls < calls_of_a_task && h.busy + 1 < h.what.concurrency;
}

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
    // All that takes memory first.
    const auto id = last_call_ + 1;
    std::optional<call> out =
        call{id,
             i.handler->run,
             {i.task.key, i.task.why, i.task.mission.id, i.task.mission.issuer, i.task.version,
              i.task.name, i.task.data, i.task.attempts + 1}};
    std::set<limit> one;
    one.emplace(steady_time{}, id);
    calls_.emplace(id, open_call{.key = key,
                                 .order = i.order,
                                 .handler = i.handler,
                                 .told = i.task,
                                 .limit_node = one.extract(one.begin())});
    last_call_ = i.call = id;
    ++i.calls;
    ++i.task.attempts;
    ++i.handler->busy;
    place_item(i);
    return out;
}

void task_book::begun(std::uint64_t id, steady_time now) noexcept {
    const auto it = calls_.find(id);
    if (it == calls_.end() || it->second.ends) return;
    auto& c = it->second;
    c.ends = now + c.handler->what.timeout;
    c.limit_node.value().first = *c.ends;
    limits_.insert(std::move(c.limit_node));
}

void task_book::drop(std::uint64_t id, steady_time now) noexcept {
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
    (void)retire(i);
}

task_book::returned task_book::finish(std::uint64_t id, ms::outcome o, steady_time now,
                                      wall_time at) noexcept {
    returned out;
    const auto it = calls_.find(id);
    if (it == calls_.end()) return out;
    auto c = std::move(it->second);
    calls_.erase(it);
    if (c.ends) limits_.erase({*c.ends, id});
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
        out.told = std::move(c.told);
        out.told->attempts = i.task.attempts;
        out.told->last = i.task.last;
        out.told->finished = i.task.finished;
        out.told->cancelled = i.task.cancelled;
        out.told->updated = at;
        note(out.told->evidence, i.task.evidence);
    }
    place_lane(i);
    (void)retire(i);
    return out;
}

std::vector<task_record> task_book::expire(steady_time now, wall_time at) noexcept {
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
            i.task.updated = at;
            i.due = now + retry_delay(c.handler->what, i.task.attempts, random_);
            if (!i.task.durable && i.task.attempts >= freshness_tries) {
                i.task.cancelled = true;
                over(i);
            }
            try {
                i.task.evidence = "no outcome within the handler's timeout";
                out.push_back(i.task);
            } catch (const std::bad_alloc&) {
                // It is no last word, and is not told.
            }
        }
        place_lane(i);
        (void)retire(i);
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
        if (c.ends) out = out ? std::max(*out, *c.ends) : *c.ends;
    }
    return out;
}

std::size_t task_book::running() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        calls_.begin(), calls_.end(), [](const auto& c) { return c.second.ends.has_value(); }));
}

}  // namespace mission::receiver
