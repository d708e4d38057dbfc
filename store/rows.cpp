#include "store/rows.hpp"

#include "store/store.hpp"

namespace mission::store {

std::uint16_t bucket_of(std::string_view mission_id) noexcept {
    // FNV-1a, folded: the same on every machine and in every version, since rows keep it.
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : mission_id) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 1099511628211u;
    }
    hash ^= hash >> 32;
    return static_cast<std::uint16_t>((hash ^ (hash >> 10)) & 1023u);
}

std::string_view name(stream_status s) noexcept {
    switch (s) {
        case stream_status::enabled:
            return "enabled";
        case stream_status::paused:
            return "paused";
        case stream_status::disabled:
            return "disabled";
    }
    return "disabled";
}

bool changes::empty() const noexcept {
    return missions.empty() && quiet.empty() && cascades.empty() && settled_cascades.empty() &&
           audit.empty() && bulk_jobs.empty() && bulk_members.empty() &&
           removed_bulk_jobs.empty() && reports.empty() && waiting_transitions.empty() &&
           settled_transitions.empty() && events.empty() && nonces.empty() && new_streams.empty() &&
           updated_streams.empty() && removed_streams.empty() && epochs.empty() &&
           cursors.empty() && exceptions.empty() && settled_exceptions.empty() &&
           stream_events.empty() && settled_stream_events.empty() && subjects.empty() &&
           routed.empty();
}

}  // namespace mission::store
