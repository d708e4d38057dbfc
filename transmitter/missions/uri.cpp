#include "transmitter/missions/uri.hpp"

#include <vector>

namespace mission::transmitter {
namespace {

int hex(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// RFC 3986 section 2.3.
bool unreserved(unsigned char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Sections 6.2.2.1 and 6.2.2.2.
std::string normalize_percent(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 &&
            hex(text[i + 2]) >= 0) {
            const auto octet = static_cast<unsigned char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            if (unreserved(octet)) {
                out += static_cast<char>(octet);
            } else {
                out += '%';
                out += digits[octet >> 4];
                out += digits[octet & 15];
            }
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

// Section 5.2.4, for absolute paths.
std::string remove_dot_segments(std::string_view path) {
    std::vector<std::string_view> kept;
    bool trailing_slash = false;
    for (std::size_t at = 1; at <= path.size();) {
        const auto slash = path.find('/', at);
        const auto end = slash == std::string_view::npos ? path.size() : slash;
        const auto segment = path.substr(at, end - at);
        const bool last = slash == std::string_view::npos;
        trailing_slash = false;
        if (segment == "..") {
            if (!kept.empty()) kept.pop_back();
            trailing_slash = last;
        } else if (segment == ".") {
            trailing_slash = last;
        } else {
            kept.push_back(segment);
        }
        at = end + 1;
    }
    std::string out;
    for (const auto s : kept) {
        out += '/';
        out += s;
    }
    if (trailing_slash || out.empty()) out += '/';
    return out;
}

}  // namespace

std::string normalize_uri(std::string_view uri) {
    const std::string text = normalize_percent(uri);
    const auto authority_at = text.find("://");
    if (authority_at == std::string::npos) return text;
    std::string scheme;
    for (const char c : text.substr(0, authority_at))
        scheme += lower(c);
    const auto rest = std::string_view(text).substr(authority_at + 3);
    const auto path_at = rest.find_first_of("/?#");
    std::string authority;
    for (const char c : rest.substr(0, path_at))
        authority += lower(c);
    const std::string_view port = scheme == "https" ? ":443" : scheme == "http" ? ":80" : ":";
    if (authority.ends_with(port)) authority.resize(authority.size() - port.size());
    if (path_at == std::string_view::npos) return scheme + "://" + authority + "/";
    const auto tail = rest.substr(path_at);
    const auto query_at = tail.find_first_of("?#");
    const auto path = tail.substr(0, query_at);
    std::string out = scheme + "://" + authority + (path.empty() ? "/" : remove_dot_segments(path));
    if (query_at != std::string_view::npos) out += tail.substr(query_at);
    return out;
}

}  // namespace mission::transmitter
