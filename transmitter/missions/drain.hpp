// One step of writing what families owe: the children of the mission with the oldest mark, in the
// order of their rows. A child that has children of its own gets a mark behind all others, so that
// the generations follow one another (wire.md section 4). Pure; clock/family_drain.hpp runs it.
#pragma once

#include "transmitter/missions/settlement.hpp"

namespace mission::transmitter {

struct drained {
    bool idle = true;         // there was no mark
    std::size_t visited = 0;  // children
};

// At most `limit` children (at least 1). `out` is of this run of the decision.
store::changes drain_step(const store::rows& rows, commit_context context, bool clock_ok,
                          std::size_t limit, drained& out);

}  // namespace mission::transmitter
