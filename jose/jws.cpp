#include "jose/jws.hpp"

#include <algorithm>

#include "jose/base64url.hpp"

namespace mission::jose {
namespace {

// A header has a handful of members; `jwk` is the only one that nests.
constexpr std::size_t header_bytes = 16u << 10;
constexpr std::size_t header_depth = 8;
constexpr std::size_t remembered_header_bytes = 512;

error malformed(std::string why) {
    return error{errc::malformed_token, std::move(why)};
}

struct header {
    std::string alg, kid, typ, jwk;
};

// A string member of the header, empty when it is absent.
result<std::string> text_member(const json::value& object, std::string_view name) {
    const json::value* v = json::find(object, name);
    if (!v) return std::string();
    if (!v->IsString())
        return malformed("header member \"" + std::string(name) + "\" is no string");
    return std::string(json::view(*v));
}

result<header> read_header(std::string_view encoded) {
    auto text = base64url_decode(encoded);
    if (!text) return malformed("the header is not base64url");
    auto doc = json::parse(*text, header_bytes, header_depth);
    if (!doc) {
        if (doc.error() == errc::duplicate_member) return doc.error();
        return malformed("the header is not JSON: " + doc.error().detail);
    }
    if (!doc->IsObject()) return malformed("the header is no JSON object");
    // RFC 7515 section 4.1.11: nothing critical is understood here, RFC 7797's b64 included.
    if (json::find(*doc, "crit")) return malformed("the header has \"crit\"");
    if (json::find(*doc, "b64")) return malformed("the header has \"b64\"");
    header out;
    for (auto [name, to] : {std::pair{std::string_view("alg"), &out.alg},
                            std::pair{std::string_view("kid"), &out.kid},
                            std::pair{std::string_view("typ"), &out.typ}}) {
        auto member = text_member(*doc, name);
        if (!member) return member.error();
        *to = std::move(*member);
    }
    if (out.alg.empty()) return malformed("the header has no \"alg\"");
    if (out.kid.size() > limits::kid_bytes) return malformed("\"kid\" is too long");
    if (const json::value* jwk = json::find(*doc, "jwk")) {
        if (!jwk->IsObject()) return malformed("\"jwk\" is no JSON object");
        out.jwk = json::write(*jwk);
    }
    return out;
}

// A sender writes the same header on every token it signs with one key, so each thread remembers
// the last good one it read: the text decides everything about it. Not a trust decision.
struct remembered {
    std::string encoded;
    header fields;
};

std::optional<error> fill_header(std::string_view encoded, compact& out) {
    thread_local remembered last;
    const auto copy = [&](const header& h) {
        out.alg = h.alg;
        out.kid = h.kid;
        out.typ = h.typ;
        out.jwk = h.jwk;
    };
    if (encoded == last.encoded) {
        copy(last.fields);
        return std::nullopt;
    }
    auto read = read_header(encoded);
    if (!read) return read.error();
    copy(*read);
    if (encoded.size() <= remembered_header_bytes) {
        last.encoded = encoded;
        last.fields = std::move(*read);
    }
    return std::nullopt;
}

// Fills `out` where it will stay.
std::optional<error> parse_into(std::string_view token, std::size_t max_bytes, compact& out) {
    if (token.size() > max_bytes) return error{errc::too_large, "the token is too long"};
    const std::size_t first = token.find('.');
    const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
        return malformed("a compact token has three parts");
    const std::string_view head = token.substr(0, first);
    const std::string_view body = token.substr(first + 1, second - first - 1);
    const std::string_view mark = token.substr(second + 1);
    if (head.empty() || body.empty() || mark.empty()) return malformed("a part is empty");

    if (auto e = fill_header(head, out)) return e;
    if (!base64url_decode_into(body, out.payload)) return malformed("the payload is not base64url");
    if (!base64url_decode_into(mark, out.signature))
        return malformed("the signature is not base64url");
    out.signing_input = token.substr(0, second);
    return std::nullopt;
}

std::string encoded_header(const private_key& key, std::string_view typ,
                           std::string_view extra_members) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (!typ.empty()) json::member(w, "typ", typ);
    json::member(w, "alg", name(key.algorithm()));
    if (!key.kid().empty()) json::member(w, "kid", key.kid());
    w.EndObject();
    std::string text = json::text(b);
    if (!extra_members.empty()) {
        text.back() = ',';
        text += extra_members;
        text += '}';
    }
    return base64url_encode(text) + '.';
}

result<std::string> assemble(const private_key& key, std::string_view header_and_dot,
                             std::string_view payload) {
    unsigned char signature[private_key::max_signature_size];
    std::string out;
    // RSA-2048 is the longest usual signature; a longer one costs one more allocation.
    out.reserve(header_and_dot.size() + base64url_size(payload.size()) + 1 + base64url_size(256));
    out += header_and_dot;
    base64url_append(payload, out);
    const auto size = key.sign_into(out, signature);
    if (!size) return size.error();
    out += '.';
    base64url_append({reinterpret_cast<const char*>(signature), *size}, out);
    return out;
}

}  // namespace

result<compact> parse_compact(std::string_view token, std::size_t max_bytes) {
    result<compact> out(boost::system::in_place_value);
    if (auto e = parse_into(token, max_bytes, *out)) out = std::move(*e);
    return out;
}

result<void> verify(const compact& token, const key_set& keys, std::span<const alg> allowed,
                    bool kid_required) {
    const auto algorithm = parse_alg(token.alg);
    if (!algorithm || std::find(allowed.begin(), allowed.end(), *algorithm) == allowed.end())
        return error{errc::alg_not_allowed, "the token's alg is not on the list"};
    if (token.kid.empty() && kid_required)
        return error{errc::unknown_kid, "the token names no kid"};
    bool known = false;
    for (const public_key& key : keys.keys()) {
        if (!token.kid.empty() && key.kid() != token.kid) continue;
        known = true;
        // A key is used with its own algorithm alone, whatever the token asks for.
        if (key.verify(*algorithm, token.signing_input, token.signature)) return {};
    }
    if (!known) return error{errc::unknown_kid, "no key of the token's kid"};
    return error{errc::bad_signature};
}

signer::signer(private_key key, std::string_view typ)
    : key_(std::move(key)), header_(encoded_header(key_, typ, {})) {}

result<std::string> signer::sign(std::string_view payload) const {
    return assemble(key_, header_, payload);
}

result<std::string> sign_compact(const private_key& key, std::string_view typ,
                                 std::string_view payload, std::string_view extra_header) {
    return assemble(key, encoded_header(key, typ, extra_header), payload);
}

}  // namespace mission::jose
