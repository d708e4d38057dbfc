// How a table grows: a larger array is got ready while the one in use fills, filled in one walk,
// and published. Whoever puts the mission that does not fit any more has the engine's lock
// meanwhile.
#include <algorithm>
#include <new>

#include "receiver/cache/slots.hpp"
#include "receiver/cache/table.hpp"

namespace mission::receiver {

namespace {

constexpr std::size_t first_lines = 1024;  // at most twice as many

constexpr std::size_t ahead = 12;  // of the walk: lines to fetch

// Three fifths: four looks in seven end at their first line, the others mostly at the next.
std::size_t room_of(const line_array& a) noexcept {
    return a.size() * 3 / 5;
}
constexpr std::size_t lines_for(std::size_t missions) noexcept {
    constexpr std::size_t most = std::size_t{1} << 48;  // there are no more addresses
    return std::min(missions, most) * 5 / 3 + 2;
}

// With more missions than this the next array is got ready; with fewer than that it is given up
// again. They are apart, so that missions that come and go at one of them do not cost an array
// each.
constexpr std::size_t ready_from(std::size_t room) noexcept {
    return room - room / 4;
}
constexpr std::size_t given_up_below(std::size_t room) noexcept {
    return room - room / 8 * 3;
}

}  // namespace

void mission_table::open() {
    const auto last = lines_for(max_);
    while (last >> doublings_ >= 2 * first_lines)
        ++doublings_;
    arrays_.push_back(std::make_unique<line_array>(last >> doublings_));
    lines_.store(arrays_.back().get(), std::memory_order_release);
}

std::unique_ptr<line_array> mission_table::larger() const {
    return std::make_unique<line_array>(lines_for(max_) >> (doublings_ - 1));
}

// The new array is written in order, as the old one is read: in both the missions lie in the order
// of their hashes.
void mission_table::make_room() {
    auto* old = arrays_.back().get();
    if (doublings_ == 0 || size() < room_of(*old)) return;
    arrays_.reserve(arrays_.size() + 1);
    if (!next_) next_ = larger();
    for (std::size_t i = 0; i < old->size(); ++i) {
        const auto& line = old->line(i);
        // It would wait for memory with each: lines are left out at random, which the processor
        // takes for no order.
        old->expect<0>(i + ahead);
        next_->expect<1>(2 * (i + ahead));
        next_->expect<1>(2 * (i + ahead) + 1);
        if (line.what() != 0) next_->adopt(*old, i, line.hash(seed_));
    }
    --doublings_;
    hand_ = 0;
    lines_.store(next_.get(), std::memory_order_release);
    arrays_.push_back(std::move(next_));
    old->retire();
}

// Most of the time that growing takes is the system's, which hands out zeroed memory: so each
// mission that comes has it hand out some.
void mission_table::prepare() noexcept {
    if (doublings_ == 0) return;
    const auto room = room_of(*arrays_.back());
    const auto from = ready_from(room);
    if (size() < from) return;
    try {
        if (!next_) next_ = larger();
    } catch (const std::bad_alloc&) {
        return;  // it is asked for again, and is needed only when the array is full
    }
    // With the last mission for which there is room, all of it.
    next_->touch((next_->octets() / (room - from) + 1) * (size() + 1 - from));
}

void mission_table::give_up_next() noexcept {
    if (next_ && size() < given_up_below(room_of(*arrays_.back()))) next_.reset();
}

}  // namespace mission::receiver
