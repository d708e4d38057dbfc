// Where an entry is found: open addressing, four octets a slot, so that those of a million missions
// stay in the processor's caches.
//
//   4 bits of the hash, 28 of the entry's place: most strangers are passed without a look at their
//   entry. Places are counted in steps of 16 octets from the beginning of the table's memory.
//
// An array is filled while nobody uses it, then published, later replaced and retired: its memory
// goes, its addresses stay for whoever is still probing it, and it may be filled and published
// again. Its generation is even while it is whole and odd from its retirement to the end of its
// next filling: a reader that came too late sees that, and asks for the array in use again.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>

#include "receiver/cache/entry.hpp"
#include "receiver/cache/memory_block.hpp"

namespace mission::receiver {

class slot_array {
  public:
    static constexpr std::uint32_t empty = 0, gone = 1;  // no entry has place 0 or 1

    explicit slot_array(std::size_t n)
        : mask_(n - 1),
          memory_(n * sizeof(std::uint32_t)),
          slots_(reinterpret_cast<std::atomic<std::uint32_t>*>(memory_.data())) {
        for (std::size_t i = 0; i < n; ++i)
            new (slots_ + i) std::atomic<std::uint32_t>(empty);
    }

    std::size_t size() const noexcept { return mask_ + 1; }
    std::size_t next(std::size_t i) const noexcept { return (i + 1) & mask_; }
    std::size_t before(std::size_t i) const noexcept { return (i - 1) & mask_; }
    std::size_t home(std::uint64_t hash) const noexcept { return hash & mask_; }
    std::uint32_t load(std::size_t i) const noexcept {
        return slots_[i].load(std::memory_order_acquire);
    }
    std::uint32_t generation() const noexcept {
        return generation_.load(std::memory_order_acquire);
    }

    static constexpr std::size_t step = 16;
    static constexpr std::size_t places = std::size_t{1} << 28;

    static std::uint32_t pack(std::size_t place, std::uint64_t hash) noexcept {
        return tag(hash) | static_cast<std::uint32_t>(place);
    }
    static bool tag_is(std::uint32_t slot, std::uint64_t hash) noexcept {
        return (slot & tag_mask) == tag(hash);
    }
    // Below 2 for empty and gone.
    static std::size_t place(std::uint32_t slot) noexcept { return slot & ~tag_mask; }

    // THREAD: the writer's, from here.
    void store(std::size_t i, std::uint32_t slot) noexcept {
        slots_[i].store(slot, std::memory_order_release);
    }
    // Nobody is told of it any more. All of it is empty from here on.
    void retire() noexcept {
        generation_.fetch_add(1, std::memory_order_release);
        if (memory_.give_back()) return;
        for (std::size_t i = 0; i <= mask_; ++i)
            store(i, empty);
    }
    // It is filled again, and about to be published.
    void revive() noexcept { generation_.fetch_add(1, std::memory_order_release); }
    bool retired() const noexcept { return (generation() & 1) != 0; }

  private:
    static constexpr std::uint32_t tag_mask = 0xf0000000;

    // Of bits that say nothing of the home.
    static std::uint32_t tag(std::uint64_t hash) noexcept {
        return static_cast<std::uint32_t>(hash >> 32) & tag_mask;
    }

    std::atomic<std::uint32_t> generation_{0};
    const std::size_t mask_;
    memory_block memory_;
    std::atomic<std::uint32_t>* const slots_;
};

}  // namespace mission::receiver
