// Named instants at which a test may have this process die as by `kill -9`.
//
// MISSION_CRASH_AT="cache_commit_ack" dies at the first passage of that name, "NAME:3" at the
// third. Compiled to nothing unless MISSION_CRASH_POINTS is defined (debug builds).
#pragma once

namespace mission {

#ifdef MISSION_CRASH_POINTS
// THREAD: any. Costs one comparison while the variable is not set.
void crash_point(const char* name) noexcept;
#else
inline void crash_point(const char*) noexcept {}
#endif

}  // namespace mission
