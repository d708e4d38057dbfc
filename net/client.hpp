// An HTTP/1.1 client over kept-alive connections: no redirects, the address checked after DNS.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "net/egress.hpp"
#include "net/http.hpp"
#include "net/runtime.hpp"

namespace mission::net {

struct client_options {
    std::string ca_pem;  // in addition to nothing: when empty, the system's trust store
    std::string certificate_pem, private_key_pem;  // client certificate, optional
    // Applied to every resolved address before connecting; the connection goes to a checked one.
    std::shared_ptr<const egress_policy> egress;  // null: everything is allowed
    std::shared_ptr<resolver> names;              // null: the system's
    std::shared_ptr<connector> connects;          // null: real TCP; tests count
    bool allow_plain_http = false;
    std::size_t max_response = limits::http_response_bytes;
    std::size_t max_idle_per_host = limits::idle_connections_per_host;
};

struct client_request {
    std::string method = "GET";
    std::string url;
    headers fields;  // Host, Content-Length and Connection are ours
    std::string body;
    std::chrono::milliseconds timeout{10'000};  // the whole exchange, connect included
};

// Cancels the request when destroyed or told to; the completion then says errc::cancelled.
class pending_request {
  public:
    virtual ~pending_request() = default;
    virtual void cancel() noexcept = 0;
};

// THREAD: all methods from any thread; completions run on network threads, exactly once.
class http_client {
  public:
    virtual ~http_client() = default;
    // Any status is a success here, 3xx included (never followed). Errors: address_refused,
    // resolve_failed, connect_failed, tls_failed, timed_out, connection_closed, bad_response,
    // response_too_large, cancelled. A request that failed on a reused connection before any octet
    // of the answer is sent once more on a fresh one.
    virtual std::shared_ptr<pending_request> send(
        client_request request, std::function<void(result<http_response>)> done) = 0;
    // Cancels everything in flight, closes idle connections.
    virtual void stop() = 0;
};

result<std::unique_ptr<http_client>> make_http_client(runtime& rt, client_options options);

}  // namespace mission::net
