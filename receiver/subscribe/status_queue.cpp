#include "receiver/subscribe/status_queue.hpp"

namespace mission::receiver {

void status_queue::put(const mission_key& key, status_job& j, status_rank r) {
    if (j.waits >= r) return;
    of(r).push_back(key);
    j.waits = r;
}

bool status_queue::current(const mission_key& key, status_rank r) {
    const auto* j = find(key);
    return j != nullptr && !j->in_flight && j->waits == r;
}

bool status_queue::waits(status_rank r) {
    auto& q = of(r);
    while (!q.empty() && !current(q.front(), r))
        q.pop_front();
    return !q.empty();
}

std::optional<mission_key> status_queue::take(bool strangers) {
    constexpr status_rank by_rank[] = {status_rank::urgent, status_rank::caller,
                                       status_rank::background, status_rank::stranger};
    auto may = [&](status_rank r) { return (strangers || r != status_rank::stranger) && waits(r); };
    std::optional<status_rank> next;
    const auto turn = turn_++ % 8;
    if (turn == 3 && may(status_rank::caller)) next = status_rank::caller;
    if (turn == 5 && may(status_rank::background)) next = status_rank::background;
    if (turn == 7 && may(status_rank::stranger)) next = status_rank::stranger;
    for (const auto r : by_rank) {
        if (!next && may(r)) next = r;
    }
    if (!next) return std::nullopt;
    auto key = std::move(of(*next).front());
    of(*next).pop_front();
    jobs_[key].waits = status_rank::none;
    return key;
}

void status_queue::count_stranger(status_job& j) {
    if (j.stranger) return;
    j.stranger = true;
    ++strangers_;
}

void status_queue::erase(const mission_key& key) {
    const auto it = jobs_.find(key);
    if (it == jobs_.end()) return;
    if (it->second.stranger) --strangers_;
    jobs_.erase(it);
}

}  // namespace mission::receiver
