#include "tests/transmitter/auth/auth_bench.hpp"

#include <filesystem>
#include <fstream>
#include <future>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"

namespace mission::transmitter::testing {
namespace {

const net::dev_certificate& certificate() {
    static const auto made = *net::make_dev_certificate({"127.0.0.1"}, std::chrono::days(2));
    return made;
}

}  // namespace

std::string signing_key::sign(std::string_view typ, std::string_view payload) const {
    return *jose::sign_compact(key, typ, payload);
}

std::string signing_key::proof(std::string_view method, std::string_view url, wall_time at,
                               std::string_view token, std::string_view jti) const {
    std::string claims = R"({"htm":")" + std::string(method) + R"(","htu":")" + std::string(url) +
                         R"(","iat":)" + std::to_string(to_numeric_date(at)) + R"(,"jti":")" +
                         (jti.empty() ? jose::random_id(12) : std::string(jti)) + "\"";
    if (!token.empty())
        claims += R"(,"ath":")" + jose::base64url_encode(jose::view(jose::sha256(token))) + "\"";
    return *jose::sign_compact(key, "dpop+jwt", claims + "}",
                               "\"jwk\":" + key.to_public().to_jwk());
}

fake_server::fake_server(net::runtime& rt) : certificate_(certificate()) {
    net::server_options o;
    o.certificate_pem = certificate_.certificate_pem;
    o.private_key_pem = certificate_.private_key_pem;
    auto made = net::make_http_server(rt, o, *this);
    REQUIRE(made);
    server_ = std::move(*made);
}

fake_server::~fake_server() {
    server_.reset();
}

std::string fake_server::url(std::string_view path) const {
    return "https://127.0.0.1:" + std::to_string(server_->port()) + std::string(path);
}

void fake_server::answer(function f) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(f);
}

void fake_server::answer(int status, std::string body, std::string type) {
    answer([=](const net::http_request&, const net::responder& respond) {
        net::http_response r;
        r.status = status;
        r.fields.set("content-type", type);
        if (status / 100 == 3) r.fields.set("location", "https://127.0.0.1:1/elsewhere");
        r.body = body;
        respond(std::move(r));
    });
}

void fake_server::handle(net::http_request request, net::responder respond) {
    ++asked_;
    function f;
    {
        const std::lock_guard lock(mutex_);
        f = answer_;
    }
    if (f) f(request, respond);
}

auth_bench::auth_bench()
    : time_(from_milliseconds(1'800'000'000'000)),
      folder_((std::filesystem::temp_directory_path() / ("auth-" + jose::random_id(9))).string()),
      runtime_(net::make_runtime(2, 1)) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/ca.pem") << certificate().ca_pem;
    common_.time = &time_;
    common_.random = &system_random();
    common_.runtime = runtime_.get();
    common_.settings.secrets_key = std::string(32, 'k');
    common_.settings.issuers.push_back({our_issuer, "/t", false, false});
    issuer_.common = &common_;
    issuer_.settings = common_.settings.issuers.front();
}

auth_bench::~auth_bench() {
    if (auth_) auth_->stop();
    runtime_->stop();
    auth_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

client_config& auth_bench::add_client(std::string id) {
    client_config c;
    c.id = std::move(id);
    c.issuer = our_issuer;
    c.scopes = {"ssf.read", "ssf.manage", "mission_status"};
    settings().clients.push_back(std::move(c));
    return settings().clients.back();
}

token_issuer_config& auth_bench::add_issuer(const fake_server& server, bool introspection,
                                            std::string issuer) {
    token_issuer_config c;
    c.issuer = std::move(issuer);
    (introspection ? c.introspection : c.jwks_uri) = server.url("/x");
    c.audience = our_issuer;
    c.ca_file = folder_ + "/ca.pem";
    if (introspection) {
        c.client_id = "signals";
        c.client_secret = "s:1 2";
    }
    settings().auth.issuers.push_back(std::move(c));
    return settings().auth.issuers.back();
}

void auth_bench::start() {
    auto made = make_authenticator(issuer_);
    REQUIRE(made);
    auth_ = std::move(*made);
}

net::http_request auth_bench::request(std::string authorization, std::string path,
                                      std::string method) const {
    net::http_request r;
    r.method = std::move(method);
    r.path = "/t" + path;
    if (!authorization.empty()) r.fields.set("authorization", std::move(authorization));
    return r;
}

net::http_request auth_bench::prepared(net::http_request request) {
    auto promise = std::make_shared<std::promise<net::http_request>>();
    auto future = promise->get_future();
    auth_->prepare(std::move(request),
                   [promise](net::http_request r) { promise->set_value(std::move(r)); });
    REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    return future.get();
}

result<principal> auth_bench::judged(net::http_request request) {
    return auth_->bearer(prepared(std::move(request)));
}

std::string auth_bench::token_answer::text(std::string_view member) const {
    return std::string(json::find_string(body, member).value_or(""));
}

auth_bench::token_answer auth_bench::token(const form& fields, std::string proof,
                                           std::string certificate, std::string authorization) {
    auto r = request(std::move(authorization), "/oauth/token", "POST");
    r.body = net::encode_form(fields);
    r.peer.certificate_der = std::move(certificate);
    if (!proof.empty()) r.fields.set("dpop", std::move(proof));
    const auto got = auth_->token(prepared(std::move(r)));
    auto parsed = json::parse(got.body);
    REQUIRE(parsed);
    return {got.status, std::move(*parsed)};
}

std::string auth_bench::jwt(const signing_key& by, std::string_view more, std::string_view typ,
                            std::string_view client, std::string_view aud) const {
    const auto t = to_numeric_date(now());
    return by.sign(typ, R"({"iss":")" + std::string(their_issuer) + R"(","aud":")" +
                            std::string(aud) + R"(","sub":"x","client_id":")" +
                            std::string(client) + R"(","iat":)" + std::to_string(t) + R"(,"exp":)" +
                            std::to_string(t + 600) + R"(,"jti":"j")" +
                            R"(,"scope":"ssf.read ssf.admin other")" + std::string(more) + "}");
}

errc code_of(const result<principal>& r) {
    return r ? errc{} : r.error().code;
}

}  // namespace mission::transmitter::testing
