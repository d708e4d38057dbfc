// The stream management API of SSF 1.0 section 8, one authenticated HTTP call at a time: what the
// program's `stream` commands are made of. Shares discovery, tokens and key handling with the
// receiver, and keeps nothing.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "jose/key.hpp"
#include "mission_signals/receiver.hpp"
#include "net/http.hpp"
#include "receiver/subscribe/discovery.hpp"

namespace mission::receiver {

enum class endpoint {
    configuration,   // POST create, GET one or all, PATCH update, PUT replace, DELETE
    status,          // GET, POST
    add_subject,     // POST
    remove_subject,  // POST
    verification,    // POST
};

// Blocking; THREAD: one at a time. Every call discovers first where that has not been done.
class management {
  public:
    virtual ~management() = default;

    virtual result<transmitter_metadata> metadata() = 0;
    // One call with a token. `query`: without '?', already encoded ("stream_id=x"); `body`: JSON,
    // empty for none. The answer as it came, whatever its status; a 401 only after a new token was
    // refused as well (errc::unauthenticated). not_found when the metadata names no such endpoint.
    virtual result<net::http_response> call(
        std::string_view method, endpoint where, std::string_view query, std::string_view body,
        std::chrono::milliseconds timeout = std::chrono::seconds(10)) = 0;
    // RFC 8936: the stream's own endpoint is looked up (GET, delivery.endpoint_url), then asked.
    // stream_invalid when it is no poll stream.
    virtual result<net::http_response> poll(
        std::string_view stream_id, std::string_view body,
        std::chrono::milliseconds timeout = std::chrono::seconds(45)) = 0;
    // The transmitter's keys, for whoever verifies what a poll brought (receiver/verify).
    virtual result<std::shared_ptr<const jose::key_set>> keys() = 0;
};

// Of the options, what concerns the transmitter and who we are: issuer or metadata_url, ca_file,
// credentials, token_*, metadata_json, quirks, log. ms::setup_error names the option at fault.
std::unique_ptr<management> make_management(const ms::options& o);

}  // namespace mission::receiver
