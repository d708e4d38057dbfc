// The configuration of mission-receiver (wire.md section 6): the library's options, and what the
// program does by itself.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "mission_signals/presets.hpp"
#include "mission_signals/receiver.hpp"
#include "receiver/program/template.hpp"
#include "receiver/sidecar/settings.hpp"
#include "settings/section.hpp"

namespace mission::receiver::program {

namespace ms = mission_signals;

// A command without a shell: a program, and arguments in which {names} are replaced.
struct command_config {
    std::string file;  // absolute; never from a template
    std::vector<argument_template> arguments;
    std::map<std::string, std::string> environment;  // besides MISSION_* and a few of our own
    std::chrono::milliseconds timeout{30'000};
};

struct teardown_config {
    enum class kind { exec, process_group, preset } what = kind::exec;
    ms::handler_options options;
    command_config command;              // exec
    std::chrono::milliseconds grace{0};  // process_group: between SIGTERM and SIGKILL
    // preset; `stopping` is left empty
    std::variant<std::monostate, ms::http_action, ms::oauth_revocation, ms::removed_file,
                 ms::cgroup_control, ms::postgres_role, ms::redis_user>
        preset;
};

struct event_config {
    std::string name;
    std::vector<std::string> types;  // empty: every type that no other entry names
    command_config command;
};

struct program_config {
    ms::options options;  // `log` is left empty
    std::vector<teardown_config> teardown;
    std::vector<event_config> events;
    std::string control_socket;    // path; empty: none
    bool control_derived = false;  // made from the state's path: its failure is not fatal
    ms::log_level log_level = ms::log_level::info;
    sidecar::settings check;
    // Of everything but [check]: when it differs, another reading of the file wants a restart.
    std::string needs_restart;
};

// `name` stands in messages ("receiver.toml:12: ..."). Every key is known or an error that names
// its line; MISSION_RECEIVER_<SECTION>_<KEY> overrides. bad_configuration.
result<program_config> parse_config(std::string_view toml_text, const std::string& name,
                                    const settings::environment& env);
result<program_config> load_config(const std::string& file, const settings::environment& env);

}  // namespace mission::receiver::program
