#include "transmitter/auth/foreign_token.hpp"

#include <algorithm>

#include "base/ascii.hpp"
#include "base/limits.hpp"
#include "jose/numeric_date.hpp"
#include "transmitter/auth/access_token.hpp"

namespace mission::transmitter {
namespace {

constexpr std::size_t audiences_max = 64;

// RFC 9068 section 2.1; RFC 7515 section 4.1.9: media types, compared without case.
bool is_access_token(std::string_view typ) {
    const auto t = ascii_lower(typ);
    return t == "at+jwt" || t == "application/at+jwt";
}

bool typ_allowed(std::string_view typ, const token_issuer_config& issuer) {
    if (is_access_token(typ)) return true;
    const auto t = ascii_lower(typ);
    return issuer.typ_jwt && (t == "jwt" || t.empty());
}

std::vector<jose::alg> allowed_algs(const token_issuer_config& issuer) {
    std::vector<jose::alg> out;
    for (const auto& text : issuer.algs)
        if (const auto a = jose::parse_alg(text)) out.push_back(*a);
    if (out.empty()) out = {jose::alg::es256, jose::alg::rs256, jose::alg::ps256, jose::alg::eddsa};
    return out;
}

// A string, or an array of strings.
std::vector<std::string> texts(const json::value& claims, std::string_view name) {
    std::vector<std::string> out;
    const auto* v = json::find(claims, name);
    if (v && v->IsString()) out.emplace_back(json::view(*v));
    if (v && v->IsArray())
        for (const auto& item : v->GetArray())
            if (item.IsString() && out.size() < audiences_max) out.emplace_back(json::view(item));
    return out;
}

std::vector<std::string> scopes_of(const json::value& claims) {
    // RFC 9068 section 2.2.3; `scp` is how some servers spell it.
    if (const auto scope = json::find_string(claims, "scope")) return split_scopes(*scope);
    std::vector<std::string> out;
    for (const auto& item : texts(claims, "scp"))
        for (auto& scope : split_scopes(item))
            out.push_back(std::move(scope));
    return out;
}

// The first of the names that is there decides.
std::string client_of(const json::value& claims) {
    for (const std::string_view name : {"client_id", "azp", "sub"})
        if (const auto id = json::find_string(claims, name); id && !id->empty())
            return std::string(*id);
    return {};
}

// What both kinds have in common. `cnf` with a member we cannot prove makes the token useless:
// taking it for an unbound one would undo the binding.
result<foreign_claims> read_claims(const json::value& claims, const token_issuer_config& issuer) {
    foreign_claims out;
    out.token_issuer = issuer.issuer;
    out.client_id = client_of(claims);
    if (out.client_id.empty()) return error{errc::bad_claims, "client_id"};
    out.scopes = scopes_of(claims);
    out.audiences = texts(claims, "aud");
    out.of_mission = json::find(claims, "mission") != nullptr;
    if (const auto* cnf = json::find(claims, "cnf")) {
        if (!cnf->IsObject()) return error{errc::bad_claims, "cnf"};
        out.jkt = std::string(json::find_string(*cnf, "jkt").value_or(""));
        out.x5t = std::string(json::find_string(*cnf, "x5t#S256").value_or(""));
        const std::size_t known = (out.jkt.empty() ? 0u : 1u) + (out.x5t.empty() ? 0u : 1u);
        if (known == 0 || cnf->MemberCount() != known) return error{errc::bad_claims, "cnf"};
    }
    return out;
}

result<void> check_start(const json::value& claims, wall_time now) {
    for (const std::string_view name : {"iat", "nbf"}) {
        const auto at = jose::numeric_date(claims, name);
        if (!at) return at.error();
        if (*at && **at > now + limits::clock_skew)
            return error{errc::issued_in_future, std::string(name)};
    }
    return {};
}

}  // namespace

std::optional<unverified_jwt> peek_jwt(std::string_view token) {
    if (token.size() > limits::access_token_bytes) return std::nullopt;
    auto parsed = jose::parse_compact(token);
    if (!parsed) return std::nullopt;
    const auto claims = json::parse(parsed->payload);
    if (!claims || !claims->IsObject()) return std::nullopt;
    const auto iss = json::find_string(*claims, "iss");
    if (!iss) return std::nullopt;
    return unverified_jwt{std::move(*parsed), std::string(*iss)};
}

result<foreign_claims> verify_jwt(const jose::compact& token, const token_issuer_config& issuer,
                                  const jose::key_set& keys, wall_time now) {
    if (!typ_allowed(token.typ, issuer)) return error{errc::wrong_typ};
    // Signed first: nothing below is anybody's word before.
    if (auto r = jose::verify(token, keys, allowed_algs(issuer), false); !r) return r.error();
    const auto claims = json::parse(token.payload);
    if (!claims || !claims->IsObject()) return error{errc::malformed_token};
    if (json::find_string(*claims, "iss") != issuer.issuer) return error{errc::wrong_issuer};
    // RFC 9068 section 2.2: there. Falling back to `sub` would make a client of a user who is
    // called like one.
    if (is_access_token(token.typ) && !json::find_string(*claims, "client_id"))
        return error{errc::bad_claims, "client_id"};
    auto out = read_claims(*claims, issuer);
    if (!out) return out;
    if (out->audiences.empty()) return error{errc::bad_claims, "aud"};
    const auto exp = jose::numeric_date(*claims, "exp");
    if (!exp || !*exp || !json::find(*claims, "iat")) return error{errc::bad_claims, "exp or iat"};
    if (**exp <= now) return error{errc::token_expired};
    if (auto r = check_start(*claims, now); !r) return r.error();
    out->expires = out->good_until = **exp;
    return out;
}

result<foreign_claims> read_introspection(std::string_view body, const token_issuer_config& issuer,
                                          wall_time now) {
    const auto answer = json::parse(body, limits::introspection_bytes);
    if (!answer || !answer->IsObject())
        return error{errc::bad_response, "the introspection endpoint answers with no JSON object"};
    const auto active = json::find_bool(*answer, "active");
    if (!active) return error{errc::bad_response, "the introspection answer has no \"active\""};
    if (!*active) return error{errc::token_expired, "not active"};
    if (json::find(*answer, "iss") && json::find_string(*answer, "iss") != issuer.issuer)
        return error{errc::wrong_issuer};
    // RFC 7662 section 2.2: `sub` is usually a person, who must not be the client of that name.
    if (!json::find_string(*answer, "client_id") && !json::find_string(*answer, "azp"))
        return error{errc::bad_claims, "client_id"};
    auto out = read_claims(*answer, issuer);
    if (!out) return out;
    const auto exp = jose::numeric_date(*answer, "exp");
    if (!exp) return exp.error();
    if (*exp && **exp <= now) return error{errc::token_expired};
    if (auto r = check_start(*answer, now); !r) return r.error();
    out->good_until = now + limits::introspection_age;
    if (*exp) out->good_until = std::min(out->good_until, **exp);
    // Without `exp` the next look-up decides: until then it is good, and no longer.
    out->expires = exp->value_or(out->good_until);
    return out;
}

}  // namespace mission::transmitter
