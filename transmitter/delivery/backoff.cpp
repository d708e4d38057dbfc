#include "transmitter/delivery/backoff.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>

#include "base/limits.hpp"

namespace mission::transmitter {

using std::chrono::milliseconds;

milliseconds backoff(unsigned failures, random_source& random) {
    milliseconds step = limits::backoff_first;
    for (unsigned i = 1; i < failures && step < limits::backoff_max; ++i)
        step *= 2;
    step = std::min<milliseconds>(step, limits::backoff_max);
    const auto half = step / 2;
    return half + milliseconds(random.below(static_cast<std::uint64_t>(half.count()) + 1));
}

std::optional<milliseconds> retry_after(std::string_view field, wall_time now) {
    if (field.empty()) return std::nullopt;
    const milliseconds longest = limits::retry_after_max;
    unsigned long long seconds = 0;
    const char* end = field.data() + field.size();
    const auto [stopped, failure] = std::from_chars(field.data(), end, seconds);
    if (stopped == end && failure == std::errc::result_out_of_range) return longest;
    if (stopped == end && failure == std::errc{}) {
        const auto bound = static_cast<unsigned long long>(longest.count() / 1000);
        return milliseconds(1000 * static_cast<std::int64_t>(std::min(seconds, bound)));
    }
    std::tm date{};
    const std::string text{field};
    const char* rest = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (rest == nullptr || *rest != '\0') return std::nullopt;
    const wall_time at = from_numeric_date(timegm(&date));
    return std::clamp<milliseconds>(at - now, milliseconds{0}, longest);
}

milliseconds rejection_gap(unsigned rejections, milliseconds max_stale) {
    // The gaps before tries 2..N are 1, 2, 4, ... units: 2^(N-1) - 1 in all.
    const auto units = (std::int64_t{1} << (limits::dead_letter_tries - 1)) - 1;
    const auto unit = std::max<milliseconds>(max_stale / (3 * units), milliseconds{1});
    const unsigned shift =
        std::min(rejections == 0 ? 0 : rejections - 1, limits::dead_letter_tries - 2);
    return unit * (std::int64_t{1} << shift);
}

}  // namespace mission::transmitter
