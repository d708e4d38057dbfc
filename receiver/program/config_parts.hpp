// What the files of the configuration reader share.
#pragma once

#include <string>
#include <string_view>

#include "receiver/program/config.hpp"
#include "settings/section.hpp"

namespace mission::receiver::program {

inline constexpr std::string_view env_prefix = "MISSION_RECEIVER_";

// A URI as it is; a short name ("session-revoked") as the URI of the CAEP, RISC or SSF type.
std::string event_type_of(const settings::section& s, std::string_view key,
                          const std::string& name);

void read_teardown(settings::setting* list, const std::string& file,
                   const settings::environment& env, program_config& c);
void read_events(settings::setting* list, const std::string& file, const settings::environment& env,
                 program_config& c);

}  // namespace mission::receiver::program
