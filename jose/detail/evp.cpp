#include "jose/detail/evp.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstring>

#include "jose/digest.hpp"

namespace mission::jose::detail {
namespace {

constexpr std::size_t p256_octets = 32;
// SEQUENCE { INTEGER, INTEGER }, each with a possible leading zero octet.
constexpr std::size_t p256_der_max = 2 + 2 * (2 + 1 + p256_octets);

const unsigned char* octets(std::string_view s) {
    return reinterpret_cast<const unsigned char*>(s.data());
}

// One DER INTEGER of 32 big-endian octets; false when it is zero, which no valid signature has.
bool put_integer(const unsigned char* in, unsigned char*& out) {
    std::size_t skip = 0;
    while (skip < p256_octets && in[skip] == 0)
        ++skip;
    if (skip == p256_octets) return false;
    const bool sign_octet = (in[skip] & 0x80) != 0;
    const std::size_t n = p256_octets - skip;
    *out++ = 0x02;
    *out++ = static_cast<unsigned char>(n + (sign_octet ? 1 : 0));
    if (sign_octet) *out++ = 0;
    std::memcpy(out, in + skip, n);
    out += n;
    return true;
}

// RFC 7518 section 3.4: r || s of 32 octets each, where EVP speaks DER.
std::size_t raw_to_der(const unsigned char* raw, unsigned char* der) {
    unsigned char* at = der + 2;
    if (!put_integer(raw, at) || !put_integer(raw + p256_octets, at)) return 0;
    der[0] = 0x30;
    der[1] = static_cast<unsigned char>(at - der - 2);
    return static_cast<std::size_t>(at - der);
}

bool take_integer(const unsigned char*& at, const unsigned char* end, unsigned char* out) {
    if (end - at < 2 || at[0] != 0x02 || end - at - 2 < at[1]) return false;
    const unsigned char* digits = at + 2;
    std::size_t n = at[1];
    at = digits + n;
    while (n > 0 && *digits == 0)
        ++digits, --n;
    if (n > p256_octets) return false;
    std::memset(out, 0, p256_octets - n);
    std::memcpy(out + (p256_octets - n), digits, n);
    return true;
}

// `der` comes from OpenSSL itself; checked all the same.
bool der_to_raw(const unsigned char* der, std::size_t size, unsigned char* raw) {
    if (size < 2 || der[0] != 0x30 || der[1] != size - 2) return false;
    const unsigned char* at = der + 2;
    const unsigned char* end = der + size;
    return take_integer(at, end, raw) && take_integer(at, end, raw + p256_octets) && at == end;
}

const EVP_MD* sha256_md() {
    static EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return md;
}

}  // namespace

error_queue_guard::~error_queue_guard() {
    ERR_clear_error();
}

// A context for the length of one operation.
class evp_key::lease {
  public:
    lease(const evp_key& key, alg a, bool signing)
        : pool_(key.pools_[static_cast<std::size_t>(a)][signing ? 1 : 0]) {
        context_.reset(pool_.first.exchange(nullptr, std::memory_order_acquire));
        if (!context_) {
            const std::lock_guard lock(pool_.mutex);
            if (!pool_.idle.empty()) {
                context_ = std::move(pool_.idle.back());
                pool_.idle.pop_back();
            }
        }
        if (!context_) context_ = key.prepare(a, signing);
    }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() {
        if (!context_) return;
        EVP_PKEY_CTX* empty = nullptr;
        if (pool_.first.compare_exchange_strong(empty, context_.get(), std::memory_order_release,
                                                std::memory_order_relaxed)) {
            static_cast<void>(context_.release());
            return;
        }
        const std::lock_guard lock(pool_.mutex);
        pool_.idle.push_back(std::move(context_));
    }
    EVP_PKEY_CTX* get() const noexcept { return context_.get(); }

  private:
    pool& pool_;
    pkey_ctx_ptr context_;
};

result<std::shared_ptr<const evp_key>> evp_key::make(pkey_ptr key) {
    const error_queue_guard guard;
    key_kind kind{};
    switch (EVP_PKEY_get_base_id(key.get())) {
        case EVP_PKEY_EC: {
            char group[64] = {};
            if (EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) != 1 ||
                std::string_view{group} != "prime256v1")
                return error{errc::key_unsupported, "an EC key of another curve than P-256"};
            kind = key_kind::ec_p256;
            break;
        }
        case EVP_PKEY_RSA: {
            const int bits = EVP_PKEY_get_bits(key.get());
            if (bits < static_cast<int>(limits::rsa_min_bits))
                return error{errc::key_too_weak,
                             "an RSA key of " + std::to_string(bits) + " bits; 2048 is the least"};
            if (bits > static_cast<int>(limits::rsa_max_bits))
                return error{errc::key_unsupported,
                             "an RSA key of " + std::to_string(bits) + " bits; 8192 is the most"};
            kind = key_kind::rsa;
            break;
        }
        case EVP_PKEY_ED25519:
            kind = key_kind::ed25519;
            break;
        default:
            return error{errc::key_unsupported, "neither EC P-256, RSA nor Ed25519"};
    }
    return std::shared_ptr<const evp_key>(new evp_key(std::move(key), kind));
}

bool evp_key::allows(alg a) const noexcept {
    switch (a) {
        case alg::es256:
            return kind_ == key_kind::ec_p256;
        case alg::rs256:
        case alg::ps256:
            return kind_ == key_kind::rsa;
        case alg::eddsa:
            return kind_ == key_kind::ed25519;
    }
    return false;
}

pkey_ctx_ptr evp_key::prepare(alg a, bool signing) const {
    pkey_ctx_ptr ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
    if (!ctx) return nullptr;
    EVP_PKEY_CTX* c = ctx.get();
    bool ok = (signing ? EVP_PKEY_sign_init(c) : EVP_PKEY_verify_init(c)) == 1;
    if (a == alg::rs256) {
        ok = ok && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
    } else if (a == alg::ps256) {
        // RFC 7518 section 3.5: MGF1 with the same hash, salt as long as the hash.
        ok = ok && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1 &&
             EVP_PKEY_CTX_set_rsa_mgf1_md(c, sha256_md()) == 1;
    }
    ok = ok && EVP_PKEY_CTX_set_signature_md(c, sha256_md()) == 1;
    return ok ? std::move(ctx) : nullptr;
}

std::size_t evp_key::sign(alg a, std::string_view input, std::span<unsigned char> out) const {
    if (!allows(a)) return 0;
    if (a == alg::eddsa) return sign_ed25519(input, out);
    const digest256 hash = sha256(input);
    const lease context(*this, a, true);
    if (!context.get()) {
        ERR_clear_error();
        return 0;
    }
    if (a == alg::es256) {
        unsigned char der[p256_der_max];
        std::size_t size = sizeof der;
        if (out.size() >= 2 * p256_octets &&
            EVP_PKEY_sign(context.get(), der, &size, hash.data(), hash.size()) == 1 &&
            der_to_raw(der, size, out.data()))
            return 2 * p256_octets;
    } else {
        std::size_t size = out.size();
        if (EVP_PKEY_sign(context.get(), out.data(), &size, hash.data(), hash.size()) == 1)
            return size;
    }
    ERR_clear_error();
    return 0;
}

bool evp_key::verify(alg a, std::string_view input, std::string_view signature) const {
    if (!allows(a)) return false;
    if (a == alg::eddsa) return verify_ed25519(input, signature);
    unsigned char der[p256_der_max];
    const unsigned char* given = octets(signature);
    std::size_t given_size = signature.size();
    if (a == alg::es256) {
        if (given_size != 2 * p256_octets) return false;
        given_size = raw_to_der(given, der);
        given = der;
        if (given_size == 0) return false;
    }
    const digest256 hash = sha256(input);
    const lease context(*this, a, false);
    if (context.get() &&
        EVP_PKEY_verify(context.get(), given, given_size, hash.data(), hash.size()) == 1)
        return true;
    ERR_clear_error();
    return false;
}

std::size_t evp_key::sign_ed25519(std::string_view input, std::span<unsigned char> out) const {
    const error_queue_guard guard;
    const md_ctx_ptr ctx(EVP_MD_CTX_new());
    std::size_t size = out.size();
    if (!ctx || EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(ctx.get(), out.data(), &size, octets(input), input.size()) != 1)
        return 0;
    return size;
}

bool evp_key::verify_ed25519(std::string_view input, std::string_view signature) const {
    const error_queue_guard guard;
    const md_ctx_ptr ctx(EVP_MD_CTX_new());
    return ctx && EVP_DigestVerifyInit(ctx.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
           EVP_DigestVerify(ctx.get(), octets(signature), signature.size(), octets(input),
                            input.size()) == 1;
}

std::string bn_bytes(const BIGNUM& n) {
    return bn_bytes(n, static_cast<std::size_t>(BN_num_bytes(&n)));
}

std::string bn_bytes(const BIGNUM& n, std::size_t size) {
    std::string out(size, '\0');
    if (BN_bn2binpad(&n, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size)) < 0)
        out.clear();
    return out;
}

bn_ptr bn_param(EVP_PKEY* key, const char* name) {
    BIGNUM* n = nullptr;
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1) return nullptr;
    return bn_ptr(n);
}

}  // namespace mission::jose::detail
