// Heartbeats: a verification event without `state` that proves completeness up to `as_of`
// (wire.md section 1). Pure.
//
// A sample says that nothing committed at or before `as_of` lies beyond `head`; a heartbeat made
// from it is sent once everything up to `head` is settled. At most one is pending per stream, and
// one that still waits is never replaced by a later sample, or under constant load none would ever
// be sent.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "transmitter/delivery/outcome.hpp"

namespace mission::transmitter {

struct log_sample {
    wall_time as_of{};
    store::seq_t head = 0;
};

// From a decision that the writer has run: `batch_now` is the batch's time, `head` the log's end
// as that decision saw it. What follows in the same batch has the same time, so the sample speaks
// for the millisecond before. `pending`: since when descendants wait for their rows; what binds
// them is not in the log yet, and nobody may take them for confirmed beyond it (I12).
log_sample sample_of(wall_time batch_now, store::seq_t head,
                     std::optional<wall_time> pending = std::nullopt) noexcept;

// Makes the heartbeat of this interval pending, unless one still waits or is on its way.
void make_heartbeat(delivery_state& s, const log_sample& sample, std::int64_t continuity,
                    const std::string& log_epoch, wall_time now, random_source& random);

// A raised continuity makes a pending heartbeat say the wrong number: it is dropped.
void drop_heartbeat(delivery_state& s);

// Which stream's heartbeat is due next; push streams are spread over the interval.
class heartbeat_schedule {
  public:
    void set(store::stream_row row, steady_time due);
    void remove(store::stream_row row);
    // Takes everything due at or before `now`.
    std::vector<store::stream_row> take_due(steady_time now);
    std::size_t size() const noexcept { return queue_.size(); }

  private:
    std::set<std::pair<steady_time, store::stream_row>> queue_;
    std::map<store::stream_row, steady_time> due_;
};

}  // namespace mission::transmitter
