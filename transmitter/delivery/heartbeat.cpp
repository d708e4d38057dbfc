#include "transmitter/delivery/heartbeat.hpp"

#include <algorithm>

#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {

log_sample sample_of(wall_time batch_now, store::seq_t head,
                     std::optional<wall_time> pending) noexcept {
    const auto told = pending ? std::min(batch_now, *pending) : batch_now;
    return {told - std::chrono::milliseconds{1}, head};
}

void make_heartbeat(delivery_state& s, const log_sample& sample, std::int64_t continuity,
                    const std::string& log_epoch, wall_time now, random_source& random) {
    for (auto& e : s.specials) {
        if (e.what != stream_special::kind::heartbeat) continue;
        // Only one that was handed out and not acknowledged gives way to a fresher one.
        if (e.in_flight || !e.offered) return;
    }
    drop_heartbeat(s);
    events::verification body;
    body.as_of = sample.as_of;
    body.continuity = continuity;
    body.log_epoch = log_epoch;
    stream_special e;
    e.what = stream_special::kind::heartbeat;
    e.jti = jose::random_id(18, random);
    e.type = events::verification_type;
    e.event = events::to_json(body);
    e.after_seq = sample.head;
    e.created_at = now;
    s.specials.push_back(std::move(e));
}

void drop_heartbeat(delivery_state& s) {
    std::erase_if(s.specials, [](const stream_special& e) {
        return e.what == stream_special::kind::heartbeat && !e.in_flight;
    });
}

void heartbeat_schedule::set(store::stream_row row, steady_time due) {
    remove(row);
    queue_.emplace(due, row);
    due_.emplace(row, due);
}

void heartbeat_schedule::remove(store::stream_row row) {
    const auto it = due_.find(row);
    if (it == due_.end()) return;
    queue_.erase({it->second, row});
    due_.erase(it);
}

std::vector<store::stream_row> heartbeat_schedule::take_due(steady_time now) {
    std::vector<store::stream_row> out;
    while (!queue_.empty() && queue_.begin()->first <= now) {
        out.push_back(queue_.begin()->second);
        due_.erase(queue_.begin()->second);
        queue_.erase(queue_.begin());
    }
    return out;
}

}  // namespace mission::transmitter
