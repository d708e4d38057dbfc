// The unsettled signals of one stream: the part of the log that it has still to acknowledge.
//
//      acked | u s u u s s u | not looked at yet            u unsettled, s settled
//            ^ position      ^ scanned
//
// Bounded by limits::stream_window; what does not fit stays in the log and is read when there is
// room (design section 6, I6). Pure, one owner (the issuer's strand).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/time.hpp"
#include "store/rows.hpp"
#include "transmitter/delivery/build.hpp"
#include "transmitter/delivery/matching.hpp"

namespace mission::transmitter {

// One SET of an entry.
struct window_set {
    events::form form{};
    set_shape shape = set_shape::mission;
    std::string type, jti;
    bool settled = false;
    bool in_flight = false;  // push: sent, not answered
};

struct window_entry {
    store::seq_t seq = 0;
    routed_ptr signal;
    terms_ptr terms;
    std::vector<window_set> sets;  // settled when all are
    steady_time not_before{};      // not offered until then
    bool offered = false;

    // The receiver speaks ill of this SET (see outcome.hpp).
    unsigned rejections = 0;
    steady_time first_rejected{};
    wall_time rejected_since{};
    bool awaiting_probe = false;
    std::string err, description;

    // What is sent in order; an emitted event is of no mission and has no other to wait for.
    store::mission_row mission() const noexcept {
        return signal->is_event() ? store::mission_row{-seq} : signal->row->mission;
    }
    bool in_flight() const noexcept;
    window_set* unsettled_set() noexcept;  // the first one that is open and not in flight
};

class window {
  public:
    explicit window(store::seq_t scanned = 0) : scanned_(scanned) {}

    // `e.seq` above all others; it becomes scanned.
    window_entry& add(window_entry e);
    // Everything up to `seq` has been looked at.
    void scan_to(store::seq_t seq) noexcept { scanned_ = seq > scanned_ ? seq : scanned_; }
    store::seq_t scanned() const noexcept { return scanned_; }

    std::size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    bool full() const noexcept { return size() >= limits::stream_window; }

    window_entry* find(store::seq_t seq) noexcept;
    std::pair<window_entry*, window_set*> find(std::string_view jti) noexcept;
    // Marks one SET settled; erases its entry with the last one, and says so.
    bool settle(std::string_view jti);
    void erase(store::seq_t seq);

    // I5: only the oldest unsettled version of a mission may be sent.
    bool oldest_of_mission(const window_entry& e) const;
    // A later version of the same mission is waiting behind `e`.
    bool has_later_version(const window_entry& e) const;
    window_entry* oldest(store::mission_row mission);

    // Everything up to here is settled.
    store::seq_t position() const noexcept;
    store::cursor cursor(store::stream_row stream) const;

    std::map<store::seq_t, window_entry>& entries() noexcept { return entries_; }
    const std::map<store::seq_t, window_entry>& entries() const noexcept { return entries_; }

  private:
    std::map<store::seq_t, window_entry> entries_;
    std::unordered_map<store::mission_row, std::set<store::seq_t>> versions_;
    std::map<std::string, store::seq_t, std::less<>> by_jti_;
    store::seq_t scanned_;
};

}  // namespace mission::transmitter
