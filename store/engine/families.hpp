// Families, audit, bulk operations, reports and waiting transitions: their part of apply().
#pragma once

#include "store/engine/apply.hpp"

namespace mission::store::engine {

result<void> judge_families(const changes& c, const backend& t);
void write_families(const changes& c, backend& t, batch& b, receipt& out);

// Numbers the entry, chains it and writes it; its seq. `of` as backend::append_audit.
std::int64_t write_audit(audit_entry e, mission_row of, backend& t, batch& b);

}  // namespace mission::store::engine
