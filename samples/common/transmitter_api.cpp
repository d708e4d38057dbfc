#include "samples/common/transmitter_api.hpp"

#include <ctime>
#include <stdexcept>

namespace sample {
namespace {

constexpr auto spare = std::chrono::seconds(60);  // a token is renewed so long before its end
constexpr std::string_view assertion_type =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

api_answer answer_of(const httplib::Result& r) {
    if (!r) return {0, "no answer: " + httplib::to_string(r.error())};
    return {r->status, r->body};
}

}  // namespace

transmitter_api::transmitter_api(settings s)
    : settings_(std::move(s)), key_(es256_key::load(settings_.private_key_file)) {
    constexpr std::string_view scheme = "https://";
    if (!settings_.issuer.starts_with(scheme))
        throw std::runtime_error("the issuer has to be an https URL");
    const auto slash = settings_.issuer.find('/', scheme.size());
    origin_ = settings_.issuer.substr(0, slash);
    if (slash != std::string::npos) prefix_ = settings_.issuer.substr(slash);
    while (!prefix_.empty() && prefix_.back() == '/')
        prefix_.pop_back();
    client_ = make_client(origin_, settings_.ca_file, "");
}

api_answer transmitter_api::get(const std::string& path) {
    return call(path, nullptr, {});
}

api_answer transmitter_api::post(const std::string& path, const std::string& json,
                                 const std::string& idempotency_key) {
    return call(path, &json, idempotency_key);
}

std::string transmitter_api::statement(const json_object& claims) const {
    return key_.sign("JWT", claims, false);
}

api_answer transmitter_api::call(const std::string& path, const std::string* json,
                                 const std::string& key) {
    const std::lock_guard hold(lock_);
    std::string why;
    for (int tries = 0;; ++tries) {
        const auto bearer = token(why);
        if (bearer.empty()) return {0, why};
        auto got = once(path, json, key, bearer);
        // An idle connection that the server has closed; what may have arrived is not sent twice
        // without a key.
        const bool lost = got.status == 0 && (json == nullptr || !key.empty());
        if ((got.status != 401 && !lost) || tries > 0) return got;
        if (got.status == 401) token_.clear();
    }
}

api_answer transmitter_api::once(const std::string& path, const std::string* json,
                                 const std::string& key, const std::string& bearer) {
    httplib::Headers fields = {{"Authorization", "Bearer " + bearer}};
    if (!key.empty()) fields.emplace("Idempotency-Key", key);
    return answer_of(json == nullptr
                         ? client_->Get(prefix_ + path, fields)
                         : client_->Post(prefix_ + path, fields, *json, "application/json"));
}

std::string transmitter_api::token(std::string& why) {
    const auto now = std::chrono::steady_clock::now();
    if (!token_.empty() && now < token_until_) return token_;
    token_.clear();
    if (token_endpoint_.empty()) {
        // RFC 8414 section 3.1: between host and path.
        const auto got =
            answer_of(client_->Get("/.well-known/oauth-authorization-server" + prefix_));
        const auto metadata = parse_object(got.body);
        if (got.status != 200 || !metadata ||
            text_member(*metadata, "issuer") != settings_.issuer) {
            why = "the transmitter's metadata: " + std::to_string(got.status);
            return {};
        }
        const auto endpoint = text_member(*metadata, "token_endpoint");
        // A key's assertion goes to the issuer's own origin and nowhere else.
        if (!endpoint.starts_with(origin_ + "/")) {
            why = "the transmitter's token endpoint lies elsewhere";
            return {};
        }
        token_endpoint_ = endpoint;
    }
    const auto at = static_cast<std::int64_t>(std::time(nullptr));
    json_object claims;
    claims.add("iss", settings_.client_id)
        .add("sub", settings_.client_id)
        .add("aud", token_endpoint_)
        .add("jti", random_text(16))
        .add("iat", at)
        .add("exp", at + 60);
    const httplib::Params form = {
        {"grant_type", "client_credentials"},
        {"scope", settings_.scope},
        {"client_assertion_type", std::string(assertion_type)},
        {"client_assertion", key_.sign("JWT", claims, false)},
    };
    const auto got = answer_of(client_->Post(token_endpoint_.substr(origin_.size()), form));
    const auto body = parse_object(got.body);
    if (got.status != 200 || !body) {
        why = "the transmitter's token endpoint answered " + std::to_string(got.status);
        return {};
    }
    token_ = text_member(*body, "access_token");
    token_until_ = now + std::chrono::seconds(int_member(*body, "expires_in", 0)) - spare;
    return token_;
}

}  // namespace sample
