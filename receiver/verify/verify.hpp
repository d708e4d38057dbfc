// The checks of wire.md section 5 on every SET, in their order. Pure: keys and time come in.
//
//   parse_set   size and form; typ; alg on the allow-list
//   verify_set  kid among the keys; signature
//   read_set    iss; aud; iat          (known jti: the engine, which remembers them)
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "events/set.hpp"
#include "jose/jws.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

// Never `none`, never a MAC: what is not here is alg_not_allowed.
inline constexpr jose::alg allowed_algs[] = {jose::alg::es256, jose::alg::rs256, jose::alg::ps256,
                                             jose::alg::eddsa};

// The result's views point into `token`.
// `typ_may_miss`: a quirk; a `typ` that is there has to be the right one all the same.
result<jose::compact> parse_set(std::string_view token, bool typ_may_miss = false);
// unknown_kid: the keys may have to be fetched again. bad_signature.
result<void> verify_set(const jose::compact& token, const jose::key_set& keys);
// wrong_issuer, wrong_audience, issued_in_future, bad_claims. `same_issuer`: null compares exactly.
using issuer_equal = std::function<bool(std::string_view, std::string_view)>;
result<void> check_set(const events::received_set& set, std::string_view issuer,
                       std::string_view audience, instant now,
                       const issuer_equal& same_issuer = nullptr);
// events::decode and check_set.
result<events::received_set> read_set(const jose::compact& token, std::string_view issuer,
                                      std::string_view audience, instant now);

// What becomes of a SET that failed with `e`.
enum class disposal {
    reject,  // tell the transmitter: it will not get better by itself
    retry,   // neither acknowledge nor reject: 503, or silence in a poll
};
disposal disposal_of(errc e) noexcept;

// RFC 8935 section 2.4, RFC 8936 section 2.4: the `err` code of a rejected SET.
std::string_view set_error_code(errc e) noexcept;
// For the peer: names the claim or header at fault, nothing of ours.
std::string set_error_description(errc e);

}  // namespace mission::receiver
