#include "tools/missionctl/duration.hpp"

#include <charconv>

namespace mission::tools {

std::optional<wall_time> parse_moment(std::string_view text, wall_time now) {
    if (auto exact = from_rfc3339(text)) return *exact;
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    // A century is more than any mission needs, and far from overflow.
    constexpr std::int64_t most_seconds = 100LL * 366 * 86'400;
    if (error != std::errc() || end + 1 != text.data() + text.size() || n < 1 || n > most_seconds)
        return std::nullopt;
    std::int64_t unit = 0;
    switch (*end) {
        case 's':
            unit = 1;
            break;
        case 'm':
            unit = 60;
            break;
        case 'h':
            unit = 3600;
            break;
        case 'd':
            unit = 86'400;
            break;
        default:
            return std::nullopt;
    }
    if (n > most_seconds / unit) return std::nullopt;
    return now + std::chrono::seconds(n * unit);
}

}  // namespace mission::tools
