// Members of a stream's configuration that a receiver supplies, read one by one. Pure.
//
// SSF 1.0 section 8.1.1; what creating (config.hpp) and changing (update.hpp) a stream share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "net/egress.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

inline constexpr std::string_view push_urn = "urn:ietf:rfc:8935";
inline constexpr std::string_view poll_urn = "urn:ietf:rfc:8936";

struct delivery_request {
    store::delivery_method method = store::delivery_method::poll;
    std::string endpoint_url;  // push
    // push: what the member `authorization_header` says. Not there at all, `keep`; null, `remove`.
    enum class header { keep, replace, remove } authorization = header::keep;
    std::string authorization_header;  // replace: plain; sealed before it is stored
};

// The member `delivery`; null or not there means poll (wire.md section 1). stream_invalid with a
// sentence that names the member. A host that is an address literal is checked against `egress`
// here, a name when the push connects. `endpoint_url` of a poll stream is the transmitter's.
result<delivery_request> read_delivery(const json::value& body, const net::egress_policy& egress);

// Strings, each once, bounded in number and size; null or not there: none. What is unknown among
// requested events is kept and means nothing (SSF 1.0 section 8.1.1).
result<std::vector<std::string>> read_events_requested(const json::value& body);
result<std::vector<std::string>> read_capabilities(const json::value& body);
// Cut to limits::description_bytes; null or not there: empty.
result<std::string> read_description(const json::value& body);

// The member `stream_id` of a management call's body; invalid_request when it is no such thing.
result<std::string> read_stream_id(const json::value& body);

// At most `max` octets, cut at a character's boundary: valid UTF-8 stays valid.
std::string cut_utf8(std::string_view text, std::size_t max);

}  // namespace mission::transmitter
