#include "events/subject.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "events/detail/same.hpp"

namespace mission::events {
namespace {

constexpr std::size_t members_max = 64;
constexpr std::size_t text_max = 2048;
constexpr std::size_t identifiers_max = 32;

error invalid(std::string why) {
    return error{errc::invalid_request, std::move(why)};
}

error at_member(std::string_view name, std::string_view why) {
    return invalid("subject member \"" + std::string(name.substr(0, 64)) + "\" " +
                   std::string(why));
}

enum class shape { any, account, email, phone_number, did };
// E.164 knows 15 digits.
constexpr std::size_t phone_digits = 15;
struct known_format {
    std::string_view name;
    std::array<std::string_view, 2> required;  // the second may be empty
    shape text = shape::any;                   // of the first
};
// RFC 9493 section 3.2; SSF 1.0 "Additional Subject Identifier Formats".
constexpr known_format known_formats[] = {
    {"account", {"uri", ""}, shape::account},
    {"email", {"email", ""}, shape::email},
    {"iss_sub", {"iss", "sub"}},
    {"opaque", {"id", ""}},
    {"phone_number", {"phone_number", ""}, shape::phone_number},
    {"did", {"url", ""}, shape::did},
    {"uri", {"uri", ""}},
    {"jwt_id", {"iss", "jti"}},
    {"saml_assertion_id", {"issuer", "assertion_id"}},
};

const known_format* find_format(std::string_view name) {
    const auto* it =
        std::find_if(std::begin(known_formats), std::end(known_formats),
                     [&](const known_format& f) { return detail::same(f.name, name); });
    return it == std::end(known_formats) ? nullptr : it;
}

// A string that is not empty and not too long, or the error that says so.
std::optional<error> read_text(std::string_view name, const json::value& v, std::string& out) {
    if (!v.IsString()) return at_member(name, "is no string");
    if (v.GetStringLength() == 0) return at_member(name, "is empty");
    if (v.GetStringLength() > text_max) return at_member(name, "is longer than 2048 bytes");
    out = json::view(v);
    return std::nullopt;
}

// `did:` method `:` identifier, and what may follow it (DID Core section 3.2).
bool is_did_url(std::string_view text) {
    if (!text.starts_with("did:")) return false;
    text.remove_prefix(4);
    const auto colon = text.find(':');
    return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size() &&
           text.substr(0, colon).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") ==
               std::string_view::npos;
}

// SSF 1.0 section 3.5.3: textual IPv4 or IPv6 addresses (RFC 4001).
bool is_ip_address(const std::string& text) {
    in6_addr room{};
    return text.find('\0') == std::string::npos && (inet_pton(AF_INET, text.c_str(), &room) == 1 ||
                                                    inet_pton(AF_INET6, text.c_str(), &room) == 1);
}

// RFC 9493 section 3.2.1: an `acct` URI; section 3.2.2: an addr-spec. The shape is checked, the
// mailbox is not ours to judge.
std::optional<error> misshapen(const known_format& format, const std::string& text) {
    const auto has_host = [](std::string_view address) {
        const auto at = address.rfind('@');
        return at != std::string_view::npos && at > 0 && at + 1 < address.size();
    };
    switch (format.text) {
        case shape::any:
            break;
        case shape::account:
            if (!text.starts_with("acct:") || !has_host(std::string_view(text).substr(5)))
                return at_member("uri", "is no acct URI");
            break;
        case shape::email:
            if (!has_host(text)) return at_member("email", "is no address");
            break;
        case shape::phone_number:
            // E.164 as RFC 9493 section 3.2.5 asks: '+' and digits.
            if (text.size() < 2 || text.size() > 1 + phone_digits || text[0] != '+' ||
                text.find_first_not_of("0123456789", 1) != std::string::npos)
                return at_member("phone_number", "is not in E.164 form");
            break;
        case shape::did:
            if (!is_did_url(text)) return at_member("url", "is no DID URL");
            break;
    }
    return std::nullopt;
}

enum class inside { nothing, aliases, complex };
// These fill `out` where it will stay; a subject is too big to be handed from result to result.
using fault = std::optional<error>;
fault parse_at(const json::value& v, inside where, subject& out);

fault parse_aliases(const json::value& v, subject& out) {
    const json::value* list = json::find(v, "identifiers");
    if (!list || !list->IsArray() || list->Empty())
        return at_member("identifiers", "must be an array that is not empty");
    if (list->Size() > identifiers_max) return at_member("identifiers", "has more than 32 entries");
    out.format = "aliases";
    out.identifiers.reserve(list->Size());
    for (const json::value& item : list->GetArray())
        if (auto e = parse_at(item, inside::aliases, out.identifiers.emplace_back())) return e;
    return std::nullopt;
}

fault parse_addresses(const json::value& v, subject& out) {
    const json::value* list = json::find(v, "ip-addresses");
    if (!list || !list->IsArray() || list->Empty())
        return at_member("ip-addresses", "must be an array that is not empty");
    if (list->Size() > identifiers_max)
        return at_member("ip-addresses", "has more than 32 entries");
    out.format = "ip-addresses";
    for (const json::value& item : list->GetArray()) {
        std::string& text = out.addresses.emplace_back();
        if (auto e = read_text("ip-addresses", item, text)) return e;
        if (!is_ip_address(text)) return at_member("ip-addresses", "has what is no IP address");
    }
    return std::nullopt;
}

fault parse_complex(const json::value& v, subject& out) {
    out.format = "complex";
    for (const auto& m : v.GetObject()) {
        const std::string_view name = json::view(m.name);
        if (detail::same(name, "format")) continue;
        if (!m.value.IsObject()) return at_member(name, "is no subject");
        const auto [slot, fresh] = out.complex.try_emplace(std::string(name));
        if (!fresh) return at_member(name, "stands twice");
        if (auto e = parse_at(m.value, inside::complex, slot->second)) return e;
    }
    if (out.complex.empty()) return invalid("a complex subject without members");
    return std::nullopt;
}

fault parse_known(const json::value& v, const known_format& known, subject& out) {
    for (const std::string_view name : known.required) {
        if (name.empty()) continue;
        const json::value* member = json::find(v, name);
        if (!member) return at_member(name, "is missing");
        std::string& text = out.members[std::string(name)];
        if (auto e = read_text(name, *member, text)) return e;
        if (known.text != shape::any)
            if (auto e = misshapen(known, text)) return e;
    }
    out.format = known.name;
    return std::nullopt;
}

fault parse_at(const json::value& v, inside where, subject& out) {
    if (!v.IsObject()) return invalid("a subject is a JSON object");
    if (v.MemberCount() > members_max) return invalid("a subject of more than 64 members");
    const json::value* format_member = json::find(v, "format");
    if (!format_member) return at_member("format", "is missing");
    std::string format;
    if (auto e = read_text("format", *format_member, format)) return e;

    if (const known_format* known = find_format(format)) return parse_known(v, *known, out);
    if (format == "complex") {
        if (where != inside::nothing) return invalid("a complex subject inside another subject");
        return parse_complex(v, out);
    }
    if (format == "aliases") {
        // RFC 9493 section 3.2.8: aliases never nest. A member of a complex subject may be named
        // by several: it is a subject identifier of any format (SSF 1.0 section 3.2).
        if (where == inside::aliases) return invalid("aliases inside aliases");
        return parse_aliases(v, out);
    }
    if (format == "ip-addresses") return parse_addresses(v, out);
    for (const auto& m : v.GetObject()) {
        const std::string_view name = json::view(m.name);
        if (detail::same(name, "format")) continue;
        const auto [slot, fresh] = out.members.try_emplace(std::string(name));
        if (!fresh) return at_member(name, "stands twice");
        if (auto e = read_text(name, m.value, slot->second)) return e;
    }
    if (out.members.empty()) return invalid("a subject without members");
    out.format = std::move(format);
    return std::nullopt;
}

void lower(std::string& s, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to && i < s.size(); ++i)
        if (s[i] >= 'A' && s[i] <= 'Z') s[i] = static_cast<char>(s[i] - 'A' + 'a');
}

// RFC 3986 section 6.2.2.1: scheme and host know no case.
void fold_uri(std::string& uri) {
    const auto scheme = uri.find("://");
    if (scheme == std::string::npos) return;
    lower(uri, 0, scheme);
    const auto authority = scheme + 3;
    const auto end = std::min(uri.find_first_of("/?#", authority), uri.size());
    const auto user = uri.rfind('@', end);
    lower(uri, user == std::string::npos || user < authority ? authority : user, end);
}

subject folded(subject s) {
    if (s.format == "email" || s.format == "account") {
        for (auto& [name, text] : s.members)
            if (const auto at = text.rfind('@'); at != std::string::npos)
                lower(text, at, text.size());
    } else if (s.format == "uri") {
        for (auto& [name, text] : s.members)
            fold_uri(text);
    } else if (s.format == "aliases") {
        // A set of names for one subject: their order says nothing.
        for (subject& one : s.identifiers)
            one = folded(std::move(one));
        std::sort(s.identifiers.begin(), s.identifiers.end(),
                  [](const subject& a, const subject& b) { return to_json(a) < to_json(b); });
    } else if (s.format == "ip-addresses") {
        std::sort(s.addresses.begin(), s.addresses.end());
    } else if (s.is_complex()) {
        for (auto& [name, one] : s.complex)
            one = folded(std::move(one));
    }
    return s;
}

subject simple(std::string_view format, std::map<std::string, std::string> members) {
    subject s;
    s.format = format;
    s.members = std::move(members);
    return s;
}

}  // namespace

subject subject::opaque(std::string id) {
    return simple("opaque", {{"id", std::move(id)}});
}
subject subject::iss_sub(std::string iss, std::string sub) {
    return simple("iss_sub", {{"iss", std::move(iss)}, {"sub", std::move(sub)}});
}
subject subject::email(std::string address) {
    return simple("email", {{"email", std::move(address)}});
}
subject subject::uri(std::string uri) {
    return simple("uri", {{"uri", std::move(uri)}});
}
subject subject::complex_of(std::map<std::string, subject> members) {
    subject s;
    s.format = "complex";
    s.complex = std::move(members);
    return s;
}

result<subject> parse_subject(const json::value& v) {
    result<subject> out(boost::system::in_place_value);
    if (auto e = parse_at(v, inside::nothing, *out)) out = std::move(*e);
    return out;
}

void write_subject(json::writer& w, const subject& s) {
    w.StartObject();
    json::member(w, "format", s.format);
    for (const auto& [name, text] : s.members)
        json::member(w, name, text);
    for (const auto& [name, one] : s.complex) {
        json::key(w, name);
        write_subject(w, one);
    }
    if (!s.identifiers.empty()) {
        w.Key("identifiers");
        w.StartArray();
        for (const subject& one : s.identifiers)
            write_subject(w, one);
        w.EndArray();
    }
    if (!s.addresses.empty()) {
        w.Key("ip-addresses");
        w.StartArray();
        for (const std::string& one : s.addresses)
            json::string(w, one);
        w.EndArray();
    }
    w.EndObject();
}

std::string to_json(const subject& s) {
    json::buffer b;
    json::writer w(b);
    write_subject(w, s);
    return json::text(b);
}

std::string canonical_key(const subject& s) {
    return to_json(folded(s));
}

}  // namespace mission::events
