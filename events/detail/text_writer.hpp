// JSON text appended to one string: what every SET is printed with. Private to events/.
//
// Signing costs some twenty microseconds; a general writer, character by character and through
// intermediate texts, added a sixth of that.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace mission::events::detail {

class text_writer {
  public:
    // Writes into `out` from its start; `expected` octets are made room for at once. The string is
    // complete after `finish`.
    text_writer(std::string& out, std::size_t expected) : out_(out) {
        out_.resize(expected);
        at_ = out_.data();
        end_ = at_ + out_.size();
    }
    void finish() { out_.resize(static_cast<std::size_t>(at_ - out_.data())); }

    void open() {
        put('{');
        first_ = true;
    }
    void close() {
        put('}');
        first_ = false;
    }
    // `name` is one of ours and needs no escape.
    void key(std::string_view name) {
        char* to = room(name.size() + 4);
        if (!first_) *to++ = ',';
        first_ = false;
        *to++ = '"';
        std::memcpy(to, name.data(), name.size());
        to += name.size();
        *to++ = '"';
        *to++ = ':';
        at_ = to;
    }
    // A name from outside, in two parts if need be.
    void foreign_key(std::string_view name, std::string_view more = {}) {
        if (!first_) put(',');
        first_ = false;
        put('"');
        content(name);
        content(more);
        put('"');
        put(':');
    }
    void member(std::string_view name, std::string_view text) {
        key(name);
        string(text);
    }
    void member(std::string_view name, std::int64_t number) {
        key(name);
        constexpr std::size_t digits = 24;
        char* to = room(digits);
        at_ = std::to_chars(to, to + digits, number).ptr;
    }
    // `json` is valid JSON text already.
    void raw(std::string_view json) {
        if (json.empty()) return;
        std::memcpy(room(json.size()), json.data(), json.size());
        at_ += json.size();
    }
    void string(std::string_view text) {
        put('"');
        content(text);
        put('"');
    }

  private:
    // At least `n` octets at the returned place, which is `at_`.
    char* room(std::size_t n) {
        if (static_cast<std::size_t>(end_ - at_) < n) grow(n);
        return at_;
    }
    void grow(std::size_t n) {
        const auto used = static_cast<std::size_t>(at_ - out_.data());
        out_.resize(2 * (used + n));
        at_ = out_.data() + used;
        end_ = out_.data() + out_.size();
    }
    void put(char c) {
        *room(1) = c;
        ++at_;
    }

    // Copies whole words as long as nothing in them needs an escape (RFC 8259 section 7).
    void content(std::string_view text) {
        constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
        constexpr std::size_t longest = 6;  // "\u001F"
        const char* from = text.data();
        const char* const last = from + text.size();
        char* to = room(text.size());
        for (; last - from >= 8; from += 8, to += 8) {
            std::uint64_t word;
            std::memcpy(&word, from, 8);
            const std::uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
            if (((((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
                  ((word - ones * 0x20) & ~word)) &
                 highs) != 0)
                break;
            std::memcpy(to, &word, 8);
        }
        for (; from < last && !special(*from); ++from)
            *to++ = *from;
        at_ = to;
        for (; from < last; ++from) {
            room(longest);
            if (special(*from))
                escape(*from);
            else
                *at_++ = *from;
        }
    }
    static bool special(char c) {
        return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
    }
    // There is room for the longest escape.
    void escape(char c) {
        static constexpr char hex[] = "0123456789ABCDEF";
        *at_++ = '\\';
        switch (c) {
            case '\b':
                *at_++ = 'b';
                break;
            case '\f':
                *at_++ = 'f';
                break;
            case '\n':
                *at_++ = 'n';
                break;
            case '\r':
                *at_++ = 'r';
                break;
            case '\t':
                *at_++ = 't';
                break;
            case '"':
            case '\\':
                *at_++ = c;
                break;
            default:
                *at_++ = 'u';
                *at_++ = '0';
                *at_++ = '0';
                *at_++ = hex[static_cast<unsigned char>(c) >> 4];
                *at_++ = hex[static_cast<unsigned char>(c) & 15];
        }
    }

    std::string& out_;
    char* at_ = nullptr;
    char* end_ = nullptr;
    bool first_ = true;
};

}  // namespace mission::events::detail
