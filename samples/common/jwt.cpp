#include "samples/common/jwt.hpp"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <vector>

namespace sample {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr int coordinate_octets = 32;  // RFC 7518 section 3.4

using file = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
using digest_context = std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)>;
using signature_parts = std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)>;

digest_context new_context() {
    return {EVP_MD_CTX_new(), EVP_MD_CTX_free};
}

// RFC 7518 section 3.4: r and s, 32 octets each, instead of OpenSSL's DER.
std::string to_raw(const std::vector<unsigned char>& der) {
    const unsigned char* at = der.data();
    const signature_parts parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())),
                                ECDSA_SIG_free);
    std::string raw(2 * coordinate_octets, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    if (!parts || BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), out, coordinate_octets) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), out + coordinate_octets, coordinate_octets) < 0)
        throw std::runtime_error("a signature cannot be read");
    return raw;
}

std::vector<unsigned char> to_der(std::string_view raw) {
    if (raw.size() != 2 * coordinate_octets) return {};
    const auto* in = reinterpret_cast<const unsigned char*>(raw.data());
    const signature_parts parts(ECDSA_SIG_new(), ECDSA_SIG_free);
    BIGNUM* r = BN_bin2bn(in, coordinate_octets, nullptr);
    BIGNUM* s = BN_bin2bn(in + coordinate_octets, coordinate_octets, nullptr);
    if (!parts || !r || !s || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return {};
    }
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(parts.get(), &der);
    if (size <= 0) return {};
    std::vector<unsigned char> out(der, der + size);
    OPENSSL_free(der);
    return out;
}

}  // namespace

std::string base64url(std::string_view octets) {
    std::string text;
    unsigned buffer = 0;
    int bits = 0;
    for (const char c : octets) {
        buffer = buffer << 8 | static_cast<unsigned char>(c);
        for (bits += 8; bits >= 6; bits -= 6)
            text += alphabet[buffer >> (bits - 6) & 63];
    }
    if (bits > 0) text += alphabet[buffer << (6 - bits) & 63];
    return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
    std::string octets;
    unsigned buffer = 0;
    int bits = 0;
    for (const char c : text) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        buffer = (buffer << 6 | static_cast<unsigned>(value)) & 0xffff;
        if ((bits += 6) >= 8) octets += static_cast<char>(buffer >> (bits -= 8) & 255);
    }
    // One way to write each octet string alone.
    if (bits >= 6 || (buffer & ((1u << bits) - 1)) != 0) return std::nullopt;
    return octets;
}

std::string sha256(std::string_view octets) {
    std::array<unsigned char, 32> out{};
    unsigned size = 0;
    if (EVP_Digest(octets.data(), octets.size(), out.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("SHA-256 failed");
    return {reinterpret_cast<const char*>(out.data()), size};
}

std::string random_text(std::size_t octets) {
    std::string out(octets, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(octets)) != 1)
        throw std::runtime_error("no randomness");
    return base64url(out);
}

es256_key::es256_key(EVP_PKEY* key) : key_(key, free_key()) {
    // RFC 7638: the thumbprint names the key.
    kid_ = base64url(sha256(R"({"crv":"P-256","kty":"EC","x":")" +
                            coordinate(OSSL_PKEY_PARAM_EC_PUB_X) + R"(","y":")" +
                            coordinate(OSSL_PKEY_PARAM_EC_PUB_Y) + "\"}"));
}

es256_key es256_key::load(const std::string& path) {
    const file in(std::fopen(path.c_str(), "re"), std::fclose);
    EVP_PKEY* key = in ? PEM_read_PrivateKey(in.get(), nullptr, nullptr, nullptr) : nullptr;
    if (key == nullptr) throw std::runtime_error("no private key can be read from " + path);
    if (EVP_PKEY_is_a(key, "EC") != 1 || EVP_PKEY_get_bits(key) != 8 * coordinate_octets) {
        EVP_PKEY_free(key);
        throw std::runtime_error(path + " is no P-256 key");
    }
    return es256_key(key);
}

es256_key es256_key::load_or_make(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return load(path);
    const file out(::fdopen(fd, "w"), std::fclose);
    const std::unique_ptr<EVP_PKEY, free_key> key(EVP_EC_gen("P-256"));
    if (!out || !key ||
        PEM_write_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
        std::fflush(out.get()) != 0 || ::fsync(fd) != 0) {
        ::unlink(path.c_str());
        throw std::runtime_error("no key can be made in " + path);
    }
    return load(path);
}

std::string es256_key::coordinate(const char* name) const {
    BIGNUM* number = nullptr;
    std::string octets(coordinate_octets, '\0');
    const bool read = EVP_PKEY_get_bn_param(key_.get(), name, &number) == 1 &&
                      BN_bn2binpad(number, reinterpret_cast<unsigned char*>(octets.data()),
                                   coordinate_octets) > 0;
    BN_free(number);
    if (!read) throw std::runtime_error("a public key cannot be read");
    return base64url(octets);
}

std::string es256_key::public_jwk() const {
    return json_object()
        .add("kty", "EC")
        .add("crv", "P-256")
        .add("x", coordinate(OSSL_PKEY_PARAM_EC_PUB_X))
        .add("y", coordinate(OSSL_PKEY_PARAM_EC_PUB_Y))
        .add("kid", kid_)
        .add("alg", "ES256")
        .add("use", "sig")
        .str();
}

std::string es256_key::sign(std::string_view typ, const json_object& claims, bool named) const {
    json_object header;
    header.add("alg", "ES256").add("typ", typ);
    if (named) header.add("kid", kid_);
    std::string token = base64url(header.str()) + "." + base64url(claims.str());
    const auto context = new_context();
    std::vector<unsigned char> der(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())));
    std::size_t size = der.size();
    if (!context ||
        EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), der.data(), &size,
                       reinterpret_cast<const unsigned char*>(token.data()), token.size()) != 1)
        throw std::runtime_error("a token cannot be signed");
    der.resize(size);
    return token + "." + base64url(to_raw(der));
}

std::optional<rj::Document> es256_key::verify(std::string_view token, std::string_view typ) const {
    const auto first = token.find('.');
    const auto last = token.rfind('.');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    const auto header_text = from_base64url(token.substr(0, first));
    const auto claims_text = from_base64url(token.substr(first + 1, last - first - 1));
    const auto raw = from_base64url(token.substr(last + 1));
    if (!header_text || !claims_text || !raw) return std::nullopt;
    const auto header = parse_object(*header_text);
    if (!header || text_member(*header, "alg") != "ES256" || text_member(*header, "typ") != typ ||
        text_member(*header, "kid") != kid_)
        return std::nullopt;
    const auto der = to_der(*raw);
    const auto context = new_context();
    if (der.empty() || !context ||
        EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestVerify(context.get(), der.data(), der.size(),
                         reinterpret_cast<const unsigned char*>(token.data()), last) != 1)
        return std::nullopt;
    return parse_object(*claims_text);
}

}  // namespace sample
