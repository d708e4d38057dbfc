#include "receiver/subscribe/discovery.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "net/http.hpp"

namespace mission::receiver {
namespace {

std::string text_of(const json::value& v, std::string_view name) {
    return std::string(json::find_string(v, name).value_or(""));
}

std::vector<std::string> texts_of(const json::value& v, std::string_view name) {
    std::vector<std::string> out;
    const auto* list = json::find(v, name);
    if (list == nullptr || !list->IsArray()) return out;
    for (const auto& one : list->GetArray()) {
        if (one.IsString()) out.emplace_back(json::view(one));
    }
    return out;
}

result<json::document> parse_object(std::string_view text, const char* what) {
    auto doc = json::parse(text);
    if (doc.has_error() || !doc->IsObject()) {
        return error{errc::bad_response, std::string(what) + " is not a JSON object"};
    }
    return doc;
}

// wire.md section 5: tokens only over https to the issuer's origin.
result<void> on_origin(std::string_view url, std::string_view issuer, const char* what) {
    const auto a = net::parse_url(url), b = net::parse_url(issuer);
    if (a.has_error() || a->scheme != "https") {
        return error{errc::bad_configuration, std::string(what) + " is no https URL"};
    }
    if (b.has_error() || a->origin() != b->origin()) {
        return error{errc::bad_configuration,
                     std::string(what) + " lies outside the issuer's origin"};
    }
    return {};
}

}  // namespace

result<std::string> well_known_url(std::string_view issuer, std::string_view suffix) {
    while (issuer.ends_with('/'))
        issuer.remove_suffix(1);
    const auto parsed = net::parse_url(issuer);
    if (parsed.has_error() || parsed->scheme != "https" ||
        parsed->target.find('?') != std::string::npos) {
        return error{errc::bad_configuration, "the issuer is no https URL"};
    }
    const auto path = parsed->target == "/" ? std::string() : parsed->target;
    return parsed->origin() + "/.well-known/" + std::string(suffix) + path;
}

result<transmitter_metadata> parse_metadata(std::string_view text, std::string_view expected) {
    auto doc = parse_object(text, "the transmitter's metadata");
    if (doc.has_error()) return doc.error();
    transmitter_metadata m;
    m.issuer = text_of(*doc, "issuer");
    if (m.issuer.empty() || (!expected.empty() && m.issuer != expected)) {
        return error{errc::wrong_issuer, "the metadata names another issuer"};
    }
    m.jwks_uri = text_of(*doc, "jwks_uri");
    m.configuration_endpoint = text_of(*doc, "configuration_endpoint");
    m.verification_endpoint = text_of(*doc, "verification_endpoint");
    m.mission_status_endpoint = text_of(*doc, "mission_status_endpoint");
    m.status_algs = texts_of(*doc, "mission_status_signing_alg_values_supported");
    m.delivery_methods = texts_of(*doc, "delivery_methods_supported");
    m.default_subjects = text_of(*doc, "default_subjects");
    // A bound of more than a year is none; what lies outside would overflow arithmetic.
    constexpr std::int64_t year = 366 * 86'400;
    m.max_stale = std::chrono::seconds(std::clamp<std::int64_t>(
        json::find_int(*doc, "mission_max_stale_seconds").value_or(0), 0, year));

    const auto jwks = net::parse_url(m.jwks_uri);
    if (jwks.has_error() || jwks->scheme != "https") {
        return error{errc::bad_configuration, "jwks_uri is no https URL"};
    }
    for (auto [url, what, required] :
         {std::tuple{&m.configuration_endpoint, "configuration_endpoint", true},
          std::tuple{&m.verification_endpoint, "verification_endpoint", false},
          std::tuple{&m.mission_status_endpoint, "mission_status_endpoint", false}}) {
        if (url->empty() && !required) continue;
        if (auto r = on_origin(*url, m.issuer, what); r.has_error()) return r.error();
    }
    return m;
}

result<std::string> parse_token_endpoint(std::string_view text, std::string_view expected) {
    auto doc = parse_object(text, "the authorization server's metadata");
    if (doc.has_error()) return doc.error();
    if (json::find_string(*doc, "issuer") != expected) {
        return error{errc::wrong_issuer,
                     "the authorization server's metadata names another issuer"};
    }
    auto url = text_of(*doc, "token_endpoint");
    if (auto r = on_origin(url, expected, "token_endpoint"); r.has_error()) return r.error();
    return url;
}

result<access_token> parse_token_response(std::string_view text) {
    auto doc = parse_object(text, "the token response");
    if (doc.has_error()) return doc.error();
    access_token t;
    t.value = text_of(*doc, "access_token");
    const bool field_safe =
        std::all_of(t.value.begin(), t.value.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (t.value.empty() || !field_safe) {
        return error{errc::bad_response, "the token response has no usable access_token"};
    }
    // Without a lifetime: asked for again soon.
    const auto lifetime = json::find_int(*doc, "expires_in").value_or(60);
    t.lifetime = std::chrono::seconds(std::clamp<std::int64_t>(lifetime, 0, 86'400));
    return t;
}

}  // namespace mission::receiver
