#include "receiver/sidecar/token.hpp"

#include <algorithm>

#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/numeric_date.hpp"

namespace mission::receiver::sidecar {
namespace {

// RFC 7515 section 4.1.9: a media type, "application/" left out or not, without case.
bool type_allowed(std::string_view typ, const token_issuer& by) {
    auto t = ascii_lower(typ);
    if (t.starts_with("application/")) t.erase(0, 12);
    // RFC 7519 section 5.1: absent is as good as JWT, where that is allowed.
    if (t.empty()) t = "jwt";
    return std::find(by.types.begin(), by.types.end(), t) != by.types.end();
}

bool names_audience(const json::value& claims, std::string_view wanted) {
    const auto* aud = json::find(claims, "aud");
    if (!aud) return false;
    if (aud->IsString()) return json::view(*aud) == wanted;
    if (!aud->IsArray()) return false;
    const auto list = aud->GetArray();
    return std::any_of(list.begin(), list.end(), [&](const json::value& one) {
        return one.IsString() && json::view(one) == wanted;
    });
}

result<wall_time> check_times(const json::value& claims, const token_issuer& by, wall_time now) {
    const auto exp = jose::numeric_date(claims, "exp");
    if (!exp) return exp.error();
    if (!*exp) return error{errc::bad_claims, "exp"};
    const auto until = **exp + by.clock_skew;
    if (until <= now) return error{errc::token_expired, "exp"};
    for (const std::string_view name : {"nbf", "iat"}) {
        const auto at = jose::numeric_date(claims, name);
        if (!at) return at.error();
        if (*at && **at > now + by.clock_skew)
            return error{errc::issued_in_future, std::string(name)};
    }
    return until;
}

// The claim at the path; a step into what is no object ends without one.
result<void> find_mission(const json::value& claims, const token_issuer& by, token_claims& out) {
    const json::value* at = &claims;
    const json::value* holder = nullptr;
    for (const auto& step : by.claim) {
        holder = at;
        at = json::find(*at, step);
        if (!at) return {};
    }
    if (!at->IsString()) return error{errc::bad_claims, by.claim.back()};
    out.mission_id = std::string(json::view(*at));
    // draft-mcguinness-oauth-mission, "The mission claim": `id` and `issuer` beside each other.
    if (holder == &claims) return {};
    if (const auto* issuer = json::find(*holder, "issuer")) {
        if (!issuer->IsString()) return error{errc::bad_claims, "issuer of the mission"};
        out.mission_issuer = std::string(json::view(*issuer));
    }
    return {};
}

}  // namespace

result<unverified_token> peek_token(std::string_view text) {
    if (text.size() > mission::limits::access_token_bytes)
        return error{errc::too_large, "the token"};
    auto parts = jose::parse_compact(text, mission::limits::access_token_bytes);
    if (!parts) return parts.error();
    const auto claims = json::parse(parts->payload);
    if (!claims || !claims->IsObject()) return error{errc::malformed_token, "claims"};
    const auto iss = json::find_string(*claims, "iss");
    if (!iss) return error{errc::malformed_token, "iss"};
    return unverified_token{std::move(*parts), std::string(*iss)};
}

result<token_claims> verify_token(const unverified_token& token, const token_issuer& by,
                                  const jose::key_set& keys, wall_time now) {
    if (!type_allowed(token.parts.typ, by)) return error{errc::wrong_typ, "typ"};
    if (auto r = jose::verify(token.parts, keys, by.algs, false); !r) return r.error();
    const auto claims = json::parse(token.parts.payload);
    if (!claims || !claims->IsObject()) return error{errc::malformed_token, "claims"};
    if (json::find_string(*claims, "iss") != by.issuer) return error{errc::wrong_issuer, "iss"};
    if (!names_audience(*claims, by.audience)) return error{errc::wrong_audience, "aud"};
    const auto until = check_times(*claims, by, now);
    if (!until) return until.error();
    if (by.require_jti && json::find_string(*claims, "jti").value_or("").empty())
        return error{errc::bad_claims, "jti"};
    // RFC 7800 section 3: whoever holds a bound token still has to prove it; here nobody does.
    if (!by.allow_bound && json::find(*claims, "cnf")) return error{errc::bad_claims, "cnf"};
    token_claims out;
    out.expires = *until;
    if (auto r = find_mission(*claims, by, out); !r) return r.error();
    return out;
}

std::string_view token_in_field(std::string_view header_name, std::string_view value) noexcept {
    if (header_name != "authorization") return value;
    // RFC 9110 section 11.1: the scheme without case, then spaces.
    const auto space = value.find(' ');
    if (space == std::string_view::npos) return {};
    const auto is = [&](std::string_view scheme) {
        return space == scheme.size() &&
               std::equal(scheme.begin(), scheme.end(), value.begin(), [](char want, char c) {
                   return (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) == want;
               });
    };
    if (!is("bearer") && !is("dpop")) return {};
    value.remove_prefix(space);
    while (value.starts_with(' '))
        value.remove_prefix(1);
    return value;
}

std::string_view token_in_cookie(std::string_view cookies, std::string_view name,
                                 bool& twice) noexcept {
    std::string_view found;
    bool seen = false;
    while (!cookies.empty()) {
        const auto end = std::min(cookies.find(';'), cookies.size());
        auto one = cookies.substr(0, end);
        cookies.remove_prefix(std::min(end + 1, cookies.size()));
        while (one.starts_with(' '))
            one.remove_prefix(1);
        if (one.size() <= name.size() || !one.starts_with(name) || one[name.size()] != '=')
            continue;
        if (seen) twice = true;
        seen = true;
        found = one.substr(name.size() + 1);
    }
    return found;
}

}  // namespace mission::receiver::sidecar
