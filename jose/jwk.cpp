// JSON Web Keys, both ways. RFC 7517, RFC 7518 section 6, RFC 8037, RFC 7638.
#include <openssl/core_names.h>

#include <algorithm>

#include "jose/base64url.hpp"
#include "jose/detail/evp.hpp"
#include "jose/digest.hpp"
#include "jose/key.hpp"

namespace mission::jose {
namespace {

using detail::bn_ptr;

constexpr std::string_view private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
// e beyond 64 bits serves nobody and makes verification slow.
constexpr std::size_t exponent_max_octets = 8;

error malformed(std::string_view member, std::string_view why) {
    return error{errc::key_malformed,
                 "JWK member \"" + std::string(member) + "\" " + std::string(why)};
}

result<std::string> octets_of(const json::value& jwk, std::string_view member) {
    const auto text = json::find_string(jwk, member);
    if (!text) return malformed(member, "is missing or no string");
    auto bytes = base64url_decode(*text);
    if (!bytes || bytes->empty()) return malformed(member, "is not base64url");
    return bytes;
}

// Base64urlUInt (RFC 7518 section 2): the shortest octets, so no leading zero.
result<bn_ptr> integer_of(const json::value& jwk, std::string_view member) {
    auto bytes = octets_of(jwk, member);
    if (!bytes) return bytes.error();
    if (bytes->size() > limits::rsa_max_bits / 8) return malformed(member, "is too long");
    if (bytes->front() == 0) return malformed(member, "has a leading zero octet");
    return bn_ptr(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes->data()),
                            static_cast<int>(bytes->size()), nullptr));
}

// What was collected for one key, handed to OpenSSL's own import. BIGNUMs must outlive `build`.
class import {
  public:
    explicit import(const char* type) : type_(type), params_(OSSL_PARAM_BLD_new()) {}

    void add(const char* name, bn_ptr n) {
        ok_ = ok_ && OSSL_PARAM_BLD_push_BN(params_.get(), name, n.get()) == 1;
        numbers_.push_back(std::move(n));
    }
    void add(const char* name, const std::string& bytes) {
        ok_ = ok_ && OSSL_PARAM_BLD_push_octet_string(params_.get(), name, bytes.data(),
                                                      bytes.size()) == 1;
    }
    void add_text(const char* name, const char* text) {
        ok_ = ok_ && OSSL_PARAM_BLD_push_utf8_string(params_.get(), name, text, 0) == 1;
    }

    result<std::shared_ptr<const detail::evp_key>> build(bool with_private) {
        const error bad{errc::key_malformed, "the numbers of the JWK are no valid key"};
        const detail::param_ptr params(OSSL_PARAM_BLD_to_param(params_.get()));
        const detail::pkey_ctx_ptr ctx(EVP_PKEY_CTX_new_from_name(nullptr, type_, nullptr));
        EVP_PKEY* raw = nullptr;
        if (!ok_ || !params || !ctx || EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
            EVP_PKEY_fromdata(ctx.get(), &raw,
                              with_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                              params.get()) != 1)
            return bad;
        detail::pkey_ptr key(raw);
        // Size and curve first: checking a huge RSA number is what an attacker would have us do.
        auto checked = detail::evp_key::make(std::move(key));
        if (!checked) return checked;
        const detail::pkey_ctx_ptr check(
            EVP_PKEY_CTX_new_from_pkey(nullptr, (*checked)->get(), nullptr));
        if (!check) return bad;
        // The point lies on the curve and is not at infinity; for RSA, n and e are plausible.
        if (EVP_PKEY_public_check_quick(check.get()) != 1) return bad;
        if (with_private && EVP_PKEY_pairwise_check(check.get()) != 1) return bad;
        return checked;
    }

  private:
    const char* type_;
    detail::param_bld_ptr params_;
    std::vector<bn_ptr> numbers_;
    bool ok_ = true;
};

using imported = result<std::shared_ptr<const detail::evp_key>>;

imported import_ec(const json::value& jwk, bool with_private) {
    if (json::find_string(jwk, "crv") != "P-256")
        return error{errc::key_unsupported, "an EC key of another curve than P-256"};
import key("EC");
    key.add_text(OSSL_PKEY_PARAM_GROUP_NAME, "P-256");
    std::string point = "\x04";
    for (const std::string_view member : {"x", "y"}) {
        auto coordinate = octets_of(jwk, member);
        if (!coordinate) return coordinate.error();
        // RFC 7518 section 6.2.1.2: the full size of a coordinate, never shortened.
        if (coordinate->size() != 32) return malformed(member, "is not 32 octets long");
        point += *coordinate;
    }
    key.add(OSSL_PKEY_PARAM_PUB_KEY, point);
    if (with_private) {
        auto d = octets_of(jwk, "d");
        if (!d) return d.error();
        if (d->size() != 32) return malformed("d", "is not 32 octets long");
        key.add(OSSL_PKEY_PARAM_PRIV_KEY,
                bn_ptr(BN_bin2bn(reinterpret_cast<const unsigned char*>(d->data()), 32, nullptr)));
    }
    return key.build(with_private);
}

imported import_rsa(const json::value& jwk, bool with_private) {
import key("RSA");
    auto n = integer_of(jwk, "n");
    if (!n) return n.error();
    if (static_cast<unsigned>(BN_num_bits(n->get())) < limits::rsa_min_bits)
        return error{errc::key_too_weak, "an RSA key of less than 2048 bits"};
    auto e = integer_of(jwk, "e");
    if (!e) return e.error();
    if (static_cast<std::size_t>(BN_num_bytes(e->get())) > exponent_max_octets ||
        !BN_is_odd(e->get()) || BN_is_one(e->get()))
        return malformed("e", "is no usable exponent");
    if (!BN_is_odd(n->get())) return malformed("n", "is even");
    key.add(OSSL_PKEY_PARAM_RSA_N, std::move(*n));
    key.add(OSSL_PKEY_PARAM_RSA_E, std::move(*e));
    if (with_private) {
        if (json::find(jwk, "oth"))
            return error{errc::key_unsupported, "an RSA key of more than two primes"};
        static constexpr std::pair<std::string_view, const char*> parts[] = {
            {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
            {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
            {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
        for (const auto& [member, param] : parts) {
            auto part = integer_of(jwk, member);
            if (!part) return part.error();
            key.add(param, std::move(*part));
        }
    }
    return key.build(with_private);
}

imported import_okp(const json::value& jwk, bool with_private) {
    if (json::find_string(jwk, "crv") != "Ed25519")
        return error{errc::key_unsupported, "an OKP key of another curve than Ed25519"};
    auto x = octets_of(jwk, "x");
    if (!x) return x.error();
    if (x->size() != 32) return malformed("x", "is not 32 octets long");
    detail::pkey_ptr key;
    if (with_private) {
        auto d = octets_of(jwk, "d");
        if (!d) return d.error();
        key.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                               reinterpret_cast<const unsigned char*>(d->data()),
                                               d->size()));
        unsigned char derived[32];
        std::size_t size = sizeof derived;
        if (!key || EVP_PKEY_get_raw_public_key(key.get(), derived, &size) != 1 ||
            std::string_view(reinterpret_cast<const char*>(derived), size) != *x)
            return malformed("d", "does not belong to \"x\"");
    } else {
        key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                              reinterpret_cast<const unsigned char*>(x->data()),
                                              x->size()));
        if (!key) return malformed("x", "is no Ed25519 key");
    }
    return detail::evp_key::make(std::move(key));
}

imported import_jwk(const json::value& jwk, bool with_private) {
    const detail::error_queue_guard guard;
    const auto kty = json::find_string(jwk, "kty");
    if (!kty) return malformed("kty", "is missing or no string");
    if (*kty == "EC") return import_ec(jwk, with_private);
    if (*kty == "RSA") return import_rsa(jwk, with_private);
    if (*kty == "OKP") return import_okp(jwk, with_private);
    return error{errc::key_unsupported, "a JWK of another kty than EC, RSA and OKP"};
}

struct labels {
    std::string kid;
    std::optional<alg> algorithm;
};

// kid, alg, use and key_ops (RFC 7517 section 4). `operation` is what we want the key for.
result<labels> read_labels(const json::value& jwk, std::string_view operation) {
    labels out;
    if (!jwk.IsObject()) return error{errc::key_malformed, "a JWK is a JSON object"};
    if (const json::value* kid = json::find(jwk, "kid")) {
        if (!kid->IsString()) return malformed("kid", "is no string");
        if (kid->GetStringLength() > limits::kid_bytes) return malformed("kid", "is too long");
        out.kid = json::view(*kid);
    }
    if (const json::value* a = json::find(jwk, "alg")) {
        if (!a->IsString()) return malformed("alg", "is no string");
        out.algorithm = parse_alg(json::view(*a));
        if (!out.algorithm) return error{errc::key_unsupported, "a JWK for another algorithm"};
    }
    if (const json::value* use = json::find(jwk, "use")) {
        if (!use->IsString()) return malformed("use", "is no string");
        if (json::view(*use) != "sig")
            return error{errc::key_unsupported, "a JWK that is not for signatures"};
    }
    if (const json::value* ops = json::find(jwk, "key_ops")) {
        if (!ops->IsArray()) return malformed("key_ops", "is no array");
        const auto list = ops->GetArray();
        if (std::none_of(list.begin(), list.end(), [&](const json::value& op) {
                return op.IsString() && json::view(op) == operation;
            }))
            return error{errc::key_unsupported,
                         "a JWK whose key_ops lack " + std::string(operation)};
    }
    return out;
}

std::string number(EVP_PKEY* key, const char* param) {
    const bn_ptr n = detail::bn_param(key, param);
    return n ? base64url_encode(detail::bn_bytes(*n)) : std::string();
}

std::string coordinate(EVP_PKEY* key, const char* param) {
    const bn_ptr n = detail::bn_param(key, param);
    return n ? base64url_encode(detail::bn_bytes(*n, 32)) : std::string();
}

// The required members of the public key in lexicographic order, without braces: what a
// thumbprint hashes (RFC 7638 section 3.2) and a JWK contains. Nothing in it needs escaping.
std::string required_members(const detail::evp_key& key) {
    EVP_PKEY* p = key.get();
    switch (key.kind()) {
        case detail::key_kind::ec_p256:
            return R"("crv":"P-256","kty":"EC","x":")" + coordinate(p, OSSL_PKEY_PARAM_EC_PUB_X) +
                   R"(","y":")" + coordinate(p, OSSL_PKEY_PARAM_EC_PUB_Y) + '"';
        case detail::key_kind::rsa:
            return R"("e":")" + number(p, OSSL_PKEY_PARAM_RSA_E) + R"(","kty":"RSA","n":")" +
                   number(p, OSSL_PKEY_PARAM_RSA_N) + '"';
        case detail::key_kind::ed25519: {
            std::string x(32, '\0');
            std::size_t size = x.size();
            EVP_PKEY_get_raw_public_key(p, reinterpret_cast<unsigned char*>(x.data()), &size);
            return R"("crv":"Ed25519","kty":"OKP","x":")" + base64url_encode(x) + '"';
        }
    }
    return {};
}

}  // namespace

result<public_key> public_key::from_jwk(const json::value& jwk, bool allow_private) {
    auto found = read_labels(jwk, "verify");
    if (!found) return found.error();
    if (!allow_private)
        for (const std::string_view member : private_members)
            if (json::find(jwk, member)) return malformed(member, "is private");
    auto key = import_jwk(jwk, false);
    if (!key) return key.error();
    auto out = from_evp(std::move(*key));
    if (!out) return out;
    out->kid_ = std::move(found->kid);
    out->alg_ = found->algorithm;
    if (out->alg_ && !out->allows(*out->alg_)) return malformed("alg", "does not fit \"kty\"");
    return out;
}

std::string public_key::thumbprint() const {
    return base64url_encode(view(sha256('{' + required_members(*key_) + '}')));
}

std::string public_key::to_jwk() const {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (!kid_.empty()) json::member(w, "kid", kid_);
    if (alg_) json::member(w, "alg", name(*alg_));
    json::member(w, "use", "sig");
    w.EndObject();
    return '{' + required_members(*key_) + ',' + std::string(b.GetString() + 1, b.GetSize() - 1);
}

result<private_key> private_key::from_jwk(const json::value& jwk) {
    auto found = read_labels(jwk, "sign");
    if (!found) return found.error();
    auto key = import_jwk(jwk, true);
    if (!key) return key.error();
    auto out = from_evp(std::move(*key), found->algorithm);
    if (out && !found->kid.empty()) out->set_kid(std::move(found->kid));
    return out;
}

}  // namespace mission::jose
