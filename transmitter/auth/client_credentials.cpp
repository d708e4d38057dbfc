#include "transmitter/auth/client_credentials.hpp"

#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {
namespace {

const error refused{errc::unauthenticated, "client authentication failed"};

bool secret_matches(const client_config* client, std::string_view secret) {
    // Digests first, so that neither length nor content shows in the time taken.
    const auto given = jose::sha256(secret);
    const auto held = jose::sha256(client ? client->secret : std::string());
    const bool equal = jose::equal_constant_time(jose::view(given), jose::view(held));
    return equal && client && !client->secret.empty();
}

result<authenticated_client> by_secret(const assertion_rules& rules, std::string_view id,
                                       std::string_view secret) {
    const auto* client = rules.find_client(id);
    if (!secret_matches(client, secret)) return refused;
    return authenticated_client{client, principal::method::secret};
}

// RFC 6749 section 2.3.1: id and secret are form-encoded before base64. Many clients leave that
// out; for those the text as it stands is tried too.
result<authenticated_client> by_basic(const assertion_rules& rules, std::string_view credentials,
                                      const form& fields) {
    const auto plain = jose::base64_decode(credentials);
    if (!plain) return refused;
    const auto colon = plain->find(':');
    if (colon == std::string::npos) return refused;
    const std::string raw_id = plain->substr(0, colon), raw_secret = plain->substr(colon + 1);
    const auto id = net::percent_decode(raw_id, true);
    const auto secret = net::percent_decode(raw_secret, true);
    const auto agrees = [&](std::string_view used) {
        return !has_field(fields, "client_id") || field(fields, "client_id") == used;
    };
    if (id && secret) {
        if (auto c = by_secret(rules, *id, *secret)) {
            if (!agrees(*id)) return error{errc::invalid_request, "two different client ids"};
            return c;
        }
    }
    if (auto c = by_secret(rules, raw_id, raw_secret)) {
        if (!agrees(raw_id)) return error{errc::invalid_request, "two different client ids"};
        return c;
    }
    return refused;
}

result<authenticated_client> by_assertion(const form& fields, const assertion_rules& rules,
                                          jti_guard& replays) {
    if (field(fields, "client_assertion_type") != assertion_type)
        return error{errc::invalid_request, "client_assertion_type is not the one of RFC 7523"};
    const auto client = verify_client_assertion(field(fields, "client_assertion"), rules, replays);
    if (!client) return error{errc::unauthenticated, client.error().message()};
    if (has_field(fields, "client_id") && field(fields, "client_id") != (*client)->id)
        return error{errc::invalid_request, "two different client ids"};
    return authenticated_client{*client, principal::method::private_key_jwt};
}

bool is_scheme(std::string_view header, std::string_view scheme) {
    if (header.size() <= scheme.size() || header[scheme.size()] != ' ') return false;
    for (std::size_t i = 0; i < scheme.size(); ++i)
        if ((header[i] | 0x20) != (scheme[i] | 0x20)) return false;
    return true;
}

// RFC 8705 section 2. The same work for every client there is or is not.
result<authenticated_client> by_certificate(std::string_view der, const form& fields,
                                            const assertion_rules& rules) {
    const auto client = rules.find_certificate(der, field(fields, "client_id"));
    if (!client) return refused;
    return authenticated_client{client, principal::method::certificate};
}

}  // namespace

const client_config* client_of_certificate(const std::vector<const client_config*>& clients,
                                           std::string_view certificate_der,
                                           std::string_view client_id) {
    if (certificate_der.empty()) return nullptr;
    const auto shown = jose::sha256(certificate_der);
    for (const auto* c : clients)
        if (!c->certificate_sha256.empty() &&
            jose::equal_constant_time(c->certificate_sha256, jose::view(shown)))
            return client_id.empty() || client_id == c->id ? c : nullptr;
    return nullptr;
}

result<authenticated_client> authenticate_client(const presented_credentials& what,
                                                 const form& fields, const assertion_rules& rules,
                                                 jti_guard& replays) {
    auto authorization_header = what.authorization;
    const bool header = !authorization_header.empty();
    const bool assertion = has_field(fields, "client_assertion");
    const bool post = has_field(fields, "client_secret");
    // RFC 6749 section 2.3: not more than one method in each request.
    if (header + assertion + post > 1)
        return error{errc::invalid_request, "more than one way of client authentication"};
    if (header) {
        if (!is_scheme(authorization_header, "Basic")) return refused;
        auto credentials = authorization_header.substr(6);
        while (credentials.starts_with(' '))
            credentials.remove_prefix(1);
        return by_basic(rules, credentials, fields);
    }
    if (assertion) return by_assertion(fields, rules, replays);
    if (post) return by_secret(rules, field(fields, "client_id"), field(fields, "client_secret"));
    if (!what.certificate_der.empty()) return by_certificate(what.certificate_der, fields, rules);
    return refused;
}

}  // namespace mission::transmitter
