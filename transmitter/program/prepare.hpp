// What a start makes or finds before anything runs: secrets, certificates, the things of --dev.
#pragma once

#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/time.hpp"
#include "net/server.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

// Loads settings.secrets_key from its file, which is made when it is missing.
result<void> prepare_secrets(config& settings);

// Certificate chain and key, PEM: the given texts, or the files of [tls].
result<std::pair<std::string, std::string>> load_certificate(const config& settings,
                                                             const std::string& certificate_pem,
                                                             const std::string& private_key_pem);

// Whether and how the listener asks for client certificates (RFC 8705): verified by [tls]
// client_ca, or, without one, any, when some client is known by its own.
result<void> client_certificates(const config& settings, net::server_options& out);

// One line in the log for each setting that is legal and yet hardly meant: static tokens that never
// end or have ended.
void warn_of(const config& settings, wall_time now);

// --dev: a certificate for loopback names in `folder` (kept over restarts) when [tls] names none;
// and, when there is no client at all, example clients with keys made on the spot. Says on stderr
// where everything is. Refuses to listen elsewhere than on loopback with such a certificate.
result<void> prepare_dev(config& settings, const std::string& folder);

// What `--dev` without a configuration file starts from.
config dev_config();

}  // namespace mission::transmitter
