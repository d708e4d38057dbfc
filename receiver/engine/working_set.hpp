// The missions that are being worked on, whole: the compact table (cache/table.hpp) has all of
// them, the state's file has their rows, and what is read from there when a SET, a Status or a look
// needs it stays here for a while.
//
// A mission with a write on its way, or not shown to readers yet, is pinned: its row is older than
// it, or there is none. The others go when there are too many, the one used longest ago first.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "receiver/cache/record.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

struct authority_text {
    std::optional<std::string> json;  // array; nullopt while not known
    std::int64_t version = 0;
};

struct mission_slot {
    record now;
    deadline fresh_until;
    std::uint64_t revision = 0;    // of the engine's count, so that no two are alike
    std::uint64_t doubted_at = 0;  // the revision that an event of another log_epoch made
    ms::standing shown = ms::standing::unknown;
    std::uint64_t shown_revision = 0;
    bool in_table = false;  // readers know of it
    bool on_disk = false;   // it has a row, its authority's included
    unsigned waiting = 0;   // writes on their way
    // What readers are shown, while `now` has another one that they are not shown yet.
    std::optional<authority_text> shown_authority;

    bool pinned() const noexcept { return waiting > 0 || !in_table; }
};

// Not thread safe: the engine's, under its lock. Slots stay where they are until they are dropped.
class working_set {
  public:
    // At most so many, and texts of at most so many octets, pinned ones aside.
    working_set(std::size_t missions, std::size_t octets) : most_(missions), most_octets_(octets) {}

    // nullptr: it is not here. Marks it as used.
    mission_slot* find(const mission_key& key);
    const mission_slot* peek(const mission_key& key) const;
    // The same without taking memory, and without marking it: looks at all of them.
    mission_slot* seek(std::string_view issuer, std::string_view id) noexcept;
    // An empty one for a mission that is not here. std::bad_alloc: nothing has changed.
    mission_slot& add(const mission_key& key);
    void drop(const mission_slot& s) noexcept;
    // Drops what is too much; returns the highest revision of what it dropped, 0 for none. Not
    // while anybody looks at a slot.
    std::uint64_t trim();
    // Drops all but those that are pinned; the same.
    std::uint64_t drop_unpinned();
    std::size_t size() const noexcept { return slots_.size(); }
    void each(const std::function<bool(const mission_slot&)>& fn) const;  // until false

  private:
    struct node {
        mission_slot slot;
        std::size_t octets = 0;
    };
    struct hash {
        // Not noexcept: the map keeps what may throw beside each key, and compares that first.
        std::size_t operator()(const mission_key& k) const {
            return std::hash<std::string>{}(k.id) ^ (std::hash<std::string>{}(k.issuer) << 1);
        }
    };
    using nodes = std::list<node>;  // the last used one in front
    std::uint64_t drop(nodes::iterator it) noexcept;
    void measure(node& n);

    const std::size_t most_, most_octets_;
    std::size_t octets_ = 0;
    nodes nodes_;
    std::unordered_map<mission_key, nodes::iterator, hash> slots_;
};

}  // namespace mission::receiver
