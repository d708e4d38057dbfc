#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

namespace {

// A handshake with exactly one version, without looking at the certificate.
bool shakes_hands(std::uint16_t port, int version, const char* alpn = nullptr) {
    raw_client c(port);
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), version);
    SSL_CTX_set_max_proto_version(context.get(), version);
    if (alpn != nullptr) {
        SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(alpn),
                                static_cast<unsigned>(std::string_view(alpn).size()));
    }
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), c.fd());
    return SSL_connect(ssl.get()) == 1;
}

// The certificate of that key again, signed by itself, and over since an hour.
std::string out_of_date(const dev_certificate& of) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> in(
        BIO_new_mem_buf(of.certificate_pem.data(), -1), BIO_free),
        key_in(BIO_new_mem_buf(of.private_key_pem.data(), -1), BIO_free),
        out(BIO_new(BIO_s_mem()), BIO_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x(
        PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), X509_free);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    REQUIRE(x);
    REQUIRE(key);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x.get()), -3600);
    X509_set_issuer_name(x.get(), X509_get_subject_name(x.get()));
    REQUIRE(X509_sign(x.get(), key.get(), EVP_sha256()) > 0);
    REQUIRE(PEM_write_bio_X509(out.get(), x.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

struct caller {
    explicit caller(client_options options = trusting())
        : client(make_http_client(*rt, std::move(options)).value()) {}
    ~caller() { client->stop(); }
    std::unique_ptr<runtime> rt = make_runtime(1, 1);
    std::unique_ptr<http_client> client;
};

class fixed_resolver final : public resolver {
  public:
    result<std::vector<std::string>> resolve(const std::string&) override {
        return std::vector<std::string>{"127.0.0.1"};
    }
};

}  // namespace

TEST_CASE("TLS 1.2 and 1.3 are spoken, older versions are not") {
    served s(tls_options());
    CHECK(shakes_hands(s.server->port(), TLS1_3_VERSION));
    CHECK(shakes_hands(s.server->port(), TLS1_2_VERSION));
    CHECK(!shakes_hands(s.server->port(), TLS1_1_VERSION));
    CHECK(!shakes_hands(s.server->port(), TLS1_VERSION));
    CHECK(eventually([&] { return s.server->counters().tls_failures == 2; }));
}

TEST_CASE("ALPN agrees on http/1.1 or on nothing") {
    served s(tls_options());
    CHECK(shakes_hands(s.server->port(), TLS1_3_VERSION, "\x02h2\x08http/1.1"));
    CHECK(!shakes_hands(s.server->port(), TLS1_3_VERSION, "\x02h2"));
}

TEST_CASE("a client trusts its CA and no other") {
    served s(tls_options());
    auto options = trusting();
    options.ca_pem = make_dev_certificate({}, std::chrono::days(1)).value().ca_pem;
    caller stranger(options);
    const auto refused = fetch(*stranger.client, s.url());
    CHECK(refused.error() == errc::tls_failed);
    CHECK(s.server->counters().requests == 0);
    caller good;
    CHECK(fetch(*good.client, s.url()).value().status == 200);
}

TEST_CASE("the certificate must name the host that was asked for") {
    const auto other = make_dev_certificate({"other.example"}, std::chrono::days(1)).value();
    auto options = tls_options();
    options.certificate_pem = other.certificate_pem;
    options.private_key_pem = other.private_key_pem;
    served s(options);
    auto trust = trusting();
    trust.ca_pem = other.ca_pem;
    trust.names = std::make_shared<fixed_resolver>();
    caller c(trust);
    const auto port = std::to_string(s.server->port());
    CHECK(fetch(*c.client, "https://127.0.0.1:" + port).error() == errc::tls_failed);
    CHECK(fetch(*c.client, "https://localhost:" + port).error() == errc::tls_failed);
    CHECK(fetch(*c.client, "https://other.example:" + port).value().status == 200);
    CHECK(fetch(*c.client, "https://OTHER.example:" + port).value().status == 200);
}

TEST_CASE("plain HTTP on a TLS port gets nothing") {
    served s(tls_options());
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(c.read_all().find("200 OK") == std::string::npos);
    CHECK(eventually([&] { return s.server->counters().tls_failures == 1; }));
}

TEST_CASE("a handshake that does not go on is cut off") {
    auto options = tls_options();
    options.handshake_timeout = 60ms;
    served s(options);
    raw_client c(s.server->port());
    c.send("\x16\x03\x01");
    CHECK(c.read_all().empty());
    CHECK(s.server->counters().timeouts == 1);
}

TEST_CASE("one port serves TLS, and plain HTTP to loopback alone") {
    auto options = tls_options();
    options.mode = transport::tls_or_loopback_plain;
    std::atomic<int> tls_requests{0};
    served s(options, [&](http_request r, responder respond) {
        if (r.peer.tls) ++tls_requests;
        respond(http_response{});
    });
    caller c;
    const auto port = std::to_string(s.server->port());
    CHECK(fetch(*c.client, "https://localhost:" + port + "/").value().status == 200);
    CHECK(fetch(*c.client, "http://127.0.0.1:" + port + "/").value().status == 200);
    CHECK(tls_requests == 1);
}

TEST_CASE("a client certificate reaches the handler, a wrong one is refused, none is let in") {
    const auto mine = make_dev_certificate({"client.example"}, std::chrono::days(1)).value();
    const auto strange = make_dev_certificate({"client.example"}, std::chrono::days(1)).value();
    auto options = tls_options();
    options.client_ca_pem = mine.ca_pem;
    served s(options, [](http_request r, responder respond) {
        http_response a;
        a.body = std::to_string(r.peer.certificate_der.size());
        respond(std::move(a));
    });
    auto with = trusting();
    with.certificate_pem = mine.certificate_pem;
    with.private_key_pem = mine.private_key_pem;
    caller known(with);
    CHECK(std::stoi(fetch(*known.client, s.url()).value().body) > 100);
    caller nobody;
    CHECK(fetch(*nobody.client, s.url()).value().body == "0");
    with.certificate_pem = strange.certificate_pem;
    with.private_key_pem = strange.private_key_pem;
    caller stranger(with);
    CHECK(fetch(*stranger.client, s.url()).has_error());
}

TEST_CASE("where any client certificate is taken, a self-signed one reaches the handler") {
    const auto mine = make_dev_certificate({"client.example"}, std::chrono::days(1)).value();
    auto options = tls_options();
    options.accept_any_client_certificate = true;
    served s(options, [](http_request r, responder respond) {
        http_response a;
        a.body = std::to_string(r.peer.certificate_der.size());
        respond(std::move(a));
    });
    auto with = trusting();
    with.certificate_pem = mine.certificate_pem;
    with.private_key_pem = mine.private_key_pem;
    caller stranger(with);
    CHECK(std::stoi(fetch(*stranger.client, s.url()).value().body) > 100);
    caller nobody;
    CHECK(fetch(*nobody.client, s.url()).value().body == "0");
    // Nobody vouches for it, but out of date it is for everybody.
    with.certificate_pem = out_of_date(mine);
    caller expired(with);
    CHECK(fetch(*expired.client, s.url()).has_error());
}

TEST_CASE("a reloaded certificate is used by new connections, a bad one by none") {
    served s(tls_options());
    caller old_trust;
    CHECK(fetch(*old_trust.client, s.url()).value().status == 200);
    CHECK(s.server->reload("nonsense", "nonsense").error() == errc::bad_configuration);
    const auto next = make_dev_certificate({}, std::chrono::days(1)).value();
    CHECK(s.server->reload(next.certificate_pem, certificate().private_key_pem).error() ==
          errc::bad_configuration);
    CHECK(s.server->reload(next.certificate_pem, next.private_key_pem).has_value());
    CHECK(fetch(*old_trust.client, s.url()).value().status == 200);  // its connection lives on
    caller fresh_old;
    CHECK(fetch(*fresh_old.client, s.url()).error() == errc::tls_failed);
    auto options = trusting();
    options.ca_pem = next.ca_pem;
    caller new_trust(options);
    CHECK(fetch(*new_trust.client, s.url()).value().status == 200);
}

TEST_CASE("unusable certificates stop the start") {
    auto rt = make_runtime(1, 1);
    function_handler handler;
    auto options = tls_options();
    options.private_key_pem = "";
    CHECK(make_http_server(*rt, options, handler).error() == errc::bad_configuration);
    options = tls_options();
    options.certificate_pem = "";
    CHECK(make_http_server(*rt, options, handler).error() == errc::bad_configuration);
    auto trust = trusting();
    trust.ca_pem = "nonsense";
    CHECK(make_http_client(*rt, trust).error() == errc::bad_configuration);
}

TEST_CASE("a development certificate refuses odd names") {
    CHECK(make_dev_certificate({"a,DNS:b"}, std::chrono::days(1)).error() ==
          errc::invalid_argument);
    CHECK(make_dev_certificate({""}, std::chrono::days(1)).error() == errc::invalid_argument);
    CHECK(make_dev_certificate({}, std::chrono::days(0)).error() == errc::invalid_argument);
}
