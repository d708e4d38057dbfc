// Keys, parsed once and shared. Every method that is const is thread safe.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

struct evp_pkey_st;

namespace mission::jose {

namespace detail {
class evp_key;  // jose/detail/evp.hpp
}

enum class alg { es256, rs256, ps256, eddsa };

// "ES256"; and back, nullopt for everything that is not on the list (none and HS* are not).
std::string_view name(alg a) noexcept;
std::optional<alg> parse_alg(std::string_view text) noexcept;

class public_key {
  public:
    // From a JWK (RFC 7517): kty EC/P-256, RSA (2048 to 8192 bits), OKP/Ed25519. `use` other than
    // sig and key_ops without verify are refused, as is a JWK that carries private members when
    // `allow_private` is false. key_malformed, key_unsupported, key_too_weak.
    static result<public_key> from_jwk(const json::value& jwk, bool allow_private = false);
    static result<public_key> from_pem(std::string_view pem);

    const std::string& kid() const noexcept { return kid_; }  // may be empty
    // The algorithms this key may be used with: its JWK's `alg` alone if it names one.
    bool allows(alg a) const noexcept;
    // RFC 7638, base64url.
    std::string thumbprint() const;
    // {"kty":..,"kid":..,"alg":..,"use":"sig",...}: public members only.
    std::string to_jwk() const;
    // True when `signature` (raw JOSE form: 64 octets for ES256) is valid over `signing_input`.
    bool verify(alg a, std::string_view signing_input, std::string_view signature) const;
    std::string to_pem() const;

    void set_kid(std::string kid) { kid_ = std::move(kid); }
    evp_pkey_st* native() const noexcept;

  private:
    friend class private_key;
    static result<public_key> from_evp(std::shared_ptr<const detail::evp_key> key);
    std::shared_ptr<const detail::evp_key> key_;
    std::string kid_;
    std::optional<alg> alg_;
};

class private_key {
  public:
    // A fresh P-256 or RSA key of 2048 bits (or Ed25519); kid is its thumbprint.
    static result<private_key> generate(alg a);
    // PKCS#8 or traditional PEM, unencrypted. kid is the thumbprint. `a` chooses between RS256 and
    // PS256 for RSA keys; by default RS256.
    static result<private_key> from_pem(std::string_view pem, std::optional<alg> a = std::nullopt);
    static result<private_key> from_jwk(const json::value& jwk);

    alg algorithm() const noexcept { return alg_; }
    const std::string& kid() const noexcept { return public_.kid(); }
    void set_kid(std::string kid) { public_.set_kid(std::move(kid)); }
    const public_key& to_public() const noexcept { return public_; }
    std::string to_pem() const;  // PKCS#8
    // Raw JOSE signature. Fails only when OpenSSL does (key_unsupported).
    result<std::string> sign(std::string_view signing_input) const;
    // The same into `out`, which must have `max_signature_size` octets; returns how many were
    // written. No allocation of ours on the way.
    static constexpr std::size_t max_signature_size = limits::rsa_max_bits / 8;
    result<std::size_t> sign_into(std::string_view signing_input,
                                  std::span<unsigned char> out) const;

  private:
    static result<private_key> from_evp(std::shared_ptr<const detail::evp_key> key,
                                        std::optional<alg> a);
    public_key public_;
    alg alg_{};
};

// A JWK Set (RFC 7517 section 5). Keys of kinds we do not know are skipped, as the RFC asks;
// two keys of one kid: both are kept and tried.
class key_set {
  public:
    static result<key_set> parse(std::string_view jwks_json);
    void add(public_key key) { keys_.push_back(std::move(key)); }
    const std::vector<public_key>& keys() const noexcept { return keys_; }
    bool has(std::string_view kid) const noexcept;
    std::string to_json() const;

  private:
    std::vector<public_key> keys_;
};

}  // namespace mission::jose
