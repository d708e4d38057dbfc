#include "transmitter/api/opaque_number.hpp"

#include <array>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {
namespace {

constexpr unsigned rounds = 4;

std::uint64_t joined(std::uint32_t left, std::uint32_t right) {
    return (std::uint64_t{left} << 32) | right;
}

}  // namespace

std::uint32_t number_permutation::round(unsigned n, std::uint32_t half) const {
    std::array<char, 5> input{static_cast<char>(n)};
    for (unsigned i = 0; i < 4; ++i)
        input[i + 1] = static_cast<char>(half >> (8 * i) & 0xff);
    const auto mac = jose::hmac_sha256(key_, {input.data(), input.size()});
    std::uint32_t out = 0;
    for (unsigned i = 0; i < 4; ++i)
        out |= std::uint32_t{mac[i]} << (8 * i);
    return out;
}

std::uint64_t number_permutation::forward(std::uint64_t plain) const {
    auto left = static_cast<std::uint32_t>(plain >> 32), right = static_cast<std::uint32_t>(plain);
    for (unsigned n = 0; n < rounds; ++n) {
        const auto next = left ^ round(n, right);
        left = right;
        right = next;
    }
    return joined(left, right);
}

std::uint64_t number_permutation::backward(std::uint64_t permuted) const {
    auto left = static_cast<std::uint32_t>(permuted >> 32),
         right = static_cast<std::uint32_t>(permuted);
    for (unsigned n = rounds; n-- > 0;) {
        const auto before = right ^ round(n, left);
        right = left;
        left = before;
    }
    return joined(left, right);
}

std::string number_text(std::uint64_t number) {
    std::string octets(8, '\0');
    for (unsigned i = 0; i < 8; ++i)
        octets[i] = static_cast<char>(number >> (8 * (7 - i)) & 0xff);
    return jose::base64url_encode(octets);
}

std::optional<std::uint64_t> parse_number_text(std::string_view text) {
    const auto octets = jose::base64url_decode(text);
    if (!octets || octets->size() != 8) return std::nullopt;
    std::uint64_t out = 0;
    for (const char c : *octets)
        out = out << 8 | static_cast<unsigned char>(c);
    return out;
}

}  // namespace mission::transmitter
