// What a poll is answered with (RFC 8936 section 2; wire.md section 1). Pure.
//
// Acks and setErrs come before selection, oldest first, at most one unsettled version of a mission
// per answer, an unacknowledged SET again after the redelivery delay.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "transmitter/delivery/push_machine.hpp"

namespace mission::transmitter {

struct set_error_report {
    std::string jti, err, description;
};

// Returns how many of the acks named something unsettled.
std::size_t apply_acks(delivery_state& s, const std::vector<std::string>& acks, instant now);
void apply_set_errors(delivery_state& s, const std::vector<set_error_report>& errors, instant now,
                      random_source& random);

struct poll_selection {
    std::vector<outgoing_set> sets;
    // RFC 8936 section 2.5: there is more that could be had at once.
    bool more_available = false;
    // With no sets: when something becomes due again; nullopt: only after an event.
    std::optional<steady_time> next;
};

// Marks what it selects as offered. `log_has_more`: signals wait that are not in the window yet.
poll_selection select_for_poll(delivery_state& s, std::size_t max_events, const terms_ptr& terms,
                               bool log_has_more, steady_time now);

}  // namespace mission::transmitter
