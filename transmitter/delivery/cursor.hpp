// Where a stream stands, as arithmetic of ranges. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "base/limits.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

// True when `seq` is settled according to the cursor.
bool is_settled(const store::cursor& c, store::seq_t seq) noexcept;

// The cursor of a stream that has looked at everything up to `scanned`, of which `unsettled`
// (ascending) is open. What did not concern the stream is settled by that, so ranges join over it.
// Of more than `max_ranges` the last are left out: their signals are delivered again after a
// crash, under the same jti.
store::cursor make_cursor(store::stream_row stream, const std::vector<store::seq_t>& unsettled,
                          store::seq_t scanned, std::size_t max_ranges = limits::acked_ranges);

}  // namespace mission::transmitter
