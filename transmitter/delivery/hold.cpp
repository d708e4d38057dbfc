#include "transmitter/delivery/hold.hpp"

namespace mission::transmitter {

store::seq_t hold_limit(store::seq_t head, std::int64_t hold_signals,
                        store::seq_t last_too_old) noexcept {
    return std::max({head - hold_signals, last_too_old, store::seq_t{0}});
}

bool overrun(delivery_state& s, store::seq_t limit) {
    window& w = s.unsettled;
    if (w.position() >= limit) return false;
    bool lost = w.scanned() < limit;
    std::vector<store::seq_t> over;
    for (const auto& [seq, e] : w.entries()) {
        if (seq > limit) break;
        over.push_back(seq);
    }
    for (const auto seq : over) {
        window_entry& e = *w.find(seq);
        for (const auto& set : e.sets) {
            if (set.in_flight) --s.in_flight;
            if (s.receiver.probe == set.jti) s.receiver.probe.clear();
        }
        if (e.awaiting_probe) --s.awaiting_probe;
        if (e.rejections > 0) s.effects.settled_exceptions.push_back(seq);
        w.erase(seq);
        lost = true;
    }
    w.scan_to(limit);
    s.effects.cursor_moved = true;
    if (lost) s.effects.lost.emplace_back("signals were held longer than the limits allow");
    return lost;
}

store::seq_t trim_limit(store::seq_t head, const std::vector<store::seq_t>& positions) noexcept {
    store::seq_t limit = head - limits::kept_behind_cursors;
    for (const auto p : positions)
        limit = std::min(limit, p);
    return std::max(limit, store::seq_t{0});
}

}  // namespace mission::transmitter
