// [check]: the sidecar.
#include <algorithm>
#include <span>

#include "base/ascii.hpp"
#include "net/http.hpp"
#include "receiver/program/config_parts.hpp"
#include "receiver/sidecar/limits.hpp"

namespace mission::receiver::program {
namespace {

namespace sc = sidecar;
using settings::environment;
using settings::section;
using settings::setting;

// RFC 9110 section 5.6.2
bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

std::optional<std::string> field_name(section& s, std::string_view key) {
    auto name = s.text(key);
    if (name && !is_token(*name)) s.fail(key, "must be the name of a header field");
    return name ? std::optional(ascii_lower(*name)) : std::nullopt;
}

std::string https_url(section& s, std::string_view key, const std::string& text) {
    const auto url = net::parse_url(text);
    if (!url || url->scheme != "https") s.fail(key, "must be an https URL");
    return text;
}

void read_listen(section& s, sc::settings& c) {
    auto place = sc::parse_listen_place(s.required_text("listen"));
    if (!place) s.fail("listen", place.error().detail);
    c.listen = std::move(*place);
    c.allow_remote = s.boolean("allow_remote").value_or(false);
    const auto certificate = s.text("certificate").value_or("");
    const auto key = s.text("private_key").value_or("");
    if (certificate.empty() != key.empty())
        s.fail(certificate.empty() ? "certificate" : "private_key", "is missing beside the other");
    if (!certificate.empty()) {
        c.certificate_pem = settings::read_text_file(certificate, "check.certificate");
        c.private_key_pem = settings::read_text_file(key, "check.private_key");
    }
    if (!c.listen->loopback() && certificate.empty() && !c.allow_remote)
        s.fail("listen",
               "is open to other machines without TLS: give certificate and private_key, or say "
               "allow_remote = true where the network itself is trusted");
    if (const auto n = s.integer("threads", 1, 64)) c.threads = static_cast<unsigned>(*n);
}

void read_references(section& s, sc::settings& c) {
    if (s.raw("references") || s.override_of("references")) {
        c.references.clear();
        for (const auto& name : s.list_of("references", {"header", "token", "certificate"})) {
            const auto where = name == "header"  ? sc::source::header
                               : name == "token" ? sc::source::token
                                                 : sc::source::certificate;
            if (!c.has(where)) c.references.push_back(where);
        }
        if (c.references.empty()) s.fail("references", "names no source");
    }
    if (auto name = field_name(s, "header")) c.header = std::move(*name);
    if (auto name = field_name(s, "token_header")) c.token_header = std::move(*name);
    c.token_cookie = s.text("token_cookie").value_or("");
    if (!c.token_cookie.empty() && !is_token(c.token_cookie))
        s.fail("token_cookie", "must be the name of a cookie");
    std::vector<std::string> trusted{"unix", "127.0.0.1", "::1"};
    if (s.raw("trusted_proxies") || s.override_of("trusted_proxies"))
        trusted = s.list("trusted_proxies");
    auto list = sc::peer_list::parse(trusted);
    if (!list)
        s.fail("trusted_proxies", "has the unknown entry \"" + list.error().detail +
                                      "\": \"unix\", an address or a network");
    c.trusted_proxies = std::move(*list);
}

// "mission.id", or ["https://names.example/mission"] where a name holds dots itself.
void read_claim(section& s, sc::token_issuer& t) {
    const auto* tree = s.raw("claim");
    if (!tree) return;
    if (tree->what == setting::kind::list) {
        t.claim = s.list("claim");
    } else {
        const auto path = s.text("claim").value_or("");
        t.claim.clear();
        for (std::size_t at = 0; at <= path.size();) {
            const auto dot = std::min(path.find('.', at), path.size());
            t.claim.push_back(path.substr(at, dot - at));
            at = dot + 1;
        }
    }
    if (t.claim.empty() ||
        std::any_of(t.claim.begin(), t.claim.end(), [](const auto& step) { return step.empty(); }))
        s.fail("claim", "must be the path of a claim, as \"mission.id\"");
}

sc::token_issuer read_token(section s) {
    sc::token_issuer t;
    t.issuer = s.required_text("issuer");
    t.audience = s.required_text("audience");
    const auto uri = s.text("jwks_uri"), file = s.text("jwks_file");
    if (uri.has_value() == file.has_value())
        s.fail("jwks_uri", uri ? "and jwks_file: give one of them" : "is missing (or jwks_file)");
    if (uri) t.jwks_uri = https_url(s, "jwks_uri", *uri);
    if (file) {
        auto keys = jose::key_set::parse(settings::read_text_file(*file, "check.token.jwks_file"));
        if (!keys || keys->keys().empty()) s.fail("jwks_file", "holds no key that can be used");
        t.keys = std::make_shared<const jose::key_set>(std::move(*keys));
    }
    if (const auto ca = s.text("ca_file"); ca && !ca->empty())
        t.ca_pem = settings::read_text_file(*ca, "check.token.ca_file");
    for (const auto& name : s.list_of("algs", {"ES256", "RS256", "PS256", "EdDSA"}))
        t.algs.push_back(*jose::parse_alg(name));
    if (t.algs.empty())
        t.algs = {jose::alg::es256, jose::alg::rs256, jose::alg::ps256, jose::alg::eddsa};
    if (auto types = s.list("types"); !types.empty()) {
        t.types.clear();
        for (auto& type : types) {
            auto name = ascii_lower(type);
            if (name.starts_with("application/")) name.erase(0, 12);
            t.types.push_back(std::move(name));
        }
    }
    read_claim(s, t);
    if (const auto n = s.integer("clock_skew_seconds", 0, 300))
        t.clock_skew = std::chrono::seconds(*n);
    t.require_jti = s.boolean("require_jti").value_or(false);
    t.allow_bound = s.boolean("allow_bound").value_or(false);
    s.finish();
    return t;
}

sc::certificate_reference read_client_certificate(section s) {
    using reference = sc::certificate_reference;
    reference out;
    if (auto name = field_name(s, "header"))
        out.header = std::move(*name);
    else
        s.fail("header", "is missing");
    const auto form = s.one_of("format", {"pem", "xfcc"}).value_or("pem");
    out.how = form == "xfcc" ? reference::form::xfcc : reference::form::pem;
    const auto member = s.one_of("field", {"uri", "dns", "common_name"}).value_or("uri");
    out.what = member == "dns"           ? reference::member::dns
               : member == "common_name" ? reference::member::common_name
                                         : reference::member::uri;
    const auto pattern = s.required_text("pattern");
    constexpr std::string_view name = "{mission_id}";
    const auto at = pattern.find(name);
    if (at != std::string::npos) {
        out.before = pattern.substr(0, at);
        out.after = pattern.substr(at + name.size());
    }
    if (at == std::string::npos ||
        (out.before + out.after).find_first_of("{}") != std::string::npos)
        s.fail("pattern", "must hold {mission_id} once, and no other braces");
    s.finish();
    return out;
}

sc::rule read_rule(section s, const sc::settings& c) {
    sc::rule r;
    r.methods = s.list("methods");
    for (const auto& m : r.methods)
        if (!is_token(m)) s.fail("methods", "has \"" + m + "\", which is no method");
    r.path = s.required_text("path");
    const auto deep = r.path.find("**");
    if (r.path.front() != '/' || (deep != std::string::npos && deep + 2 != r.path.size()))
        s.fail("path", "must begin with \"/\", and may have \"**\" at its end alone");
    r.resource = s.text("resource").value_or("");
    r.action = s.text("action").value_or("");
    if (!r.resource.empty() && r.action.empty())
        s.fail("resource", "makes no sense without an action");
    if (!r.action.empty() && r.resource.empty() && c.resource.empty())
        s.fail("action", "is of no resource: give one here or as check.resource");
    s.finish();
    return r;
}

void read_authority(section& s, sc::settings& c) {
    if (auto name = field_name(s, "method_header")) c.method_header = std::move(*name);
    if (auto name = field_name(s, "uri_header")) c.uri_header = std::move(*name);
    c.resource = s.text("resource").value_or("");
    if (auto name = field_name(s, "resource_header")) c.resource_header = std::move(*name);
    if (auto name = field_name(s, "action_header")) c.action_header = std::move(*name);
    if (!c.action_header.empty() && c.resource.empty() && c.resource_header.empty())
        s.fail("action_header", "is of no resource: give check.resource or resource_header");
    const auto authzen =
        s.one_of("authzen_authority", {"none", "resource_id", "configured"}).value_or("none");
    c.authzen = authzen == "resource_id"  ? sc::authzen_authority::resource_id
                : authzen == "configured" ? sc::authzen_authority::configured
                                          : sc::authzen_authority::none;
    if (c.authzen == sc::authzen_authority::configured && c.resource.empty())
        s.fail("authzen_authority", "= \"configured\" is of no resource: give check.resource");
    c.public_url = s.text("public_url").value_or("");
    if (!c.public_url.empty()) https_url(s, "public_url", c.public_url);
    while (c.public_url.ends_with('/'))
        c.public_url.pop_back();
}

std::span<setting> tables(section& s, std::string_view key, std::size_t most) {
    auto* list = s.raw(key);
    if (!list) return {};
    const bool good = list->what == setting::kind::list && list->items.size() <= most &&
                      std::all_of(list->items.begin(), list->items.end(), [](const setting& one) {
                          return one.what == setting::kind::table;
                      });
    if (!good)
        s.fail(key, "is written as [[check." + std::string(key) + "]], at most " +
                        std::to_string(most) + " times");
    return list->items;
}

}  // namespace

void read_check(setting* tree, const std::string& file, const environment& env,
                program_config& config) {
    section s(tree, "check", file, env, true, env_prefix);
    if (!tree && !s.override_of("listen")) return;
    auto& c = config.check;
    read_listen(s, c);
    read_references(s, c);
    c.resolve = s.boolean("resolve").value_or(false);
    const auto wait = s.integer("resolve_ms", 1, 30'000).value_or(500);
    c.resolve_wait = std::chrono::milliseconds(wait);
    read_authority(s, c);

    for (auto& one : tables(s, "token", sc::limits::token_issuers)) {
        c.tokens.push_back(read_token(section(&one, "check.token", file, env, false, env_prefix)));
        for (std::size_t i = 0; i + 1 < c.tokens.size(); ++i)
            if (c.tokens[i].issuer == c.tokens.back().issuer)
                s.fail("token", "has the issuer " + c.tokens[i].issuer + ", which is there twice");
    }
    if (auto* one = s.raw("client_certificate"))
        c.certificate = read_client_certificate(
            section(one, "check.client_certificate", file, env, true, env_prefix));
    for (auto& one : tables(s, "rule", sc::limits::rules))
        c.rules.push_back(read_rule(section(&one, "check.rule", file, env, false, env_prefix), c));

    if (c.has(sc::source::token) != !c.tokens.empty())
        s.fail("token", "and \"token\" in check.references belong together");
    if (c.has(sc::source::certificate) != c.certificate.has_value())
        s.fail("client_certificate", "and \"certificate\" in check.references belong together");
    if (!c.rules.empty() && !c.action_header.empty())
        s.fail("action_header", "makes no sense with [[check.rule]]: rules say what is asked");
    c.other_mission_issuers = config.options.mission_issuers;
    s.finish();
}

}  // namespace mission::receiver::program
