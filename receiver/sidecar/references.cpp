#include "receiver/sidecar/references.hpp"

#include <algorithm>

#include "receiver/sidecar/forwarded_certificate.hpp"

namespace mission::receiver::sidecar {
namespace {

// The field's value; "" when it is not there. Twice is what somebody does who hopes that we read
// another one than his proxy.
std::string_view only_field(const net::http_request& request, const std::string& name,
                            std::optional<reason>& refused) {
    const auto value = request.fields.get(name);
    if (value.empty() && request.fields.count(name) == 0) return {};
    if (request.fields.count(name) > 1) refused = reason::conflicting_references;
    return value;
}

void find_token(const net::http_request& request, const settings& s, findings& out) {
    if (!s.token_cookie.empty()) {
        bool twice = request.fields.count("cookie") > 1;
        out.token = token_in_cookie(request.fields.get("cookie"), s.token_cookie, twice);
        if (twice) out.refused = reason::conflicting_references;
        return;
    }
    out.token = token_in_field(s.token_header, only_field(request, s.token_header, out.refused));
}

void add(std::vector<std::string>& ids, std::string id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(std::move(id));
}

}  // namespace

findings find_references(const net::http_request& request, const settings& s) {
    findings out;
    const bool trusted = s.trusted_proxies.has(request.peer.address);
    for (const auto where : s.references) {
        if (where == source::token) {
            find_token(request, s, out);
            continue;
        }
        const auto& field = where == source::header ? s.header : s.certificate->header;
        const auto value = only_field(request, field, out.refused);
        if (value.empty()) continue;
        if (!trusted) out.refused = reason::untrusted_proxy;
        if (out.refused) return out;
        if (where == source::header) {
            add(out.named, std::string(value));
            continue;
        }
        auto ids = missions_of(*s.certificate, value);
        if (!ids) {
            out.refused = reason::malformed_reference;
            return out;
        }
        for (auto& id : *ids)
            add(out.named, std::move(id));
    }
    return out;
}

agreed agree(const findings& found, const token_claims* token, const settings& s) {
    agreed out;
    auto ids = found.named;
    if (token && !token->mission_id.empty()) {
        add(ids, token->mission_id);
        if (!token->mission_issuer.empty() && token->mission_issuer != s.mission_issuer) {
            const auto& others = s.other_mission_issuers;
            if (std::find(others.begin(), others.end(), token->mission_issuer) == others.end()) {
                out.refused = reason::unknown_issuer;
                return out;
            }
            out.of.issuer = token->mission_issuer;
        }
    }
    if (ids.size() != 1) {
        out.refused = ids.empty() ? reason::missing_reference : reason::conflicting_references;
        return out;
    }
    out.of.mission_id = std::move(ids.front());
    return out;
}

original original_request(const net::http_request& request, const settings& s) {
    original out;
    if (s.rules.empty()) return out;
    // Whoever may ask anything may ask about a harmless request, too.
    if (!s.trusted_proxies.has(request.peer.address)) {
        out.refused = reason::untrusted_proxy;
        return out;
    }
    for (const auto* field : {&s.method_header, &s.uri_header})
        if (request.fields.count(*field) != 1) out.refused = reason::missing_request;
    out.method = request.fields.get(s.method_header);
    out.target = request.fields.get(s.uri_header);
    return out;
}

needed need_of(const net::http_request& request, std::string_view method, std::string_view target,
               const settings& s) {
    needed out;
    if (!s.rules.empty()) {
        const auto path = plain_path(target);
        if (!path) {
            out.refused = reason::unclear_path;
            return out;
        }
        const auto* fits = find_rule(s.rules, method, *path);
        if (!fits) {
            out.refused = reason::no_rule;
            return out;
        }
        if (fits->action.empty()) return out;
        out.what = {fits->resource.empty() ? s.resource : fits->resource, fits->action};
        return out;
    }
    if (s.action_header.empty()) return out;
    if (!s.trusted_proxies.has(request.peer.address)) {
        out.refused = reason::untrusted_proxy;
        return out;
    }
    const auto count = request.fields.count(s.action_header);
    const auto action = request.fields.get(s.action_header);
    std::string_view resource = s.resource;
    if (!s.resource_header.empty()) {
        if (request.fields.count(s.resource_header) > 1) out.refused = reason::missing_action;
        if (const auto told = request.fields.get(s.resource_header); !told.empty()) resource = told;
    }
    if (count != 1 || action.empty() || resource.empty()) out.refused = reason::missing_action;
    out.what = {std::string(resource), std::string(action)};
    return out;
}

}  // namespace mission::receiver::sidecar
