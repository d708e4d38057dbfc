// Tolerance of a peer that does not follow the specifications: each kind is off unless the host
// says otherwise, and its first use is logged (wire.md section 5).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "mission_signals/receiver.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

// THREAD: any.
class quirk_log {
  public:
    enum class kind : std::uint8_t {
        typ_missing,
        issuer_slash,
        created_with_200,
        several_events,
    };

    quirk_log() = default;
    explicit quirk_log(const ms::options& o) : on_(o.quirks), log_(o.log) {}

    bool allows(kind k) const noexcept;
    // False when it is off; else true, and the first time a line in the log.
    bool use(kind k) noexcept;
    // Equal, or, where that is tolerated, equal but for one trailing slash.
    bool same_issuer(std::string_view a, std::string_view b) noexcept;

  private:
    decltype(ms::options::quirks) on_{};
    ms::log_function log_;
    std::atomic<unsigned> told_{0};
};

}  // namespace mission::receiver
