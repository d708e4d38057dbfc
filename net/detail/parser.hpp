// HTTP/1.1 messages out of octets. Beast does the parsing; this fills plain values and guards
// what Beast leaves to its user. No sockets in here.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/http.hpp"

namespace mission::net::detail {

enum class parse_status {
    more,    // wants more octets; what was not consumed must come again, with more behind it
    head,    // requests only: the head is complete and a body follows; call feed again
    done,    // the message is complete
    failed,  // see status() and reason()
};

// One request at a time; reset() before the next one.
class request_parser {
  public:
    request_parser();
    ~request_parser();
    void reset(std::size_t max_body);
    // Consumes what it can and says how much.
    parse_status feed(std::string_view data, std::size_t& consumed);

    http_request& request() noexcept;
    bool keep_alive() const noexcept;
    bool http_1_0() const noexcept;
    bool head_only() const noexcept;         // the method is HEAD
    bool expects_continue() const noexcept;  // RFC 9110 section 10.1.1
    // The answer to a request that failed: 400, 413, 414, 417 or 431.
    int status() const noexcept;
    const char* reason() const noexcept;

  private:
    struct impl;
    parse_status fail(int status, const char* reason);
    parse_status check_head();

    std::unique_ptr<impl> impl_;
};

class response_parser {
  public:
    // `to_head`: the answer has no body, whatever its head says.
    response_parser(bool to_head, std::size_t max_body);
    ~response_parser();
    // Never returns `head`.
    parse_status feed(std::string_view data, std::size_t& consumed);
    // The peer ended the connection: done when the body goes up to there, failed otherwise.
    parse_status feed_end();

    bool interim() const noexcept;  // 1xx: not the answer yet
    bool keep_alive() const noexcept;
    bool too_large() const noexcept;
    const std::string& reason() const noexcept;
    http_response& response() noexcept;

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace mission::net::detail
