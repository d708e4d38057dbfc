#include "net/dev_certificate.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

namespace mission::net {
namespace {

struct x509_free {
    void operator()(X509* x) const noexcept { X509_free(x); }
};
struct key_free {
    void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
struct bio_free {
    void operator()(BIO* b) const noexcept { BIO_free(b); }
};
struct extension_free {
    void operator()(X509_EXTENSION* e) const noexcept { X509_EXTENSION_free(e); }
};
using x509_ptr = std::unique_ptr<X509, x509_free>;
using key_ptr = std::unique_ptr<EVP_PKEY, key_free>;
using bio_ptr = std::unique_ptr<BIO, bio_free>;

bool extend(X509* certificate, X509V3_CTX& context, int nid, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, extension_free> e(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    return e && X509_add_ext(certificate, e.get(), -1) == 1;
}

x509_ptr blank(EVP_PKEY* key, const char* common_name, std::chrono::days validity) {
    x509_ptr x(X509_new());
    if (!x) return nullptr;
    unsigned char serial[16];
    if (RAND_bytes(serial, sizeof serial) != 1) return nullptr;
    serial[0] &= 0x7f;  // RFC 5280 section 4.1.2.2: positive
    serial[0] |= 0x40;
    BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x.get()));
    BN_free(number);
    X509_set_version(x.get(), 2);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), -3600);
    X509_time_adj_ex(X509_getm_notAfter(x.get()), static_cast<int>(validity.count()), 0, nullptr);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
    return X509_set_pubkey(x.get(), key) == 1 ? std::move(x) : nullptr;
}

std::string text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string{};
}

std::string to_pem(X509* certificate) {
    const bio_ptr bio(BIO_new(BIO_s_mem()));
    if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
    return text(bio.get());
}

std::string to_pem(EVP_PKEY* key) {
    const bio_ptr bio(BIO_new(BIO_s_mem()));
    if (!bio ||
        PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return {};
    }
    return text(bio.get());
}

// "DNS:localhost,IP:127.0.0.1"; the value goes through OpenSSL's own little language, so a name
// with anything but host characters is refused.
result<std::string> alternative_names(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) {
        constexpr std::string_view allowed =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*:";
        if (name.empty() || name.size() > 253 ||
            name.find_first_not_of(allowed) != std::string::npos) {
            return error{errc::invalid_argument, "not a host name or address: " + name};
        }
        unsigned char address[sizeof(in6_addr)];
        const bool ip = inet_pton(AF_INET, name.c_str(), address) == 1 ||
                        inet_pton(AF_INET6, name.c_str(), address) == 1;
        if (!out.empty()) out += ',';
        out.append(ip ? "IP:" : "DNS:").append(name);
    }
    return out;
}

}  // namespace

result<dev_certificate> make_dev_certificate(std::vector<std::string> names,
                                             std::chrono::days validity) {
    if (names.empty()) names = {"localhost", "127.0.0.1", "::1"};
    if (validity.count() < 1 || validity.count() > 3650) {
        return error{errc::invalid_argument, "validity must be 1 to 3650 days"};
    }
    auto subject = alternative_names(names);
    if (!subject) return subject.error();

    const error failed{errc::io_error, "could not make a certificate"};
    const key_ptr ca_key(EVP_EC_gen("P-256"));
    const key_ptr key(EVP_EC_gen("P-256"));
    if (!ca_key || !key) return failed;
    const auto ca = blank(ca_key.get(), "Mission Signals development CA", validity);
    const auto leaf = blank(key.get(), "Mission Signals development", validity);
    if (!ca || !leaf) return failed;

    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, ca.get(), ca.get(), nullptr, nullptr, 0);
    X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get()));
    if (!extend(ca.get(), context, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !extend(ca.get(), context, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !extend(ca.get(), context, NID_subject_key_identifier, "hash") ||
        X509_sign(ca.get(), ca_key.get(), EVP_sha256()) == 0) {
        return failed;
    }
    X509V3_set_ctx(&context, ca.get(), leaf.get(), nullptr, nullptr, 0);
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca.get()));
    if (!extend(leaf.get(), context, NID_basic_constraints, "critical,CA:FALSE") ||
        !extend(leaf.get(), context, NID_key_usage, "critical,digitalSignature") ||
        !extend(leaf.get(), context, NID_ext_key_usage, "serverAuth,clientAuth") ||
        !extend(leaf.get(), context, NID_authority_key_identifier, "keyid") ||
        !extend(leaf.get(), context, NID_subject_alt_name, *subject) ||
        X509_sign(leaf.get(), ca_key.get(), EVP_sha256()) == 0) {
        return failed;
    }
    dev_certificate out;
    out.ca_pem = to_pem(ca.get());
    out.certificate_pem = to_pem(leaf.get()) + out.ca_pem;
    out.private_key_pem = to_pem(key.get());
    if (out.ca_pem.empty() || out.private_key_pem.empty()) return failed;
    return out;
}

}  // namespace mission::net
