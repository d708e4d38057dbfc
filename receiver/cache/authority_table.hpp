// The second table: the authority in force, read only by whoever asks for it. Not all of it is
// here: what is asked for is fetched from the mission's row, and kept while there is room.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "mission_signals/receiver.hpp"
#include "receiver/cache/table.hpp"

namespace mission::receiver {

// JSON array to entries; an entry that is no object is left out (and so permits nothing).
std::shared_ptr<const ms::authority> parse_authority(std::string_view json_array,
                                                     std::int64_t version);

// THREAD: all methods, any thread. Sharded, so that askers for different missions do not meet.
class authority_table {
  public:
    static constexpr std::size_t shards = 64;
    // Of parsed authorities, in about this many octets: some ten thousand ordinary ones.
    static constexpr std::size_t octets_kept = 64u << 20;

    explicit authority_table(mission_table& missions, std::size_t octets = octets_kept)
        : missions_(missions), octets_per_shard_(octets / shards) {}

    // Brings the authority that readers are shown of a mission they know, by keep(); called without
    // any lock. Before anything else; without one only what is put is there.
    using fetcher = std::function<void(std::string_view issuer, std::string_view id)>;
    void set_fetcher(fetcher f) { fetch_ = std::move(f); }

    // Publishes the mission and its authority together: look() sees both or neither. nullptr: it is
    // to be fetched when somebody asks; that takes no memory, and so does not throw. `used` as in
    // mission_table::put.
    bool put(std::string_view issuer, std::string_view id, const published& p,
             std::shared_ptr<const ms::authority> authority, std::uint32_t used = 0);
    // The same where the authority stays as it was.
    bool put_same(std::string_view issuer, std::string_view id, const published& p) noexcept {
        return missions_.put(issuer, id, p);
    }
    // What was fetched; nullptr: it is known that it is not known.
    void keep(std::string_view issuer, std::string_view id,
              std::shared_ptr<const ms::authority> authority);
    void forget(std::string_view issuer, std::string_view id);
    void forget_all();

    std::shared_ptr<const ms::authority> of(std::string_view issuer, std::string_view id) const;
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> look(std::string_view issuer,
                                                                     std::string_view id,
                                                                     instant now) const;

  private:
    struct item {
        explicit item(std::string k) : key(std::move(k)) {}
        std::string key;  // id and issuer, a space between them
        std::shared_ptr<const ms::authority> authority;
        std::size_t octets = 0;
        mutable std::atomic<bool> used{false};  // since the hand last came by
    };
    using items = std::list<item>;
    struct name {
        std::string_view id, issuer;
        friend bool operator==(const name&, const name&) = default;
    };
    struct name_hash {
        std::size_t operator()(const name& n) const noexcept {
            return std::hash<std::string_view>{}(n.id) ^
                   (std::hash<std::string_view>{}(n.issuer) << 1);
        }
    };
    struct shard {
        mutable std::shared_mutex m;
        items all;  // the hand of the clock is at its front
        std::unordered_map<name, items::iterator, name_hash> of;  // by parts of their keys
        std::size_t octets = 0;
    };
    static name name_of(const item& i) noexcept;
    static void drop(shard& s, items::iterator it);
    static void drop(shard& s, const name& n);
    void store(shard& s, const name& n, std::shared_ptr<const ms::authority> authority);
    shard& at(std::string_view id) const {
        return shards_[std::hash<std::string_view>{}(id) % shards];
    }
    // Calls fn(authority) with the mission's shard locked, once it is there; false: it is not.
    bool found(std::string_view issuer, std::string_view id,
               const std::function<void(const std::shared_ptr<const ms::authority>&)>& fn) const;

    mission_table& missions_;
    const std::size_t octets_per_shard_;
    fetcher fetch_;
    mutable std::array<shard, shards> shards_;
};

}  // namespace mission::receiver
