#include "transmitter/auth/certificate.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {

result<std::string> certificate_der(std::string_view pem) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr, X509_free);
    ERR_clear_error();
    if (!certificate) return error{errc::bad_configuration, "there is no PEM certificate"};
    unsigned char* octets = nullptr;
    const int size = i2d_X509(certificate.get(), &octets);
    if (size <= 0) return error{errc::bad_configuration, "the certificate cannot be read"};
    std::string der(reinterpret_cast<const char*>(octets), static_cast<std::size_t>(size));
    OPENSSL_free(octets);
    return der;
}

std::string certificate_thumbprint(std::string_view der) {
    if (der.empty()) return {};
    return jose::base64url_encode(jose::view(jose::sha256(der)));
}

}  // namespace mission::transmitter
