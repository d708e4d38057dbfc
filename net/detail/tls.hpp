// TLS contexts: versions, ciphers, trust. Private to net.
#pragma once

#include <string>

#include "base/error.hpp"
#include "net/detail/channel.hpp"

namespace mission::net::detail {

// bad_configuration, with what OpenSSL says about the PEM.
result<ssl_context> make_server_context(const std::string& certificate_pem,
                                        const std::string& private_key_pem,
                                        const std::string& client_ca_pem,
                                        bool any_client_certificate = false);

// `ca_pem` empty: the system's trust store.
result<ssl_context> make_client_context(const std::string& ca_pem,
                                        const std::string& certificate_pem,
                                        const std::string& private_key_pem);

// Server name and the name check of a client connection; `host` may be an address.
bool expect_host(SSL* ssl, const std::string& host);

}  // namespace mission::net::detail
