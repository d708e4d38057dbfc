// A key as the table compares it: the id in words, and which issuer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace mission::receiver {

inline constexpr std::size_t id_word_octets = sizeof(std::uint64_t);
inline constexpr std::size_t id_words_max = 16;    // 128 characters: wire.md section 4
inline constexpr std::size_t id_words_inline = 4;  // of an id that lies in its entry

// What nobody outside knows, so that nobody can choose ids that all meet in one place.
struct table_seed {
    std::uint64_t word[id_words_inline];
};

struct key_words {
    // At least id_words_inline are filled in, with zeros behind the id.
    std::uint64_t word[id_words_max];
    std::uint32_t words = 0;  // of the id
    std::uint32_t what = 0;   // issuer << 8 | octets of the id

    key_words() noexcept = default;
    // 1 to 128 octets. It is nobody's until of() says whose.
    explicit key_words(std::string_view id) noexcept
        : words(words_of(static_cast<std::uint32_t>(id.size()))),
          what(static_cast<std::uint32_t>(id.size())) {
        constexpr auto in_line = id_words_inline * id_word_octets;
        if (id.size() == in_line) {
            std::memcpy(word, id.data(), in_line);  // what a transmitter of ours makes
            return;
        }
        std::memset(word, 0, in_line);
        word[words - 1] = 0;
        std::memcpy(word, id.data(), id.size());
    }
    void of(std::uint32_t issuer) noexcept { what |= issuer << 8; }

    static bool fits(std::string_view id) noexcept {
        return !id.empty() && id.size() <= id_words_max * id_word_octets;
    }
    static std::uint32_t words_of(std::uint32_t what) noexcept {
        return static_cast<std::uint32_t>(((what & 0xff) + id_word_octets - 1) / id_word_octets);
    }
    static bool is_long(std::uint32_t what) noexcept {
        return (what & 0xff) > id_words_inline * id_word_octets;
    }
    bool is_long() const noexcept { return is_long(what); }
    std::uint32_t issuer() const noexcept { return what >> 8; }
    std::string_view id() const noexcept {
        return {reinterpret_cast<const char*>(word), what & 0xff};
    }
    // Of the id alone: where to look is known, and fetched, before the issuer is.
    std::uint64_t hash(const table_seed& seed) const noexcept {
        // Ids are random or nearly so, but may be the sender's choice: every octet counts, and what
        // a round mixes is multiplied to 128 bits.
        std::uint64_t h = folded(word[0] ^ seed.word[0], word[1] ^ seed.word[1]) +
                          folded(word[2] ^ seed.word[2], word[3] ^ seed.word[3]);
        h = folded(h ^ (what & 0xff), odd);
        for (std::uint32_t i = id_words_inline; i < words; ++i)
            h = folded(h ^ word[i], odd);
        return h;
    }
    __extension__ typedef unsigned __int128 wide;

  private:
    static constexpr std::uint64_t odd = 0xd6e8feb86659fd93ULL;
    static std::uint64_t folded(std::uint64_t a, std::uint64_t b) noexcept {
        const auto product = static_cast<wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
};

}  // namespace mission::receiver
