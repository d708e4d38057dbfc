// Which teardown tasks a change makes, which it takes back, and when one is tried again. Pure.
//
// Order (design section 7): a terminal task cancels what is pending of suspend, resume and scope of
// its mission; resume never follows terminal; of two reversible tasks the newer one stands.
#pragma once

#include <chrono>
#include <vector>

#include "base/random.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

constexpr bool is_terminal(ms::effect e) noexcept {
    return e != ms::effect::suspended && e != ms::effect::resumed &&
           e != ms::effect::scope_changed && e != ms::effect::stale && e != ms::effect::fresh;
}
constexpr bool is_durable(ms::effect e) noexcept {
    return e != ms::effect::stale && e != ms::effect::fresh;
}

// Stable: derived from what the task is for, so that planning twice makes one task.
std::string idempotency_key(const std::string& handler, ms::effect why, const mission_key& mission,
                            std::int64_t version, const std::string& name);

// The tasks of one effect: per handler that wants it, one per hold or one for the mission.
std::vector<task_record> plan_tasks(const std::vector<ms::handler_options>& handlers,
                                    const std::vector<hold_record>& holds, ms::effect why,
                                    const mission_key& mission, std::int64_t version,
                                    wall_time now);

// True when `older` (open, of the same handler, mission and name) is not wanted any more once
// `newer` exists.
bool supersedes(const task_record& newer, const task_record& older) noexcept;
// True when `newer` must not be made because `existing` stands: resume after a terminal task.
bool forbids(const task_record& existing, const task_record& newer) noexcept;

// Exponential with full jitter on the upper half: in [d/2, d], d = first * 2^(attempts-1) <= max.
std::chrono::milliseconds retry_delay(const ms::handler_options& h, unsigned attempts,
                                      random_source& random);

}  // namespace mission::receiver
