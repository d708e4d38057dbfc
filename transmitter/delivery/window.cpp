#include "transmitter/delivery/window.hpp"

#include <algorithm>
#include <cassert>

#include "transmitter/delivery/cursor.hpp"

namespace mission::transmitter {

bool window_entry::in_flight() const noexcept {
    return std::any_of(sets.begin(), sets.end(), [](const auto& s) { return s.in_flight; });
}

window_set* window_entry::unsettled_set() noexcept {
    for (auto& s : sets) {
        if (!s.settled && !s.in_flight) return &s;
    }
    return nullptr;
}

window_entry& window::add(window_entry e) {
    assert(entries_.empty() || e.seq > entries_.rbegin()->first);
    assert(!e.sets.empty());
    const store::seq_t seq = e.seq;
    versions_[e.mission()].insert(seq);
    for (const auto& s : e.sets)
        by_jti_.emplace(s.jti, seq);
    scan_to(seq);
    return entries_.insert_or_assign(seq, std::move(e)).first->second;
}

window_entry* window::find(store::seq_t seq) noexcept {
    const auto it = entries_.find(seq);
    return it == entries_.end() ? nullptr : &it->second;
}

std::pair<window_entry*, window_set*> window::find(std::string_view jti) noexcept {
    const auto at = by_jti_.find(jti);
    if (at == by_jti_.end()) return {nullptr, nullptr};
    window_entry& e = entries_.at(at->second);
    for (auto& s : e.sets) {
        if (s.jti == jti) return {&e, &s};
    }
    return {nullptr, nullptr};
}

bool window::settle(std::string_view jti) {
    const auto [e, s] = find(jti);
    if (e == nullptr) return false;
    s->settled = true;
    s->in_flight = false;
    const bool all =
        std::all_of(e->sets.begin(), e->sets.end(), [](const auto& one) { return one.settled; });
    if (all) erase(e->seq);
    return all;
}

void window::erase(store::seq_t seq) {
    const auto it = entries_.find(seq);
    if (it == entries_.end()) return;
    for (const auto& s : it->second.sets)
        by_jti_.erase(s.jti);
    const auto versions = versions_.find(it->second.mission());
    versions->second.erase(seq);
    if (versions->second.empty()) versions_.erase(versions);
    entries_.erase(it);
}

bool window::oldest_of_mission(const window_entry& e) const {
    return *versions_.at(e.mission()).begin() == e.seq;
}

bool window::has_later_version(const window_entry& e) const {
    return *versions_.at(e.mission()).rbegin() > e.seq;
}

window_entry* window::oldest(store::mission_row mission) {
    const auto it = versions_.find(mission);
    return it == versions_.end() ? nullptr : find(*it->second.begin());
}

store::seq_t window::position() const noexcept {
    return entries_.empty() ? scanned_ : entries_.begin()->first - 1;
}

store::cursor window::cursor(store::stream_row stream) const {
    std::vector<store::seq_t> unsettled;
    unsettled.reserve(entries_.size());
    for (const auto& [seq, entry] : entries_)
        unsettled.push_back(seq);
    return make_cursor(stream, unsettled, scanned_);
}

}  // namespace mission::transmitter
