// Connections that break below HTTP, on a live stream: one clear word, a denial once what is known
// grows stale, and everything in its place again afterwards.
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

// In the transmitter's place: takes connections, and says nothing.
class silent_port {
  public:
    explicit silent_port(const std::string& issuer)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        at.sin_port =
            htons(static_cast<std::uint16_t>(std::stoi(issuer.substr(issuer.rfind(':') + 1))));
        const int on = 1;
        ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        REQUIRE(eventually(
            [&] { return ::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0; }));
        REQUIRE(::listen(fd_, 16) == 0);
    }
    ~silent_port() {
        for (const int c : taken_)
            ::close(c);
        ::close(fd_);
    }
    silent_port(const silent_port&) = delete;
    silent_port& operator=(const silent_port&) = delete;

    int fd() const { return fd_; }
    // How many have come so far.
    std::size_t taken() {
        for (int c = 0; (c = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
            taken_.push_back(c);
        return taken_.size();
    }

  private:
    const int fd_;
    std::vector<int> taken_;
};

// In the transmitter's place: speaks TLS, and is gone in the middle of its answer.
class cutting_server {
  public:
    explicit cutting_server(const fake_transmitter& tx)
        : port_(tx.issuer), tls_(::SSL_CTX_new(::TLS_server_method())) {
        auto* bio = ::BIO_new_mem_buf(tx.certificate.certificate_pem.data(),
                                      static_cast<int>(tx.certificate.certificate_pem.size()));
        auto* certificate = ::PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
        ::BIO_free(bio);
        bio = ::BIO_new_mem_buf(tx.certificate.private_key_pem.data(),
                                static_cast<int>(tx.certificate.private_key_pem.size()));
        auto* key = ::PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
        ::BIO_free(bio);
        REQUIRE(::SSL_CTX_use_certificate(tls_, certificate) == 1);
        REQUIRE(::SSL_CTX_use_PrivateKey(tls_, key) == 1);
        ::X509_free(certificate);
        ::EVP_PKEY_free(key);
        serving_ = std::thread([this] { serve(); });
    }
    ~cutting_server() {
        stopping_ = true;
        serving_.join();
        ::SSL_CTX_free(tls_);
    }
    cutting_server(const cutting_server&) = delete;
    cutting_server& operator=(const cutting_server&) = delete;

    std::atomic<int> cuts{0};

  private:
    void serve() {
        while (!stopping_) {
            pollfd watched{port_.fd(), POLLIN, 0};
            if (::poll(&watched, 1, 20) <= 0) continue;
            const int c = ::accept4(port_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
            if (c < 0) continue;
            // Whoever connects and says nothing does not hold the others up.
            const timeval patience{2, 0};
            ::setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            cut(c);
            ::close(c);
        }
    }
    void cut(int c) {
        auto* ssl = ::SSL_new(tls_);
        ::SSL_set_fd(ssl, c);
        char request[8192];
        if (::SSL_accept(ssl) == 1 && ::SSL_read(ssl, request, sizeof request) > 0) {
            constexpr std::string_view half =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
                "{\"sets\":{\"a\":\"eyJhbGciOiJFUzI1NiIsInR5cCI6InNlY2V2ZW50K2p3dCJ9.eyJ";
            if (::SSL_write(ssl, half.data(), static_cast<int>(half.size())) > 0) ++cuts;
        }
        // Without a word of farewell; what it still sends is read, so that it sees the end of our
        // octets and no reset.
        ::SSL_free(ssl);
        ::shutdown(c, SHUT_WR);
        while (::recv(c, request, sizeof request, 0) > 0) {
        }
    }

    silent_port port_;
    SSL_CTX* const tls_;
    std::atomic<bool> stopping_{false};
    std::thread serving_;
};

struct live_bench : poll_bench {
    std::string id = new_id();

    void run(mission_signals::options o) {
        tx.max_stale = 1s;
        start(std::move(o));
        live();
        tx.send(tx.change(id, 1, "active"));
        REQUIRE(permitted_again());
    }
    bool permitted_again() {
        return eventually([&] {
            tx.heartbeat();
            return rx->missions().check(id).permitted();
        });
    }
};

}  // namespace

TEST_CASE("an answer that is cut short is told once, denied when stale, and over when it is over") {
    live_bench b;
    b.run(b.options());
    b.tx.stop();
    {
        cutting_server cutting(b.tx);
        REQUIRE(eventually([&] { return cutting.cuts >= 1; }));
        REQUIRE(b.problem("connection_closed"));
        const auto problem = b.rx->last_setup_problem();
        CHECK_FALSE(problem.empty());
        const auto told = lines_with(b, "the stream is not up");
        const int before = cutting.cuts;
        REQUIRE(eventually([&] { return cutting.cuts >= before + 2; }));
        CHECK(lines_with(b, "the stream is not up") == told);
        CHECK(b.rx->last_setup_problem() == problem);
        CHECK(b.becomes(b.id, standing::stale));
    }
    CHECK_FALSE(b.logged("eyJ"));
    CHECK_FALSE(b.rx->missions().check(b.id).permitted());
    b.tx.start();
    CHECK(b.permitted_again());
    CHECK(b.rx->last_setup_problem().empty());
    CHECK(b.tx.streams_created == 1);
}

TEST_CASE("a transmitter that takes requests and is silent is told of, denied, and taken back") {
    live_bench b;
    auto o = b.options();
    o.poll_timeout = 300ms;
    b.run(std::move(o));
    SUBCASE("in HTTP") {
        const int before = b.tx.polls;
        REQUIRE(b.problem("the poll is not answered"));
        const auto told = lines_with(b, "the poll is not answered");
        REQUIRE(eventually([&] { return b.tx.polls >= before + 3; }));
        CHECK(b.becomes(b.id, standing::stale));
        CHECK(lines_with(b, "the poll is not answered") == told);
    }
    SUBCASE("in TLS") {
        b.tx.stop();
        silent_port silent(b.tx.issuer);
        REQUIRE(b.problem("the poll is not answered"));
        const auto told = lines_with(b, "the poll is not answered");
        const auto before = silent.taken();
        REQUIRE(eventually([&] { return silent.taken() >= before + 2; }));
        CHECK(b.becomes(b.id, standing::stale));
        CHECK(lines_with(b, "the poll is not answered") == told);
    }
    if (b.tx.is_stopped()) b.tx.start();
    CHECK(b.permitted_again());
    CHECK(eventually([&] { return b.logged("the transmitter answers again"); }));
    CHECK(b.tx.streams_created == 1);
}
