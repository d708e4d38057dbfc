// Numbers of the store never cross the wire: counting them would tell how many there are. A keyed
// permutation of 64 bits makes names of them that are the same again and tell nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mission::transmitter {

// Four rounds of a Feistel network over HMAC-SHA-256 (Luby and Rackoff: a pseudorandom permutation,
// both ways). THREAD: any.
class number_permutation {
  public:
    explicit number_permutation(std::string key) : key_(std::move(key)) {}
    std::uint64_t forward(std::uint64_t plain) const;
    std::uint64_t backward(std::uint64_t permuted) const;

  private:
    std::uint32_t round(unsigned n, std::uint32_t half) const;
    const std::string key_;
};

// 11 characters of base64url; and back, nullopt for what is no such text.
std::string number_text(std::uint64_t number);
std::optional<std::uint64_t> parse_number_text(std::string_view text);

}  // namespace mission::transmitter
