// One decision's changes: judged whole, then written whole. Nothing is written of changes that are
// refused, so a batch goes on without a savepoint.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/engine/backend.hpp"

namespace mission::store::engine {

// An issuer's audit within a batch.
struct audit_chain {
    std::string issuer;
    std::string hash;  // of its last entry
    bool written = false;
};

// A transaction in the making.
struct batch {
    std::string id;
    wall_time now{};
    positions last;
    std::vector<signal> signals;  // of this batch, in order
    bool dirty = false;           // something was written
    bool marked = false;          // a mark among it
    std::map<issuer_id, audit_chain> audit;
    // The last detail that an entry had, as it was given and as it is kept: a cascade's are alike.
    std::string detail_given, detail_kept;
};

// store_conflict: a version that is not the present one plus 1 (with a declared gap: above it), a
// quiet row that would change what is told, an unknown or removed row, a revision, stream id,
// signal id or bulk token that is taken. mission_exists: the mission id is taken.
// invalid_argument: a cursor with more ranges than limits::acked_ranges, it or routed_seq beyond
// the head, an event without a signal id. Throws store_error when the backend fails.
result<receipt> apply(changes wanted, backend& tables, batch& b);
// Once per batch, before its commit: what stands once for all of its changes.
void finish(backend& tables, batch& b);

}  // namespace mission::store::engine
