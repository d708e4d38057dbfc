#include "receiver/words.hpp"

#include "base/limits.hpp"
#include "net/http.hpp"

namespace mission::receiver {
namespace {

constexpr std::string_view left_out = "[left out]";

void blank(std::string& text, std::string_view secret) {
    if (secret.empty()) return;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
        text.replace(at, secret.size(), left_out);
        at += left_out.size();
    }
}

bool of_jws(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

// A header of a JWS begins with `{"`, which is "eyJ" in base64url; cut short it is still one.
void blank_jws(std::string& text) {
    constexpr std::size_t shortest = 16;
    for (auto at = text.find("eyJ"); at != std::string::npos; at = text.find("eyJ", at)) {
        auto end = at;
        while (end < text.size() && of_jws(text[end]))
            ++end;
        if (end - at >= shortest) {
            text.replace(at, end - at, left_out);
            end = at + left_out.size();
        }
        at = end;
    }
}

}  // namespace

std::string peer_words(std::string_view text, const std::vector<std::string>& secrets) {
    // Much more than is shown: nothing is cut in the middle of what has to be left out.
    constexpr std::size_t looked_at = 64u << 10;
    std::string rest(text.substr(0, looked_at));
    for (const auto& secret : secrets) {
        blank(rest, secret);
        blank(rest, net::percent_encode(secret));
    }
    blank_jws(rest);
    std::string out;
    constexpr char hex[] = "0123456789abcdef";
    for (const char c : rest) {
        if (out.size() >= limits::peer_words_bytes) return out + "...";
        const auto octet = static_cast<unsigned char>(c);
        if (octet >= 0x20 && octet < 0x7f) {
            out += c;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            out += ' ';
        } else {
            out += "\\x";
            out += hex[octet >> 4];
            out += hex[octet & 15];
        }
    }
    return out;
}

}  // namespace mission::receiver
