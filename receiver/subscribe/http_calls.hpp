// Small things that every call to the transmitter shares.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "net/client.hpp"

namespace mission::receiver {

using http_done = std::function<void(result<net::http_response>)>;

// The request lasts as long as its completion: dropping the handle would cancel it. The client's
// stop() ends all of them.
void exchange(net::http_client& http, net::client_request request, http_done done);

// What the peer says is wrong, for people: its error members, or the start of its body. Bounded,
// on one line, control characters and what is not ASCII escaped; `secret` (a token that it may
// echo) blanked out.
std::string words_of(const net::http_response& r, std::string_view secret = {});

// http_status: "the poll endpoint answered 400: invalid_request, no such stream". A redirect says
// that it is not followed.
error unexpected(const net::http_response& r, std::string_view what, std::string_view secret = {});

// Retry-After (RFC 9110 section 10.2.3), seconds alone; zero without one, and bounded.
std::chrono::milliseconds retry_after_of(const net::http_response& r);

}  // namespace mission::receiver
