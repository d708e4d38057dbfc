// One decision's changes: judged whole, then written whole. Nothing is written of changes that are
// refused, so a batch goes on without a savepoint.
#pragma once

#include <string>
#include <vector>

#include "store/engine/backend.hpp"

namespace mission::store::engine {

// A transaction in the making.
struct batch {
    std::string id;
    wall_time now{};
    positions last;
    std::vector<signal> signals;  // of this batch, in order
    bool dirty = false;           // something was written
};

// store_conflict: a version that is not the present one plus 1, an unknown or removed row, a
// revision, stream id or signal id that is taken. mission_exists: the mission id is taken.
// invalid_argument: a cursor with more ranges than limits::acked_ranges, it or routed_seq beyond
// the head, an event without a signal id. Throws store_error when the backend fails.
result<receipt> apply(const changes& wanted, backend& tables, batch& b);

}  // namespace mission::store::engine
