// A teardown task as it is kept: what, for whom, and how it went so far.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.hpp"
#include "receiver/cache/record.hpp"

namespace mission::receiver {

struct hold_record {
    mission_key mission;
    std::string name, data;
    friend bool operator==(const hold_record&, const hold_record&) = default;
};

struct task_record {
    std::string key;      // idempotency key: the same on every try, also after a crash
    std::string handler;  // its name
    ms::effect why{};
    mission_key mission;
    std::int64_t version = 0;
    std::string name, data;  // the held thing; name empty for mission-wide handlers
    unsigned attempts = 0;   // made so far
    ms::outcome_kind last = ms::outcome_kind::unknown;
    std::string evidence;
    bool finished = false, cancelled = false;
    wall_time created{}, updated{};
    bool durable = true;  // stale and fresh are not written

    bool open() const noexcept { return !finished && !cancelled; }
};

// As a host is shown it.
ms::task_view view_of(const task_record& t);

}  // namespace mission::receiver
