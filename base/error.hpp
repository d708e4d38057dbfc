// Expected failures are values: `result<T>` with an `error` of one enumeration.
//
// Codes are numbered in ranges that are never reused: 0xx input and system, 1xx token, 2xx key,
// 3xx store, 4xx stream, 5xx delivery, 6xx mission. `detail` is for operators and logs; what may be
// shown to a peer is decided where the error is mapped (transmitter/api, receiver/verify).
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <string_view>

namespace mission {

enum class errc : int {
    // 0xx: input and system
    invalid_argument = 1,
    too_large = 2,
    not_json = 3,
    duplicate_member = 4,
    too_deep = 5,
    schema_violation = 6,
    io_error = 7,
    not_found = 8,
    address_in_use = 9,
    bad_configuration = 10,
    cancelled = 11,
    unsupported_media_type = 12,
    // 1xx: token
    malformed_token = 100,
    wrong_typ = 101,
    alg_not_allowed = 102,
    unknown_kid = 103,
    bad_signature = 104,
    wrong_issuer = 105,
    wrong_audience = 106,
    issued_in_future = 107,
    token_expired = 108,
    bad_claims = 109,
    token_replayed = 110,
    keys_unavailable = 111,
    invalid_dpop_proof = 112,
    // 2xx: key
    key_unreadable = 200,
    key_malformed = 201,
    key_unsupported = 202,
    key_too_weak = 203,
    key_permissions = 204,
    decryption_failed = 205,
    // 3xx: store
    store_unavailable = 300,
    store_full = 301,
    store_newer = 302,
    store_read_only = 303,
    store_locked = 304,
    not_a_database = 305,
    store_corrupt = 306,
    outcome_unknown = 307,
    store_conflict = 308,
    // 4xx: stream
    stream_not_found = 400,
    stream_limit = 401,
    stream_invalid = 402,
    stream_not_enabled = 403,
    verification_too_soon = 404,
    stream_conflict = 405,
    // 5xx: delivery and HTTP as a client
    address_refused = 500,
    resolve_failed = 501,
    connect_failed = 502,
    tls_failed = 503,
    timed_out = 504,
    connection_closed = 505,
    response_too_large = 506,
    bad_response = 507,
    redirect_refused = 508,
    http_status = 509,
    // 6xx: mission
    mission_not_found = 600,
    mission_conflict = 601,
    stale_version = 602,
    invalid_request = 603,
    unauthenticated = 604,
    forbidden = 605,
    insufficient_scope = 606,
    rate_limited = 607,
    unavailable = 608,
    exceeds_authority = 609,
    extension_not_allowed = 610,
    mission_exists = 611,
    invalid_bulk_token = 612,
    stale_bulk_token = 613,
    filter_too_broad = 614,
};

// The enumerator's name ("store_full"); never null, "unknown" for a value outside the enumeration.
std::string_view name(errc code) noexcept;

struct error {
    errc code{};
    std::string detail;  // one sentence without secrets; may be empty

    error() = default;
    error(errc c) : code(c) {}  // NOLINT: `return errc::x;` is the point
    error(errc c, std::string d) : code(c), detail(std::move(d)) {}

    // "store_full: disk quota reached"
    std::string message() const;

    friend bool operator==(const error& e, errc c) noexcept { return e.code == c; }
};

// What `result<T>::value()` throws when there is none: a bug of the caller.
[[noreturn]] void throw_exception_from_error(const error& e, const boost::source_location& loc);

template <class T>
using result = boost::system::result<T, error>;

}  // namespace mission
