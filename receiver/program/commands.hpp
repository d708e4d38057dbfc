// Each command of the program, done: standard output, standard error, exit status.
#pragma once

#include <functional>
#include <string>

#include "receiver/program/command_line.hpp"
#include "receiver/program/config.hpp"

namespace mission::receiver::program {

// Reads the same file again, for SIGHUP.
using config_reader = std::function<result<program_config>()>;

int run_receiver(const program_config& c, const config_reader& read_again);  // run
int run_stream(const invocation& typed, const program_config& c);            // stream ...
int run_tasks(const invocation& typed, const program_config& c);             // tasks list|retry
int run_teardown(const invocation& typed, const program_config& c);          // teardown run
int run_instance(const invocation& typed, const program_config& c);  // status, check, hold, ...

// For the log: the issuer, as far as the configuration says it; else where that is to be learned.
std::string transmitter_named_by(const ms::options& o);

}  // namespace mission::receiver::program
