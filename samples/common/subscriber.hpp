// The receiver library as the samples use it: flags, log lines, and GET /missions/{id}.
#pragma once

#include <CLI/CLI.hpp>
#include <mission_signals/receiver.hpp>
#include <string>

#include "samples/common/service.hpp"

namespace sample {

// Fills `options` from the command line. What is not a flag keeps the library's default.
void add_receiver_flags(CLI::App& app, mission_signals::options& options);

// The library's own messages as JSON lines beside the program's decisions.
mission_signals::log_function log_to_lines(std::string program);

// GET /missions/{id}: what this subscriber knows of a mission, for the curious and for operators
// ("has it heard?"); GET /healthz: whether its stream lives.
void add_view_routes(web_server& server, mission_signals::receiver& receiver);

// Logs each change that the library has applied.
void log_changes(mission_signals::receiver& receiver, const std::string& program);

// {"error":"mission_not_permitted","state":..,"reason":..,"mission":..,"version":N}
json_object refusal_body(const mission_signals::answer& a, const std::string& mission);

}  // namespace sample
