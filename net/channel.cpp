#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "net/detail/channel.hpp"

namespace mission::net::detail {
namespace {

// OpenSSL's own socket BIO calls write(2), which raises SIGPIPE; a library must not, nor may it
// change the host's signal handling. So a small BIO of our own sends with MSG_NOSIGNAL.

int bio_fd(BIO* b) {
    return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(b)));
}

int bio_write(BIO* b, const char* data, int size) {
    BIO_clear_retry_flags(b);
    const auto n = ::send(bio_fd(b), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        BIO_set_retry_write(b);
    }
    return static_cast<int>(n);
}

int bio_read(BIO* b, char* data, int size) {
    BIO_clear_retry_flags(b);
    const auto n = ::recv(bio_fd(b), data, static_cast<std::size_t>(size), 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        BIO_set_retry_read(b);
    }
    if (n == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    return static_cast<int>(n);
}

long bio_ctrl(BIO* b, int command, long, void*) {
    switch (command) {
        case BIO_CTRL_FLUSH:
        case BIO_CTRL_DUP:
            return 1;
        case BIO_CTRL_EOF:
            return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
        default:
            return 0;
    }
}

int bio_create(BIO* b) {
    BIO_set_init(b, 1);
    BIO_set_shutdown(b, 0);  // the descriptor belongs to the session
    return 1;
}

BIO_METHOD* socket_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        if (m == nullptr) return m;
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
        BIO_meth_set_create(m, bio_create);
        return m;
    }();
    return method;
}

io_result again(io_status want) {
    return {want, 0};
}

}  // namespace

bool channel::start_tls(const ssl_context& context, bool server) {
    ssl_.reset(SSL_new(context.get()));
    if (!ssl_ || socket_method() == nullptr) return false;
    BIO* bio = BIO_new(socket_method());
    if (bio == nullptr) return false;
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd_)));
    SSL_set_bio(ssl_.get(), bio, bio);
    if (server) {
        SSL_set_accept_state(ssl_.get());
    } else {
        SSL_set_connect_state(ssl_.get());
    }
    return true;
}

io_result channel::tls_status(int returned) {
    const int saved = errno;
    switch (SSL_get_error(ssl_.get(), returned)) {
        case SSL_ERROR_WANT_READ:
            return again(io_status::want_read);
        case SSL_ERROR_WANT_WRITE:
            return again(io_status::want_write);
        case SSL_ERROR_ZERO_RETURN:
            return again(io_status::closed);
        case SSL_ERROR_SYSCALL:
            reason_ = saved != 0 ? std::strerror(saved) : "connection ended";
            break;
        default: {
            const unsigned long code = ERR_peek_last_error();
            const char* text = ERR_reason_error_string(code);
            reason_ = text != nullptr ? text : "TLS failure";
            const long verdict = SSL_get_verify_result(ssl_.get());
            if (verdict != X509_V_OK) {
                reason_.append(": ").append(X509_verify_cert_error_string(verdict));
            }
        }
    }
    ERR_clear_error();
    return again(io_status::failed);
}

io_result channel::handshake() {
    ERR_clear_error();
    errno = 0;
    const int r = SSL_do_handshake(ssl_.get());
    return r == 1 ? io_result{io_status::done, 0} : tls_status(r);
}

io_result channel::read(char* to, std::size_t size) {
    if (ssl_) {
        ERR_clear_error();
        errno = 0;
        const int r =
            SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
        return r > 0 ? io_result{io_status::done, static_cast<std::size_t>(r)} : tls_status(r);
    }
    for (;;) {
        const auto n = ::recv(fd_, to, size, 0);
        if (n > 0) return {io_status::done, static_cast<std::size_t>(n)};
        if (n == 0) return {io_status::closed, 0};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_read, 0};
        reason_ = std::strerror(errno);
        return {io_status::failed, 0};
    }
}

io_result channel::write(std::string_view from) {
    if (ssl_) {
        ERR_clear_error();
        errno = 0;
        const int r = SSL_write(ssl_.get(), from.data(),
                                static_cast<int>(std::min<std::size_t>(from.size(), INT_MAX)));
        return r > 0 ? io_result{io_status::done, static_cast<std::size_t>(r)} : tls_status(r);
    }
    for (;;) {
        const auto n = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
        if (n >= 0) return {io_status::done, static_cast<std::size_t>(n)};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_write, 0};
        reason_ = std::strerror(errno);
        return {io_status::failed, 0};
    }
}

void channel::finish() noexcept {
    if (ssl_ && SSL_is_init_finished(ssl_.get())) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());  // once: sends ours, does not wait for theirs
        ERR_clear_error();
    }
    ::shutdown(fd_, SHUT_WR);
}

io_result channel::drain() noexcept {
    char sink[8192];
    const auto n = ::recv(fd_, sink, sizeof sink, 0);
    if (n > 0) return {io_status::done, static_cast<std::size_t>(n)};
    if (n == 0) return {io_status::closed, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {io_status::want_read, 0};
    return {io_status::failed, 0};
}

bool channel::silent() const noexcept {
    if (buffered()) return false;
    char octet = 0;
    const auto n = ::recv(fd_, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

std::string channel::peer_certificate() const {
    if (!ssl_ || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
    X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr) return {};
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    if (size <= 0) return {};
    std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return out;
}

}  // namespace mission::net::detail
