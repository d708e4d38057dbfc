// The hot path: what check() reads. Lock-free readers, one writer at a time.
//
//   slots (open addressing)        entries (never freed while the table lives; used anew when
//   +--------+--------+--------+   their mission was evicted)
//   | tag|at |        | tag|at |   +----------------------------------------------------+
//   +--------+--------+--------+-> | sequence | standing, version | deadlines | id ...    |
//                                  +----------------------------------------------------+
//
// A slot is published by storing its entry with release. Everything in an entry, the key too, is
// atomic under a sequence number (entry.hpp). A reader that met a writer looks again; one whose
// array was retired meanwhile (slots.hpp) takes the array in use.
//
// Memory: 48 octets and the id for each mission, 8 to 21 for its slot. Issuers are numbered: there
// are a handful.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mission_signals/receiver.hpp"
#include "receiver/cache/entry.hpp"
#include "receiver/cache/memory_block.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

class slot_array;

// The answer at one moment (wire.md section 5): only active, unexpired and fresh permits.
ms::answer judge(const published& p, const stream_word& stream, instant now) noexcept;

class mission_table {
  public:
    // More than a transmitter speaks for.
    static constexpr std::size_t max_issuers = 256;

    explicit mission_table(std::size_t max_missions);
    ~mission_table();
    mission_table(const mission_table&) = delete;
    mission_table& operator=(const mission_table&) = delete;

    // THREAD: put, erase, least_used, keep_only, set_stream and memory: one at a time (the engine's
    // lock). False when the table is full and the mission new, when there is no memory, no room for
    // another issuer, or when the id is none or the version negative. A version beyond version_max
    // is told as that. `used`: the wall second in which a new mission counts as last used.
    bool put(std::string_view issuer, std::string_view id, const published& told,
             std::uint32_t used = 0) noexcept;
    // Forgets a mission: from here on it is `unknown`, which denies. False: there was none.
    bool erase(std::string_view issuer, std::string_view id) noexcept;
    // Of a few dozen missions the one to forget first: an ended one, else the one that was not
    // checked for longest. `spare` holds missions back. The next call looks at other missions;
    // nullopt: all of those looked at are held back. Forgets nothing itself.
    struct name {
        std::string issuer, id;
    };
    std::optional<name> least_used(
        const std::function<bool(std::string_view issuer, std::string_view id)>& spare);
    // Erases all others.
    void keep_only(const std::function<bool(std::string_view issuer, std::string_view id)>& keep);
    void set_stream(const stream_word& w) noexcept;
    std::size_t memory() const noexcept;  // octets in use

    // THREAD: any, from here.
    ms::answer check(std::string_view issuer, std::string_view id, instant now) const noexcept;
    std::optional<published> find(std::string_view issuer, std::string_view id) const noexcept;
    stream_word stream() const noexcept;
    // The wall second of the last check, an even one; 0 when there was none.
    std::uint32_t last_used(std::string_view issuer, std::string_view id) const noexcept;
    // Missions that were checked, are not ended and not confirmed in the stream's running epoch,
    // the last used one first; a walk over the whole table. What is put or erased meanwhile may be
    // missed or told twice.
    std::vector<name> unconfirmed(std::size_t most) const;
    std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
    std::size_t max_size() const noexcept { return max_; }

  private:
    static constexpr std::size_t entry_step = 16;  // slots count in it
    struct found {
        table_entry* at = nullptr;
        published p;
    };

    std::uint32_t issuer_number(std::string_view issuer) const noexcept;  // 0: none
    std::uint32_t add_issuer(std::string_view issuer);
    found lookup(std::string_view issuer, std::string_view id) const noexcept;
    // nullptr for the places of empty and gone.
    table_entry* entry_at(std::size_t place) const noexcept {
        return place < 2 ? nullptr
                         : reinterpret_cast<table_entry*>(entries_.data() + place * entry_step);
    }
    std::size_t place_of(const table_entry* e) const noexcept {
        return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(e) - entries_.data()) /
               entry_step;
    }
    bool insert(std::string_view issuer, std::string_view id, const published& p,
                std::uint32_t used);
    table_entry* entry_for(const key_words& key);
    void make_room();

    const std::size_t max_;
    // So that nobody outside can choose ids that all meet in one place.
    const std::uint64_t seed_;
    // Addresses for as many entries as there may be; the system gives memory to those in use.
    const memory_block entries_;
    // [1, issuer_count_]: written once each, before the count.
    std::array<std::string, max_issuers + 1> issuers_;
    std::atomic<std::uint32_t> issuer_count_{0};
    std::atomic<slot_array*> slots_{nullptr};

    // The writer's, from here.
    std::vector<std::unique_ptr<slot_array>> arrays_;
    slot_array* current_ = nullptr;
    slot_array* spare_ = nullptr;  // of the same size, retired; in use again next
    std::size_t used_slots_ = 0;   // of the current array, the gone ones too
    std::size_t hand_ = 0;         // of least_used: a slot
    std::size_t entries_used_;     // octets
    std::array<table_entry*, id_words_max + 1> free_{};  // by words of the id; linked

    // The readers' again.
    std::atomic<std::size_t> size_{0};
    // The stream's word, under a sequence number of its own.
    struct alignas(64) {
        std::atomic<std::uint32_t> sequence{0};
        std::atomic<std::int64_t> live_wall{0}, live_mono{0};
        std::atomic<std::uint64_t> epoch{0};
    } stream_;
};

}  // namespace mission::receiver
