// From a judged change to what the store writes: state, authority and the signal that tells it, in
// one piece (I1). Pure.
#pragma once

#include <map>
#include <memory>
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
    // Whoever works for several issuers at once (the clock): their URLs. None: issuer_url is all.
    std::shared_ptr<const std::map<store::issuer_id, std::string>> issuers{};

    const std::string& url_of(store::issuer_id issuer) const {
        if (!issuers) return issuer_url;
        const auto found = issuers->find(issuer);
        return found == issuers->end() ? issuer_url : found->second;
    }
};

// Who may know of a mission that the change names, if it names one.
struct related_missions {
    const store::match_keys* parent = nullptr;
    const store::match_keys* successor = nullptr;
};

// `in_force`: the JSON text of the authority that holds after the change; read when the change is
// one of scope. The audit entry is the caller's.
store::mission_commit to_commit(const store::mission& before, const proposal& p,
                                const std::string& in_force, const commit_context& context,
                                const related_missions& related = {});
// Version 1. `record.row` and the like are the store's; `state` is filled here.
store::mission_commit to_approval(store::mission_record record, const store::mission_state& first,
                                  const std::string& authorization_details,
                                  std::vector<std::string> resources, const commit_context& context,
                                  const related_missions& related = {});

// The mission as it stands after the commit, for answers from inside the decision.
store::mission after(const store::mission& before, const store::mission_commit& c);

// What the log says of a mission's version. store_corrupt when the body is no record.
result<events::mission_change> recorded_change(const store::signal& s);

// Every `resource` of a set, sorted, each once, together with those in `known`.
std::vector<std::string> resources_of(const json::value& authorization_details,
                                      std::vector<std::string> known = {});

}  // namespace mission::transmitter
