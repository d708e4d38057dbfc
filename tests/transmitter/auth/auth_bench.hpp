// One issuer's authenticator alone, with a clock that is moved by hand, and an authorization server
// on loopback that answers as it is told.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "net/dev_certificate.hpp"
#include "net/server.hpp"
#include "tests/transmitter/printing.hpp"
#include "transmitter/auth/authenticator.hpp"

namespace mission::transmitter::testing {

inline constexpr const char* our_issuer = "https://signals.example/t";
inline constexpr const char* their_issuer = "https://as.example";

// A P-256 key and what one signs with it.
struct signing_key {
    jose::private_key key = *jose::private_key::generate(jose::alg::es256);

    std::string jwks() const { return "{\"keys\":[" + key.to_public().to_jwk() + "]}"; }
    std::string jkt() const { return key.to_public().thumbprint(); }
    std::string sign(std::string_view typ, std::string_view payload) const;
    // A DPoP proof; `token` empty: no `ath`. `more` replaces nothing, it is appended.
    std::string proof(std::string_view method, std::string_view url, wall_time at,
                      std::string_view token = {}, std::string_view jti = {}) const;
};

// Speaks TLS on 127.0.0.1; counts what it is asked.
class fake_server final : public net::http_handler {
  public:
    using function = std::function<void(const net::http_request&, net::responder)>;
    explicit fake_server(net::runtime& rt);
    ~fake_server() override;
    std::string url(std::string_view path) const;
    const std::string& ca_pem() const { return certificate_.ca_pem; }
    // What to answer from now on. THREAD: any.
    void answer(function f);
    void answer(int status, std::string body, std::string type = "application/json");
    int asked() const { return asked_.load(); }
    void handle(net::http_request request, net::responder respond) override;

  private:
    const net::dev_certificate& certificate_;
    std::unique_ptr<net::http_server> server_;
    std::mutex mutex_;
    function answer_;
    std::atomic<int> asked_{0};
};

class auth_bench {
  public:
    auth_bench();
    ~auth_bench();

    // Before start(): `common.settings` may be changed.
    config& settings() { return common_.settings; }
    client_config& add_client(std::string id);
    // An [[auth.issuer]] at `server`; `introspection`: opaque tokens instead of JWTs.
    token_issuer_config& add_issuer(const fake_server& server, bool introspection = false,
                                    std::string issuer = their_issuer);
    void start();

    net::runtime& runtime() { return *runtime_; }
    authenticator& auth() { return *auth_; }
    wall_time now() const { return time_.now(); }
    void advance(std::chrono::milliseconds by) { time_.advance(by); }

    // "Bearer x", "DPoP x"; a path below the issuer.
    net::http_request request(std::string authorization, std::string path = "/ssf/streams",
                              std::string method = "GET") const;
    std::string url(std::string_view path) const { return our_issuer + std::string(path); }
    // prepare() and bearer(), as the front does it; waits for it with a bound.
    result<principal> judged(net::http_request request);
    net::http_request prepared(net::http_request request);
    // POST /oauth/token; the parsed body and the status.
    struct token_answer {
        int status = 0;
        json::document body;
        std::string text(std::string_view member) const;
    };
    token_answer token(const form& fields, std::string proof = {}, std::string certificate = {},
                       std::string authorization = {});

    // A JWT access token of `their_issuer` (RFC 9068) for us; `more` is appended to the claims.
    std::string jwt(const signing_key& by, std::string_view more = {},
                    std::string_view typ = "at+jwt", std::string_view client = "c1",
                    std::string_view aud = our_issuer) const;

  private:
    manual_clock time_;
    service common_;
    issuer_service issuer_;
    std::string folder_;
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<authenticator> auth_;
};

// The error's code, or errc{} for a principal.
errc code_of(const result<principal>& r);

}  // namespace mission::transmitter::testing
