// The whole transmitter in one object: what `serve` runs, and what tests run in their own process.
//
//   runtime (threads) <- store <- issuers (keys, delivery, authenticator, routers) <- listeners
//
// Destroyed from right to left; everything on the right refers to what is on its left.
#pragma once

#include <chrono>
#include <memory>

#include "transmitter/delivery/delivery.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

struct app_options {
    const clock* time = nullptr;                   // null: the system's
    random_source* random = nullptr;               // null: the kernel's
    std::string certificate_pem, private_key_pem;  // override the files of [tls]
    unsigned network_threads = 2, worker_threads = 2;
};

class app {
  public:
    virtual ~app() = default;  // stops, if that has not happened
    virtual std::uint16_t port() const noexcept = 0;
    virtual std::uint16_t admin_port() const noexcept = 0;  // 0: no admin listener
    virtual net::runtime& runtime() noexcept = 0;
    virtual store::store& db() noexcept = 0;
    virtual delivery& delivery_of(std::size_t issuer) noexcept = 0;
    // Both steps of the stop: answers what is in flight within `grace`, then cancels. Blocking; not
    // from one of the app's own threads.
    virtual void stop(std::chrono::milliseconds grace) = 0;
};

// Opens everything and listens. Errors are sentences for the operator: a port in use, an unreadable
// key, a database that is newer, locked, full or none. Nothing is left running after an error.
result<std::unique_ptr<app>> start_app(config settings, app_options options = {});

}  // namespace mission::transmitter
