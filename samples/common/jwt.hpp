// ES256 JSON Web Tokens (RFC 7515, RFC 7519), as much as a sample needs: over OpenSSL alone.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "samples/common/json.hpp"

namespace sample {

std::string base64url(std::string_view octets);
std::optional<std::string> from_base64url(std::string_view text);
std::string sha256(std::string_view octets);
// `octets` of them, from the operating system, as base64url: 16 cannot be guessed.
std::string random_text(std::size_t octets);

// A P-256 key pair. THREAD: every method from any thread.
class es256_key {
  public:
    // The PEM file; made, with mode 0600, when there is none. runtime_error when it cannot be used.
    static es256_key load_or_make(const std::string& path);
    static es256_key load(const std::string& path);

    const std::string& kid() const noexcept { return kid_; }
    std::string public_jwk() const;  // RFC 7517
    // Compact JWS of the claims with this `typ`, and our `kid` when `named`.
    std::string sign(std::string_view typ, const json_object& claims, bool named = true) const;
    // The claims of a token that this key has signed under this `typ`; nothing else is looked at.
    std::optional<rj::Document> verify(std::string_view token, std::string_view typ) const;

  private:
    struct free_key {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    explicit es256_key(EVP_PKEY* key);
    std::string coordinate(const char* name) const;

    std::shared_ptr<EVP_PKEY> key_;
    std::string kid_;
};

}  // namespace sample
