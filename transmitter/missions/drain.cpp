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
    const auto children = rows.children(mark.mission, mark.after, limit);
    for (const auto child : children)
        s.visit(child);
    out.visited = children.size();

    auto changes = s.take();
    if (children.size() == limit) {
        mark.after = children.back();
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
