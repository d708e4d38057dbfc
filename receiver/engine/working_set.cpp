#include "receiver/engine/working_set.hpp"

#include <algorithm>

namespace mission::receiver {
namespace {

// What a peer chooses the length of.
std::size_t octets_of(const mission_slot& s) {
    return (s.now.authority ? s.now.authority->size() : 0) + s.now.reason.size() +
           s.now.successor.size() + s.now.log_epoch.size() +
           (s.shown_authority && s.shown_authority->json ? s.shown_authority->json->size() : 0);
}

}  // namespace

mission_slot* working_set::find(const mission_key& key) {
    const auto it = slots_.find(key);
    if (it == slots_.end()) return nullptr;
    // Whoever finds it may change it: what it weighs is looked up once it is not the newest.
    if (it->second != nodes_.begin()) {
        measure(nodes_.front());
        nodes_.splice(nodes_.begin(), nodes_, it->second);
    }
    return &it->second->slot;
}

const mission_slot* working_set::peek(const mission_key& key) const {
    const auto it = slots_.find(key);
    return it == slots_.end() ? nullptr : &it->second->slot;
}

mission_slot* working_set::seek(std::string_view issuer, std::string_view id) noexcept {
    for (auto& n : nodes_) {
        if (n.slot.now.key.id == id && n.slot.now.key.issuer == issuer) return &n.slot;
    }
    return nullptr;
}

mission_slot& working_set::add(const mission_key& key) {
    if (!nodes_.empty()) measure(nodes_.front());
    nodes made(1);  // known before it is there: memory may end in between
    made.front().slot.now.key = key;
    slots_.emplace(key, made.begin());
    nodes_.splice(nodes_.begin(), made);
    return nodes_.front().slot;
}

void working_set::drop(const mission_slot& s) noexcept {
    if (const auto it = slots_.find(s.now.key); it != slots_.end()) (void)drop(it->second);
}

std::uint64_t working_set::drop(nodes::iterator it) noexcept {
    const auto revision = it->slot.revision;
    octets_ -= it->octets;
    slots_.erase(it->slot.now.key);
    nodes_.erase(it);
    return revision;
}

void working_set::measure(node& n) {
    const auto now = octets_of(n.slot);
    octets_ += now - n.octets;
    n.octets = now;
}

std::uint64_t working_set::trim() {
    std::uint64_t highest = 0;
    if (!nodes_.empty()) measure(nodes_.front());
    for (auto it = nodes_.end(); it != nodes_.begin();) {
        if (slots_.size() <= most_ && octets_ <= most_octets_) break;
        --it;
        if (it->slot.pinned()) continue;
        const auto gone = it++;
        highest = std::max(highest, drop(gone));
    }
    return highest;
}

std::uint64_t working_set::drop_unpinned() {
    std::uint64_t highest = 0;
    for (auto it = nodes_.begin(); it != nodes_.end();) {
        const auto one = it++;
        if (!one->slot.pinned()) highest = std::max(highest, drop(one));
    }
    return highest;
}

void working_set::each(const std::function<bool(const mission_slot&)>& fn) const {
    for (const auto& n : nodes_)
        if (!fn(n.slot)) return;
}

}  // namespace mission::receiver
