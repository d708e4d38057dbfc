#include "tests/transmitter/fixture.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/transmitter/printing.hpp"

#include <filesystem>
#include <future>

#include "events/mission_event.hpp"
#include "jose/digest.hpp"
#include "net/dev_certificate.hpp"
#include "transmitter/auth/client_assertion.hpp"
#include "transmitter/keys/private_file.hpp"

namespace mission::transmitter::testing {
namespace {

const std::vector<std::string> every_scope{"ssf.read",          "ssf.manage",    "mission.read",
                                           "mission.write",     "mission.scope", "mission_status",
                                           "mission_lifecycle", "ssf.admin"};

client_config client(const std::string& id, const std::string& audience,
                     const std::string& issuer) {
    client_config c;
    c.id = id;
    c.issuer = issuer;
    c.audience = audience;
    c.scopes = every_scope;
    c.lifecycle = {"revoke", "suspend", "resume", "complete"};
    return c;
}

}  // namespace

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    ::close(fd);
    return ntohs(at.sin_port);
}

temporary_folder::temporary_folder()
    : path_((std::filesystem::temp_directory_path() / ("mission-" + jose::random_id(9))).string()) {
    std::filesystem::create_directories(path_);
}

temporary_folder::~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string answer::text(std::string_view member) const {
    return std::string(mission::json::find_string(json, member).value_or(""));
}

std::int64_t answer::number(std::string_view member) const {
    return mission::json::find_int(json, member).value_or(-1);
}

config fixture_config(const std::string& folder) {
    config c;
    c.event_type_base = std::string(events::event_type_base);
    c.listen_port = free_port();
    const std::string issuer = "https://localhost:" + std::to_string(c.listen_port);
    c.issuers.push_back({issuer, "", false, false});
    c.admin.address = "127.0.0.1";
    c.store_url = "memory:";
    c.signing_directory = folder + "/keys";
    c.secrets_key_file = folder + "/secret.key";
    c.push.allow = {"127.0.0.0/8"};
    c.clients.push_back(client("operator", "", issuer));
    c.clients.back().missions.what = mission_visibility::kind::all;
    c.clients.push_back(client("erp", "https://erp.example", issuer));
    c.clients.back().disclose = {"reason"};
    c.clients.push_back(client("crm", "https://crm.example", issuer));
    c.clients.back().secret = "crm-secret";
    c.clients.push_back(client("stranger", "https://stranger.example", issuer));
    c.clients.push_back(client("poor", "https://poor.example", issuer));
    c.clients.back().scopes = {"ssf.read"};
    c.clients.back().lifecycle = {};
    c.clients.back().token = "poor-static-token";
    return c;
}

transmitter_fixture::transmitter_fixture(std::function<void(config&)> change, const clock* time)
    : settings_(fixture_config(folder_.path())), time_(time) {
    for (auto& c : settings_.clients) {
        if (c.id == "crm") continue;
        auto key = jose::private_key::generate(jose::alg::es256);
        REQUIRE(key);
        c.jwks.add(key->to_public());
        keys_.emplace(c.id, std::move(*key));
    }
    issuer_ = settings_.issuers.front().url;
    if (change) change(settings_);
    issuer_ = settings_.issuers.front().url;
    for (auto& c : settings_.clients)
        if (settings_.issuers.size() == 1) c.issuer = issuer_;
    auto certificate = net::make_dev_certificate({}, std::chrono::days(2));
    REQUIRE(certificate);
    ca_pem_ = certificate->ca_pem;
    certificate_pem_ = certificate->certificate_pem;
    private_key_pem_ = certificate->private_key_pem;
    start();
    runtime_ = net::make_runtime(1, 1);
    net::client_options options;
    options.ca_pem = ca_pem_;
    options.allow_plain_http = true;
    auto made = net::make_http_client(*runtime_, options);
    REQUIRE(made);
    client_ = std::move(*made);
}

transmitter_fixture::~transmitter_fixture() {
    if (client_) client_->stop();
    app_.reset();
    if (runtime_) runtime_->stop();
}

void transmitter_fixture::start() {
    // RSA keys take long to make: one for all fixtures of this program.
    static const std::string rsa = jose::private_key::generate(jose::alg::rs256)->to_pem();
    for (const auto& issuer : settings_.issuers) {
        const auto keys = settings_.signing_directory + "/" + issuer_folder(issuer.url);
        REQUIRE(make_private_folder(keys));
        if (!std::filesystem::exists(keys + "/current-RS256.pem"))
            REQUIRE(write_private_file(keys + "/current-RS256.pem", rsa));
    }
    app_options options;
    options.time = time_;
    options.certificate_pem = certificate_pem_;
    options.private_key_pem = private_key_pem_;
    auto started = start_app(settings_, options);
    if (!started) MESSAGE(started.error().message());
    REQUIRE(started);
    app_ = std::move(*started);
}

void transmitter_fixture::restart(const std::function<void(config&)>& change) {
    app_.reset();
    if (change) change(settings_);
    start();
}

std::string transmitter_fixture::admin_url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(app_->admin_port()) + std::string(path);
}

answer transmitter_fixture::send(std::string method, std::string target, net::headers fields,
                                 std::string body) {
    auto promise = std::make_shared<std::promise<result<net::http_response>>>();
    auto future = promise->get_future();
    net::client_request request;
    request.method = std::move(method);
    request.url = std::move(target);
    request.fields = std::move(fields);
    request.body = std::move(body);
    const auto pending = client_->send(
        std::move(request), [promise](result<net::http_response> r) { promise->set_value(r); });
    REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    auto got = future.get();
    if (!got) MESSAGE(got.error().message());
    REQUIRE(got);
    answer out;
    out.status = got->status;
    out.fields = std::move(got->fields);
    out.body = std::move(got->body);
    if (auto parsed = mission::json::parse(out.body)) out.json = std::move(*parsed);
    return out;
}

answer transmitter_fixture::get(std::string_view path, std::string_view token) {
    net::headers fields;
    if (!token.empty()) fields.set("authorization", "Bearer " + std::string(token));
    return send("GET", url(path), std::move(fields));
}

answer transmitter_fixture::post_json(std::string_view path, std::string body,
                                      std::string_view token) {
    net::headers fields;
    fields.set("content-type", "application/json");
    if (!token.empty()) fields.set("authorization", "Bearer " + std::string(token));
    return send("POST", url(path), std::move(fields), std::move(body));
}

answer transmitter_fixture::post_form(std::string_view path, const field_list& form) {
    net::headers headers;
    headers.set("content-type", "application/x-www-form-urlencoded");
    return send("POST", url(path), std::move(headers), net::encode_form(form));
}

std::string transmitter_fixture::assertion_payload(const std::string& client,
                                                   const std::string& audience) {
    const auto now = to_numeric_date((time_ ? time_ : &system_clock())->now());
    return R"({"iss":")" + client + R"(","sub":")" + client + R"(","aud":")" + audience +
           R"(","iat":)" + std::to_string(now) + R"(,"exp":)" + std::to_string(now + 60) +
           R"(,"jti":")" + jose::random_id(12) + R"("})";
}

std::string transmitter_fixture::sign(const std::string& client, const std::string& payload) {
    auto token = jose::sign_compact(keys_.at(client), "JWT", payload);
    REQUIRE(token);
    return *token;
}

std::string transmitter_fixture::assertion(const std::string& client, const std::string& audience) {
    return sign(client, assertion_payload(client, audience));
}

transmitter_fixture::field_list transmitter_fixture::with_assertion(const std::string& client,
                                                                    std::string_view path,
                                                                    field_list rest) {
    rest.emplace_back("client_assertion_type", std::string(assertion_type));
    rest.emplace_back("client_assertion", assertion(client, url(path)));
    return rest;
}

std::string transmitter_fixture::token(const std::string& client) {
    auto& known = tokens_[client];
    if (!known.empty()) return known;
    field_list form{{"grant_type", "client_credentials"}};
    if (client == "crm") {
        form.emplace_back("client_id", "crm");
        form.emplace_back("client_secret", "crm-secret");
    } else {
        form = with_assertion(client, "/oauth/token", std::move(form));
    }
    const auto a = post_form("/oauth/token", form);
    if (a.status != 200) MESSAGE(a.body);
    REQUIRE(a.status == 200);
    known = a.text("access_token");
    REQUIRE(!known.empty());
    return known;
}

answer transmitter_fixture::lifecycle(const std::string& client, const std::string& mission_id,
                                      const std::string& operation, field_list rest) {
    rest.emplace_back("mission_id", mission_id);
    rest.emplace_back("operation", operation);
    bool nonce = false;
    for (const auto& f : rest)
        nonce = nonce || f.first == "nonce";
    if (!nonce) rest.emplace_back("nonce", "n" + std::to_string(++counter_));
    return post_form("/mission/lifecycle",
                     with_assertion(client, "/mission/lifecycle", std::move(rest)));
}

answer transmitter_fixture::status(const std::string& client, const std::string& mission_id,
                                   field_list rest) {
    rest.emplace_back("mission_id", mission_id);
    rest.emplace_back("nonce", "s" + std::to_string(++counter_));
    return post_form("/mission/status", with_assertion(client, "/mission/status", std::move(rest)));
}

json::document transmitter_fixture::claims(const answer& a) {
    if (a.status != 200) MESSAGE(a.body);
    REQUIRE(a.status == 200);
    CHECK(a.fields.get("content-type") == "application/mission-status-response+jwt");
    CHECK(a.fields.get("cache-control") == "no-store");
    const auto keys = jose::key_set::parse(get("/jwks.json").body);
    REQUIRE(keys);
    const auto token = jose::parse_compact(a.body);
    REQUIRE(token);
    CHECK(token->typ == "mission-status-response+jwt");
    const jose::alg allowed[] = {jose::alg::es256};
    REQUIRE(jose::verify(*token, *keys, allowed));
    auto parsed = json::parse(token->payload);
    REQUIRE(parsed);
    return std::move(*parsed);
}

std::string transmitter_fixture::mission_body(std::string_view expires_at) {
    return R"({"purpose":"close the quarter","approver":{"iss":"https://idp.example","sub":"alice"},)"
           R"("subject":{"iss":"https://idp.example","sub":"bob"},"agent":{"client_id":"agent-7"},)"
           R"("tenant":"acme","expires_at":")" +
           std::string(expires_at) +
           R"(","authorization_details":[{"type":"mission_resource_access",)"
           R"("resource":"https://erp.example","actions":["invoices.read","invoices.pay"],)"
           R"("constraints":{"max_amount":{"amount":"500","currency":"EUR"}}},)"
           R"({"type":"mission_resource_access","resource":"https://crm.example",)"
           R"("actions":["contacts.*"]}]})";
}

std::string transmitter_fixture::create(std::string_view expires_at) {
    const auto a = post_json("/missions", mission_body(expires_at), token("operator"));
    if (a.status != 201) MESSAGE(a.body);
    REQUIRE(a.status == 201);
    return a.text("mission_id");
}

bool transmitter_fixture::eventually(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < until) {
        if (done()) return true;
        ::poll(nullptr, 0, 1);  // between two looks the core is somebody else's
    }
    return false;
}

}  // namespace mission::transmitter::testing
