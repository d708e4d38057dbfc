// One mission as readers see it: a few atomics under a sequence number, and its id behind them.
//
// A seqlock written without fences, so that ThreadSanitizer can follow it. The writer makes the
// number odd, stores each field with release, makes it even; a reader loads each field with
// acquire and looks at the number again. Whoever has read one field of a newer writing therefore
// sees that writing's odd number too, and begins anew. The key is under the number as well: an
// entry whose mission was evicted becomes another one's.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "mission_signals/receiver.hpp"
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

inline constexpr std::size_t id_word_octets = sizeof(std::uint64_t);
inline constexpr std::size_t id_words_max = 16;  // 128 characters: wire.md section 4
// The octets of the version that an entry keeps; no JSON number is larger (RFC 8259 section 6).
inline constexpr std::int64_t version_max = (std::int64_t{1} << 53) - 1;

// A key as the table compares it: the id in words, the last one filled up with zeros (no id has
// one), and which issuer.
struct key_words {
    __extension__ typedef unsigned __int128 wide;
    std::uint64_t word[id_words_max];
    std::uint32_t words = 0;
    std::uint32_t what = 0;  // issuer << 8 | octets of the id

    key_words() noexcept = default;
    key_words(std::uint32_t issuer, std::string_view id) noexcept
        : words(static_cast<std::uint32_t>((id.size() + id_word_octets - 1) / id_word_octets)),
          what(issuer << 8 | static_cast<std::uint32_t>(id.size())) {
        if (words == 0) return;
        word[words - 1] = 0;
        std::memcpy(word, id.data(), id.size());
    }

    std::uint32_t issuer() const noexcept { return what >> 8; }
    std::string_view id() const noexcept {
        return {reinterpret_cast<const char*>(word), what & 0xff};
    }
    // Ids are random or nearly so, but may be the sender's choice: every octet counts, and what a
    // round mixes is multiplied to 128 bits.
    std::uint64_t hash(std::uint64_t seed) const noexcept {
        std::uint64_t h = seed ^ (what * 0x9e3779b97f4a7c15ULL);
        for (std::uint32_t i = 0; i < words; ++i) {
            const auto product = static_cast<wide>(h ^ word[i]) * 0xd6e8feb86659fd93ULL;
            h = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
        }
        return h;
    }
};

class table_entry {
  public:
    // THREAD: the writer's.
    void write(const published& p) noexcept {
        const auto s = begin();
        fill(p);
        end(s);
    }
    // `second`: of the wall clock, in which it counts as used though nobody has checked it yet.
    void become(const key_words& key, const published& p, std::uint32_t second) noexcept {
        const auto s = begin();
        for (std::uint32_t i = 0; i < key.words; ++i)
            id()[i].store(key.word[i], std::memory_order_release);
        what_.store(key.what, std::memory_order_release);
        last_used_.store(second >> 1 | unchecked, std::memory_order_relaxed);
        fill(p);
        end(s);
    }
    // Nobody's from here on; `next`: another one that is nobody's, told again by next_free().
    void forget(table_entry* next) noexcept {
        const auto s = begin();
        what_.store(0, std::memory_order_release);
        id()[0].store(reinterpret_cast<std::uintptr_t>(next), std::memory_order_release);
        fill({});
        end(s);
    }
    table_entry* next_free() const noexcept {
        return reinterpret_cast<table_entry*>(id()[0].load(std::memory_order_relaxed));
    }

    // False: it is another mission's. THREAD: any.
    bool read(const key_words& key, published& p) const noexcept {
        for (;;) {
            const auto before = sequence_.load(std::memory_order_acquire);
            bool same = what_.load(std::memory_order_acquire) == key.what;
            for (std::uint32_t i = 0; same && i < key.words; ++i)
                same = id()[i].load(std::memory_order_acquire) == key.word[i];
            if (same) p = fields();
            if ((before & 1) == 0 && sequence_.load(std::memory_order_relaxed) == before)
                return same;
        }
    }
    // Whose it is, and what is said of it; false: nobody's. THREAD: any.
    bool read_all(key_words& key, published& p) const noexcept {
        for (;;) {
            const auto before = sequence_.load(std::memory_order_acquire);
            const auto what = what_.load(std::memory_order_acquire);
            std::uint64_t words[id_words_max];
            for (std::size_t i = 0; i * id_word_octets < (what & 0xff); ++i)
                words[i] = id()[i].load(std::memory_order_acquire);
            p = fields();
            if ((before & 1) != 0 || sequence_.load(std::memory_order_relaxed) != before) continue;
            key = {what >> 8, {reinterpret_cast<const char*>(words), what & 0xff}};
            return what != 0;
        }
    }

    // The wall second of the last check or, if there was none, of its coming. In steps of two, so
    // that a bit is left to tell them apart until 2106.
    std::uint32_t last_used() const noexcept {
        return last_used_.load(std::memory_order_relaxed) << 1;
    }
    bool checked() const noexcept {
        return (last_used_.load(std::memory_order_relaxed) & unchecked) == 0;
    }
    // One store per mission and two seconds, so that readers do not fight over the line.
    void use(std::uint32_t second) noexcept {
        const auto now = second >> 1;
        if (last_used_.load(std::memory_order_relaxed) != now)
            last_used_.store(now, std::memory_order_relaxed);
    }
    // The id lies right behind the entry: in as many words as it had when the entry was made.
    std::atomic<std::uint64_t>* id() noexcept {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
    }
    const std::atomic<std::uint64_t>* id() const noexcept {
        return reinterpret_cast<const std::atomic<std::uint64_t>*>(this + 1);
    }

  private:
    static constexpr std::uint64_t foreign_bit = 0x80;
    static constexpr std::uint32_t unchecked = 1u << 31;

    std::uint32_t begin() noexcept {
        const auto s = sequence_.load(std::memory_order_relaxed);
        sequence_.store(s + 1, std::memory_order_relaxed);
        return s;
    }
    void end(std::uint32_t s) noexcept { sequence_.store(s + 2, std::memory_order_release); }

    void fill(const published& p) noexcept {
        word_.store(static_cast<std::uint64_t>(p.version) << 8 | (p.foreign ? foreign_bit : 0) |
                        static_cast<std::uint8_t>(p.told),
                    std::memory_order_release);
        expires_wall_.store(p.expires_wall, std::memory_order_release);
        fresh_wall_.store(p.freshness.fresh_until.wall, std::memory_order_release);
        fresh_mono_.store(p.freshness.fresh_until.mono, std::memory_order_release);
        // An epoch that does not fit confirms nothing: who touches a state file gains nothing.
        const auto epoch = p.freshness.confirmed_epoch;
        confirmed_epoch_.store(epoch > UINT32_MAX ? 0 : static_cast<std::uint32_t>(epoch),
                               std::memory_order_release);
    }
    published fields() const noexcept {
        published p;
        const auto w = word_.load(std::memory_order_acquire);
        p.told = static_cast<ms::standing>(w & 0x7f);
        p.foreign = (w & foreign_bit) != 0;
        p.version = static_cast<std::int64_t>(w >> 8);
        p.expires_wall = expires_wall_.load(std::memory_order_acquire);
        p.freshness.fresh_until.wall = fresh_wall_.load(std::memory_order_acquire);
        p.freshness.fresh_until.mono = fresh_mono_.load(std::memory_order_acquire);
        p.freshness.confirmed_epoch = confirmed_epoch_.load(std::memory_order_acquire);
        return p;
    }

    std::atomic<std::uint32_t> sequence_{0};
    std::atomic<std::uint32_t> last_used_{unchecked};
    std::atomic<std::uint64_t> word_{0};  // version << 8 | foreign << 7 | standing
    std::atomic<std::int64_t> expires_wall_{0}, fresh_wall_{0}, fresh_mono_{0};
    std::atomic<std::uint32_t> confirmed_epoch_{0};
    std::atomic<std::uint32_t> what_{0};  // 0: nobody's
};
static_assert(sizeof(table_entry) == 48, "ten million missions fit in 1.6 GB");

}  // namespace mission::receiver
