// HTTP as plain values. Nothing in this header knows Asio or Beast, so that including it is cheap.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace mission::net {

// Header fields in order of arrival; names in lower case.
class headers {
  public:
    void add(std::string name, std::string value);  // lower-cases the name
    void set(std::string_view name, std::string value);
    // The first value of that name (lower case), or empty.
    std::string_view get(std::string_view name) const noexcept;
    std::size_t count(std::string_view name) const noexcept;
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }

  private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

struct peer_info {
    std::string address;  // textual, without port
    std::uint16_t port = 0;
    bool tls = false;
    // The client's certificate, verified as the server's options have it; empty when none.
    std::string certificate_der;
};

struct http_request {
    std::string method;
    std::string path;   // percent-encoding as sent; before '?'
    std::string query;  // after '?', as sent
    headers fields;
    std::string body;
    // The body was over the server's limit and is not here (server_options::hand_over_too_large).
    bool body_too_large = false;
    peer_info peer;
    // What whoever looked at the request before its handler has found out; owned by them.
    std::shared_ptr<const void> context;
};

struct http_response {
    int status = 200;
    headers fields;
    std::string body;
};

// Answers one request: call exactly once, from any thread. Dropping the last copy without calling
// answers 500. After the peer has gone, calling is harmless.
class responder {
  public:
    struct state {
        virtual ~state() = default;
        virtual void respond(http_response r) = 0;
        virtual bool gone() const noexcept = 0;
    };
    responder() = default;
    explicit responder(std::shared_ptr<state> s) : state_(std::move(s)) {}
    void operator()(http_response r) const { state_->respond(std::move(r)); }
    // True once the peer has closed the connection: nobody waits for the answer any more.
    bool gone() const noexcept { return state_->gone(); }

  private:
    std::shared_ptr<state> state_;
};

// THREAD: called on network threads, several at once. Must not block.
class http_handler {
  public:
    virtual ~http_handler() = default;
    virtual void handle(http_request request, responder respond) = 0;
    // How the server's own refusals look: malformed, oversized and slow requests. `head` holds what
    // could be read of it, perhaps nothing. {"err":..,"description":..} unless overridden.
    virtual http_response refuse(const http_request& head, int status, std::string_view err,
                                 std::string_view description);
};

// application/x-www-form-urlencoded, both ways. A name given twice is refused (RFC 6749 3.2).
result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body);
std::string encode_form(const std::vector<std::pair<std::string, std::string>>& fields);
std::string percent_encode(std::string_view text);
result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

struct url {
    std::string scheme;          // lower case
    std::string host;            // lower case; IPv6 without brackets
    std::uint16_t port = 0;      // explicit or the scheme's default
    std::string target;          // path and query, at least "/"
    std::string origin() const;  // "https://host" or "https://host:port"
};
// http and https only; no user info, no fragment. invalid_argument otherwise.
result<url> parse_url(std::string_view text);

}  // namespace mission::net
