// An HTTP/1.1 server over TLS 1.2 and 1.3 (or plain TCP, or a Unix socket).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "net/http.hpp"
#include "net/runtime.hpp"

namespace mission::net {

enum class transport {
    tls,
    plain,
    // Looks at the first octet: TLS for everybody, plain HTTP for peers on loopback alone.
    tls_or_loopback_plain,
};

struct server_options {
    std::string address = "127.0.0.1";  // or "unix:/path"
    std::uint16_t port = 0;             // 0: any free one, see `port()`
    transport mode = transport::tls;
    std::string certificate_pem;  // chain
    std::string private_key_pem;
    std::string client_ca_pem;  // not empty: client certificates are asked for and verified,
                                // and optional
    // Client certificates are asked for and taken from whoever holds the key: self-signed ones, or
    // of a CA unknown here. Who it is decides the handler, by the DER (RFC 8705 section 2.2). Only
    // without client_ca_pem.
    bool accept_any_client_certificate = false;
    std::size_t max_body = limits::http_body_bytes;
    // What bodies that have not ended may hold together; more is answered 503.
    std::size_t max_unfinished = limits::http_unfinished_bytes;
    // A request with a larger body goes to the handler all the same, without the body and with
    // `body_too_large` set: who may not ask at all is told that first. The connection ends after
    // the answer.
    bool hand_over_too_large = false;
    std::size_t max_connections = limits::connections;
    std::size_t max_connections_per_address = limits::connections_per_address;
    std::chrono::milliseconds handshake_timeout = limits::handshake_timeout;
    std::chrono::milliseconds header_timeout = limits::header_timeout;
    std::chrono::milliseconds body_timeout = limits::body_timeout;
    std::chrono::milliseconds write_timeout = limits::write_timeout;
    std::chrono::milliseconds keep_alive_timeout = limits::keep_alive_timeout;
};

struct server_counters {
    std::uint64_t accepted = 0, refused = 0, open = 0, requests = 0, timeouts = 0, tls_failures = 0,
                  bad_requests = 0;
};

// Malformed requests are answered 400, oversized heads 431, oversized bodies 413, an unknown
// Expect 417, bodies beyond what all may hold together 503; each with a JSON body
// {"err":..,"description":..} and Connection: close.
class http_server {
  public:
    virtual ~http_server() = default;
    virtual std::uint16_t port() const noexcept = 0;
    virtual server_counters counters() const = 0;
    // First step of the two-step stop: accepts nothing more, closes idle connections, lets requests
    // in flight finish for at most `grace`, then cancels the rest. `done` is called once.
    virtual void stop(std::chrono::milliseconds grace, std::function<void()> done) = 0;
    // New connections use the new certificate.
    virtual result<void> reload(std::string certificate_pem, std::string private_key_pem) = 0;
};

// address_in_use, bad_configuration (certificate or key unusable), io_error.
// `handler` must outlive the server.
result<std::unique_ptr<http_server>> make_http_server(runtime& rt, server_options options,
                                                      http_handler& handler);

}  // namespace mission::net
