#include "base/error.hpp"

#include <stdexcept>

namespace mission {

std::string_view name(errc code) noexcept {
    switch (code) {
#define MISSION_NAME(x) \
    case errc::x:       \
        return #x
        MISSION_NAME(invalid_argument);
        MISSION_NAME(too_large);
        MISSION_NAME(not_json);
        MISSION_NAME(duplicate_member);
        MISSION_NAME(too_deep);
        MISSION_NAME(schema_violation);
        MISSION_NAME(io_error);
        MISSION_NAME(not_found);
        MISSION_NAME(address_in_use);
        MISSION_NAME(bad_configuration);
        MISSION_NAME(cancelled);
        MISSION_NAME(unsupported_media_type);
        MISSION_NAME(malformed_token);
        MISSION_NAME(wrong_typ);
        MISSION_NAME(alg_not_allowed);
        MISSION_NAME(unknown_kid);
        MISSION_NAME(bad_signature);
        MISSION_NAME(wrong_issuer);
        MISSION_NAME(wrong_audience);
        MISSION_NAME(issued_in_future);
        MISSION_NAME(token_expired);
        MISSION_NAME(bad_claims);
        MISSION_NAME(token_replayed);
        MISSION_NAME(keys_unavailable);
        MISSION_NAME(invalid_dpop_proof);
        MISSION_NAME(key_unreadable);
        MISSION_NAME(key_malformed);
        MISSION_NAME(key_unsupported);
        MISSION_NAME(key_too_weak);
        MISSION_NAME(key_permissions);
        MISSION_NAME(decryption_failed);
        MISSION_NAME(store_unavailable);
        MISSION_NAME(store_full);
        MISSION_NAME(store_newer);
        MISSION_NAME(store_read_only);
        MISSION_NAME(store_locked);
        MISSION_NAME(not_a_database);
        MISSION_NAME(store_corrupt);
        MISSION_NAME(outcome_unknown);
        MISSION_NAME(store_conflict);
        MISSION_NAME(stream_not_found);
        MISSION_NAME(stream_limit);
        MISSION_NAME(stream_invalid);
        MISSION_NAME(stream_not_enabled);
        MISSION_NAME(verification_too_soon);
        MISSION_NAME(stream_conflict);
        MISSION_NAME(address_refused);
        MISSION_NAME(resolve_failed);
        MISSION_NAME(connect_failed);
        MISSION_NAME(tls_failed);
        MISSION_NAME(timed_out);
        MISSION_NAME(connection_closed);
        MISSION_NAME(response_too_large);
        MISSION_NAME(bad_response);
        MISSION_NAME(redirect_refused);
        MISSION_NAME(http_status);
        MISSION_NAME(mission_not_found);
        MISSION_NAME(mission_conflict);
        MISSION_NAME(stale_version);
        MISSION_NAME(invalid_request);
        MISSION_NAME(unauthenticated);
        MISSION_NAME(forbidden);
        MISSION_NAME(insufficient_scope);
        MISSION_NAME(rate_limited);
        MISSION_NAME(unavailable);
        MISSION_NAME(exceeds_authority);
        MISSION_NAME(extension_not_allowed);
        MISSION_NAME(mission_exists);
        MISSION_NAME(invalid_bulk_token);
        MISSION_NAME(stale_bulk_token);
        MISSION_NAME(filter_too_broad);
#undef MISSION_NAME
    }
    return "unknown";
}

std::string error::message() const {
    std::string text{name(code)};
    if (!detail.empty()) text.append(": ").append(detail);
    return text;
}

void throw_exception_from_error(const error& e, const boost::source_location& loc) {
    throw std::logic_error("result without value (" + e.message() + ") used at " + loc.to_string());
}

}  // namespace mission
