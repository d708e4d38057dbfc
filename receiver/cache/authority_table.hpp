// The second table: the authority in force, read only by whoever asks for it.
#pragma once

#include <array>
#include <functional>
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
    explicit authority_table(mission_table& missions) : missions_(missions) {}

    // Publishes the mission and its authority together: look() sees both or neither.
    bool put(std::string_view issuer, std::string_view id, const published& p,
             std::shared_ptr<const ms::authority> authority);
    std::shared_ptr<const ms::authority> of(std::string_view issuer, std::string_view id) const;
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> look(std::string_view issuer,
                                                                     std::string_view id,
                                                                     instant now) const;

  private:
    struct shard {
        mutable std::shared_mutex m;
        std::unordered_map<std::string, std::shared_ptr<const ms::authority>> of;
    };
    static std::string key(std::string_view issuer, std::string_view id);
    shard& at(std::string_view id) const {
        return shards_[std::hash<std::string_view>{}(id) % shards_.size()];
    }

    mission_table& missions_;
    mutable std::array<shard, 64> shards_;
};

}  // namespace mission::receiver
