// RFC 8935: the endpoint the library listens on, and the one a host mounts.
#include <doctest/doctest.h>

#include <fstream>
#include <future>

#include "base/limits.hpp"
#include "tests/receiver/fake_transmitter.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

struct push_bench {
    temp_dir dir;
    fake_transmitter tx;
    std::unique_ptr<receiver> rx;
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::unique_ptr<net::http_client> http;

    push_bench() {
        auto o = tx.options(dir);
        std::ofstream(dir / "cert.pem") << tx.certificate.certificate_pem;
        std::ofstream(dir / "tls.pem") << tx.certificate.private_key_pem;
        o.delivery = delivery::push;
        o.push_listen = "127.0.0.1:0";
        o.push_certificate_file = dir / "cert.pem";
        o.push_private_key_file = dir / "tls.pem";
        o.push_public_url = "https://localhost:{port}/events";
        o.push_authorization_header = "Bearer push-secret";
        rx = make_receiver(o);
        rx->start();
        net::client_options c;
        c.ca_pem = tx.certificate.ca_pem;
        http = std::move(*net::make_http_client(*rt, std::move(c)));
        REQUIRE(eventually([&] { return !rx->current_status().aud.empty(); }));
    }
    ~push_bench() {
        http->stop();
        rt->stop();
    }

    net::http_response post(const std::string& body,
                            const char* authorization = "Bearer push-secret",
                            const char* type = "application/secevent+jwt",
                            const char* path = "/events") {
        net::client_request r;
        r.method = "POST";
        r.url = "https://localhost:" + std::to_string(rx->push_port()) + path;
        r.fields.add("content-type", type);
        r.fields.add("authorization", authorization);
        r.body = body;
        std::promise<result<net::http_response>> p;
        auto pending =
            http->send(r, [&](result<net::http_response> x) { p.set_value(std::move(x)); });
        auto got = p.get_future().get();
        REQUIRE(got.has_value());
        return std::move(*got);
    }
};

std::string err_of(const net::http_response& r) {
    auto doc = json::parse(r.body);
    return doc.has_value() ? std::string(json::find_string(*doc, "err").value_or("")) : "";
}

}  // namespace

TEST_CASE("a pushed SET is answered 202 with nothing, after it took effect") {
    push_bench b;
    const auto id = "msn_" + jose::random_id(18);
    const auto first = b.post(b.tx.set_of(b.tx.change(id, 1, "active"), "j1"));
    CHECK(first.status == 202);
    CHECK(first.body.empty());
    CHECK(b.post(b.tx.set_of(b.tx.change(id, 2, "revoked"), "j2")).status == 202);
    CHECK(b.rx->missions().check(id).what == standing::revoked);
    // Again, as after a lost answer; and out of order.
    CHECK(b.post(b.tx.set_of(b.tx.change(id, 2, "revoked"), "j2")).status == 202);
    CHECK(b.post(b.tx.set_of(b.tx.change(id, 1, "active"), "j1")).status == 202);
    CHECK(b.rx->missions().check(id).what == standing::revoked);
}

TEST_CASE("each fault of a push has its answer") {
    push_bench b;
    auto c = b.tx.change("msn_" + jose::random_id(18), 1, "active");
    const auto good = b.tx.set_of(c, "j");
    const auto type = events::event_type(c, events::form::ours);
    const auto body = events::event_body(c, events::form::ours);
    const auto sub = events::event_subject(c, events::form::ours);
    CHECK(b.post(good, "Bearer wrong").status == 401);
    CHECK(b.post(good, "Bearer push-secret", "text/html").status == 415);
    CHECK(b.post(good, "Bearer push-secret", "application/secevent+jwt", "/other").status == 404);
    CHECK(b.post(std::string(300'000, 'a')).status == 413);

    auto r = b.post("not a token");
    CHECK(r.status == 400);
    CHECK(err_of(r) == "invalid_request");
    CHECK(r.fields.get("content-language") == "en");
    CHECK(err_of(b.post(b.tx.sign_event("i", type, body, sub, "https://x.example"))) ==
          "invalid_issuer");
    CHECK(err_of(b.post(b.tx.sign_event("a", type, body, sub, {}, "https://x.example"))) ==
          "invalid_audience");
    // A million of them are remembered.
    CHECK(err_of(b.post(b.tx.sign_event(std::string(limits::set_text_bytes + 1, 'j'), type, body,
                                        sub))) == "invalid_request");
    // Time may mend these: the transmitter keeps them.
    CHECK(b.post(b.tx.sign_event("f", type, body, sub, {}, {}, 3600)).status == 503);
    const auto stranger = *jose::private_key::generate(jose::alg::es256);
    CHECK(b.post(*jose::sign_compact(stranger, "secevent+jwt", "{}")).status == 503);

    events::verification v;
    v.state = "never asked for";
    CHECK(err_of(b.post(
              b.tx.sign_event("v", std::string(events::verification_type), events::to_json(v),
                              events::stream_subject(b.tx.stream_id())))) == "invalid_state");
    CHECK_FALSE(b.rx->missions().check(c.mission_id).permitted());
}

TEST_CASE("a host can mount the endpoint itself") {
    push_bench b;
    const auto id = "msn_" + jose::random_id(18);
    std::promise<push_response> p;
    b.rx->handle_push({"application/secevent+jwt", "Bearer push-secret",
                       b.tx.set_of(b.tx.change(id, 1, "active"), "j")},
                      [&](push_response r) { p.set_value(std::move(r)); });
    CHECK(p.get_future().get().status == 202);
    CHECK(b.rx->missions().view(id).has_value());
}
