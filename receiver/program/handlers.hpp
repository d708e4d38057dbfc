// What the configuration says is to be run, as handlers of the library.
#pragma once

#include <functional>
#include <memory>

#include "receiver/program/config.hpp"
#include "receiver/program/exec.hpp"

namespace mission::receiver::program {

// The command of one task or event: arguments, environment and input filled in.
// invalid_argument: a value that no argument can hold.
result<exec_request> request_of(const command_config& c, const ms::task& t);
result<exec_request> request_of(const command_config& c, const ms::security_event& e);

// Exit 0 is the acknowledgement; everything else is tried again by the library.
ms::outcome outcome_of(const exec_result& r);

// `gate` is shared by every handler, and outlives the receiver.
ms::handler exec_handler(command_config c, std::shared_ptr<const exec_gate> gate);
ms::event_handler exec_event_handler(command_config c, std::shared_ptr<const exec_gate> gate);

// What runs a [[teardown]] entry; setup_error where the entry can never work.
ms::handler handler_of(const teardown_config& t, const std::shared_ptr<const exec_gate>& gate);

// Registers what is configured. Types that nobody has asked for are acknowledged; the receiver logs
// them. `log` is told of changes of missions.
void register_handlers(ms::receiver& rx, const program_config& c,
                       const std::shared_ptr<const exec_gate>& gate, const ms::log_function& log);

}  // namespace mission::receiver::program
