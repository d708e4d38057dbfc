#include "samples/orchestrator/work_queue.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "samples/common/jwt.hpp"
#include "samples/common/service.hpp"

namespace sample {

namespace ms = mission_signals;

namespace {

json_object decision(const char* event, const work_item& item, std::int64_t version,
                     std::string_view reason) {
    return event_line("orchestrator", event)
        .add("work", item.id)
        .add("mission", item.mission)
        .add("version", version)
        .add("reason", reason);
}

}  // namespace

json_object work_item::line() const {
    json_object o;
    o.add("work", id)
        .add("mission", mission)
        .add("secret", secret)
        .add("steps", steps)
        .add("state", state);
    if (!reason.empty()) o.add("reason", reason);
    if (!agent.empty()) o.add("agent", agent);
    return o;
}

work_queue::work_queue(ms::receiver& receiver, const std::string& file, std::size_t at_once,
                       starter start)
    : receiver_(receiver), at_once_(at_once), start_(std::move(start)) {
    file_ = std::make_unique<journal>(file, [this](const rj::Document& d) { take_line(d); });
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        const auto here = it++;
        // An agent that was started runs on, and is found again; whether there is one is not known.
        if (here->state == "dispatching")
            finish(here, "unclear", "the orchestrator ended while it was started", 0);
    }
}

work_queue::~work_queue() {
    stop();
}

void work_queue::stop() {
    {
        const std::lock_guard hold(lock_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void work_queue::begin(const std::function<std::vector<std::string>()>& alive) {
    {
        const std::lock_guard hold(lock_);
        starting_ = true;
    }
    const auto names = alive();
    const std::lock_guard hold(lock_);
    starting_ = false;
    for (const auto& item : finished_)
        if (item.state == "started" &&
            std::find(names.begin(), names.end(), item.agent) != names.end())
            running_[item.agent] = item.mission;
    wake_.notify_all();
    thread_ = std::thread([this] { run(); });
}

void work_queue::take_line(const rj::Document& line) {
    work_item item{.id = text_member(line, "work"),
                   .mission = text_member(line, "mission"),
                   .secret = text_member(line, "secret"),
                   .steps = int_member(line, "steps", 1),
                   .state = text_member(line, "state"),
                   .reason = text_member(line, "reason"),
                   .agent = text_member(line, "agent")};
    const auto known = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const work_item& w) { return w.id == item.id; });
    const bool waits = item.state == "queued" || item.state == "dispatching";
    if (known != waiting_.end() && waits) {
        *known = std::move(item);
    } else if (waits) {
        waiting_.push_back(std::move(item));
    } else {
        if (known != waiting_.end()) waiting_.erase(known);
        if (finished_.size() >= finished_max) finished_.pop_front();
        finished_.push_back(std::move(item));
    }
}

std::optional<work_item> work_queue::add(const std::string& mission, const std::string& secret,
                                         std::int64_t steps) {
    const std::lock_guard hold(lock_);
    if (waiting_.size() >= waiting_max) return std::nullopt;
    work_item item{.id = "work-" + random_text(9),
                   .mission = mission,
                   .secret = secret,
                   .steps = steps,
                   .state = "queued",
                   .reason = {},
                   .agent = {}};
    write(item);
    waiting_.push_back(item);
    woken_ = true;
    wake_.notify_all();
    return item;
}

std::vector<work_item> work_queue::list() const {
    const std::lock_guard hold(lock_);
    std::vector<work_item> all;
    for (const auto& item : waiting_) {
        all.push_back(item);
        if (const auto why = held_.find(item.mission); why != held_.end())
            all.back().reason = why->second;
    }
    all.insert(all.end(), finished_.rbegin(), finished_.rend());
    return all;
}

void work_queue::wake() {
    const std::lock_guard hold(lock_);
    woken_ = true;
    wake_.notify_all();
}

bool work_queue::agent_ended(const std::string& agent, const std::string& mission) {
    std::unique_lock hold(lock_);
    // It may end before its own start was written down.
    wake_.wait(hold, [this] { return !starting_; });
    running_.erase(agent);
    woken_ = true;
    wake_.notify_all();
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [&](const work_item& w) { return w.mission == mission; }) ||
           std::any_of(running_.begin(), running_.end(),
                       [&](const auto& r) { return r.second == mission; });
}

void work_queue::run() {
    using namespace std::chrono_literals;
    std::unique_lock hold(lock_);
    while (!stopping_) {
        woken_ = false;
        try {
            if (pass(hold) == turn::moved) continue;
        } catch (const std::exception& e) {
            // What cannot be written is not done: nothing more is started.
            log_line(event_line("orchestrator", "queue-stopped").add("reason", e.what()));
            return;
        }
        // Freshness passes without a signal: looked at while something waits.
        wake_.wait_for(hold, waiting_.empty() ? 1000ms : 100ms,
                       [this] { return woken_ || stopping_; });
    }
}

work_queue::turn work_queue::pass(std::unique_lock<std::mutex>& hold) {
    std::set<std::string> looked_at;  // its first item waits: so do those behind it
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        const auto here = it++;
        if (looked_at.contains(here->mission)) continue;
        const auto standing = receiver_.missions().check(here->mission);
        if (ms::is_terminal(standing.what)) {
            finish(here, "cancelled", std::string(standing.reason()), standing.version);
            continue;
        }
        if (standing.permitted() && running_.size() < at_once_)
            return dispatch(here, standing, hold);
        if (!standing.permitted()) keep_waiting(*here, standing);
        looked_at.insert(here->mission);
    }
    std::erase_if(held_, [&](const auto& held) {
        return std::none_of(waiting_.begin(), waiting_.end(),
                            [&](const work_item& w) { return w.mission == held.first; });
    });
    return turn::resting;
}

void work_queue::keep_waiting(const work_item& item, const ms::answer& standing) {
    auto& why = held_[item.mission];
    if (why == standing.reason()) return;
    why = standing.reason();
    log_line(decision("work-held", item, standing.version, why));
    if (standing.what == ms::standing::unknown || standing.what == ms::standing::gap)
        receiver_.missions().resolve(item.mission, [](ms::answer) {});
}

work_queue::turn work_queue::dispatch(std::list<work_item>::iterator at, const ms::answer& standing,
                                      std::unique_lock<std::mutex>& hold) {
    if (held_.erase(at->mission) > 0)
        log_line(decision("work-resumed", *at, standing.version, standing.reason()));
    at->state = "dispatching";
    write(*at);
    const work_item item = *at;
    std::string why;
    starting_ = true;
    hold.unlock();
    // Only this thread removes items: `at` stays good.
    std::optional<std::string> agent;
    try {
        agent = start_(item, why);
    } catch (const std::exception& e) {
        why = e.what();
    }
    hold.lock();
    starting_ = false;
    wake_.notify_all();  // agent_ended()
    if (agent) {
        running_[*agent] = item.mission;
        at->agent = *agent;
        finish(at, "started", "", standing.version);
    } else if (!why.empty()) {
        finish(at, "failed", why, standing.version);
    } else {
        // Held or ended between the look and the start: the next pass says which.
        at->state = "queued";
        write(*at);
    }
    return turn::moved;
}

void work_queue::finish(std::list<work_item>::iterator at, const char* state,
                        const std::string& reason, std::int64_t version) {
    at->state = state;
    at->reason = reason;
    write(*at);
    auto line = decision("work", *at, version, reason.empty() ? "active" : reason);
    line.add("outcome", state);
    if (!at->agent.empty()) line.add("agent", at->agent);
    log_line(line);
    if (finished_.size() >= finished_max) finished_.pop_front();
    finished_.push_back(std::move(*at));
    waiting_.erase(at);
}

}  // namespace sample
