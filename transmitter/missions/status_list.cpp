#include "transmitter/missions/status_list.hpp"

#include <zlib.h>

#include <new>
#include <numeric>
#include <utility>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {
namespace {

// A stream of numbers below a bound, uniform, from HMAC-SHA-256 in counter mode.
class keyed_numbers {
  public:
    explicit keyed_numbers(std::string_view key) : key_(key) {}

    std::uint32_t below(std::uint32_t bound) {
        // What lies beyond the last whole multiple would favour small numbers.
        const std::uint64_t whole = (std::uint64_t{1} << 32) / bound * bound;
        for (;;) {
            const std::uint32_t n = next();
            if (n < whole) return n % bound;
        }
    }

  private:
    std::uint32_t next() {
        if (used_ == block_.size()) {
            block_ = jose::hmac_sha256(key_, std::to_string(counter_++));
            used_ = 0;
        }
        std::uint32_t out = 0;
        for (int i = 0; i < 4; ++i)
            out = out << 8 | block_[used_++];
        return out;
    }

    const std::string key_;
    std::uint64_t counter_ = 0;
    jose::digest256 block_{};
    std::size_t used_ = block_.size();
};

constexpr std::uint32_t bits = 2;
constexpr std::uint32_t per_octet = 8 / bits;

}  // namespace

list_status list_status_of(events::mission_state s) noexcept {
    switch (s) {
        case events::mission_state::active:
            return list_status::valid;
        case events::mission_state::suspended:
            return list_status::suspended;
        case events::mission_state::completed:
        case events::mission_state::revoked:
        case events::mission_state::expired:
        case events::mission_state::superseded:
        case events::mission_state::cascaded:
            return list_status::invalid;
    }
    return list_status::invalid;
}

// Fisher and Yates, from the end.
status_places::status_places(std::string_view key) : index_(status_list_size) {
    std::iota(index_.begin(), index_.end(), std::uint16_t{0});
    keyed_numbers numbers(key);
    for (std::uint32_t i = status_list_size - 1; i > 0; --i)
        std::swap(index_[i], index_[numbers.below(i + 1)]);
}

std::uint32_t status_places::index_of(store::mission_row row) const noexcept {
    return index_[static_cast<std::size_t>((static_cast<std::int64_t>(row) - 1) %
                                           status_list_size)];
}

// draft-ietf-oauth-status-list, "Status List": the first index in the least significant bits.
status_bits::status_bits() : octets_(status_list_size / per_octet, '\x55') {}

void status_bits::set(std::uint32_t index, list_status s) noexcept {
    const auto shift = index % per_octet * bits;
    auto octet = static_cast<unsigned char>(octets_[index / per_octet]);
    octet =
        static_cast<unsigned char>((octet & ~(3u << shift)) | (static_cast<unsigned>(s) << shift));
    octets_[index / per_octet] = static_cast<char>(octet);
}

list_status status_bits::get(std::uint32_t index) const noexcept {
    const auto octet = static_cast<unsigned char>(octets_[index / per_octet]);
    return static_cast<list_status>(octet >> (index % per_octet * bits) & 3u);
}

std::string status_bits::compressed() const {
    auto size = compressBound(static_cast<uLong>(octets_.size()));
    std::string out(size, '\0');
    // Fails for want of memory alone: the room is what zlib asks for.
    if (compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                  reinterpret_cast<const Bytef*>(octets_.data()),
                  static_cast<uLong>(octets_.size()), Z_BEST_COMPRESSION) != Z_OK)
        throw std::bad_alloc();
    out.resize(size);
    return jose::base64url_encode(out);
}

}  // namespace mission::transmitter
