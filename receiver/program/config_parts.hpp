// What the files of the configuration reader share.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "receiver/program/config.hpp"
#include "settings/section.hpp"

namespace mission::receiver::program {

inline constexpr std::string_view env_prefix = "MISSION_RECEIVER_";

// A URI as it is; a short name ("session-revoked") as the URI of the CAEP, RISC or SSF type.
std::string event_type_of(const settings::section& s, std::string_view key,
                          const std::string& name);

void read_teardown(settings::setting* list, const std::string& file,
                   const settings::environment& env, program_config& c);
// After the other sections. `tree` null: there is none.
void read_check(settings::setting* tree, const std::string& file, const settings::environment& env,
                program_config& c);
void read_events(settings::setting* list, const std::string& file, const settings::environment& env,
                 program_config& c);

std::optional<std::chrono::milliseconds> seconds_of(settings::section& s, std::string_view key,
                                                    double low, double high);
// The effects of a list, "ended" as every end; an unknown one is an error.
std::vector<ms::effect> effects_of(const settings::section& s,
                                   const std::vector<std::string>& names);
// What `type` needs beyond what every [[teardown]] has. False: no preset is called so.
bool read_preset(settings::section& s, const std::string& type, const std::string& file,
                 const settings::environment& env, teardown_config& t);

}  // namespace mission::receiver::program
