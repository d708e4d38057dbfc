// A task as the engine would give it.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "mission_signals/presets.hpp"

inline mission_signals::task task_of(
    std::string data, mission_signals::effect why = mission_signals::effect::revoked) {
    mission_signals::task t;
    t.idempotency_key = "key-1";
    t.why = why;
    t.mission_id = "mission-0123456789abcdef01";
    t.issuer = "https://t.example";
    t.version = 7;
    t.name = "db";
    t.data = std::move(data);
    return t;
}

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline bool done(const mission_signals::outcome& o) {
    INFO(o.evidence);
    return o.kind == mission_signals::outcome_kind::acknowledged;
}

inline bool failed(const mission_signals::outcome& o) {
    INFO(o.evidence);
    return o.kind == mission_signals::outcome_kind::failed;
}
