// The lines of a table: open addressing, the lines themselves in the slots, the deadlines that are
// seldom read behind them.
//
// The place of a mission follows from the high bits of its hash, so the number of slots is any, and
// missions lie in the order of their hashes: a larger array is filled from one end to the other.
// An array is filled while nobody knows of it, then published, later replaced: its memory goes, its
// addresses stay for whoever is still probing it. It is not used again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "receiver/cache/entry.hpp"
#include "receiver/cache/memory_block.hpp"

namespace mission::receiver {

class line_array {
  public:
    // std::bad_alloc when there is no memory.
    explicit line_array(std::size_t n) : n_(n), memory_(n * octets_per_slot) {}

    static constexpr std::size_t octets_per_slot = sizeof(table_line) + sizeof(own_deadline);

    std::size_t size() const noexcept { return n_; }
    std::size_t next(std::size_t i) const noexcept { return ++i == n_ ? 0 : i; }
    std::size_t home(std::uint64_t hash) const noexcept {
        return static_cast<std::size_t>(static_cast<key_words::wide>(hash) * n_ >> 64);
    }
    // Slots from `a` on to `b`.
    std::size_t way(std::size_t a, std::size_t b) const noexcept {
        return b >= a ? b - a : b + n_ - a;
    }
    // Zeroed memory is what they are made of.
    table_line& line(std::size_t i) const noexcept {
        return reinterpret_cast<table_line*>(memory_.data())[i];
    }
    // Four lines at once: which one it is turns out only when the first has come. Of a full array
    // 19 missions in 20 are among them; with two, a look at a random one of a million takes a
    // quarter longer, with six no less. Always inline: the compiler leaves out a call that does
    // nothing else.
    [[gnu::always_inline]] void fetch(std::uint64_t hash) const noexcept {
        const auto* at = &line(home(hash));
        __builtin_prefetch(at);
        __builtin_prefetch(at + 1);
        __builtin_prefetch(at + 2);
        __builtin_prefetch(at + 3);
    }
    own_deadline& own(std::size_t i) const noexcept {
        return reinterpret_cast<own_deadline*>(memory_.data() + n_ * sizeof(table_line))[i];
    }
    // How often a mission was moved from the first slots to the last ones: THREAD: any.
    std::uint32_t crossings() const noexcept { return crossings_.load(std::memory_order_acquire); }

    // THREAD: the writer's, from here.
    std::size_t free_from(std::size_t i) const noexcept {
        while (line(i).what() != 0)
            i = next(i);
        return i;
    }
    void move(std::size_t from, std::size_t to) noexcept {
        line(to).take(line(from), [&] { own(to).store(own(from).load()); });
        // Once it is there, and before it is gone from where it was.
        if (to > from) crossings_.fetch_add(1, std::memory_order_release);
    }
    // The line will be read (0) or written (1) soon; there need be none.
    template <int Write>
    void expect(std::size_t i) const noexcept {
        __builtin_prefetch(memory_.data() + i * sizeof(table_line), Write);
    }
    // Into this one, which no reader knows of yet.
    void adopt(const line_array& from, std::size_t i, std::uint64_t hash) noexcept {
        const auto at = free_from(home(hash));
        line(at).take_unseen(from.line(i));
        const auto d = from.own(i).load();
        own(at).wall.store(d.wall, std::memory_order_relaxed);
        own(at).mono.store(d.mono, std::memory_order_relaxed);
    }
    // Has the system hand out the memory from the beginning up to there at least, or all of it. For
    // an array with nothing in it yet: what is handed out is zero, and is made so.
    void touch(std::size_t octets) noexcept {
        const auto end = std::min(octets, memory_.size());
        for (; touched_ < end; touched_ += memory_block::page)
            memory_.touch(touched_);
    }
    std::size_t touched() const noexcept { return touched_; }
    std::size_t octets() const noexcept { return memory_.size(); }
    // Once another one is in its place: what is read here counts no more.
    void retire() noexcept { held_ = memory_.give_back() ? 0 : memory_.size(); }
    std::size_t memory() const noexcept { return held_; }

  private:
    const std::size_t n_;
    std::atomic<std::uint32_t> crossings_{0};
    memory_block memory_;
    std::size_t held_ = memory_.size();
    std::size_t touched_ = 0;
};

}  // namespace mission::receiver
