#include "net/detail/tls.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>
#include <vector>

namespace mission::net::detail {
namespace {

struct bio_free {
    void operator()(BIO* b) const noexcept { BIO_free(b); }
};
struct x509_free {
    void operator()(X509* x) const noexcept { X509_free(x); }
};
struct key_free {
    void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
using bio_ptr = std::unique_ptr<BIO, bio_free>;
using x509_ptr = std::unique_ptr<X509, x509_free>;
using key_ptr = std::unique_ptr<EVP_PKEY, key_free>;

error failure(std::string what) {
    const char* text = ERR_reason_error_string(ERR_peek_last_error());
    if (text != nullptr) what.append(": ").append(text);
    ERR_clear_error();
    return {errc::bad_configuration, std::move(what)};
}

bio_ptr memory(const std::string& pem) {
    return bio_ptr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::vector<x509_ptr> read_certificates(const std::string& pem) {
    std::vector<x509_ptr> out;
    const auto bio = memory(pem);
    while (bio) {
        x509_ptr x(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
        if (!x) break;
        out.push_back(std::move(x));
    }
    ERR_clear_error();  // the end of the text is an "error" too
    return out;
}

// Never asks on a terminal for a pass phrase.
int no_password(char*, int, int, void*) {
    return -1;
}

result<void> use_identity(SSL_CTX* context, const std::string& certificate_pem,
                          const std::string& private_key_pem) {
    auto chain = read_certificates(certificate_pem);
    if (chain.empty()) return error{errc::bad_configuration, "no certificate in the PEM text"};
    if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
        return failure("certificate unusable");
    }
    for (std::size_t i = 1; i < chain.size(); ++i) {
        if (SSL_CTX_add0_chain_cert(context, chain[i].get()) != 1) {
            return failure("certificate chain unusable");
        }
        (void)chain[i].release();  // owned by the context now
    }
    const auto bio = memory(private_key_pem);
    const key_ptr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr)
                          : nullptr);
    if (!key) return failure("private key unreadable");
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
        return failure("private key does not fit the certificate");
    }
    if (SSL_CTX_check_private_key(context) != 1) {
        return failure("private key does not fit the certificate");
    }
    return {};
}

result<void> trust(SSL_CTX* context, const std::string& ca_pem) {
    const auto anchors = read_certificates(ca_pem);
    if (anchors.empty()) return error{errc::bad_configuration, "no CA certificate in the PEM text"};
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    for (const auto& anchor : anchors) {
        if (X509_STORE_add_cert(store, anchor.get()) != 1) return failure("CA unusable");
    }
    return {};
}

result<ssl_context> make_context(const SSL_METHOD* method) {
    ssl_context context(SSL_CTX_new(method), SSL_CTX_free);
    if (!context) return failure("no TLS context");
    SSL_CTX* c = context.get();
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
    // RFC 9325 section 4.2: forward secrecy and AEAD only.
    SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Idle connections give their buffers back: 20,000 of them would hold 680 MB otherwise.
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);  // one recv(2) for a record instead of two
    return context;
}

constexpr unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

// RFC 7301 section 3.2: no protocol in common is a fatal alert, not a guess.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, http_1_1, sizeof http_1_1, offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// Forgives that nobody vouches for a client's certificate; not that it is out of date, forged, or
// too weak.
int vouch_for_itself(int ok, X509_STORE_CTX* context) {
    if (ok == 1) return 1;
    switch (X509_STORE_CTX_get_error(context)) {
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_UNTRUSTED:
        case X509_V_ERR_INVALID_CA:
        case X509_V_ERR_INVALID_PURPOSE:
            // What is forgiven is not remembered: the connection's result is what else was wrong.
            X509_STORE_CTX_set_error(context, X509_V_OK);
            return 1;
        default:
            return 0;
    }
}

}  // namespace

result<ssl_context> make_server_context(const std::string& certificate_pem,
                                        const std::string& private_key_pem,
                                        const std::string& client_ca_pem,
                                        bool any_client_certificate) {
    auto made = make_context(TLS_server_method());
    if (!made) return made;
    SSL_CTX* c = made->get();
    SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
    SSL_CTX_set_num_tickets(c, 1);
    constexpr std::string_view id = "mission-signals";
    SSL_CTX_set_session_id_context(c, reinterpret_cast<const unsigned char*>(id.data()),
                                   static_cast<unsigned>(id.size()));
    if (auto r = use_identity(c, certificate_pem, private_key_pem); !r) return r.error();
    if (!client_ca_pem.empty()) {
        if (auto r = trust(c, client_ca_pem); !r) return r.error();
        for (const auto& anchor : read_certificates(client_ca_pem)) {
            SSL_CTX_add_client_CA(c, anchor.get());
        }
        // Optional: who sends none is let in; who sends a wrong one is not.
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    } else if (any_client_certificate) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, vouch_for_itself);
    }
    return made;
}

result<ssl_context> make_client_context(const std::string& ca_pem,
                                        const std::string& certificate_pem,
                                        const std::string& private_key_pem) {
    auto made = make_context(TLS_client_method());
    if (!made) return made;
    SSL_CTX* c = made->get();
    if (ca_pem.empty()) {
        if (SSL_CTX_set_default_verify_paths(c) != 1) return failure("no system trust store");
    } else if (auto r = trust(c, ca_pem); !r) {
        return r.error();
    }
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_alpn_protos(c, http_1_1, sizeof http_1_1);
    if (!certificate_pem.empty()) {
        if (auto r = use_identity(c, certificate_pem, private_key_pem); !r) return r.error();
    }
    return made;
}

bool expect_host(SSL* ssl, const std::string& host) {
    unsigned char address[sizeof(in6_addr)];
    const bool is_address = inet_pton(AF_INET, host.c_str(), address) == 1 ||
                            inet_pton(AF_INET6, host.c_str(), address) == 1;
    if (is_address) {
        // RFC 6066 section 3: no server name for a literal address.
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    }
    std::string name = host;
    if (name.ends_with('.')) name.pop_back();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name.c_str()) == 1 &&
           SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace mission::net::detail
