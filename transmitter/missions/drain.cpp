#include "transmitter/missions/drain.hpp"

namespace mission::transmitter {

store::changes drain_step(const store::rows& rows, commit_context context, bool clock_ok,
                          std::size_t limit, drained& out) {
    out = {};
    const auto marks = rows.cascades(1);
    if (marks.empty()) return {};
    out.idle = false;
    auto mark = marks.front();
    settlement s(rows, std::move(context), clock_ok);
    const auto parent = s.settle(mark.mission);
    auto children = rows.child_missions(mark.mission, mark.after, limit);
    if (!children.empty()) mark.after = children.back().state.row;
    out.visited = children.size();
    s.expect(children.size());
    for (auto& child : children)
        s.visit(std::move(child));

    auto changes = s.take();
    if (children.size() == limit) {
        changes.cascades.push_back(mark);
    } else if (parent && parent->state.family_version > mark.family_version) {
        // It changed again while its children were visited: once more from the first.
        mark.family_version = parent->state.family_version;
        mark.after = {};
        changes.cascades.push_back(mark);
    } else {
        changes.settled_cascades.push_back(mark.mission);
    }
    return changes;
}

}  // namespace mission::transmitter
