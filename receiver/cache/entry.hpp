// One mission as readers see it: a cache line of atomics under a sequence number, and two deadlines
// elsewhere.
//
// A seqlock written without fences, so that ThreadSanitizer can follow it. The writer makes the
// number odd, stores each field with release, makes it even; a reader loads each field with
// acquire and looks at the number again. Whoever has read one field of a newer writing therefore
// sees that writing's odd number too, and begins anew. The key is under the number as well: a
// line becomes another mission's.
//
// Zeroed memory is an empty line; one with a mission in it never has the number 0. So whoever reads
// on while the system takes the memory away sees that too.
#pragma once

#include <atomic>
#include <cstdint>

#include "mission_signals/receiver.hpp"
#include "receiver/cache/key.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

// What readers see of a mission.
struct published {
    ms::standing told = ms::standing::unknown;
    // A denial of another log_epoch: it has no effect of its own, and holds until Status decides.
    bool foreign = false;
    std::int64_t version = 0;
    std::int64_t expires_wall = 0;  // 0: never
    entry_word freshness;
};

// The octets of the version that an entry keeps; no JSON number is larger (RFC 8259 section 6).
inline constexpr std::int64_t version_max = (std::int64_t{1} << 53) - 1;
// Seconds: last_used counts in them. Each step makes the line of a mission in use dirty once; a
// line that is, costs a look at a random mission one more way to memory.
inline constexpr std::uint32_t last_used_step = 16;

// Read where the stream does not vouch for the mission. Under the sequence number of its line.
struct own_deadline {
    std::atomic<std::int64_t> wall, mono;
    deadline load() const noexcept {
        return {wall.load(std::memory_order_acquire), mono.load(std::memory_order_acquire)};
    }
    void store(const deadline& d) noexcept {
        wall.store(d.wall, std::memory_order_release);
        mono.store(d.mono, std::memory_order_release);
    }
};
static_assert(sizeof(own_deadline) == 16);

using id_word = std::atomic<std::uint64_t>;

class alignas(64) table_line {
  public:
    // THREAD: the writer's, from here.
    void write(own_deadline& own, const published& p) noexcept {
        const auto s = begin();
        fill(own, p);
        end(s);
    }
    // `far`: the words of a long id. `second`: of the wall clock, in which it counts as used though
    // nobody has checked it yet.
    void become(own_deadline& own, const key_words& key, std::uint64_t hash, const id_word* far,
                const published& p, std::uint32_t second) noexcept {
        const auto s = begin();
        if (key.is_long()) {
            id_[0].store(hash, std::memory_order_release);
            id_[1].store(reinterpret_cast<std::uintptr_t>(far), std::memory_order_release);
        } else {
            for (std::size_t i = 0; i < id_words_inline; ++i)
                id_[i].store(key.word[i], std::memory_order_release);
        }
        what_.store(key.what, std::memory_order_release);
        last_used_.store(second / last_used_step | unchecked, std::memory_order_relaxed);
        fill(own, p);
        end(s);
    }
    // Becomes what another one is; its own deadline is moved by the caller, in between.
    template <class Between>
    void take(const table_line& from, const Between& between) noexcept {
        const auto s = begin();
        copy(from, std::memory_order_release);
        between();
        end(s);
    }
    // The same for a line that no reader knows of yet.
    void take_unseen(const table_line& from) noexcept {
        copy(from, std::memory_order_relaxed);
        sequence_.store(first_sequence, std::memory_order_relaxed);
    }
    void clear() noexcept {
        const auto s = begin();
        what_.store(0, std::memory_order_release);
        end(s);
    }
    std::uint64_t hash(const table_seed& seed) const noexcept {
        if (key_words::is_long(what())) return id_[0].load(std::memory_order_relaxed);
        key_words key;
        for (std::size_t i = 0; i < id_words_inline; ++i)
            key.word[i] = id_[i].load(std::memory_order_relaxed);
        key.what = what();
        return key.hash(seed);
    }

    // THREAD: any, from here. What is read counts if the sequence number was even before, and is
    // the same after.
    std::uint32_t sequence() const noexcept { return sequence_.load(std::memory_order_acquire); }
    bool still(std::uint32_t sequence) const noexcept {
        return (sequence & 1) == 0 && sequence_.load(std::memory_order_relaxed) == sequence;
    }
    // 0: nobody's.
    std::uint32_t what() const noexcept { return what_.load(std::memory_order_acquire); }
    // Of a long id it says no more than that the length and the hash are the same.
    bool seems(const key_words& key, std::uint64_t hash) const noexcept {
        if (key.is_long()) return what() == key.what && word(0) == hash;
        // One branch for all of it.
        return ((what() ^ key.what) | (word(0) ^ key.word[0]) | (word(1) ^ key.word[1]) |
                (word(2) ^ key.word[2]) | (word(3) ^ key.word[3])) == 0;
    }
    // Not to be followed before still() has said that it is one.
    const id_word* far() const noexcept { return reinterpret_cast<const id_word*>(word(1)); }
    // Without its own deadline.
    published hot() const noexcept {
        published p;
        const auto w = word_.load(std::memory_order_acquire);
        p.told = static_cast<ms::standing>(w & 0x7f);
        p.foreign = (w & foreign_bit) != 0;
        p.version = static_cast<std::int64_t>(w >> 8);
        p.expires_wall = expires_wall_.load(std::memory_order_acquire);
        p.freshness.confirmed_epoch = confirmed_epoch_.load(std::memory_order_acquire);
        return p;
    }
    // Whose it is, and what is said of it; false: nobody's.
    bool read_all(const own_deadline& own, key_words& key, published& p) const noexcept {
        for (;;) {
            const auto before = sequence();
            key.what = what();
            p = hot();
            p.freshness.fresh_until = own.load();
            key.words = key_words::words_of(key.what);
            const auto* words = key.is_long() ? far() : id_;
            if (!still(before)) continue;
            for (std::size_t i = 0; i < key.words; ++i)
                key.word[i] = words[i].load(std::memory_order_acquire);
            if (still(before)) return key.what != 0;
        }
    }

    // The wall second of the last check or, if there was none, of its coming, in whole steps: four
    // bits are left, and one of them tells the two apart.
    std::uint32_t last_used() const noexcept {
        return (last_used_.load(std::memory_order_relaxed) & ~unchecked) * last_used_step;
    }
    bool checked() const noexcept {
        return (last_used_.load(std::memory_order_relaxed) & unchecked) == 0;
    }
    // By who has read it; should it be another one's by now, that one counts as used.
    void use(std::int64_t wall_milliseconds) noexcept {
        const auto now = static_cast<std::uint32_t>(wall_milliseconds / (last_used_step * 1000));
        if (last_used_.load(std::memory_order_relaxed) != now)
            last_used_.store(now, std::memory_order_relaxed);
    }

  private:
    static constexpr std::uint64_t foreign_bit = 0x80;
    static constexpr std::uint32_t unchecked = 1u << 31;
    static constexpr std::uint32_t first_sequence = 2;

    std::uint64_t word(std::size_t i) const noexcept {
        return id_[i].load(std::memory_order_acquire);
    }
    std::uint32_t begin() noexcept {
        const auto s = sequence_.load(std::memory_order_relaxed);
        sequence_.store(s + 1, std::memory_order_relaxed);
        return s;
    }
    void end(std::uint32_t s) noexcept {
        const auto next = s + 2;
        sequence_.store(next == 0 ? first_sequence : next, std::memory_order_release);
    }
    void fill(own_deadline& own, const published& p) noexcept {
        word_.store(static_cast<std::uint64_t>(p.version) << 8 | (p.foreign ? foreign_bit : 0) |
                        static_cast<std::uint8_t>(p.told),
                    std::memory_order_release);
        expires_wall_.store(p.expires_wall, std::memory_order_release);
        // An epoch that does not fit confirms nothing: who touches a state file gains nothing.
        const auto epoch = p.freshness.confirmed_epoch;
        confirmed_epoch_.store(epoch > UINT32_MAX ? 0 : static_cast<std::uint32_t>(epoch),
                               std::memory_order_release);
        own.store(p.freshness.fresh_until);
    }
    void copy(const table_line& from, std::memory_order order) noexcept {
        constexpr auto read = std::memory_order_relaxed;
        for (std::size_t i = 0; i < id_words_inline; ++i)
            id_[i].store(from.id_[i].load(read), order);
        what_.store(from.what_.load(read), order);
        word_.store(from.word_.load(read), order);
        expires_wall_.store(from.expires_wall_.load(read), order);
        confirmed_epoch_.store(from.confirmed_epoch_.load(read), order);
        last_used_.store(from.last_used_.load(read), order);
    }

    std::atomic<std::uint32_t> sequence_;
    std::atomic<std::uint32_t> what_;  // issuer << 8 | octets of the id
    // The id, filled up with zeros; of a long one its hash, and where its words lie.
    id_word id_[id_words_inline];
    std::atomic<std::uint64_t> word_;  // version << 8 | foreign << 7 | standing
    std::atomic<std::int64_t> expires_wall_;
    std::atomic<std::uint32_t> confirmed_epoch_;
    std::atomic<std::uint32_t> last_used_;
};
static_assert(sizeof(table_line) == 64, "one way to memory for one look");

}  // namespace mission::receiver
