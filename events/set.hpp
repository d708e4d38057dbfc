// Security Event Tokens (RFC 8417) as SSF 1.0 profiles them: exactly one event, `sub_id`, no `sub`,
// no `exp`, explicit `typ`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/subject.hpp"

namespace mission::events {

inline constexpr std::string_view set_typ = "secevent+jwt";
inline constexpr std::string_view set_content_type = "application/secevent+jwt";

struct set_claims {
    std::string iss;
    std::string aud;
    std::int64_t iat = 0;  // NumericDate
    std::string jti;
    std::string txn;  // empty: left out
    subject sub_id;
    std::string type;   // event type URI
    std::string event;  // JSON object text
};

// The claims set as JSON text, members always in the same order.
std::string encode(const set_claims& c);

// What a receiver reads. `aud` may be a string or an array; `events` keeps exactly one member
// (several are refused unless `allow_several`); `sub`, `exp` present: bad_claims.
struct received_set {
    std::string iss;
    std::vector<std::string> aud;
    std::int64_t iat = 0;
    std::string jti;
    std::optional<std::string> txn;
    std::optional<subject> sub_id;
    std::string type;
    json::document claims;  // owns the event
    const json::value* event = nullptr;
};
// malformed_token / bad_claims / duplicate_member, with the claim's name.
result<received_set> decode(std::string_view payload);

// SSF's own events.
struct verification {
    std::optional<std::string> state;
    // The heartbeat's members (wire.md section 1); all three or none.
    std::optional<wall_time> as_of;
    std::optional<std::int64_t> continuity;
    std::optional<std::string> log_epoch;
};
std::string to_json(const verification& v);
result<verification> parse_verification(const json::value& body);

struct stream_updated {
    std::string status;  // enabled | paused | disabled
    std::optional<std::string> reason;
};
std::string to_json(const stream_updated& u);
result<stream_updated> parse_stream_updated(const json::value& body);

// SSF section 8.1.4.1 and 8.1.5: the subject of both is the stream: opaque, id = stream_id.
subject stream_subject(std::string_view stream_id);

}  // namespace mission::events
