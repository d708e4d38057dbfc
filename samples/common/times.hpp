// Moments as texts, for records that people read and programs compare.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace sample {

inline std::int64_t microseconds_of(std::chrono::system_clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
}

// RFC 3339, UTC, microseconds.
inline std::string utc_text(std::chrono::system_clock::time_point at) {
    const auto all = microseconds_of(at);
    const auto seconds = static_cast<std::time_t>(all / 1'000'000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char date[32], out[48];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(out, sizeof out, "%s.%06dZ", date, static_cast<int>(all % 1'000'000));
    return out;
}

}  // namespace sample
