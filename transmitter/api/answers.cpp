#include <algorithm>
#include <cctype>

#include "transmitter/api/mission_forms.hpp"
#include "transmitter/api/rate_limit.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/streams/members.hpp"

#include "schemas/schemas.hpp"

// The one mapping from errors to HTTP. Input errors repeat what is wrong with the input; everything
// else says a fixed sentence, so that nothing of other clients or of the machine gets out.

namespace mission::transmitter {
namespace {

struct shape {
    int status;
    std::string_view err;
    std::string_view sentence;  // empty: the error's own detail
};

shape shape_of(errc code) {
    switch (code) {
        case errc::invalid_argument:
        case errc::not_json:
        case errc::duplicate_member:
        case errc::too_deep:
        case errc::schema_violation:
        case errc::stream_invalid:
        case errc::invalid_request:
            return {400, "invalid_request", ""};
        case errc::stream_not_enabled:
            return {400, "invalid_request", "the stream is not enabled"};
        case errc::too_large:
            return {413, "too_large", "the request is too large"};
        case errc::unsupported_media_type:
            return {415, "unsupported_media_type", "the content type must be application/json"};
        case errc::malformed_token:
        case errc::wrong_typ:
        case errc::alg_not_allowed:
        case errc::unknown_kid:
        case errc::bad_signature:
        case errc::wrong_issuer:
        case errc::wrong_audience:
        case errc::issued_in_future:
        case errc::token_expired:
        case errc::bad_claims:
        case errc::token_replayed:
        case errc::invalid_dpop_proof:
        case errc::unauthenticated:
            return {401, "unauthorized", "a valid access token is required"};
        case errc::forbidden:
            return {403, "access_denied", "this client may not do that"};
        case errc::insufficient_scope:
            return {403, "insufficient_scope", "the token lacks the scope for this"};
        case errc::exceeds_authority:
            return {403, "exceeds_authority", ""};
        case errc::extension_not_allowed:
            return {403, "extension_not_allowed", ""};
        case errc::not_found:
        case errc::stream_not_found:
        case errc::mission_not_found:
            return {404, "not_found", "there is no such thing"};
        case errc::stream_limit:
            return {409, "stream_limit", "this client has as many streams as it may have"};
        case errc::stream_conflict:
            return {409, "conflict", ""};
        case errc::mission_conflict:
            return {409, "conflict", ""};
        case errc::mission_exists:
            return {409, "conflict", ""};
        case errc::stale_version:
            return {409, "stale_version", ""};
        case errc::invalid_bulk_token:
            return {400, "invalid_bulk_token", ""};
        case errc::stale_bulk_token:
            return {409, "stale_bulk_token", ""};
        case errc::filter_too_broad:
            return {400, "filter_too_broad", ""};
        case errc::verification_too_soon:
        case errc::rate_limited:
            return {429, "rate_limited", "too many requests; wait"};
        case errc::keys_unavailable:
        case errc::store_unavailable:
        case errc::store_full:
        case errc::store_newer:
        case errc::store_read_only:
        case errc::store_locked:
        case errc::not_a_database:
        case errc::store_corrupt:
        case errc::outcome_unknown:
        case errc::store_conflict:
        case errc::cancelled:
        case errc::unavailable:
            return {503, "unavailable", "the service cannot do this at the moment"};
        case errc::io_error:
        case errc::address_in_use:
        case errc::bad_configuration:
        case errc::key_unreadable:
        case errc::key_malformed:
        case errc::key_unsupported:
        case errc::key_too_weak:
        case errc::key_permissions:
        case errc::decryption_failed:
        case errc::address_refused:
        case errc::resolve_failed:
        case errc::connect_failed:
        case errc::tls_failed:
        case errc::timed_out:
        case errc::connection_closed:
        case errc::response_too_large:
        case errc::bad_response:
        case errc::redirect_refused:
        case errc::http_status:
            return {500, "server_error", "the service failed"};
    }
    return {500, "server_error", "the service failed"};
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// Details may quote a peer's octets, or cut them within a character: what is no UTF-8 becomes '?',
// so that an answer is always JSON.
std::string printable(std::string_view text, std::size_t max) {
    std::string out = cut_utf8(text, max);
    for (std::size_t i = 0; i < out.size();) {
        const auto lead = static_cast<unsigned char>(out[i]);
        const std::size_t length = lead < 0x80                    ? 1
                                   : lead >= 0xc2 && lead < 0xe0  ? 2
                                   : lead >= 0xe0 && lead < 0xf0  ? 3
                                   : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                                  : 0;
        if (length != 0 && count_characters(std::string_view(out).substr(i, length)) == 1u) {
            i += length;
        } else {
            out[i++] = '?';
        }
    }
    return out;
}

constexpr std::size_t description_max = 512;

}  // namespace

bool speaks_oauth(std::string_view path) noexcept {
    for (const std::string_view end :
         {"/oauth/token", "/mission/status", "/mission/lifecycle", "/mission/manage"})
        if (path.ends_with(end)) return true;
    return false;
}

net::http_response shaped_error(std::string_view path, int status, std::string_view code,
                                std::string_view description) {
    const bool oauth = speaks_oauth(path);
    std::string text = printable(description, description_max);
    // RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E.
    if (oauth)
        for (char& c : text)
            if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e) c = '\'';
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, oauth ? "error" : "err", code);
    json::member(w, oauth ? "error_description" : "description", text);
    w.EndObject();
    return json_answer(status, json::text(buffer));
}

bool has_body(const net::http_request& request) noexcept {
    return request.body_too_large || !request.body.empty();
}

result<std::string> idempotency_key_of(const net::http_request& request) {
    if (request.fields.count("idempotency-key") == 0) return std::string{};
    std::string key(request.fields.get("idempotency-key"));
    if (key.empty() || key.size() > limits::nonce_max ||
        request.fields.count("idempotency-key") > 1)
        return error{errc::invalid_request, "Idempotency-Key: 1 to 255 characters, once"};
    return key;
}

net::http_response json_answer(int status, std::string body) {
    net::http_response r;
    r.status = status;
    r.fields.set("content-type", "application/json");
    r.fields.set("cache-control", "no-store");
    r.body = std::move(body);
    return r;
}

net::http_response empty_answer(int status) {
    net::http_response r;
    r.status = status;
    r.fields.set("cache-control", "no-store");
    return r;
}

int http_status(errc code) noexcept {
    return shape_of(code).status;
}

void add_challenges(net::http_response& answer, errc why, bool token_refused) {
    const std::string dpop = "DPoP algs=\"" + std::string(dpop_algs_text) + "\"";
    if (why == errc::invalid_dpop_proof) {
        answer.fields.set("www-authenticate", dpop + ", error=\"invalid_dpop_proof\"");
        return;
    }
    // RFC 6750 section 3.1: no error code for a request that carried no token at all.
    answer.fields.set("www-authenticate",
                      token_refused ? "Bearer error=\"invalid_token\"" : "Bearer");
    answer.fields.add("www-authenticate", dpop);
}

net::http_response error_answer(const error& e) {
    const shape s = shape_of(e.code);
    auto answer = shaped_error({}, s.status, s.err,
                               s.sentence.empty() ? std::string_view(e.detail) : s.sentence);
    if (s.status == 401) add_challenges(answer, e.code, !e.detail.empty());
    if (e.code == errc::insufficient_scope)
        answer.fields.set("www-authenticate",
                          "Bearer error=\"insufficient_scope\", scope=\"" + e.detail + "\"");
    if (s.status == 429 || s.status == 503)
        answer.fields.set("retry-after", std::to_string(retry_after(e)));
    return answer;
}

result<json::document> json_body(const net::http_request& request) {
    if (const auto type = request.fields.get("content-type"); !type.empty()) {
        auto media = lower(type.substr(0, type.find(';')));
        while (!media.empty() && media.back() == ' ')
            media.pop_back();
        if (media != "application/json") return error{errc::unsupported_media_type};
    }
    if (request.body_too_large) return error{errc::too_large};
    return json::parse(request.body);
}

bool form_content_type(const net::http_request& request) {
    const auto type = request.fields.get("content-type");
    if (type.empty()) return true;
    constexpr std::string_view expected = "application/x-www-form-urlencoded";
    const auto media = type.substr(0, type.find(';'));
    if (media.size() < expected.size()) return false;
    for (std::size_t i = 0; i < media.size(); ++i) {
        const char c = media[i];
        const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        if (i < expected.size() ? low != expected[i] : c != ' ') return false;
    }
    return true;
}

result<json::document> checked_body(const net::http_request& request, std::string_view schema) {
    auto body = json_body(request);
    if (!body) return body;
    if (auto valid = schemas::validate(schema, *body); !valid) return valid.error();
    return body;
}

result<std::vector<std::pair<std::string, std::string>>> query_of(
    const net::http_request& request) {
    auto fields = net::parse_form(request.query);
    if (!fields) return error{errc::invalid_request, "the query is malformed"};
    for (const auto& [name, value] : *fields)
        // wire.md: a token in a query ends up in logs and referrers.
        if (name == "access_token")
            return error{errc::invalid_request, "a token is not taken from the query"};
    return fields;
}

}  // namespace mission::transmitter
