// An answer as the octets that go out. Private to net.
#pragma once

#include <string>

#include "net/http.hpp"

namespace mission::net::detail {

struct response_style {
    bool close = false;     // the connection ends after it
    bool http_1_0 = false;  // the request was of that version
    bool head = false;      // the request was HEAD
};

// Replaces `out`, keeping its memory. Head and body in one piece: one write, one TLS record where
// it fits. Lengths, Date and Connection are ours, whatever the fields say.
void format_response(std::string& out, const http_response& r, response_style style);

}  // namespace mission::net::detail
