// The sidecar of a running instance, and what a second reading of the configuration means to it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "receiver/program/config.hpp"
#include "receiver/sidecar/sidecar.hpp"

namespace mission::receiver::program {

// THREAD: reload() on one of its own, beside the others.
class sidecar_host {
  public:
    sidecar_host(ms::receiver& rx, ms::log_function log) : rx_(rx), log_(std::move(log)) {}

    // Nothing without [check]. bad_configuration, address_in_use, io_error.
    result<void> open(const program_config& c);
    // Takes what [check] says now; everything stays as it was when that cannot be done. Each
    // outcome is one log line, and what needs a restart is named.
    void reload(result<program_config> again);
    void close();
    std::uint16_t port() const;  // 0: none, or on a Unix socket

  private:
    result<void> take(const program_config& c);
    result<void> make(sidecar::settings s);

    ms::receiver& rx_;
    const ms::log_function log_;
    mutable std::mutex m_;
    bool closed_ = false;
    std::unique_ptr<sidecar::server> server_;
    std::string rest_;      // of the configuration, as this instance was started with it
    unsigned threads_ = 0;  // as it runs
};

}  // namespace mission::receiver::program
