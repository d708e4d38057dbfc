#include "transmitter/auth/dpop.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "net/http.hpp"

namespace mission::transmitter {
namespace {

error refused(std::string why) {
    return error{errc::invalid_dpop_proof, std::move(why)};
}

// RFC 9449 section 4.3, rule 9: query and fragment are ignored; compared after the normalisation of
// RFC 3986 sections 6.2.2 and 6.2.3 (case of scheme and host, default port, "/" for no path).
bool same_target(std::string_view htu, std::string_view ours) {
    const auto a = net::parse_url(htu.substr(0, htu.find_first_of("?#")));
    const auto b = net::parse_url(ours);
    if (!a || !b || a->scheme != b->scheme || a->host != b->host || a->port != b->port)
        return false;
    if (a->target == b->target) return true;
    const auto x = net::percent_decode(a->target), y = net::percent_decode(b->target);
    // A decoded slash would be another path.
    const auto slashes = [](std::string_view s) { return std::count(s.begin(), s.end(), '/'); };
    return x && y && *x == *y && slashes(a->target) == slashes(b->target);
}

}  // namespace

wall_time proof_end(wall_time issued) noexcept {
    return issued + limits::dpop_proof_age + limits::clock_skew;
}

result<dpop_proof> verify_proof(std::string_view proof, const proof_rules& rules) {
    if (proof.empty() || proof.size() > limits::assertion_bytes) return refused("size");
    const auto token = jose::parse_compact(proof);
    if (!token) return refused(token.error().message());
    if (token->typ != "dpop+jwt") return refused("typ");
    const auto a = jose::parse_alg(token->alg);
    if (!a) return refused("alg");
    if (token->jwk.empty()) return refused("jwk is missing");
    const auto jwk = json::parse(token->jwk);
    if (!jwk) return refused("jwk");
    const auto key = jose::public_key::from_jwk(*jwk);  // refuses private members
    if (!key) return refused("jwk: " + key.error().message());
    if (!key->verify(*a, token->signing_input, token->signature)) return refused("signature");

    const auto claims = json::parse(token->payload);
    if (!claims || !claims->IsObject()) return refused("no JSON object");
    if (json::find_string(*claims, "htm") != rules.method) return refused("htm");
    const auto htu = json::find_string(*claims, "htu");
    if (!htu || !same_target(*htu, rules.url)) return refused("htu");
    const auto iat = json::find_int(*claims, "iat");
    constexpr std::int64_t max_numeric_date = 253'402'300'799;
    if (!iat || *iat < 0 || *iat > max_numeric_date) return refused("iat");
    const auto issued = from_numeric_date(*iat);
    if (issued > rules.now + limits::clock_skew) return refused("iat lies in the future");
    if (proof_end(issued) <= rules.now) return refused("iat is too old");
    const auto jti = json::find_string(*claims, "jti");
    if (!jti || jti->empty() || jti->size() > limits::assertion_jti_bytes) return refused("jti");
    if (!rules.access_token.empty()) {
        const auto hash = jose::base64url_encode(jose::view(jose::sha256(rules.access_token)));
        if (json::find_string(*claims, "ath") != hash) return refused("ath");
    }
    return dpop_proof{key->thumbprint(), std::string(*jti), issued};
}

}  // namespace mission::transmitter
