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

result<net::url> https_url(std::string_view text) {
    auto url = net::parse_url(text);
    if (url.has_error() || url->scheme != "https") {
        return error{errc::bad_configuration, "no https URL"};
    }
    return url;
}

// "/a/b" of an issuer, "" of one without a path; a trailing slash is stripped.
result<std::string> path_of(std::string_view issuer) {
    while (issuer.ends_with('/'))
        issuer.remove_suffix(1);
    const auto parsed = https_url(issuer);
    if (parsed.has_error() || parsed->target.find('?') != std::string::npos) {
        return error{errc::bad_configuration, "the issuer is no https URL"};
    }
    return parsed->target == "/" ? std::string() : parsed->target;
}

void add_once(std::vector<std::string>& list, std::string text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

bool equal_issuer(std::string_view a, std::string_view b, quirk_log* quirks) {
    return quirks == nullptr ? a == b : quirks->same_issuer(a, b);
}

}  // namespace

result<std::string> well_known_url(std::string_view issuer, std::string_view suffix) {
    const auto path = path_of(issuer);
    if (path.has_error()) return path.error();
    return net::parse_url(issuer)->origin() + "/.well-known/" + std::string(suffix) + *path;
}

result<std::vector<std::string>> metadata_urls(std::string_view issuer) {
    const auto path = path_of(issuer);
    if (path.has_error()) return path.error();
    const auto origin = net::parse_url(issuer)->origin();
    const std::string known = "/.well-known/ssf-configuration";
    const std::string old = "/.well-known/risc-configuration";
    std::vector<std::string> out;
    for (auto& url : {origin + known + *path, origin + *path + known, origin + known,
                      origin + old + *path, origin + *path + old})
        add_once(out, url);
    return out;
}

result<std::vector<std::string>> authorization_server_urls(std::string_view issuer) {
    const auto path = path_of(issuer);
    if (path.has_error()) return path.error();
    const auto origin = net::parse_url(issuer)->origin();
    const std::string known = "/.well-known/oauth-authorization-server";
    const std::string openid = "/.well-known/openid-configuration";
    std::vector<std::string> out;
    for (auto& url : {origin + known + *path, origin + *path + openid, origin + openid + *path,
                      origin + *path + known})
        add_once(out, url);
    return out;
}

std::string issuer_of_url(std::string_view metadata_url) {
    constexpr std::string_view marks[] = {"/.well-known/ssf-configuration",
                                          "/.well-known/risc-configuration"};
    const auto url = https_url(metadata_url);
    if (url.has_error()) return {};
    for (const auto mark : marks) {
        const auto at = url->target.find(mark);
        if (at == std::string::npos) continue;
        auto path = url->target;
        path.erase(at, mark.size());  // what stood before, or after
        while (path.ends_with('/'))
            path.pop_back();
        return url->origin() + path;
    }
    return {};
}

bool issuer_fits_url(std::string_view issuer, std::string_view metadata_url) {
    const auto url = https_url(metadata_url), own = https_url(issuer);
    if (url.has_error() || own.has_error() || url->origin() != own->origin()) return false;
    const auto made_of = issuer_of_url(metadata_url);
    const auto path = path_of(issuer);
    return path.has_value() && (made_of.empty() || made_of == url->origin() + *path);
}

token_reach::token_reach(const std::vector<std::string>& hosts) {
    for (const auto& host : hosts) {
        const auto url =
            https_url(host.find("://") == std::string::npos ? "https://" + host : host);
        if (url.has_value()) origins_.push_back(url->origin());
    }
}

bool token_reach::valid_host(std::string_view host) {
    const auto url =
        https_url(host.find("://") == std::string_view::npos ? "https://" + std::string(host)
                                                             : std::string(host));
    return url.has_value() && url->target == "/";
}

// wire.md section 5: tokens only over https to the issuer's origin or listed hosts.
result<void> token_reach::check(std::string_view url, std::string_view issuer,
                                std::string_view what) const {
    const auto a = https_url(url);
    if (a.has_error()) {
        return error{errc::bad_configuration, std::string(what) + " is no https URL"};
    }
    const auto b = net::parse_url(issuer);
    if (b.has_value() && a->origin() == b->origin()) return {};
    if (std::find(origins_.begin(), origins_.end(), a->origin()) != origins_.end()) return {};
    return error{errc::bad_configuration, std::string(what) +
                                              " lies outside the issuer's origin (" + a->origin() +
                                              " is not among token_hosts)"};
}

result<transmitter_metadata> parse_metadata(std::string_view text, std::string_view expected,
                                            const token_reach& reach, quirk_log* quirks) {
    auto doc = parse_object(text, "the transmitter's metadata");
    if (doc.has_error()) return doc.error();
    transmitter_metadata m;
    m.issuer = text_of(*doc, "issuer");
    if (m.issuer.empty() || (!expected.empty() && !equal_issuer(m.issuer, expected, quirks))) {
        return error{errc::wrong_issuer, "the metadata names another issuer"};
    }
    m.jwks_uri = text_of(*doc, "jwks_uri");
    m.configuration_endpoint = text_of(*doc, "configuration_endpoint");
    m.verification_endpoint = text_of(*doc, "verification_endpoint");
    m.status_endpoint = text_of(*doc, "status_endpoint");
    m.add_subject_endpoint = text_of(*doc, "add_subject_endpoint");
    m.remove_subject_endpoint = text_of(*doc, "remove_subject_endpoint");
    m.mission_status_endpoint = text_of(*doc, "mission_status_endpoint");
    m.status_algs = texts_of(*doc, "mission_status_signing_alg_values_supported");
    m.status_methods = texts_of(*doc, "mission_status_endpoint_auth_methods_supported");
    m.delivery_methods = texts_of(*doc, "delivery_methods_supported");
    m.critical_subject_members = texts_of(*doc, "critical_subject_members");
    m.default_subjects = text_of(*doc, "default_subjects");
    // A bound of more than a year is none; what lies outside would overflow arithmetic.
    constexpr std::int64_t year = 366 * 86'400;
    m.max_stale = std::chrono::seconds(std::clamp<std::int64_t>(
        json::find_int(*doc, "mission_max_stale_seconds").value_or(0), 0, year));

    if (m.jwks_uri.empty()) {
        // SSF 1.0 section 7.1 has it optional; without keys no SET can be believed.
        return error{errc::bad_configuration, "the metadata names no jwks_uri"};
    }
    if (https_url(m.jwks_uri).has_error()) {
        return error{errc::bad_configuration, "jwks_uri is no https URL"};
    }
    for (auto [url, what, required] :
         {std::tuple{&m.configuration_endpoint, "configuration_endpoint", true},
          std::tuple{&m.verification_endpoint, "verification_endpoint", false},
          std::tuple{&m.status_endpoint, "status_endpoint", false},
          std::tuple{&m.add_subject_endpoint, "add_subject_endpoint", false},
          std::tuple{&m.remove_subject_endpoint, "remove_subject_endpoint", false},
          std::tuple{&m.mission_status_endpoint, "mission_status_endpoint", false}}) {
        if (url->empty() && !required) continue;
        if (auto r = reach.check(*url, m.issuer, what); r.has_error()) return r.error();
    }
    return m;
}

result<std::string> parse_token_endpoint(std::string_view text, std::string_view expected,
                                         const token_reach& reach, quirk_log* quirks,
                                         bool mutual_tls) {
    auto doc = parse_object(text, "the authorization server's metadata");
    if (doc.has_error()) return doc.error();
    if (!equal_issuer(text_of(*doc, "issuer"), expected, quirks)) {
        return error{errc::wrong_issuer,
                     "the authorization server's metadata names another issuer"};
    }
    auto url = text_of(*doc, "token_endpoint");
    if (const auto* aliases = json::find(*doc, "mtls_endpoint_aliases"); mutual_tls && aliases) {
        if (auto alias = text_of(*aliases, "token_endpoint"); !alias.empty()) url = alias;
    }
    if (auto r = reach.check(url, expected, "token_endpoint"); r.has_error()) return r.error();
    return url;
}

result<protected_resource> parse_protected_resource(std::string_view text,
                                                    std::string_view expected, quirk_log* quirks) {
    auto doc = parse_object(text, "the protected resource's metadata");
    if (doc.has_error()) return doc.error();
    // RFC 9728 section 3.3: else it must not be used.
    if (!equal_issuer(text_of(*doc, "resource"), expected, quirks)) {
        return error{errc::wrong_issuer, "the protected resource's metadata is another resource's"};
    }
    return protected_resource{texts_of(*doc, "authorization_servers"),
                              texts_of(*doc, "scopes_supported")};
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
    auto type = text_of(*doc, "token_type");
    std::transform(type.begin(), type.end(), type.begin(),
                   [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
    t.dpop = type == "dpop";
    // Without a lifetime: asked for again soon.
    const auto lifetime = json::find_int(*doc, "expires_in").value_or(60);
    t.lifetime = std::chrono::seconds(std::clamp<std::int64_t>(lifetime, 0, 86'400));
    return t;
}

}  // namespace mission::receiver
