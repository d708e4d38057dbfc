// How long the log is kept for a stream that does not take its signals. Pure.
// design section 3: trimmed to the smallest cursor, within the hold limits; I3.
#pragma once

#include <algorithm>
#include <vector>

#include "base/limits.hpp"
#include "transmitter/delivery/outcome.hpp"

namespace mission::transmitter {

// Up to here no stream has a right to signals any more: more than `hold_signals` lie behind the
// head, or they are older than `hold_days` (`last_too_old`, 0 when none is).
store::seq_t hold_limit(store::seq_t head, std::int64_t hold_signals,
                        store::seq_t last_too_old) noexcept;

// Takes what lies at or below `limit` from the stream. True when something may have been lost:
// something unsettled, or signals nobody had looked at; then continuity is to rise.
bool overrun(delivery_state& s, store::seq_t limit);

// What may be dropped from the log, given where every stream durably stands.
store::seq_t trim_limit(store::seq_t head, const std::vector<store::seq_t>& positions) noexcept;

}  // namespace mission::transmitter
