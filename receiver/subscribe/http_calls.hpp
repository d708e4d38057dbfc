// Small things that every call to the transmitter shares.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "net/client.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {

using http_done = std::function<void(result<net::http_response>)>;

// The request lasts as long as its completion: dropping the handle would cancel it. The client's
// stop() ends all of them.
void exchange(net::http_client& http, net::client_request request, http_done done);

// What no log may show though a peer echoes it: tokens, client secrets, push headers.
using secrets = std::vector<std::string>;

// What the peer says is wrong, for people (peer_words()): its error members, or the start of its
// body.
std::string words_of(const net::http_response& r, const secrets& known = {});

// http_status: "the poll endpoint answered 400: invalid_request, no such stream". A redirect says
// that it is not followed; of a success that was not expected the body is not shown.
error unexpected(const net::http_response& r, std::string_view what, const secrets& known = {});

// Retry-After (RFC 9110 section 10.2.3), seconds alone; zero without one, and bounded.
std::chrono::milliseconds retry_after_of(const net::http_response& r);

// A peer's wish not to be asked for a while. THREAD: any.
class peer_pause {
  public:
    void begin(instant now, std::chrono::milliseconds wait, error why);
    std::chrono::milliseconds left(instant now) const;
    std::optional<error> still(instant now) const;  // why; none once it is over

  private:
    mutable std::mutex m_;
    std::int64_t until_ = 0;  // monotonic
    error why_;
};

}  // namespace mission::receiver
