#include "jose/base64url.hpp"

#include <array>
#include <cstdint>

#include "jose/detail/base64_simd.hpp"

namespace mission::jose {
namespace {

constexpr char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr char plain_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t outside = 0xff;  // has bits that no 6-bit value has

constexpr std::array<std::uint8_t, 256> inverse(const char* alphabet) {
    std::array<std::uint8_t, 256> table{};
    table.fill(outside);
    for (std::uint8_t i = 0; i < 64; ++i)
        table[static_cast<unsigned char>(alphabet[i])] = i;
    return table;
}
constexpr auto url_values = inverse(url_alphabet);
constexpr auto plain_values = inverse(plain_alphabet);

// Two characters at a time: 12 bits index a table of pairs, which halves the look-ups on the way of
// every signed token.
struct pair_table {
    std::array<char, 2 * 4096> text{};
    constexpr explicit pair_table(const char* alphabet) {
        for (std::size_t i = 0; i < 4096; ++i) {
            text[2 * i] = alphabet[i >> 6];
            text[2 * i + 1] = alphabet[i & 63];
        }
    }
};
constexpr pair_table url_pairs{url_alphabet};

// Writes the whole groups and the rest without padding; returns the end.
char* encode_into(std::string_view bytes, char* out) {
    const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
    std::size_t left = bytes.size();
    const std::size_t done = detail::encode_front(in, left, out);
    in += done;
    out += done / 3 * 4;
    left -= done;
    for (; left >= 3; left -= 3, in += 3, out += 4) {
        const std::uint32_t v = static_cast<std::uint32_t>(in[0]) << 16 |
                                static_cast<std::uint32_t>(in[1]) << 8 | in[2];
        const char* hi = &url_pairs.text[2 * (v >> 12)];
        const char* lo = &url_pairs.text[2 * (v & 0xfff)];
        out[0] = hi[0];
        out[1] = hi[1];
        out[2] = lo[0];
        out[3] = lo[1];
    }
    if (left == 1) {
        *out++ = url_alphabet[in[0] >> 2];
        *out++ = url_alphabet[(in[0] & 3) << 4];
    } else if (left == 2) {
        *out++ = url_alphabet[in[0] >> 2];
        *out++ = url_alphabet[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = url_alphabet[(in[1] & 15) << 2];
    }
    return out;
}

// `text` without padding. False when a character is outside the alphabet, the length is impossible
// or an unused bit of the last character is set.
bool decode(std::string_view text, const std::array<std::uint8_t, 256>& values, std::string& out) {
    const std::size_t rest = text.size() % 4;
    if (rest == 1) return false;
    out.resize(text.size() / 4 * 3 + (rest == 0 ? 0 : rest - 1));
    const auto* in = reinterpret_cast<const unsigned char*>(text.data());
    char* to = out.data();
    std::size_t left = text.size() - rest;
    if (&values == &url_values) {
        const std::size_t done = detail::decode_front(in, left, to);
        in += done;
        to += done / 4 * 3;
        left -= done;
    }
    std::uint8_t seen = 0;  // collects the high bits, which only `outside` has
    for (; left > 0; left -= 4, in += 4, to += 3) {
        const std::uint8_t a = values[in[0]], b = values[in[1]], c = values[in[2]],
                           d = values[in[3]];
        seen = static_cast<std::uint8_t>(seen | a | b | c | d);
        to[0] = static_cast<char>(a << 2 | b >> 4);
        to[1] = static_cast<char>(b << 4 | c >> 2);
        to[2] = static_cast<char>(c << 6 | d);
    }
    if (rest >= 2) {
        const std::uint8_t a = values[in[0]], b = values[in[1]];
        seen = static_cast<std::uint8_t>(seen | a | b);
        to[0] = static_cast<char>(a << 2 | b >> 4);
        std::uint8_t unused = b & 15;
        if (rest == 3) {
            const std::uint8_t c = values[in[2]];
            seen |= c;
            to[1] = static_cast<char>(b << 4 | c >> 2);
            unused = c & 3;
        }
        if (unused != 0) return false;
    }
    return (seen & 0xc0) == 0;
}

}  // namespace

std::string base64url_encode(std::string_view bytes) {
    std::string out;
    base64url_append(bytes, out);
    return out;
}

std::string base64url_encode(std::span<const std::byte> bytes) {
    return base64url_encode(
        std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void base64url_append(std::string_view bytes, std::string& out) {
    const std::size_t at = out.size();
    out.resize(at + base64url_size(bytes.size()));
    encode_into(bytes, out.data() + at);
}

bool base64url_decode_into(std::string_view text, std::string& out) {
    return decode(text, url_values, out);
}

result<std::string> base64url_decode(std::string_view text) {
    std::string out;
    if (!decode(text, url_values, out)) return error{errc::malformed_token, "not base64url"};
    return out;
}

std::string base64_encode(std::string_view bytes) {
    std::string out = base64url_encode(bytes);
    for (char& c : out)
        c = c == '-' ? '+' : c == '_' ? '/' : c;
    out.append((4 - out.size() % 4) % 4, '=');
    return out;
}

result<std::string> base64_decode(std::string_view text) {
    const error bad{errc::malformed_token, "not base64"};
    if (text.size() % 4 != 0) return bad;
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding)
        text.remove_suffix(1);
    std::string out;
    if (!decode(text, plain_values, out)) return bad;
    return out;
}

}  // namespace mission::jose
