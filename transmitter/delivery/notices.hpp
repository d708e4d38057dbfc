// What a stream is told about itself: the rows of stream_events as they wait to be sent. Pure.
//
// SSF 1.0 section 8.1.5: a pause or a disabling by the transmitter or an operator is told by
// stream-updated, although nothing else goes by then. What a receiver has not taken before the
// stream is enabled again is no longer true: it is settled unsent. Other news (dropped events, a
// changed configuration) wait until the stream is enabled, and then say so.
#pragma once

#include <string>
#include <string_view>

#include "transmitter/delivery/outcome.hpp"

namespace mission::transmitter {

// Reasons that tell of something else than the status: of a raised `continuity`, of a client's
// changed entry. They are never settled unsent.
inline constexpr std::string_view loss_reason = "events were dropped";
inline constexpr std::string_view changed_reason = "the transmitter's configuration has changed";

stream_special special_of(const store::stream_event& row);

// The transmitter or an operator made its status what it is.
bool paused_by_us(const store::stream& s);

// Brings what waits in line with the stream's status. `paused_by_us`: the transmitter or an
// operator made it what it is.
void review_notices(delivery_state& s, store::stream_status status, bool paused_by_us);

// True when a stream-updated waits that tells of dropped events and has not left yet.
bool tells_loss(const delivery_state& s);

}  // namespace mission::transmitter
