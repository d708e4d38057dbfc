#include "receiver/sidecar/settings.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace mission::receiver::sidecar {
namespace {

// The family, or 0. IPv4 as IPv4: the server tells mapped addresses in that form.
int parse_address(const std::string& text, unsigned char (&out)[16]) {
    std::memset(out, 0, sizeof out);
    if (inet_pton(AF_INET, text.c_str(), out) == 1) return AF_INET;
    if (inet_pton(AF_INET6, text.c_str(), out) == 1) return AF_INET6;
    return 0;
}

bool within(const unsigned char* a, const unsigned char* base, unsigned bits) {
    const unsigned whole = bits / 8, rest = bits % 8;
    if (std::memcmp(a, base, whole) != 0) return false;
    if (rest == 0) return true;
    const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
    return (a[whole] & mask) == (base[whole] & mask);
}

template <class T>
bool whole_number(std::string_view text, T& out) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    return !text.empty() && failed == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string_view name(source s) noexcept {
    switch (s) {
        case source::header:
            return "header";
        case source::token:
            return "token";
        case source::certificate:
            return "certificate";
    }
    return "header";
}

result<peer_list> peer_list::parse(const std::vector<std::string>& entries) {
    peer_list out;
    for (const auto& entry : entries) {
        if (entry == "unix") {
            out.unix_ = true;
            continue;
        }
        network n{};
        const auto slash = entry.find('/');
        n.family = parse_address(entry.substr(0, slash), n.base);
        const unsigned longest = n.family == AF_INET ? 32 : 128;
        n.bits = longest;
        const bool good =
            n.family != 0 && (slash == std::string::npos ||
                              (whole_number(std::string_view(entry).substr(slash + 1), n.bits) &&
                               n.bits <= longest));
        if (!good) return error{errc::bad_configuration, entry};
        out.networks_.push_back(n);
    }
    return out;
}

bool peer_list::has(std::string_view address) const noexcept {
    if (address == "unix") return unix_;
    if (networks_.empty() || address.size() >= INET6_ADDRSTRLEN) return false;
    char text[INET6_ADDRSTRLEN] = {};
    address.copy(text, address.size());
    unsigned char octets[16] = {};
    const int family = inet_pton(AF_INET, text, octets) == 1    ? AF_INET
                       : inet_pton(AF_INET6, text, octets) == 1 ? AF_INET6
                                                                : 0;
    return family != 0 && std::any_of(networks_.begin(), networks_.end(), [&](const network& n) {
               return n.family == family && within(octets, n.base, n.bits);
           });
}

bool listen_place::loopback() const noexcept {
    return local() || address.starts_with("127.") || address == "::1";
}

result<listen_place> parse_listen_place(std::string_view text) {
    const auto bad = [] {
        return error{errc::invalid_argument,
                     "must be \"ADDRESS:PORT\", \"[IPV6]:PORT\" or \"unix:/path\""};
    };
    if (text.starts_with("unix:")) {
        // sun_path, with its NUL; relative paths would depend on where the program was started.
        if (text.size() < 7 || text[5] != '/') return bad();
        if (text.size() - 5 > 107)
            return error{errc::invalid_argument, "is longer than 107 octets"};
        return listen_place{std::string(text), 0};
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad();
    auto host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    listen_place out{std::string(host), 0};
    unsigned char octets[16];
    const int family = parse_address(out.address, octets);
    if (family == 0 || bracketed != (family == AF_INET6)) return bad();
    if (!whole_number(text.substr(colon + 1), out.port)) return bad();
    return out;
}

}  // namespace mission::receiver::sidecar
