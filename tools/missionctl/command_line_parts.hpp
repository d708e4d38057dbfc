// The command line in two files: what both use.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/missionctl/command_line.hpp"

namespace mission::tools {

// CLI11 validators; ids that begin with '-' are marked on their way in and unmarked by it.
const CLI::Validator& is_mission_id();
const CLI::Validator& is_moment();

// A subcommand that inherits the global flags, so that they may stand anywhere.
CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, verb v, invocation& out);

void add_families(CLI::App& mission, invocation& out);
void add_audit(CLI::App& app, invocation& out);
void add_inbox(CLI::App& app, invocation& out);

}  // namespace mission::tools
