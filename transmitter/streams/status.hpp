// The status of a stream: who may change it to what, and what that writes. Pure.
//
// SSF 1.0 sections 8.1.2 and 8.1.5.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"
#include "store/store.hpp"
#include "transmitter/streams/update.hpp"

namespace mission::transmitter {

struct status_request {
    std::string stream_id;
    store::stream_status status = store::stream_status::enabled;
    std::string reason;  // cut to limits::status_reason_bytes
};

std::optional<store::stream_status> parse_stream_status(std::string_view text) noexcept;
// invalid_request with a sentence that names the member.
result<status_request> parse_status_update(const json::value& body);
// `{reason?}` of an operator, empty where there is none.
result<std::string> parse_reason(const json::value& body);

// {stream_id, status, reason?}.
std::string status_json(std::string_view stream_id, store::stream_status status,
                        std::string_view reason);

// Who asks. An operator's change is the transmitter's own: it is told by stream-updated; and its
// pause is lifted by an operator alone (forbidden for the receiver).
enum class status_actor { receiver, operator_ };

struct status_rules {
    const status_request& wanted;
    status_actor actor = status_actor::receiver;
    std::string_view jti;  // random, of the stream-updated that may be written
};

// Run by the writer. stream_not_found; forbidden; stream_conflict for an operator who pauses what
// is disabled (nothing is held there). The status it has already, and no other reason: success,
// nothing written.
//
// Enabling a disabled stream moves its cursor to the head. What was committed meanwhile is not sent
// (SSF 1.0 section 8.1.2.1), so `continuity` is raised when there was anything, and a
// stream-updated says so before the next heartbeat does.
result<store::changes> status_decision(const status_rules& rules, store::issuer_id issuer,
                                       store::stream_row row, const store::rows& rows,
                                       wall_time now, stream_outcome& out);

}  // namespace mission::transmitter
