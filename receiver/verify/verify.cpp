#include "receiver/verify/verify.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace mission::receiver {

result<jose::compact> parse_set(std::string_view token, bool typ_may_miss) {
    if (token.size() > limits::token_bytes) return errc::too_large;
    auto parsed = jose::parse_compact(token);
    if (parsed.has_error()) return parsed.error();
    // SSF 1.0 "Explicit Typing of SETs"; RFC 8725 section 3.11: exactly this type.
    const bool missing = parsed->typ.empty() && typ_may_miss;
    if (parsed->typ != events::set_typ && !missing)
        return error{errc::wrong_typ, "typ is not secevent+jwt"};
    const auto alg = jose::parse_alg(parsed->alg);
    if (!alg || std::find(std::begin(allowed_algs), std::end(allowed_algs), *alg) ==
                    std::end(allowed_algs)) {
        return error{errc::alg_not_allowed, "alg is not on the allow-list"};
    }
    return parsed;
}

result<void> verify_set(const jose::compact& token, const jose::key_set& keys) {
    return jose::verify(token, keys, allowed_algs, true);
}

result<void> check_set(const events::received_set& set, std::string_view issuer,
                       std::string_view audience, instant now, const issuer_equal& same_issuer) {
    const bool own = same_issuer ? same_issuer(set.iss, issuer) : set.iss == issuer;
    if (!own) return error{errc::wrong_issuer, "iss is not the stream's issuer"};
    if (std::find(set.aud.begin(), set.aud.end(), audience) == set.aud.end()) {
        return error{errc::wrong_audience, "aud does not name this receiver"};
    }
    const auto ahead = std::chrono::seconds(limits::iat_ahead_max).count();
    if (set.iat > now.wall / 1000 + ahead) {
        return error{errc::issued_in_future, "iat lies in the future"};
    }
    return {};
}

result<events::received_set> read_set(const jose::compact& token, std::string_view issuer,
                                      std::string_view audience, instant now) {
    auto set = events::decode(token.payload);
    if (set.has_error()) return set.error();
    if (auto r = check_set(*set, issuer, audience, now); r.has_error()) return r.error();
    return set;
}

disposal disposal_of(errc e) noexcept {
    switch (e) {
        // What time, the key set or the disk may mend.
        case errc::issued_in_future:
        case errc::keys_unavailable:
        case errc::store_unavailable:
        case errc::store_full:
        case errc::store_read_only:
        case errc::store_locked:
        case errc::store_corrupt:
        case errc::outcome_unknown:
        case errc::io_error:
        case errc::unavailable:
        case errc::cancelled:
            return disposal::retry;
        default:
            return disposal::reject;
    }
}

std::string_view set_error_code(errc e) noexcept {
    switch (e) {
        case errc::alg_not_allowed:
        case errc::unknown_kid:
            return "invalid_key";
        case errc::bad_signature:
            return "authentication_failed";
        case errc::wrong_issuer:
            return "invalid_issuer";
        case errc::wrong_audience:
            return "invalid_audience";
        case errc::forbidden:
            return "access_denied";
        case errc::stream_conflict:
            return "invalid_state";
        default:
            return "invalid_request";
    }
}

std::string set_error_description(errc e) {
    switch (e) {
        case errc::malformed_token:
            return "The SET is not a compact JWS.";
        case errc::too_large:
            return "The SET is too large.";
        case errc::wrong_typ:
            return "The typ header is not secevent+jwt.";
        case errc::alg_not_allowed:
            return "The alg header is not acceptable.";
        case errc::unknown_kid:
            return "The kid is not in the issuer's JWK Set.";
        case errc::bad_signature:
            return "The signature does not verify.";
        case errc::wrong_issuer:
            return "The iss claim is not the issuer of this stream.";
        case errc::wrong_audience:
            return "The aud claim does not name this receiver.";
        case errc::forbidden:
            return "The issuer may not speak for this mission issuer.";
        case errc::stream_conflict:
            return "The state is not the one that was asked for.";
        case errc::duplicate_member:
            return "A member occurs twice.";
        case errc::mission_conflict:
            return "sub_id does not name the mission of the event.";
        default:
            return "The SET or its event is malformed.";
    }
}

}  // namespace mission::receiver
