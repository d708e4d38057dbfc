#include "receiver/teardown/task_record.hpp"

#include <algorithm>

namespace mission::receiver {

ms::task_view view_of(const task_record& t) {
    ms::task_view v;
    v.what = {t.key,     t.why,  t.mission.id, t.mission.issuer,
              t.version, t.name, t.data,       std::max(t.attempts, 1u)};
    v.handler = t.handler;
    v.last = t.last;
    v.evidence = t.evidence;
    v.finished = t.finished;
    v.cancelled = t.cancelled;
    v.created = t.created;
    v.updated = t.updated;
    return v;
}

}  // namespace mission::receiver
