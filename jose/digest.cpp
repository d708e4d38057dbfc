#include "jose/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <vector>

#include "jose/base64url.hpp"
#include "jose/detail/evp.hpp"

namespace mission::jose {
namespace {

constexpr int nonce_size = 12;
constexpr int tag_size = 16;
constexpr std::size_t key_size = 32;

// Out of memory or a broken installation: there is no sensible way to go on without SHA-256.
void must(bool ok) {
    if (!ok) std::abort();
}

const unsigned char* octets(std::string_view s) {
    return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* octets(std::string& s) {
    return reinterpret_cast<unsigned char*>(s.data());
}

}  // namespace

digest256 sha256(std::string_view bytes) {
    // Fetched once: an implicit fetch per call costs more than hashing a token.
    static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    thread_local const detail::md_ctx_ptr ctx(EVP_MD_CTX_new());
    digest256 out;
    must(md && ctx && EVP_DigestInit_ex2(ctx.get(), md, nullptr) == 1 &&
         EVP_DigestUpdate(ctx.get(), bytes.data(), bytes.size()) == 1 &&
         EVP_DigestFinal_ex(ctx.get(), out.data(), nullptr) == 1);
    return out;
}

digest256 hmac_sha256(std::string_view key, std::string_view bytes) {
    // RFC 2104 on top of sha256(): two short hashes, no context look-up in OpenSSL.
    std::array<char, 64> block{};
    if (key.size() > block.size()) {
        const digest256 hashed = sha256(key);
        std::copy(hashed.begin(), hashed.end(), block.begin());
    } else {
        std::copy(key.begin(), key.end(), block.begin());
    }
    std::string inner;
    inner.reserve(block.size() + bytes.size());
    for (const char c : block)
        inner += static_cast<char>(c ^ 0x36);
    inner += bytes;
    const digest256 first = sha256(inner);
    std::array<char, 64 + 32> outer{};
    for (std::size_t i = 0; i < block.size(); ++i)
        outer[i] = static_cast<char>(block[i] ^ 0x5c);
    std::copy(first.begin(), first.end(), outer.begin() + 64);
    const digest256 out = sha256({outer.data(), outer.size()});
    OPENSSL_cleanse(block.data(), block.size());
    OPENSSL_cleanse(outer.data(), outer.size());
    OPENSSL_cleanse(inner.data(), inner.size());
    return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string seal(std::string_view key, std::string_view context, std::string_view plain,
                 random_source& random) {
    must(key.size() == key_size);
    std::string out(nonce_size + plain.size() + tag_size, '\0');
    random.fill(std::as_writable_bytes(std::span(out.data(), nonce_size)));
    const detail::cipher_ctx_ptr ctx(EVP_CIPHER_CTX_new());
    int n = 0;
    must(ctx && EVP_EncryptInit_ex2(ctx.get(), EVP_aes_256_gcm(), octets(key),
                                    octets(std::string_view(out)), nullptr) == 1);
    must(context.empty() || EVP_EncryptUpdate(ctx.get(), nullptr, &n, octets(context),
                                              static_cast<int>(context.size())) == 1);
    must(plain.empty() || EVP_EncryptUpdate(ctx.get(), octets(out) + nonce_size, &n, octets(plain),
                                            static_cast<int>(plain.size())) == 1);
    unsigned char* end = octets(out) + nonce_size + plain.size();
    must(EVP_EncryptFinal_ex(ctx.get(), end, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_GET_TAG, tag_size, end) == 1);
    return out;
}

result<std::string> open_sealed(std::string_view key, std::string_view context,
                                std::string_view sealed) {
    const detail::error_queue_guard guard;
    const error refused{errc::decryption_failed};
    if (key.size() != key_size || sealed.size() < nonce_size + tag_size) return refused;
    const std::string_view cipher =
        sealed.substr(nonce_size, sealed.size() - nonce_size - tag_size);
    std::string tag(sealed.substr(sealed.size() - tag_size));
    std::string out(cipher.size(), '\0');
    const detail::cipher_ctx_ptr ctx(EVP_CIPHER_CTX_new());
    int n = 0;
    must(ctx && EVP_DecryptInit_ex2(ctx.get(), EVP_aes_256_gcm(), octets(key), octets(sealed),
                                    nullptr) == 1);
    must(context.empty() || EVP_DecryptUpdate(ctx.get(), nullptr, &n, octets(context),
                                              static_cast<int>(context.size())) == 1);
    must(cipher.empty() || EVP_DecryptUpdate(ctx.get(), octets(out), &n, octets(cipher),
                                             static_cast<int>(cipher.size())) == 1);
    must(EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1);
    unsigned char none[16];
    if (EVP_DecryptFinal_ex(ctx.get(), none, &n) != 1) return refused;
    return out;
}

std::string random_id(std::size_t n, random_source& random) {
    std::vector<std::byte> bytes(n);
    random.fill(bytes);
    std::string out = base64url_encode(bytes);
    // A 64th of an octet's chance is nothing; an operator who cannot name a mission is.
    if (out.starts_with('-')) out.front() = 'x';
    return out;
}

}  // namespace mission::jose
