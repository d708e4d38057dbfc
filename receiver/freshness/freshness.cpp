#include "receiver/freshness/freshness.hpp"

#include <algorithm>
#include <ctime>
#include <limits>

#include "events/mission_event.hpp"

namespace mission::receiver {
namespace {

std::int64_t read_clock(clockid_t id) noexcept {
    timespec t{};
    ::clock_gettime(id, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

}  // namespace

instant coarse_now() noexcept {
    return {read_clock(CLOCK_REALTIME_COARSE), read_clock(CLOCK_MONOTONIC_COARSE)};
}

deadline deadline_at(std::int64_t until_wall, instant now) noexcept {
    if (until_wall <= 0) return {};
    return {until_wall, std::max<std::int64_t>(now.mono + (until_wall - now.wall), 0)};
}

deadline deadline_within(std::int64_t until_wall, std::chrono::seconds bound,
                         instant now) noexcept {
    auto d = deadline_at(until_wall, now);
    d.mono = std::min(d.mono, now.mono + std::chrono::milliseconds(bound).count());
    return d;
}

bool carries_all_missions(const std::vector<std::string>& events_delivered) {
    auto has = [&](std::string_view type) {
        return std::find(events_delivered.begin(), events_delivered.end(), type) !=
               events_delivered.end();
    };
    if (has(events::lifecycle_change_type)) return true;
    return std::all_of(std::begin(events::mission_event_names),
                       std::end(events::mission_event_names), [&](std::string_view name) {
                           return has(std::string(events::event_type_base) + std::string(name));
                       });
}

bool stream_freshness::covers() const {
    return carries_ && (d_.identity.all_subjects || !d_.identity.missions.empty());
}

bool stream_freshness::covers(std::string_view mission_id) const {
    const auto& added = d_.identity.missions;
    return covers() &&
           (d_.identity.all_subjects || std::binary_search(added.begin(), added.end(), mission_id));
}

bool stream_freshness::on_stream(stream_identity now_is) {
    std::sort(now_is.events_delivered.begin(), now_is.events_delivered.end());
    std::sort(now_is.missions.begin(), now_is.missions.end());
    if (now_is == d_.identity) return false;
    const bool another_stream = now_is.stream_id != d_.identity.stream_id;
    d_.identity = std::move(now_is);
    carries_ = carries_all_missions(d_.identity.events_delivered);
    live_until_ = {};
    last_as_of_.reset();
    // Continuity counts per stream: another stream's says nothing about this one.
    if (another_stream) d_.continuity.reset();
    begin_epoch();
    return true;
}

bool stream_freshness::on_heartbeat(const heartbeat& h, instant receipt,
                                    std::chrono::seconds max_stale) {
    // An older heartbeat that is delivered late would turn continuity back and forth.
    if (last_as_of_ && *last_as_of_ <= to_wall(receipt) && h.as_of < *last_as_of_) return false;
    // No later than now: a transmitter whose clock was ahead is believed again once it is right.
    last_as_of_ = std::min(h.as_of, to_wall(receipt));

    // The first one of a stream says how much was dropped by now, and not how much of that before
    // the entries were confirmed.
    const bool broken = (d_.continuity ? *d_.continuity != h.continuity : confirmed_unanchored_) ||
                        (!d_.log_epoch.empty() && d_.log_epoch != h.log_epoch);
    d_.continuity = h.continuity;
    d_.log_epoch = h.log_epoch;
    if (broken) begin_epoch();
    // Backwards only from where it cannot have been, by our clock.
    auto& settled = d_.settled_until;
    if (!settled || *settled < to_milliseconds(h.as_of) || *settled > receipt.wall) {
        settled = to_milliseconds(h.as_of);
    }

    const auto basis = std::min(to_milliseconds(h.as_of), receipt.wall);
    const auto bound = std::chrono::milliseconds(max_stale).count();
    seen_ahead_ = std::max(seen_ahead_.value_or(basis - receipt.mono), basis - receipt.mono);
    const auto age = *seen_ahead_ + receipt.mono - to_milliseconds(h.as_of);  // at least
    auto until = deadline_at(basis + bound, receipt);
    until.mono = std::min(until.mono, receipt.mono + bound - std::max<std::int64_t>(age, 0));
    extend(until);
    return broken;
}

bool stream_freshness::vouches(const std::string& log_epoch, std::int64_t iat) const {
    if (!d_.settled_until) return false;
    if (!log_epoch.empty() && !d_.log_epoch.empty() && log_epoch != d_.log_epoch) return false;
    // Somewhere in that second.
    constexpr std::int64_t last_of_second = 999;
    return iat > std::numeric_limits<std::int32_t>::max() ||
           iat * 1000 + last_of_second > *d_.settled_until;
}

bool stream_freshness::on_stream_updated(bool enabled) {
    if (!enabled) live_until_ = {};
    begin_epoch();
    return true;
}

void stream_freshness::on_proof(instant requested, std::chrono::seconds max_stale) {
    const auto bound = std::chrono::milliseconds(max_stale).count();
    extend({requested.wall + bound, requested.mono + bound});
    if (!d_.settled_until) d_.settled_until = 0;
}

void stream_freshness::extend(deadline until) {
    live_until_.wall = std::max(live_until_.wall, until.wall);
    live_until_.mono = std::max(live_until_.mono, until.mono);
}

}  // namespace mission::receiver
