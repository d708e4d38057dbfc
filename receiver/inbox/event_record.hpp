// An event that is not about a mission, as it is kept until its handler has acknowledged it.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.hpp"
#include "mission_signals/receiver.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

struct event_record {
    std::string iss, jti, type;
    std::string txn;             // empty: none
    std::int64_t issued_at = 0;  // NumericDate
    std::string subject, event;  // JSON texts
    unsigned attempts = 0;       // made so far
    ms::outcome_kind last = ms::outcome_kind::unknown;
    std::string evidence;
    wall_time received{};

    std::size_t size() const noexcept { return sizeof(*this) + subject.size() + event.size(); }
};

// Of a SET with several events (a quirk) each is one of its own.
inline std::string event_key(const event_record& e) {
    return e.iss + ' ' + e.jti + ' ' + e.type;
}

}  // namespace mission::receiver
