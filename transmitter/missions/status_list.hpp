// Token status lists (draft-ietf-oauth-status-list): two bits a mission, for fleets that only poll.
// Pure.
//
//     mission row  ->  list (row-1) / 65,536, position (row-1) % 65,536 within it
//     position     ->  index, by a keyed permutation: neighbours in a list are not neighbours in
//     time
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "events/mission_event.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

inline constexpr std::int64_t status_list_size = 65'536;

// draft-ietf-oauth-status-list, "Status Types".
enum class list_status : std::uint8_t { valid = 0, invalid = 1, suspended = 2 };
list_status list_status_of(events::mission_state s) noexcept;

inline std::int64_t status_list_of(store::mission_row row) noexcept {
    return (static_cast<std::int64_t>(row) - 1) / status_list_size;
}
inline store::mission_row first_of_list(std::int64_t list) noexcept {
    return store::mission_row{list * status_list_size + 1};
}

// The same for the same key, for ever: an index once told stays the mission's.
class status_places {
  public:
    explicit status_places(std::string_view key);
    // Below status_list_size.
    std::uint32_t index_of(store::mission_row row) const noexcept;

  private:
    std::vector<std::uint16_t> index_;
};

// The bits of one list; everything is invalid until it is set.
class status_bits {
  public:
    status_bits();
    void set(std::uint32_t index, list_status s) noexcept;
    list_status get(std::uint32_t index) const noexcept;
    // "lst": DEFLATE in the ZLIB format (RFC 1950, RFC 1951), best compression, in base64url.
    std::string compressed() const;

  private:
    std::string octets_;
};

}  // namespace mission::transmitter
