// The push endpoint of RFC 8935, listened on by the library or mounted by the host.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "mission_signals/receiver.hpp"
#include "net/http.hpp"
#include "receiver/subscribe/intake.hpp"

namespace mission::receiver {

class push_endpoint {
  public:
    // `authorization`: what the transmitter was told to send; empty: none is asked for.
    push_endpoint(std::shared_ptr<intake> sets, std::string authorization)
        : sets_(std::move(sets)), authorization_(std::move(authorization)) {}

    // THREAD: any. `done` once, after everything that the SET says is durable.
    void handle(ms::push_request request, std::function<void(ms::push_response)> done) const;

  private:
    const std::shared_ptr<intake> sets_;
    const std::string authorization_;
    const std::shared_ptr<std::atomic<int>> in_flight_ = std::make_shared<std::atomic<int>>(0);
};

// Serves `path` with POST; everything else is 404 or 405.
std::unique_ptr<net::http_handler> make_push_handler(const push_endpoint& endpoint,
                                                     std::string path);

}  // namespace mission::receiver
