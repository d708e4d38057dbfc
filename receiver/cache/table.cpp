#include "receiver/cache/table.hpp"

#include <cstring>
#include <functional>
#include <new>

namespace mission::receiver {

using ms::standing;

ms::answer judge(const published& p, const stream_word& stream, instant now) noexcept {
    ms::answer a{p.told, p.version};
    if (p.told != standing::active) return a;
    // The receiver's own clock may deny an ended mission; it never tears down.
    if (p.expires_wall != 0 && now.wall >= p.expires_wall) {
        a.what = standing::expired;
    } else if (!is_fresh(p.freshness, stream, now)) {
        a.what = standing::stale;
    }
    return a;
}

struct mission_table::entry {
    std::uint64_t hash = 0;
    std::uint32_t issuer_size = 0, id_size = 0;
    std::atomic<std::uint32_t> sequence{0};
    std::atomic<std::uint32_t> last_used{0};
    std::atomic<std::uint64_t> word{0};  // version << 8 | standing
    std::atomic<std::int64_t> expires_wall{0}, fresh_wall{0}, fresh_mono{0};
    std::atomic<std::uint64_t> confirmed_epoch{0};

    // The key lies right behind the entry: id, then issuer.
    const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
    char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
    bool is(std::string_view issuer, std::string_view id) const noexcept {
        return id.size() == id_size && issuer.size() == issuer_size &&
               std::memcmp(text(), id.data(), id_size) == 0 &&
               std::memcmp(text() + id_size, issuer.data(), issuer_size) == 0;
    }

    void write(const published& p) noexcept {
        const auto s = sequence.load(std::memory_order_relaxed);
        sequence.store(s + 1, std::memory_order_relaxed);
        // Release on each field keeps it behind the odd sequence number.
        word.store(static_cast<std::uint64_t>(p.version) << 8 | static_cast<std::uint8_t>(p.told),
                   std::memory_order_release);
        expires_wall.store(p.expires_wall, std::memory_order_release);
        fresh_wall.store(p.freshness.fresh_until.wall, std::memory_order_release);
        fresh_mono.store(p.freshness.fresh_until.mono, std::memory_order_release);
        confirmed_epoch.store(p.freshness.confirmed_epoch, std::memory_order_release);
        sequence.store(s + 2, std::memory_order_release);
    }

    published read() const noexcept {
        for (;;) {
            const auto before = sequence.load(std::memory_order_acquire);
            published p;
            // Acquire on each field keeps the second look at the sequence number behind it.
            const auto w = word.load(std::memory_order_acquire);
            p.told = static_cast<standing>(w & 0xff);
            p.version = static_cast<std::int64_t>(w >> 8);
            p.expires_wall = expires_wall.load(std::memory_order_acquire);
            p.freshness.fresh_until.wall = fresh_wall.load(std::memory_order_acquire);
            p.freshness.fresh_until.mono = fresh_mono.load(std::memory_order_acquire);
            p.freshness.confirmed_epoch = confirmed_epoch.load(std::memory_order_acquire);
            if ((before & 1) == 0 && sequence.load(std::memory_order_relaxed) == before) return p;
        }
    }
};

struct mission_table::slot_array {
    struct slot {
        std::atomic<std::uint64_t> hash{0};
        std::atomic<entry*> at{nullptr};
    };
    explicit slot_array(std::size_t n) : mask(n - 1), slots(new slot[n]) {}
    std::size_t mask;
    std::unique_ptr<slot[]> slots;
};

namespace {

std::uint64_t hash_of(std::string_view issuer, std::string_view id) noexcept {
    const std::uint64_t a = std::hash<std::string_view>{}(id);
    const std::uint64_t b = std::hash<std::string_view>{}(issuer);
    return a ^ (b * 0x9e3779b97f4a7c15ULL);
}

constexpr std::size_t first_slots = 1024;
constexpr std::size_t block_bytes = 64u << 10;

}  // namespace

mission_table::mission_table(std::size_t max_missions) : max_(max_missions) {
    arrays_.push_back(std::make_unique<slot_array>(first_slots));
    slots_.store(arrays_.back().get(), std::memory_order_release);
}

mission_table::~mission_table() = default;

mission_table::entry* mission_table::lookup(std::uint64_t hash, std::string_view issuer,
                                            std::string_view id) const noexcept {
    const auto* array = slots_.load(std::memory_order_acquire);
    for (std::size_t i = hash & array->mask;; i = (i + 1) & array->mask) {
        auto& slot = array->slots[i];
        entry* e = slot.at.load(std::memory_order_acquire);
        if (e == nullptr) return nullptr;
        if (slot.hash.load(std::memory_order_relaxed) == hash && e->is(issuer, id)) return e;
    }
}

void mission_table::insert(slot_array& into, entry* e) noexcept {
    std::size_t i = e->hash & into.mask;
    while (into.slots[i].at.load(std::memory_order_relaxed) != nullptr)
        i = (i + 1) & into.mask;
    into.slots[i].hash.store(e->hash, std::memory_order_relaxed);
    into.slots[i].at.store(e, std::memory_order_release);
}

void mission_table::grow() {
    auto bigger = std::make_unique<slot_array>((arrays_.back()->mask + 1) * 2);
    for (entry* e : entries_)
        insert(*bigger, e);
    slots_.store(bigger.get(), std::memory_order_release);
    arrays_.push_back(std::move(bigger));
}

mission_table::entry* mission_table::make_entry(std::uint64_t hash, std::string_view issuer,
                                                std::string_view id) {
    constexpr std::size_t align = alignof(entry);
    const std::size_t need =
        (sizeof(entry) + id.size() + issuer.size() + align - 1) / align * align;
    if (block_used_ + need > block_size_) {
        block_size_ = std::max(block_bytes, need);
        blocks_.push_back(std::make_unique<std::byte[]>(block_size_));
        block_used_ = 0;
    }
    auto* e = new (blocks_.back().get() + block_used_) entry;
    block_used_ += need;
    e->hash = hash;
    e->id_size = static_cast<std::uint32_t>(id.size());
    e->issuer_size = static_cast<std::uint32_t>(issuer.size());
    std::memcpy(e->text(), id.data(), id.size());
    std::memcpy(e->text() + id.size(), issuer.data(), issuer.size());
    return e;
}

bool mission_table::put(std::string_view issuer, std::string_view id, const published& p) {
    const auto hash = hash_of(issuer, id);
    if (entry* e = lookup(hash, issuer, id)) {
        e->write(p);
        return true;
    }
    if (entries_.size() >= max_) return false;
    // Half full at most: a probe for a mission we do not know ends after a slot or two.
    if ((entries_.size() + 1) * 2 > arrays_.back()->mask + 1) grow();
    entry* e = make_entry(hash, issuer, id);
    e->write(p);
    entries_.push_back(e);
    insert(*arrays_.back(), e);
    size_.store(entries_.size(), std::memory_order_relaxed);
    return true;
}

std::optional<published> mission_table::find(std::string_view issuer,
                                             std::string_view id) const noexcept {
    if (const entry* e = lookup(hash_of(issuer, id), issuer, id)) return e->read();
    return std::nullopt;
}

ms::answer mission_table::check(std::string_view issuer, std::string_view id,
                                instant now) const noexcept {
    entry* e = lookup(hash_of(issuer, id), issuer, id);
    if (e == nullptr) return {};
    // One store per mission and second, so that readers do not fight over the line.
    const auto second = static_cast<std::uint32_t>(now.wall / 1000);
    if (e->last_used.load(std::memory_order_relaxed) != second) {
        e->last_used.store(second, std::memory_order_relaxed);
    }
    return judge(e->read(), stream(), now);
}

std::uint32_t mission_table::last_used(std::string_view issuer,
                                       std::string_view id) const noexcept {
    const entry* e = lookup(hash_of(issuer, id), issuer, id);
    return e == nullptr ? 0 : e->last_used.load(std::memory_order_relaxed);
}

void mission_table::set_stream(const stream_word& w) noexcept {
    const auto s = stream_.sequence.load(std::memory_order_relaxed);
    stream_.sequence.store(s + 1, std::memory_order_relaxed);
    stream_.live_wall.store(w.live_until.wall, std::memory_order_release);
    stream_.live_mono.store(w.live_until.mono, std::memory_order_release);
    stream_.epoch.store(w.epoch, std::memory_order_release);
    stream_.sequence.store(s + 2, std::memory_order_release);
}

stream_word mission_table::stream() const noexcept {
    for (;;) {
        const auto before = stream_.sequence.load(std::memory_order_acquire);
        stream_word w;
        w.live_until.wall = stream_.live_wall.load(std::memory_order_acquire);
        w.live_until.mono = stream_.live_mono.load(std::memory_order_acquire);
        w.epoch = stream_.epoch.load(std::memory_order_acquire);
        if ((before & 1) == 0 && stream_.sequence.load(std::memory_order_relaxed) == before) {
            return w;
        }
    }
}

}  // namespace mission::receiver
