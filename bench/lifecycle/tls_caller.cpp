#include "bench/lifecycle/tls_caller.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "bench/lifecycle/measures.hpp"
#include "bench/lifecycle/world.hpp"

namespace mission::bench {
namespace {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* p) const {
        Free(p);
    }
};
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using context_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;

bio_ptr memory(const std::string& pem) {
    return bio_ptr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

context_ptr make_context(const caller_identity& who) {
    context_ptr c(SSL_CTX_new(TLS_client_method()));
    const std::unique_ptr<X509, freed_by<X509_free>> ca(
        PEM_read_bio_X509(memory(who.ca_pem).get(), nullptr, nullptr, nullptr));
    const std::unique_ptr<X509, freed_by<X509_free>> own(
        PEM_read_bio_X509(memory(who.certificate_pem).get(), nullptr, nullptr, nullptr));
    const std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>> key(
        PEM_read_bio_PrivateKey(memory(who.private_key_pem).get(), nullptr, nullptr, nullptr));
    if (!c || !ca || !own || !key || SSL_CTX_use_certificate(c.get(), own.get()) != 1 ||
        SSL_CTX_use_PrivateKey(c.get(), key.get()) != 1 ||
        X509_STORE_add_cert(SSL_CTX_get_cert_store(c.get()), ca.get()) != 1)
        fail("a caller's certificate");
    SSL_CTX_set_verify(c.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(c.get(), SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(c.get(), 1);
    return c;
}

}  // namespace

struct tls_caller::connection {
    int fd = -1;
    std::unique_ptr<SSL, freed_by<SSL_free>> ssl;
    int under_way = -1;
    std::string input;

    ~connection() {
        if (fd >= 0) ::close(fd);
    }

    void open(SSL_CTX* context, std::uint16_t port) {
        fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
            fail("a caller's connection");
        ssl.reset(SSL_new(context));
        SSL_set_fd(ssl.get(), fd);
        if (SSL_connect(ssl.get()) != 1) fail("a caller's handshake");
    }

    void send(int number, const std::string& request) {
        under_way = number;
        if (SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) <= 0)
            fail("a caller's request");
    }

    // The whole answer; its head may be in one record and its body in the next.
    void receive(const std::function<void(int, int, std::string_view)>& answer) {
        input.clear();
        std::size_t head = std::string::npos, length = 0;
        int status = 0;
        while (head == std::string::npos || input.size() < head + length) {
            char area[16 * 1024];
            const int n = SSL_read(ssl.get(), area, sizeof area);
            if (n <= 0) fail("a caller's answer ended early");
            input.append(area, static_cast<std::size_t>(n));
            if (head != std::string::npos) continue;
            const auto end = input.find("\r\n\r\n");
            if (end == std::string::npos) continue;
            head = end + 4;
            constexpr std::string_view name = "content-length: ";
            auto at = input.find(name);
            if (at == std::string::npos) at = input.find("Content-Length: ");
            if (at == std::string::npos || at > end || input.size() < 12)
                fail("a caller's answer has no length");
            const char* const last = input.data() + end;
            std::from_chars(input.data() + at + name.size(), last, length);
            std::from_chars(input.data() + 9, last, status);
        }
        answer(under_way, status, std::string_view(input).substr(head, length));
        under_way = -1;
    }
};

tls_caller::tls_caller(std::uint16_t port, const caller_identity& who, int connections) {
    const auto context = make_context(who);
    for (int n = 0; n < connections; ++n) {
        connections_.push_back(std::make_unique<connection>());
        connections_.back()->open(context.get(), port);
    }
}

tls_caller::~tls_caller() = default;

void tls_caller::run(const std::function<bool()>& more,
                     const std::function<std::string(int)>& request,
                     const std::function<void(int, int, std::string_view)>& answer,
                     const std::function<int()>& number) {
    while (more()) {
        for (auto& c : connections_) {
            const int n = number();
            c->send(n, request(n));
        }
        // From the last: when it has been answered the others have been, most of them, and are read
        // without sleeping in between.
        for (auto c = connections_.rbegin(); c != connections_.rend(); ++c)
            (*c)->receive(answer);
    }
}

}  // namespace mission::bench
