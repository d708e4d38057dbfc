// URLs and forms: strict, because they come from configurations and peers alike.
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/ascii.hpp"
#include "net/http.hpp"

namespace mission::net {
namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";
// Looking for a name given twice is quadratic; no form of ours has more than a dozen.
constexpr std::size_t max_form_fields = 256;

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// RFC 3986 section 2.3
bool is_unreserved(char c) {
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

error bad(const char* why) {
    return {errc::invalid_argument, std::string("URL: ") + why};
}

}  // namespace

std::string percent_encode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
        } else {
            const auto octet = static_cast<unsigned char>(c);
            out += '%';
            out += hex_digits[octet >> 4];
            out += hex_digits[octet & 15];
        }
    }
    return out;
}

result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) return error{errc::invalid_argument, "bad percent-encoding"};
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else if (text[i] == '+' && plus_is_space) {
            out += ' ';
        } else {
            out += text[i];
        }
    }
    return out;
}

result<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body) {
    std::vector<std::pair<std::string, std::string>> fields;
    while (!body.empty()) {
        const auto end = std::min(body.find('&'), body.size());
        const auto pair = body.substr(0, end);
        body.remove_prefix(std::min(end + 1, body.size()));
        if (pair.empty()) continue;
        const auto equals = std::min(pair.find('='), pair.size());
        auto name = percent_decode(pair.substr(0, equals), true);
        if (!name) return name.error();
        auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
        if (!value) return value.error();
        if (fields.size() >= max_form_fields) {
            return error{errc::too_large, "too many form fields"};
        }
        // RFC 6749 section 3.2: parameters must not be included more than once.
        for (const auto& [n, v] : fields) {
            if (n == *name) return error{errc::invalid_argument, "a form field is given twice"};
        }
        fields.emplace_back(std::move(*name), std::move(*value));
    }
    return fields;
}

std::string encode_form(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
        if (!out.empty()) out += '&';
        out.append(percent_encode(name)).append("=").append(percent_encode(value));
    }
    return out;
}

std::string url::origin() const {
    std::string out = scheme + "://";
    const bool literal = host.find(':') != std::string::npos;
    out.append(literal ? "[" + host + "]" : host);
    if (port != (scheme == "https" ? 443 : 80)) out.append(":").append(std::to_string(port));
    return out;
}

result<url> parse_url(std::string_view text) {
    url out;
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) return bad("no scheme");
    out.scheme = ascii_lower(text.substr(0, colon));
    if (out.scheme != "https" && out.scheme != "http") return bad("neither https nor http");
    out.port = out.scheme == "https" ? 443 : 80;
    text.remove_prefix(colon + 3);

    const auto end = std::min(text.find_first_of("/?#"), text.size());
    auto authority = text.substr(0, end);
    const auto target = text.substr(end);
    if (authority.find('@') != std::string_view::npos) return bad("user information");

    std::string_view port;
    bool has_port = false;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos) return bad("unclosed bracket");
        out.host = ascii_lower(authority.substr(1, close - 1));
        in6_addr address{};
        if (inet_pton(AF_INET6, out.host.c_str(), &address) != 1) return bad("not an IPv6 address");
        auto rest = authority.substr(close + 1);
        if (!rest.empty()) {
            if (rest.front() != ':') return bad("text after the bracket");
            port = rest.substr(1);
            has_port = true;
        }
    } else {
        const auto split = authority.find(':');
        out.host = ascii_lower(authority.substr(0, split));
        if (split != std::string_view::npos) {
            port = authority.substr(split + 1);
            has_port = true;
        }
        if (out.host.empty() || out.host.size() > 253) return bad("host missing or too long");
        const bool fine = std::all_of(out.host.begin(), out.host.end(), [](char c) {
            return is_alnum(c) || c == '-' || c == '.' || c == '_';
        });
        if (!fine) return bad("odd character in the host");
    }
    if (has_port) {
        unsigned number = 0;
        const auto [p, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
        if (ec != std::errc{} || p != port.data() + port.size() || number == 0 || number > 65535) {
            return bad("odd port");
        }
        out.port = static_cast<std::uint16_t>(number);
    }
    for (const char c : target) {
        if (c == '#') return bad("fragment");
        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
            return bad("odd character");
        }
    }
    out.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    return out;
}

}  // namespace mission::net
