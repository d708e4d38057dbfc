#include "transmitter/auth/client_assertion.hpp"

#include <jwt/jwt.hpp>

#include <algorithm>
#include <exception>
#include <system_error>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/jws.hpp"

namespace mission::transmitter {
namespace {

constexpr std::string_view newer_typ = "client-authentication+jwt";
// NumericDates beyond the year 9999 would overflow arithmetic and mean nothing.
constexpr std::int64_t max_numeric_date = 253'402'300'799;

struct times {
    wall_time issued{}, expires{};
};

bool names_us(const json::value& claims, const std::vector<std::string>& audiences) {
    const auto* aud = json::find(claims, "aud");
    if (!aud) return false;
    const auto ours = [&](const json::value& v) {
        return v.IsString() &&
               std::find(audiences.begin(), audiences.end(), json::view(v)) != audiences.end();
    };
    if (aud->IsArray()) return std::any_of(aud->Begin(), aud->End(), ours);
    return ours(*aud);
}

// nullopt: the claim is there and no usable date.
std::optional<std::optional<wall_time>> date(const json::value& claims, std::string_view name) {
    if (!json::find(claims, name)) return std::optional<wall_time>();
    const auto seconds = json::find_int(claims, name);
    if (!seconds || *seconds < 0 || *seconds > max_numeric_date) return std::nullopt;
    return std::optional(from_numeric_date(*seconds));
}

result<times> check_times(const json::value& claims, wall_time now) {
    const auto exp = date(claims, "exp"), iat = date(claims, "iat"), nbf = date(claims, "nbf");
    if (!exp || !*exp || !iat || !nbf) return error{errc::bad_claims, "exp, iat or nbf"};
    if (**exp + limits::clock_skew <= now) return error{errc::token_expired};
    if (**exp > now + limits::assertion_lifetime_max + limits::clock_skew)
        return error{errc::bad_claims, "exp lies too far ahead"};
    const wall_time issued = iat->value_or(**exp - limits::assertion_lifetime_max);
    if (issued > now + limits::clock_skew) return error{errc::issued_in_future};
    if (*nbf && **nbf > now + limits::clock_skew) return error{errc::issued_in_future, "nbf"};
    return times{issued, **exp};
}

// Keys of nobody, one per algorithm; made once.
const jose::key_set& decoys() {
    static const jose::key_set keys = [] {
        jose::key_set out;
        for (const auto a : {jose::alg::es256, jose::alg::rs256, jose::alg::eddsa})
            if (const auto key = jose::private_key::generate(a)) {
                const auto pem = key->to_public().to_pem();
                // Without kid and `alg`: it serves for every token, and for PS256 as well.
                if (auto half = jose::public_key::from_pem(pem)) out.add(std::move(*half));
            }
        return out;
    }();
    return keys;
}

// One key, one algorithm, through cpp-jwt. It throws on much and returns little: everything it may
// trip over was judged before, and whatever it throws is a bad signature.
bool signature_valid(std::string_view assertion, std::string_view alg,
                     const jose::public_key& key) {
    try {
        std::error_code failed;
        const auto pem = key.to_pem();
        using namespace jwt::params;
        const auto object = jwt::decode(
            jwt::string_view(assertion.data(), assertion.size()), algorithms({std::string(alg)}),
            failed, secret(pem), verify(true),
            // Times were judged against our clock above; this leeway never decides.
            leeway(static_cast<std::uint32_t>(
                std::chrono::duration_cast<std::chrono::seconds>(limits::assertion_lifetime_max)
                    .count())));
        (void)object;
        return !failed;
    } catch (const std::exception&) {
        return false;
    }
}

bool key_signed(const jose::public_key& key, std::string_view assertion, const jose::compact& token,
                jose::alg a) {
    // cpp-jwt takes no `typ` but JWT, not the newer one of RFC 7523bis, and knows neither PS256 nor
    // EdDSA: those are verified by ours.
    if (token.typ == newer_typ || a == jose::alg::ps256 || a == jose::alg::eddsa)
        return key.verify(a, token.signing_input, token.signature);
    return signature_valid(assertion, token.alg, key);
}

bool signed_by(const client_config* client, std::string_view assertion, const jose::compact& token,
               jose::alg a) {
    bool tried = false, valid = false;
    // A token that names no kid is tried against every key of the client.
    if (client)
        for (const auto& key : client->jwks.keys())
            if (!valid && key.allows(a) &&
                (token.kid.empty() || key.kid().empty() || key.kid() == token.kid)) {
                tried = true;
                valid = key_signed(key, assertion, token, a);
            }
    if (!tried)
        for (const auto& key : decoys().keys())
            if (key.allows(a)) (void)key_signed(key, assertion, token, a);
    return valid;
}

}  // namespace

result<const client_config*> verify_client_assertion(std::string_view assertion,
                                                     const assertion_rules& rules,
                                                     jti_guard& replays) {
    if (assertion.size() > limits::assertion_bytes) return error{errc::too_large};
    const auto token = jose::parse_compact(assertion);
    if (!token) return token.error();
    const auto a = jose::parse_alg(token->alg);
    if (!a) return error{errc::alg_not_allowed};
    // RFC 8725 section 3.11: a token of another kind is none of ours.
    if (!token->typ.empty() && token->typ != "JWT" && token->typ != "jwt" &&
        token->typ != newer_typ)
        return error{errc::wrong_typ};
    const auto claims = json::parse(token->payload);
    if (!claims || !claims->IsObject()) return error{errc::malformed_token};
    const auto iss = json::find_string(*claims, "iss");
    const auto sub = json::find_string(*claims, "sub");
    if (!iss || !sub || *iss != *sub) return error{errc::bad_claims, "iss and sub"};
    const auto* client = rules.find_client(*iss);
    if (!names_us(*claims, rules.audiences)) return error{errc::wrong_audience};
    const auto when = check_times(*claims, rules.now);
    if (!when) return when.error();
    const auto jti = json::find_string(*claims, "jti");
    if (!jti || jti->empty() || jti->size() > limits::assertion_jti_bytes)
        return error{errc::bad_claims, "jti"};
    const bool valid = signed_by(client, assertion, *token, *a);
    if (!client || client->jwks.keys().empty()) return error{errc::wrong_issuer};
    if (!valid) return error{errc::bad_signature};
    // Last: only what was signed by the client may fill the memory of jtis.
    if (auto fresh = replays.accept(*iss, *jti, when->issued, when->expires, rules.now); !fresh)
        return fresh.error();
    return client;
}

}  // namespace mission::transmitter
