// JWS Compact Serialization (RFC 7515 section 7.1), strictly read.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "jose/key.hpp"

namespace mission::jose {

// A parsed but unverified token. Views point into the text it was parsed from.
struct compact {
    std::string alg;  // as written; not yet on anybody's allow-list
    std::string kid;  // empty when absent
    std::string typ;  // empty when absent
    std::string jwk;  // the `jwk` header as JSON text, empty when absent (DPoP proofs)
    std::string_view signing_input;
    std::string payload;    // decoded
    std::string signature;  // decoded
};

// Three non-empty base64url parts, a header that is a JSON object without duplicate members, with
// a string `alg`, without `crit` (nothing critical is understood) and without `b64`.
// malformed_token, too_large, duplicate_member.
result<compact> parse_compact(std::string_view token, std::size_t max_bytes = limits::token_bytes);

// Verifies against the keys of the set that have the token's kid (all keys when the token has none
// and `kid_required` is false). Order of checks: alg_not_allowed, unknown_kid, bad_signature.
result<void> verify(const compact& token, const key_set& keys, std::span<const alg> allowed,
                    bool kid_required = true);

// `payload` is JSON text; the header is {"typ":..,"alg":..,"kid":..}. A `signer` keeps the encoded
// header, so that signing costs one base64url pass and the signature. Thread safe.
class signer {
  public:
    signer(private_key key, std::string_view typ);
    result<std::string> sign(std::string_view payload) const;
    const private_key& key() const noexcept { return key_; }

  private:
    private_key key_;
    std::string header_;  // encoded, with the dot
};

// One-off signing with extra header members, for assertions, proofs and tests.
// `extra_header` is JSON members without braces ("\"jwk\":{..}") or empty.
result<std::string> sign_compact(const private_key& key, std::string_view typ,
                                 std::string_view payload, std::string_view extra_header = {});

}  // namespace mission::jose
