// What the sidecar bounds, with the reason beside it; the rest is in base/limits.hpp.
#pragma once

#include <chrono>
#include <cstddef>

namespace mission::receiver::sidecar::limits {

using namespace std::chrono_literals;

// AuthZEN: a batch is one answer, made on a network thread. A thousand looks take a millisecond.
inline constexpr std::size_t evaluations = 1000;
inline constexpr std::size_t body_bytes = 256u << 10;
inline constexpr std::size_t body_depth = 16;
// Of X-Request-ID, which is echoed.
inline constexpr std::size_t request_id_bytes = 256;
// Missions of one request that are asked for at Mission Status, and requests that wait for it or
// for keys: what is beyond is denied at once, as it would be without `resolve`.
inline constexpr std::size_t resolved_per_request = 16;
inline constexpr std::size_t waiting_requests = 1000;
// Tokens that were found good, by hash: a token is judged anew after this at the latest, so that a
// key that its issuer has withdrawn is noticed.
inline constexpr std::size_t verdicts = 50'000;
inline constexpr auto verdict_age = 5min;
// How often the keys of token issuers are looked after, whether or not tokens come.
inline constexpr auto keys_tended = 30s;
// A forwarded certificate, percent-encoded: three characters for each line end.
inline constexpr std::size_t certificate_bytes = 12u << 10;
inline constexpr std::size_t rules = 1000;
inline constexpr std::size_t token_issuers = 64;
// One proxy holds all its connections from one address.
inline constexpr std::size_t connections = 4096;
// First step of a stop or of a change of `listen`: requests in flight end by themselves.
inline constexpr auto stop_grace = 2s;

}  // namespace mission::receiver::sidecar::limits
