#include "transmitter/delivery/position_ledger.hpp"

#include <algorithm>

namespace mission::transmitter {

template <class F>
void position_ledger::change(store::stream_row row, F fn) {
    entry& e = entries_[row];
    const auto bounds = [](const entry& one) { return !one.idle && one.row != durable::open; };
    if (bounds(e)) bounds_.erase({e.position, row});
    fn(e);
    if (bounds(e)) bounds_.emplace(e.position, row);
    if (e.idle && e.row == durable::closed) entries_.erase(row);
}

void position_ledger::restore(store::stream_row row, bool open) {
    change(row, [&](entry& e) { e.row = open ? durable::open : durable::closed; });
}

void position_ledger::forget(store::stream_row row) {
    change(row, [](entry& e) { e = {}; });
}

void position_ledger::note(store::stream_row row, store::seq_t position, bool idle,
                           steady_time now) {
    if (idle && entries_.find(row) == entries_.end()) return;
    change(row, [&](entry& e) {
        if (!idle && e.idle) e.since = now;
        e.idle = idle;
        e.position = position;
    });
}

bool position_ledger::working(store::stream_row row) const {
    const auto it = entries_.find(row);
    return it != entries_.end() && !it->second.idle;
}

bool position_ledger::to_close(store::stream_row row) const {
    const auto it = entries_.find(row);
    return it != entries_.end() && it->second.idle && it->second.row != durable::closed;
}

std::optional<bool> position_ledger::begin_write(store::stream_row row) {
    const auto it = entries_.find(row);
    if (it == entries_.end()) return std::nullopt;
    const bool open = !it->second.idle;
    written(row, open);
    return open;
}

void position_ledger::failed(store::stream_row row) {
    change(row, [](entry& e) { e.row = durable::unsure; });
}

void position_ledger::written(store::stream_row row, bool open) {
    change(row, [&](entry& e) { e.row = open ? durable::open : durable::closed; });
}

store::seq_t position_ledger::routed_limit(store::seq_t routed) const {
    return bounds_.empty() ? routed : std::min(routed, bounds_.begin()->first);
}

std::vector<store::stream_row> position_ledger::holding_back(steady_time now,
                                                             std::chrono::milliseconds age) const {
    std::vector<store::stream_row> out;
    for (const auto& [position, row] : bounds_) {
        if (now - entries_.at(row).since >= age) out.push_back(row);
    }
    return out;
}

std::vector<store::stream_row> position_ledger::working_rows() const {
    std::vector<store::stream_row> out;
    for (const auto& [row, e] : entries_) {
        if (!e.idle) out.push_back(row);
    }
    return out;
}

}  // namespace mission::transmitter
