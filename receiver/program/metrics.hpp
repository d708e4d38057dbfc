// How an instance is, for Prometheus.
#pragma once

#include <string>
#include <vector>

#include "mission_signals/receiver.hpp"

namespace mission::receiver::program {

// Goes with metrics_text() as its media type.
inline constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";

// Prometheus text exposition format 0.0.4: the stream, the cache, teardown by handler, reports.
// Labels are handlers' names alone: nothing that a peer says becomes one. THREAD: any; takes locks
// that a check() does not, and looks at every open task.
std::string metrics_text(const mission_signals::receiver& rx);
std::string metrics_text(const mission_signals::status& s,
                         const std::vector<mission_signals::handler_status>& handlers);

}  // namespace mission::receiver::program
