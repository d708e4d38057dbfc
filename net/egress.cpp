// The egress policy: which addresses we connect to on somebody else's word.
#include "net/egress.hpp"
#include "base/ascii.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

namespace mission::net {
namespace {

using octets = std::array<unsigned char, 16>;

struct address {
    octets bytes{};
    bool v6 = false;
};

std::optional<address> parse_address(std::string_view text) {
    const std::string s(text);
    address a;
    if (inet_pton(AF_INET, s.c_str(), a.bytes.data()) == 1) return a;
    a.v6 = true;
    if (inet_pton(AF_INET6, s.c_str(), a.bytes.data()) == 1) return a;
    return std::nullopt;
}

bool within(const octets& a, const octets& net, unsigned bits) {
    const unsigned whole = bits / 8;
    if (std::memcmp(a.data(), net.data(), whole) != 0) return false;
    const unsigned rest = bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
    return (a[whole] & mask) == (net[whole] & mask);
}

struct range {
    const char* base;
    unsigned bits;
    const char* reason;
};

// RFC 6890 and the IANA special-purpose registries that continue it.
constexpr range refused_v4[] = {
    {"0.0.0.0", 8, "this network"},       {"10.0.0.0", 8, "private"},
    {"100.64.0.0", 10, "shared"},         {"127.0.0.0", 8, "loopback"},
    {"169.254.0.0", 16, "link-local"},    {"172.16.0.0", 12, "private"},
    {"192.0.0.0", 24, "reserved"},        {"192.0.2.0", 24, "documentation"},
    {"192.88.99.0", 24, "6to4 relay"},    {"192.168.0.0", 16, "private"},
    {"198.18.0.0", 15, "benchmarking"},   {"198.51.100.0", 24, "documentation"},
    {"203.0.113.0", 24, "documentation"}, {"224.0.0.0", 4, "multicast"},
    {"240.0.0.0", 4, "reserved"},
};
constexpr range refused_v6[] = {
    {"::", 128, "unspecified"},         {"::1", 128, "loopback"},
    {"64:ff9b:1::", 48, "local NAT64"}, {"100::", 64, "discard"},
    {"2001::", 23, "reserved"},         {"2001:db8::", 32, "documentation"},
    {"3fff::", 20, "documentation"},    {"fc00::", 7, "private"},
    {"fe80::", 10, "link-local"},       {"fec0::", 10, "site-local"},
    {"ff00::", 8, "multicast"},
};
// Where an IPv4 address sits inside an IPv6 one: a way around any check that does not look.
struct embedding {
    const char* base;
    unsigned bits;
    std::size_t at;
    const char* form;
};
constexpr embedding embeddings[] = {
    {"::ffff:0:0", 96, 12, "IPv4-mapped"},        // RFC 4291 section 2.5.5.2
    {"::ffff:0:0:0", 96, 12, "IPv4-translated"},  // RFC 7915
    {"::", 96, 12, "IPv4-compatible"},            // RFC 4291 section 2.5.5.1
    {"64:ff9b::", 96, 12, "NAT64"},               // RFC 6052
    {"2002::", 16, 2, "6to4"},                    // RFC 3056
};

const octets& base_of(const char* text) {
    // Few and constant: parsed once each, looked up by pointer.
    static const auto table = [] {
        std::vector<std::pair<const char*, octets>> t;
        for (const auto& r : refused_v4)
            t.emplace_back(r.base, parse_address(r.base)->bytes);
        for (const auto& r : refused_v6)
            t.emplace_back(r.base, parse_address(r.base)->bytes);
        for (const auto& e : embeddings)
            t.emplace_back(e.base, parse_address(e.base)->bytes);
        t.emplace_back("2000::", parse_address("2000::")->bytes);
        return t;
    }();
    const auto it = std::find_if(table.begin(), table.end(),
                                 [&](const auto& e) { return std::string_view(e.first) == text; });
    return it->second;
}

address embedded(const octets& bytes, std::size_t at) {
    address a;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 4, a.bytes.begin());
    return a;
}

error refused(std::string_view text, std::string_view reason) {
    return {errc::address_refused, std::string(text).append(" is ").append(reason)};
}

std::string lower(std::string_view s) {
    auto out = ascii_lower(s);
    if (out.ends_with('.')) out.pop_back();
    return out;
}

error bad_entry(const std::string& entry) {
    return {errc::bad_configuration, "not a network, address or host: " + entry};
}

}  // namespace

struct egress_policy::network {
    address base;
    unsigned bits = 0;
};

result<egress_policy> egress_policy::parse(const std::vector<std::string>& allow) {
    egress_policy policy;
    for (const auto& entry : allow) {
        const auto slash = entry.find('/');
        const auto a = parse_address(std::string_view(entry).substr(0, slash));
        if (a) {
            auto n = std::make_shared<network>();
            n->base = *a;
            const unsigned most = a->v6 ? 128 : 32;
            n->bits = most;
            if (slash != std::string::npos) {
                const char* end = entry.data() + entry.size();
                const auto [p, ec] = std::from_chars(entry.data() + slash + 1, end, n->bits);
                if (ec != std::errc{} || p != end || n->bits > most) return bad_entry(entry);
            }
            policy.networks_.push_back(std::move(n));
            continue;
        }
        if (slash != std::string::npos || entry.empty()) return bad_entry(entry);
        std::string host = entry;
        std::uint16_t port = 0;
        const auto colon = entry.rfind(':');
        if (colon != std::string::npos) {
            unsigned number = 0;
            const char* end = entry.data() + entry.size();
            const auto [p, ec] = std::from_chars(entry.data() + colon + 1, end, number);
            if (ec != std::errc{} || p != end || number == 0 || number > 65535) {
                return bad_entry(entry);
            }
            port = static_cast<std::uint16_t>(number);
            host.resize(colon);
        }
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-_:";
        host = lower(host);
        if (host.empty() || host.find_first_not_of(allowed) != std::string::npos) {
            return bad_entry(entry);
        }
        policy.hosts_.emplace_back(std::move(host), port);
    }
    return policy;
}

result<void> egress_policy::check(std::string_view host, std::uint16_t port,
                                  std::string_view text) const {
    const std::string name = lower(host);
    for (const auto& [allowed, allowed_port] : hosts_) {
        if (allowed == name && (allowed_port == 0 || allowed_port == port)) return {};
    }
    auto a = parse_address(text);
    if (!a) return refused(text, "no address");

    const auto listed = [&](const address& x) {
        return std::any_of(networks_.begin(), networks_.end(), [&](const auto& n) {
            return n->base.v6 == x.v6 && within(x.bytes, n->base.bytes, n->bits);
        });
    };
    if (listed(*a)) return {};
    if (a->v6) {
        // Before the embedded forms, which would call ::1 "IPv4-compatible 0.0.0.1".
        for (const auto& r : refused_v6) {
            if (within(a->bytes, base_of(r.base), r.bits)) return refused(text, r.reason);
        }
        for (const auto& e : embeddings) {
            if (!within(a->bytes, base_of(e.base), e.bits)) continue;
            const address inner = embedded(a->bytes, e.at);
            if (listed(inner)) return {};
            for (const auto& r : refused_v4) {
                if (within(inner.bytes, base_of(r.base), r.bits)) {
                    return refused(text, std::string(e.form) + ", " + r.reason);
                }
            }
            // Compatible and translated addresses have no use on the wire.
            const bool routed = e.bits == 16 || e.base[0] == '6' || e.base == embeddings[0].base;
            if (!routed) return refused(text, e.form);
            return {};
        }
        // RFC 4291 section 2.4: what is allocated for global unicast, nothing else.
        if (!within(a->bytes, base_of("2000::"), 3)) return refused(text, "reserved");
        // ISATAP (RFC 5214 section 6.1) carries an IPv4 address in its interface identifier.
        if ((a->bytes[8] & 0xfd) == 0 && a->bytes[9] == 0 && a->bytes[10] == 0x5e &&
            a->bytes[11] == 0xfe) {
            const address inner = embedded(a->bytes, 12);
            for (const auto& r : refused_v4) {
                if (within(inner.bytes, base_of(r.base), r.bits)) {
                    return refused(text, std::string("ISATAP, ") + r.reason);
                }
            }
        }
        return {};
    }
    for (const auto& r : refused_v4) {
        if (within(a->bytes, base_of(r.base), r.bits)) return refused(text, r.reason);
    }
    return {};
}

}  // namespace mission::net
