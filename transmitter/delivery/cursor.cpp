#include "transmitter/delivery/cursor.hpp"

#include <algorithm>

namespace mission::transmitter {

bool is_settled(const store::cursor& c, store::seq_t seq) noexcept {
    if (seq <= c.acked_seq) return true;
    const auto after = std::upper_bound(
        c.ranges.begin(), c.ranges.end(), seq,
        [](store::seq_t s, const std::pair<store::seq_t, store::seq_t>& r) { return s < r.first; });
    return after != c.ranges.begin() && seq <= (after - 1)->second;
}

store::cursor make_cursor(store::stream_row stream, const std::vector<store::seq_t>& unsettled,
                          store::seq_t scanned, std::size_t max_ranges) {
    store::cursor out;
    out.stream = stream;
    if (unsettled.empty()) {
        out.acked_seq = scanned;
        return out;
    }
    out.acked_seq = unsettled.front() - 1;
    for (std::size_t i = 0; i < unsettled.size() && out.ranges.size() < max_ranges; ++i) {
        const store::seq_t first = unsettled[i] + 1;
        const store::seq_t last = i + 1 < unsettled.size() ? unsettled[i + 1] - 1 : scanned;
        if (first <= last) out.ranges.emplace_back(first, last);
    }
    return out;
}

}  // namespace mission::transmitter
