// From a judged change to what the store writes: state, authority and the signal that tells it, in
// one piece (I1). Pure.
#pragma once

#include <string>

#include "store/store.hpp"
#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

// What a signal says beyond the mission itself.
struct commit_context {
    std::string issuer_url;
    std::string log_epoch;
    std::string txn;
    wall_time now{};
};

// `in_force`: the JSON text of the authority that holds after the change.
store::mission_commit to_commit(const store::mission& before, const proposal& p,
                                const std::string& in_force, const commit_context& context);
// Version 1. `record.row` and the like are the store's; `state` is filled here.
store::mission_commit to_approval(store::mission_record record, const store::mission_state& first,
                                  const std::string& authorization_details,
                                  std::vector<std::string> resources,
                                  const commit_context& context);

// The mission as it stands after the commit, for answers from inside the decision.
store::mission after(const store::mission& before, const store::mission_commit& c);

// Every `resource` of a set, sorted, each once, together with those in `known`.
std::vector<std::string> resources_of(const json::value& authorization_details,
                                      std::vector<std::string> known = {});

// Applies what the clock has made of a mission to `m` and to `changes`. Nothing when `clock_ok` is
// false (design section 4: clock-driven transitions wait while the clock is in doubt).
void settle_clock(const store::rows& rows, store::mission& m, store::changes& changes,
                  commit_context context, bool clock_ok);

}  // namespace mission::transmitter
