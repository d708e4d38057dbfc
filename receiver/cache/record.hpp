// Everything held of one mission, and what the world may be told of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "mission_signals/receiver.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

struct mission_key {
    std::string issuer, id;
    friend bool operator==(const mission_key&, const mission_key&) = default;
    friend auto operator<=>(const mission_key&, const mission_key&) = default;
};

struct record {
    mission_key key;
    std::string state;         // as last told under `log_epoch`
    std::int64_t version = 0;  // last applied; 0: nothing is known
    std::string log_epoch;
    // When `version` was committed, by the transmitter's clock.
    std::optional<wall_time> committed_at;
    // The latest `iat` of what was applied, in seconds; 0: not known. What was committed by then is
    // no news, should the mission be forgotten.
    std::int64_t heard_at = 0;
    std::optional<wall_time> expires_at, suspend_until;
    std::string successor, reason;

    bool gap = false;        // a version was missed: Status before relying
    bool not_found = false;  // Status says there is no such mission for us
    // A denial told under another log_epoch: it holds until Status has decided (wire.md section 5).
    std::string denied_as;

    std::int64_t authority_needed = 0;     // > 0: a status at or above this version has to come
    std::optional<std::string> authority;  // JSON array; nullopt while not known
    std::int64_t authority_version = 0;

    std::optional<wall_time> fresh_until;  // Status's own word
    std::uint64_t confirmed_epoch = 0;

    friend bool operator==(const record&, const record&) = default;
};

// The standing of a state's name: `ended` for one we do not know.
ms::standing standing_of(std::string_view state) noexcept;

// The standing without regard to time (expiry and freshness are judged at each look).
ms::standing told(const record& r) noexcept;

}  // namespace mission::receiver
