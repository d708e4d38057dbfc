// What a parent mission allows its children (wire.md section 4;
// draft-mcguinness-oauth-mission-child-delegation "Attenuation Rules", "Fan-Out Controls"). Pure;
// docs/adr/0029 says where we read the draft otherwise.
//
//     grandparent  in force: G   approved: G'        `lineage` of a child of `parent`,
//       parent     in force: P   approved: P'        nearest first: P', G, G'
//         child    proposed: C
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "store/store.hpp"
#include "transmitter/missions/settlement.hpp"

namespace mission::transmitter {

struct family_limits {
    std::int64_t max_depth = 16;          // generations below a root
    std::int64_t max_children = 100'000;  // ever created, of one mission
};

// May `parent`, as it was settled, have one child more? mission_conflict when it is not active or
// an external service's (mirror); exceeds_authority, naming /parent, beyond the limits.
result<void> check_parent(const store::mission& parent, const family_limits& limits);

struct child_proposal {
    const json::value* set = nullptr;
    wall_time expires_at{};
    std::string_view issuer_url;
    std::string_view agent_client_id;
};

struct parent_authority {
    const json::value* in_force = nullptr;
    wall_time expires_at{};
    std::vector<const json::value*> lineage;
};

// How many children that have not ended one entry of the parent's set justifies. Asked only where
// the entry limits them; may stop counting at `enough`.
using child_counter = std::function<std::int64_t(std::size_t entry, std::int64_t enough)>;

// The child lies within the parent: each entry (the subset rule), its end, and what the entries
// that justify it say of children. The entry of the parent that justifies each of the child's
// entries; exceeds_authority naming the member of the child's proposal at fault.
result<std::vector<std::size_t>> check_child(const parent_authority& parent,
                                             const child_proposal& child,
                                             const child_counter& count);

// ---- The same over rows.

// The sets that bound the children of `parent`, which was settled by `s`.
class parent_bounds {
  public:
    // store_corrupt when an authority cannot be read.
    static result<parent_bounds> load(settlement& s, const store::rows& rows,
                                      const store::mission& parent);
    parent_authority authority() const;

  private:
    wall_time expires_at_{};
    std::vector<json::document> sets_;  // in force, then the lineage
};

// Counts by the sets that the parent's other children have in force; `except` is left out.
child_counter count_children(const store::rows& rows, store::mission_row parent,
                             const json::value& in_force, store::mission_row except);

}  // namespace mission::transmitter
