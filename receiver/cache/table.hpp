// The hot path: what check() reads. Lock-free readers, one writer at a time.
//
//   slots (open addressing)        entries (never moved, never freed while the table lives)
//   +----+----+----+----+          +--------------------------------------+
//   | h* |    | h* |    |  ---->   | key | sequence | word | deadlines ...  |
//   +----+----+----+----+          +--------------------------------------+
//
// A slot is published by storing its entry pointer with release. An entry's fields are atomics
// under a sequence number (a seqlock written without fences, so that ThreadSanitizer can follow
// it): readers retry in the rare case that a writer was in between. A grown slot array replaces
// the old one, which stays allocated because a reader may still be probing it; all old ones
// together are smaller than the current one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mission_signals/receiver.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

namespace ms = mission_signals;

// What readers see of a mission.
struct published {
    ms::standing told = ms::standing::unknown;
    std::int64_t version = 0;
    std::int64_t expires_wall = 0;  // 0: never
    entry_word freshness;
};

// The answer at one moment (wire.md section 5): only active, unexpired and fresh permits.
ms::answer judge(const published& p, const stream_word& stream, instant now) noexcept;

class mission_table {
  public:
    explicit mission_table(std::size_t max_missions);
    ~mission_table();
    mission_table(const mission_table&) = delete;
    mission_table& operator=(const mission_table&) = delete;

    // THREAD: one at a time (the engine's lock). False when the table is full and the mission new.
    bool put(std::string_view issuer, std::string_view id, const published& p);
    void set_stream(const stream_word& w) noexcept;

    // THREAD: any.
    ms::answer check(std::string_view issuer, std::string_view id, instant now) const noexcept;
    std::optional<published> find(std::string_view issuer, std::string_view id) const noexcept;
    stream_word stream() const noexcept;
    // The wall second of the last check, 0 when there was none: who is in use is confirmed first.
    std::uint32_t last_used(std::string_view issuer, std::string_view id) const noexcept;
    std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  private:
    struct entry;
    struct slot_array;
    entry* lookup(std::uint64_t hash, std::string_view issuer, std::string_view id) const noexcept;
    entry* make_entry(std::uint64_t hash, std::string_view issuer, std::string_view id);
    void grow();
    static void insert(slot_array& into, entry* e) noexcept;

    const std::size_t max_;
    std::atomic<slot_array*> slots_;
    std::vector<std::unique_ptr<slot_array>> arrays_;   // writer only
    std::vector<std::unique_ptr<std::byte[]>> blocks_;  // writer only
    std::size_t block_used_ = 0, block_size_ = 0;
    std::vector<entry*> entries_;
    std::atomic<std::size_t> size_{0};

    // The stream's word, under a sequence number of its own.
    struct alignas(64) {
        std::atomic<std::uint32_t> sequence{0};
        std::atomic<std::int64_t> live_wall{0}, live_mono{0};
        std::atomic<std::uint64_t> epoch{0};
    } stream_;
};

}  // namespace mission::receiver
