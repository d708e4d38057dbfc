// The hot path: what check() reads. Lock-free readers, one writer at a time.
//
//   lines (open addressing)                                      deadlines (one per line)
//   +----------+------+------------------+------------+------+   +------------------------+
//   | sequence | id   | standing,version | epoch used | next |   | fresh_until on 2 clocks|
//   +----------+------+------------------+------------+------+   +------------------------+
//    a mission: one cache line of 64 octets                       16 octets, seldom read
//
// A look at a random one of a million missions costs what memory costs: so it is one way there. The
// mission lies in the slot itself (slots.hpp), in one line with its id; its own deadline, which
// decides where the stream does not, lies elsewhere. Ids of more than 32 characters lie elsewhere
// too: their line has a hash of 64 bits, and where to compare the whole.
//
// Everything is atomic under the sequence number of its line (entry.hpp). A reader that met a
// writer looks again; so does one whose array of lines was replaced meanwhile, or that found
// nothing while something on its way was changed: forgetting a mission moves those behind it nearer
// to their home, and leaves no marks behind. What check() says was so at one moment between its
// call and its return, of the mission and the stream together.
//
// Memory: 80 octets a slot. Arrays double, up to the last one, of which max_size() missions take
// three fifths: 134 octets for each. The next array is reserved when the one in use is at three
// quarters of what it takes, and got from the system a piece with each mission that comes, so that
// nobody waits for all of it at once; it is given up again below five eighths. Until it is filled
// both are held: at most 200 octets for each of max_size(), at the last step, which is when nearly
// half of them are there. The words of a long id come to that. Issuers are numbered: there are a
// handful.
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
#include "receiver/cache/long_ids.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

class line_array;

// The answer at one moment (wire.md section 5): only active, unexpired and fresh permits.
inline ms::answer judge(const published& p, const stream_word& stream, instant now) noexcept {
    ms::answer a;
    a.what = p.told;
    a.version = p.version;
    if (p.told != ms::standing::active) return a;
    // The receiver's own clock may deny an ended mission; it never tears down.
    if (p.expires_wall != 0 && now.wall >= p.expires_wall) {
        a.what = ms::standing::expired;
    } else if (!is_fresh(p.freshness, stream, now)) {
        a.what = ms::standing::stale;
    }
    return a;
}

class mission_table {
  public:
    // More than a transmitter speaks for.
    static constexpr std::size_t max_issuers = 256;

    explicit mission_table(std::size_t max_missions);
    // With a seed that is known: for tests of what meets in one place.
    mission_table(std::size_t max_missions, const table_seed& seed);
    ~mission_table();
    mission_table(const mission_table&) = delete;
    mission_table& operator=(const mission_table&) = delete;

    // THREAD: put, erase, least_used, keep_only, set_stream and memory: one at a time (the engine's
    // lock). False when the table is full and the mission new, when there is no memory, no room for
    // another issuer, or when the id is none or the version negative. A version beyond version_max
    // is told as that. `used`: the wall second in which a new mission counts as last used.
    bool put(std::string_view issuer, std::string_view id, const published& told,
             std::uint32_t used = 0) noexcept;
    // True for a new mission that put() refuses for want of memory alone, or of a number for its
    // issuer: later there may be some.
    bool takes(std::string_view id, const published& told) const noexcept;
    // Forgets a mission: from here on it is `unknown`, which denies. False: there was none.
    bool erase(std::string_view issuer, std::string_view id) noexcept;
    // Of a few dozen missions the one to forget first: an ended one, else the one that was not
    // checked for longest, as last_used tells it. `spare` holds missions back. The next call looks
    // at other missions; nullopt: all of those looked at are held back. Forgets nothing itself.
    struct name {
        std::string issuer, id;
    };
    std::optional<name> least_used(
        const std::function<bool(std::string_view issuer, std::string_view id)>& spare);
    // Erases all others.
    void keep_only(const std::function<bool(std::string_view issuer, std::string_view id)>& keep);
    void set_stream(const stream_word& w) noexcept;
    // Octets in use, and of the next array those that were got.
    std::size_t memory() const noexcept;

    // THREAD: any, from here.
    ms::answer check(std::string_view issuer, std::string_view id, instant now) const noexcept;
    std::optional<published> find(std::string_view issuer, std::string_view id) const noexcept;
    stream_word stream() const noexcept;
    // The wall second of the last check, in whole steps of last_used_step; 0 when there was none.
    // One that meets the writer at the mission's line may be forgotten, or told of its neighbour.
    std::uint32_t last_used(std::string_view issuer, std::string_view id) const noexcept;
    // Missions that were checked, are not ended and not confirmed in the stream's running epoch,
    // the last used one first, as last_used tells it; a walk over the whole table. What is put or
    // erased meanwhile may be missed, and any may be told twice while others are erased.
    std::vector<name> unconfirmed(std::size_t most) const;
    std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
    std::size_t max_size() const noexcept { return max_; }

  private:
    friend struct table_probe;  // a test's, that stops a reader in the middle of a look

    enum class outcome { there, absent, again };
    struct found {
        const line_array* in = nullptr;
        std::size_t at = 0;
        published p;
    };

    std::uint32_t issuer_number(std::string_view issuer) const noexcept;  // 0: none
    std::uint32_t add_issuer(std::string_view issuer);
    template <class Needed>
    outcome look(const line_array& in, const key_words& key, std::uint64_t hash,
                 const Needed& needed, found& out) const noexcept;
    bool unchanged(const line_array& in, std::size_t from, std::size_t to,
                   std::uint64_t sum) const noexcept;
    // With its own deadline; `in` stays nullptr when it is not there.
    found lookup(std::string_view issuer, std::string_view id) const noexcept;
    void insert(const key_words& key, const published& p, std::uint32_t used);
    void open();
    std::unique_ptr<line_array> larger() const;  // than the one in use: by one step
    void make_room();                            // for one more
    void prepare() noexcept;                     // what make_room() will need, a piece of it
    void give_up_next() noexcept;
    void remove(std::size_t at) noexcept;

    const std::size_t max_;
    const table_seed seed_;
    // [1, issuer_count_]: written once each, before the count.
    std::array<std::string, max_issuers + 1> issuers_;
    std::atomic<std::uint32_t> issuer_count_{0};
    std::atomic<const line_array*> lines_{nullptr};

    // The writer's, from here.
    std::vector<std::unique_ptr<line_array>> arrays_;  // the last one is in use
    std::unique_ptr<line_array> next_;                 // no reader knows of it
    unsigned doublings_ = 0;                           // that are left
    std::size_t hand_ = 0;                             // of least_used: a slot
    long_ids long_ids_;

    // The readers' again.
    std::atomic<std::size_t> size_{0};
    // The stream's word, under a sequence number of its own.
    struct alignas(64) {
        std::atomic<std::uint32_t> sequence{0};
        std::atomic<std::int64_t> live_wall{0}, live_mono{0};
        std::atomic<std::uint64_t> epoch{0};
        stream_word load() const noexcept {
            stream_word w;
            w.live_until.wall = live_wall.load(std::memory_order_acquire);
            w.live_until.mono = live_mono.load(std::memory_order_acquire);
            w.epoch = epoch.load(std::memory_order_acquire);
            return w;
        }
        bool still(std::uint32_t before) const noexcept {
            return (before & 1) == 0 && sequence.load(std::memory_order_relaxed) == before;
        }
    } stream_;
};

}  // namespace mission::receiver
