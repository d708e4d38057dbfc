// Keys of a token issuer that has to be asked for them.
#include <atomic>
#include <thread>

#include "desk.hpp"
#include "jose/jws.hpp"
#include "net/dev_certificate.hpp"
#include "net/server.hpp"

using namespace sidecar_test;

namespace {

const net::dev_certificate& certificate() {
    static const auto made = *net::make_dev_certificate({}, std::chrono::days(1));
    return made;
}

// A token issuer: its key, and its key set over TLS.
class token_server final : public net::http_handler {
  public:
    jose::private_key key = *jose::private_key::generate(jose::alg::es256);
    std::atomic<int> asked{0};
    std::atomic<int> status{200};

    token_server() {
        net::server_options o;
        o.certificate_pem = certificate().certificate_pem;
        o.private_key_pem = certificate().private_key_pem;
        server_ = std::move(*net::make_http_server(*rt_, std::move(o), *this));
    }
    ~token_server() override {
        server_.reset();
        rt_->stop();
    }
    void handle(net::http_request, net::responder respond) override {
        ++asked;
        jose::key_set keys;
        keys.add(key.to_public());
        respond(json_response(status, status == 200 ? keys.to_json() : "{}"));
    }
    token_issuer issuer() const {
        token_issuer i;
        i.issuer = "https://as.example";
        i.audience = resource;
        i.algs = {jose::alg::es256};
        i.jwks_uri = "https://localhost:" + std::to_string(server_->port()) + "/jwks";
        i.ca_pem = certificate().ca_pem;
        return i;
    }

  private:
    std::unique_ptr<net::runtime> rt_ = net::make_runtime(1, 1);
    std::unique_ptr<net::http_server> server_;
};

fields bearer(const jose::private_key& key, const std::string& mission) {
    const auto now = to_numeric_date(system_clock().now());
    return {{"Authorization",
             "Bearer " + *jose::sign_compact(key, "at+jwt",
                                             R"({"iss":"https://as.example","aud":")" + resource +
                                                 R"(","exp":)" + std::to_string(now + 60) +
                                                 R"(,"mission":{"id":")" + mission + "\"}}")}};
}

struct world {
    token_server as;
    desk d;
    world() {
        d.s.references = {source::token};
        d.s.tokens = {as.issuer()};
        d.apply();
    }
};

}  // namespace

TEST_CASE("keys are fetched for the first token, by all that wait for them together") {
    world w;
    const auto head = bearer(w.as.key, active_mission);
    std::vector<std::shared_ptr<kept_answer>> all;
    for (int i = 0; i < 20; ++i)
        all.push_back(w.d.send("GET", "/auth", head));
    for (auto& one : all)
        CHECK(one->wait().status == 200);
    CHECK(w.as.asked == 1);
    CHECK(w.d.verdict(bearer(w.as.key, revoked_mission)) == "403 revoked");
    CHECK(w.as.asked == 1);
}

TEST_CASE("a token of a key that the issuer does not have is no reason to ask it all the time") {
    world w;
    CHECK(w.d.verdict(bearer(w.as.key, active_mission)) == "200 active");
    for (int i = 0; i < 5; ++i)
        CHECK(w.d.verdict(bearer(*jose::private_key::generate(jose::alg::es256), active_mission)) ==
              "401 invalid_token");
    CHECK(w.as.asked == 1);
}

TEST_CASE("keys that cannot be had deny, and do not make the issuer busy") {
    world w;
    w.as.status = 503;
    for (int i = 0; i < 5; ++i)
        CHECK(w.d.verdict(bearer(w.as.key, active_mission)) == "403 keys_unavailable");
    CHECK(w.as.asked == 1);  // the next try is due in a second
}

TEST_CASE("other settings keep the keys that are at hand") {
    world w;
    CHECK(w.d.verdict(bearer(w.as.key, active_mission)) == "200 active");
    w.as.status = 503;
    w.d.s.public_url = "https://pdp.example";
    w.d.apply();
    CHECK(w.d.verdict(bearer(w.as.key, active_mission)) == "200 active");
    CHECK(w.as.asked == 1);
}

TEST_CASE("keys are there before the first token, and those that nobody uses are let go") {
    world w;
    w.d.shelf.refresh();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    auto store = *w.d.shelf.of(w.as.issuer().jwks_uri, w.as.issuer().ca_pem);
    while (!store->keys() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    REQUIRE(store->keys());
    CHECK(w.as.asked == 1);
    // At hand: the answer is there when the call returns.
    CHECK(w.d.send("GET", "/auth", bearer(w.as.key, active_mission))->here());
    w.d.shelf.refresh();  // neither missing nor old
    CHECK(w.as.asked == 1);
    const std::weak_ptr<mission::receiver::key_store> seen = store;
    w.d.s.references = {source::header};
    w.d.s.tokens = {};
    w.d.apply();
    store.reset();
    CHECK_FALSE(seen.expired());
    CHECK(w.d.shelf.clients() == 1);
    w.d.shelf.refresh();
    CHECK(seen.expired());
    CHECK(w.d.shelf.clients() == 0);
}

TEST_CASE("a CA that cannot be used is told when the settings are made") {
    desk d;
    auto i = token_server().issuer();
    i.ca_pem = "no certificate";
    const auto made = token_desk::make({i}, d.shelf);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == errc::bad_configuration);
}
