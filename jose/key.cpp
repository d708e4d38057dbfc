#include "jose/key.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "jose/detail/evp.hpp"

namespace mission::jose {
namespace {

// Nobody sits at a terminal: an encrypted key is refused, not asked about.
int no_password(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

detail::bio_ptr read_from(std::string_view text) {
    return detail::bio_ptr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string written(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

alg default_algorithm(detail::key_kind kind) {
    switch (kind) {
        case detail::key_kind::ec_p256:
            return alg::es256;
        case detail::key_kind::rsa:
            return alg::rs256;
        case detail::key_kind::ed25519:
            return alg::eddsa;
    }
    return alg::es256;
}

}  // namespace

std::string_view name(alg a) noexcept {
    switch (a) {
        case alg::es256:
            return "ES256";
        case alg::rs256:
            return "RS256";
        case alg::ps256:
            return "PS256";
        case alg::eddsa:
            return "EdDSA";
    }
    return "";
}

std::optional<alg> parse_alg(std::string_view text) noexcept {
    for (const alg a : {alg::es256, alg::rs256, alg::ps256, alg::eddsa})
        if (text == name(a)) return a;
    return std::nullopt;
}

result<public_key> public_key::from_evp(std::shared_ptr<const detail::evp_key> key) {
    public_key out;
    out.key_ = std::move(key);
    return out;
}

evp_pkey_st* public_key::native() const noexcept {
    return key_ ? key_->get() : nullptr;
}

bool public_key::allows(alg a) const noexcept {
    return key_ && key_->allows(a) && (!alg_ || *alg_ == a);
}

bool public_key::verify(alg a, std::string_view signing_input, std::string_view signature) const {
    return allows(a) && key_->verify(a, signing_input, signature);
}

result<public_key> public_key::from_pem(std::string_view pem) {
    const detail::error_queue_guard guard;
    bool asked = false;
    const auto bio = read_from(pem);
    detail::pkey_ptr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, &asked));
    if (!key) return error{errc::key_malformed, "not a PEM public key"};
    auto checked = detail::evp_key::make(std::move(key));
    if (!checked) return checked.error();
    return from_evp(std::move(*checked));
}

std::string public_key::to_pem() const {
    const detail::error_queue_guard guard;
    const detail::bio_ptr bio(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_PUBKEY(bio.get(), native()) != 1) return {};
    return written(bio.get());
}

result<private_key> private_key::from_evp(std::shared_ptr<const detail::evp_key> key,
                                          std::optional<alg> a) {
    private_key out;
    out.alg_ = a.value_or(default_algorithm(key->kind()));
    if (!key->allows(out.alg_))
        return error{errc::key_unsupported,
                     "the key cannot sign with " + std::string(jose::name(out.alg_))};
    auto half = public_key::from_evp(std::move(key));
    if (!half) return half.error();
    out.public_ = std::move(*half);
    out.public_.alg_ = out.alg_;
    out.public_.kid_ = out.public_.thumbprint();
    return out;
}

result<private_key> private_key::generate(alg a) {
    const detail::error_queue_guard guard;
    detail::pkey_ptr key;
    switch (a) {
        case alg::es256:
            key.reset(EVP_EC_gen("P-256"));
            break;
        case alg::rs256:
        case alg::ps256:
            key.reset(EVP_RSA_gen(static_cast<std::size_t>(limits::rsa_min_bits)));
            break;
        case alg::eddsa:
            key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
            break;
    }
    if (!key) return error{errc::key_unsupported, "key generation failed"};
    auto checked = detail::evp_key::make(std::move(key));
    if (!checked) return checked.error();
    return from_evp(std::move(*checked), a);
}

result<private_key> private_key::from_pem(std::string_view pem, std::optional<alg> a) {
    const detail::error_queue_guard guard;
    bool asked = false;
    const auto bio = read_from(pem);
    detail::pkey_ptr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, &asked));
    if (asked) return error{errc::key_unsupported, "the private key is encrypted"};
    if (!key) return error{errc::key_malformed, "not a PEM private key"};
    auto checked = detail::evp_key::make(std::move(key));
    if (!checked) return checked.error();
    return from_evp(std::move(*checked), a);
}

std::string private_key::to_pem() const {
    const detail::error_queue_guard guard;
    const detail::bio_ptr bio(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_PKCS8PrivateKey(bio.get(), public_.native(), nullptr, nullptr, 0, nullptr,
                                      nullptr) != 1)
        return {};
    return written(bio.get());
}

result<std::size_t> private_key::sign_into(std::string_view signing_input,
                                           std::span<unsigned char> out) const {
    const std::size_t size = public_.key_ ? public_.key_->sign(alg_, signing_input, out) : 0;
    if (size == 0) return error{errc::key_unsupported, "signing failed"};
    return size;
}

result<std::string> private_key::sign(std::string_view signing_input) const {
    unsigned char raw[max_signature_size];
    const auto size = sign_into(signing_input, raw);
    if (!size) return size.error();
    return std::string(reinterpret_cast<const char*>(raw), *size);
}

bool key_set::has(std::string_view kid) const noexcept {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const public_key& k) { return k.kid() == kid; });
}

result<key_set> key_set::parse(std::string_view jwks_json) {
    auto doc = json::parse(jwks_json, limits::jwks_bytes);
    if (!doc) return doc.error();
    const json::value* keys = json::find(*doc, "keys");
    if (!keys || !keys->IsArray())
        return error{errc::key_malformed, "a JWK Set needs the array \"keys\""};
    if (keys->Size() > limits::jwks_keys)
        return error{errc::too_large, "a JWK Set of more than 256 keys"};
    key_set out;
    for (const json::value& jwk : keys->GetArray()) {
        auto key = public_key::from_jwk(jwk);
        // RFC 7517 section 5: what is not understood or not usable is ignored; the others count.
        if (key) out.keys_.push_back(std::move(*key));
    }
    return out;
}

std::string key_set::to_json() const {
    std::string out = "{\"keys\":[";
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (i > 0) out += ',';
        out += keys_[i].to_jwk();
    }
    return out += "]}";
}

}  // namespace mission::jose
