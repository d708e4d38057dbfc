// Requests of the presets: one at a time, each waited for on the thread of the handler.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "mission_signals/presets.hpp"
#include "net/http.hpp"
#include "receiver/presets/patience.hpp"

namespace mission::receiver::presets {

struct wire_options {
    std::string ca_file, certificate_file, private_key_file;
    bool plain_http = false;
};

struct wire_request {
    std::string method, url;
    net::headers fields;
    std::string body;
};

// setup_error: no URL, or one that is not https (http to loopback, or with `plain_http`, is fine).
net::url check_endpoint(const std::string& url, const std::string& what, bool plain_http);

// A client that is made at its first request, so that a host's fork before it meets no thread, and
// that remembers a peer's wish to be left alone. THREAD: any.
class wire {
  public:
    // setup_error: a file that cannot be read.
    explicit wire(wire_options o);
    ~wire();
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;

    // Waits for the answer; where the peer says 429 or 503 and when to come again, it waits for
    // that, too, as long as there is time, and asks once more.
    // Errors as those of net::http_client, rate_limited (told to wait longer than there is time),
    // cancelled (the host stops).
    result<net::http_response> ask(const wire_request& r, const patience& time);

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

// What has become of a request that had no answer: whether it may have been acted on.
ms::outcome without_answer(const error& e, const std::string& what);

}  // namespace mission::receiver::presets
