// The sidecar: missions for systems that would rather ask over HTTP than link a library.
//
//   any    /auth                       nginx auth_request; the guarded request in fields
//   any    /envoy/<path of the guarded request>     Envoy ext_authz, HTTP service
//   POST   /access/v1/evaluation, /access/v1/evaluations     OpenID AuthZEN 1.0
//   GET    /.well-known/authzen-configuration
//   GET    /missions/{id} · /missions/{id}/permits?resource=&action=
//   GET    /healthz · /readyz · /metrics
//
// A permit is the answer of a cache on the network thread that read the request: nothing is asked
// of anybody, but where `resolve` is on or a token's keys are not at hand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "mission_signals/receiver.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar {

class server {
  public:
    virtual ~server() = default;  // stops
    // The port it listens on; 0 on a Unix socket.
    virtual std::uint16_t port() const noexcept = 0;
    // Takes other settings: requests that have come are answered by the old ones, none is dropped.
    // Another `listen` is opened before the old one is closed. On an error everything stays as it
    // was. Not from one of its own threads, nor while another call of apply() or stop() runs.
    virtual result<void> apply(settings s) = 0;
    // Two-step; blocks. Before the receiver is stopped.
    virtual void stop() = 0;
    // Prometheus text of its own counters.
    virtual std::string metrics_text() const = 0;
};

// `rx` outlives the server; `more_metrics` (may be null) is put before the server's own at
// /metrics. bad_configuration, address_in_use, io_error. `s.listen` is set.
result<std::unique_ptr<server>> make_server(mission_signals::receiver& rx, settings s,
                                            mission_signals::log_function log,
                                            std::function<std::string()> more_metrics);

}  // namespace mission::receiver::sidecar
