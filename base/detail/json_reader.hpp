// A strict RFC 8259 reader that works in place. Private to base/.
//
// It feeds a RapidJSON document, which copies its strings. Reading a token's claims costs a tenth
// of verifying its RS256 signature, so whole words are looked at. Accepted is what RapidJSON
// accepts without extensions, save that lone surrogate escapes, NUL octets and numbers that a
// double cannot hold are refused.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

namespace mission::json::detail {

// True when `text` is UTF-8 without surrogates, overlong forms and what lies beyond U+10FFFF.
inline bool is_utf8(std::string_view text) noexcept {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = at + text.size();
    const auto trail = [&](int n) { return end - at > n && (at[n] & 0xc0) == 0x80; };
    while (at < end) {
        if (end - at >= 8) {
            std::uint64_t word;
            std::memcpy(&word, at, 8);
            if ((word & 0x8080808080808080) == 0) {
                at += 8;
                continue;
            }
        }
        const unsigned char c = *at;
        if (c < 0x80) {
            ++at;
        } else if (c >= 0xc2 && c <= 0xdf) {
            if (!trail(1)) return false;
            at += 2;
        } else if (c >= 0xe0 && c <= 0xef) {
            if (!trail(1) || !trail(2) || (c == 0xe0 && at[1] < 0xa0) ||
                (c == 0xed && at[1] > 0x9f))
                return false;
            at += 3;
        } else if (c >= 0xf0 && c <= 0xf4) {
            if (!trail(1) || !trail(2) || !trail(3) || (c == 0xf0 && at[1] < 0x90) ||
                (c == 0xf4 && at[1] > 0x8f))
                return false;
            at += 4;
        } else {
            return false;
        }
    }
    return true;
}

// Octets that must be readable, and zero, behind the text: whole words are read up to there.
inline constexpr std::size_t reader_padding = 16;

class reader {
  public:
    // `text` has `size` octets and `reader_padding` zero octets behind them. It is overwritten.
    reader(char* text, std::size_t size, std::size_t max_depth)
        : begin_(text), at_(text), end_(text + size), max_depth_(max_depth) {}

    template <class Handler>
    bool operator()(Handler& h) {
        space();
        if (!value(h, 0)) return false;
        space();
        return at_ == end_ || fail("text after the JSON value");
    }

    const char* why() const noexcept { return why_; }  // of a failure
    // After a success: no octet of a string had its high bit set. Where it had, UTF-8 is yet to be
    // checked; outside of strings only ASCII is accepted.
    bool all_ascii() const noexcept { return high_bits_ == 0; }
    bool too_deep() const noexcept { return too_deep_; }
    std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

  private:
    bool fail(const char* why) {
        why_ = why;
        return false;
    }
    void space() {
        while (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')
            ++at_;
    }
    bool take(std::string_view word) {
        if (static_cast<std::size_t>(end_ - at_) < word.size() ||
            std::memcmp(at_, word.data(), word.size()) != 0)
            return fail("an invalid value");
        at_ += word.size();
        return true;
    }

    // Recursion is bounded by `max_depth_`.
    template <class Handler>
    bool value(Handler& h, std::size_t depth) {
        switch (*at_) {
            case '{':
                return object(h, depth + 1);
            case '[':
                return array(h, depth + 1);
            case '"': {
                std::string_view s;
                return string(s) && h.String(s.data(), static_cast<unsigned>(s.size()), true);
            }
            case 't':
                return take("true") && h.Bool(true);
            case 'f':
                return take("false") && h.Bool(false);
            case 'n':
                return take("null") && h.Null();
            default:
                return number(h);
        }
    }

    bool within(std::size_t depth) {
        if (depth <= max_depth_) return true;
        too_deep_ = true;
        return false;
    }

    template <class Handler>
    bool object(Handler& h, std::size_t depth) {
        if (!within(depth) || !h.StartObject()) return false;
        ++at_;
        space();
        if (*at_ == '}') {
            ++at_;
            return h.EndObject(0);
        }
        for (unsigned count = 1;; ++count) {
            std::string_view name;
            if (*at_ != '"') return fail("a member without a name");
            if (!string(name) || !h.Key(name.data(), static_cast<unsigned>(name.size()), true))
                return false;
            space();
            if (*at_ != ':') return fail("no colon after the name of a member");
            ++at_;
            space();
            if (!value(h, depth)) return false;
            space();
            const char c = *at_;
            if (c != ',' && c != '}') return fail("no comma or brace after a member");
            ++at_;
            if (c == '}') return h.EndObject(count);
            space();
        }
    }

    template <class Handler>
    bool array(Handler& h, std::size_t depth) {
        if (!within(depth) || !h.StartArray()) return false;
        ++at_;
        space();
        if (*at_ == ']') {
            ++at_;
            return h.EndArray(0);
        }
        for (unsigned count = 1;; ++count) {
            if (!value(h, depth)) return false;
            space();
            const char c = *at_;
            if (c != ',' && c != ']') return fail("no comma or bracket after an element");
            ++at_;
            if (c == ']') return h.EndArray(count);
            space();
        }
    }

    // Moves to the next quote, backslash or control character (the padding is one), a whole word
    // at a time.
#if defined(__SSE2__)
    void skip_plain() {
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
        const __m128i last_control = _mm_set1_epi8(0x1f);
        for (;; at_ += 16) {
            const __m128i word = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at_));
            const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(word, last_control), word);
            const __m128i found = _mm_or_si128(
                control, _mm_or_si128(_mm_cmpeq_epi8(word, quote), _mm_cmpeq_epi8(word, slash)));
            high_bits_ |= _mm_movemask_epi8(word);
            const auto mask = static_cast<unsigned>(_mm_movemask_epi8(found));
            if (mask == 0) continue;
            at_ += std::countr_zero(mask);
            return;
        }
    }
#else
    void skip_plain() {
        for (;; ++at_) {
            const auto c = static_cast<unsigned char>(*at_);
            high_bits_ |= c & 0x80;
            if (c == '"' || c == '\\' || c < 0x20) return;
        }
    }
#endif

    bool string(std::string_view& out) {
        char* const start = ++at_;
        skip_plain();
        char* to = at_;
        while (*at_ == '\\') {
            if (!escape(to)) return false;
            char* const from = at_;
            skip_plain();
            const auto n = static_cast<std::size_t>(at_ - from);
            std::memmove(to, from, n);
            to += n;
        }
        if (*at_ != '"')
            return fail(at_ == end_ ? "a string without an end"
                                    : "a control character in a string");
        ++at_;
        *to = '\0';
        out = {start, static_cast<std::size_t>(to - start)};
        return true;
    }

    bool hex4(std::uint32_t& out) {
        out = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const char c = *at_;
            std::uint32_t digit = 0;
            if (c >= '0' && c <= '9')
                digit = static_cast<std::uint32_t>(c - '0');
            else if (c >= 'a' && c <= 'f')
                digit = static_cast<std::uint32_t>(c - 'a' + 10);
            else if (c >= 'A' && c <= 'F')
                digit = static_cast<std::uint32_t>(c - 'A' + 10);
            else
                return fail("an invalid \\u escape");
            out = out << 4 | digit;
        }
        return true;
    }

    // One escape; what it stands for is never longer than itself.
    bool escape(char*& to) {
        ++at_;
        const char c = *at_;
        if (c != 'u') {
            constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
            const auto which = names.find(c);
            if (which == std::string_view::npos) return fail("an invalid escape");
            *to++ = values[which];
            ++at_;
            return true;
        }
        ++at_;
        std::uint32_t cp = 0;
        if (!hex4(cp)) return false;
        if (cp >= 0xdc00 && cp <= 0xdfff) return fail("a lone surrogate");
        if (cp >= 0xd800 && cp <= 0xdbff) {
            std::uint32_t low = 0;
            if (at_[0] != '\\' || at_[1] != 'u') return fail("a lone surrogate");
            at_ += 2;
            if (!hex4(low)) return false;
            if (low < 0xdc00 || low > 0xdfff) return fail("a lone surrogate");
            cp = 0x10000 + ((cp - 0xd800) << 10 | (low - 0xdc00));
        }
        const auto put = [&](std::uint32_t octet) { *to++ = static_cast<char>(octet); };
        if (cp < 0x80) {
            put(cp);
        } else if (cp < 0x800) {
            put(0xc0 | cp >> 6);
            put(0x80 | (cp & 0x3f));
        } else if (cp < 0x10000) {
            put(0xe0 | cp >> 12);
            put(0x80 | (cp >> 6 & 0x3f));
            put(0x80 | (cp & 0x3f));
        } else {
            put(0xf0 | cp >> 18);
            put(0x80 | (cp >> 12 & 0x3f));
            put(0x80 | (cp >> 6 & 0x3f));
            put(0x80 | (cp & 0x3f));
        }
        return true;
    }

    static bool digit(char c) {
        return c >= '0' && c <= '9';
    }
    bool digits() {
        if (!digit(*at_)) return fail(at_ == end_ ? "the text ends early" : "an invalid value");
        while (digit(*at_))
            ++at_;
        return true;
    }

    // RFC 8259 section 6. Whole numbers of 64 bits are kept exactly.
    template <class Handler>
    bool number(Handler& h) {
        char* const start = at_;
        const bool negative = *at_ == '-';
        if (negative) ++at_;
        if (*at_ == '0')
            ++at_;
        else if (!digits())
            return false;
        bool whole = true;
        if (*at_ == '.') {
            whole = false;
            ++at_;
            if (!digits()) return false;
        }
        if (*at_ == 'e' || *at_ == 'E') {
            whole = false;
            ++at_;
            if (*at_ == '+' || *at_ == '-') ++at_;
            if (!digits()) return false;
        }
        if (whole) {
            std::int64_t i = 0;
            if (std::from_chars(start, at_, i).ec == std::errc()) return h.Int64(i);
            std::uint64_t u = 0;
            if (!negative && std::from_chars(start, at_, u).ec == std::errc()) return h.Uint64(u);
        }
        double d = 0;
        if (std::from_chars(start, at_, d).ec != std::errc())
            return fail("a number that a double cannot hold");
        return h.Double(d);
    }

    char* begin_;
    char* at_;
    char* end_;
    std::size_t max_depth_;
    const char* why_ = "the text ends early";
    bool too_deep_ = false;
    int high_bits_ = 0;
};

}  // namespace mission::json::detail
