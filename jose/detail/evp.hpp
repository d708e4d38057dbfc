// What jose/ shares about OpenSSL: owning handles, and a key with its prepared contexts.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jose/key.hpp"

namespace mission::jose::detail {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* p) const noexcept {
        Free(p);
    }
};
using pkey_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using pkey_ctx_ptr = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;
using md_ctx_ptr = std::unique_ptr<EVP_MD_CTX, freed_by<EVP_MD_CTX_free>>;
using cipher_ctx_ptr = std::unique_ptr<EVP_CIPHER_CTX, freed_by<EVP_CIPHER_CTX_free>>;
using bn_ptr = std::unique_ptr<BIGNUM, freed_by<BN_clear_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using param_bld_ptr = std::unique_ptr<OSSL_PARAM_BLD, freed_by<OSSL_PARAM_BLD_free>>;
using param_ptr = std::unique_ptr<OSSL_PARAM, freed_by<OSSL_PARAM_free>>;

// OpenSSL's error queue is per thread and shared with TLS: whatever we made fail leaves it empty.
struct error_queue_guard {
    error_queue_guard() = default;
    error_queue_guard(const error_queue_guard&) = delete;
    error_queue_guard& operator=(const error_queue_guard&) = delete;
    ~error_queue_guard();
};

enum class key_kind { ec_p256, rsa, ed25519 };

// An EVP_PKEY that is one of the kinds we know, and contexts set up for signing and verifying with
// it. Setting up a context costs several microseconds of look-ups in OpenSSL 3, so contexts are
// taken from a pool and given back; there are never more of them than threads that were in
// `sign` or `verify` at once. Thread safe.
class evp_key {
  public:
    // Checks kind, curve and size. key_unsupported, key_too_weak.
    static result<std::shared_ptr<const evp_key>> make(pkey_ptr key);

    EVP_PKEY* get() const noexcept { return key_.get(); }
    key_kind kind() const noexcept { return kind_; }
    bool allows(alg a) const noexcept;

    // JOSE form of signatures. `sign` returns the octets written, 0 on failure.
    std::size_t sign(alg a, std::string_view input, std::span<unsigned char> out) const;
    bool verify(alg a, std::string_view input, std::string_view signature) const;

  private:
    struct pool {
        ~pool() { EVP_PKEY_CTX_free(first.load()); }
        std::atomic<EVP_PKEY_CTX*> first{nullptr};  // taken and put back without the lock
        std::mutex mutex;
        std::vector<pkey_ctx_ptr> idle;
    };
    class lease;
    pkey_ctx_ptr prepare(alg a, bool signing) const;
    std::size_t sign_ed25519(std::string_view input, std::span<unsigned char> out) const;
    bool verify_ed25519(std::string_view input, std::string_view signature) const;

    evp_key(pkey_ptr key, key_kind kind) : key_(std::move(key)), kind_(kind) {}

    pkey_ptr key_;
    key_kind kind_;
    mutable pool pools_[4][2];  // [alg][verify, sign]
};

// Big-endian, as short as possible or padded to `size`.
std::string bn_bytes(const BIGNUM& n);
std::string bn_bytes(const BIGNUM& n, std::size_t size);
bn_ptr bn_param(EVP_PKEY* key, const char* name);

}  // namespace mission::jose::detail
