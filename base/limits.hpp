// Every queue, body, header, count and retry has its limit here, with the reason beside it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace mission::limits {

using namespace std::chrono_literals;

// JSON: what a peer may send. A mission with a thousand authorization_details fits.
inline constexpr std::size_t json_bytes = 1u << 20;
inline constexpr std::size_t json_depth = 32;

// JOSE: a SET with a full authority set stays far below this.
inline constexpr std::size_t token_bytes = 256u << 10;
inline constexpr std::size_t jwks_bytes = 512u << 10;
inline constexpr std::size_t jwks_keys = 256;
inline constexpr std::size_t kid_bytes = 256;
inline constexpr unsigned rsa_min_bits = 2048;
inline constexpr unsigned rsa_max_bits = 8192;

// HTTP as a server.
inline constexpr std::size_t http_header_bytes = 16u << 10;
inline constexpr std::size_t http_body_bytes = 1u << 20;
inline constexpr std::size_t http_target_bytes = 8u << 10;
// Bodies that have begun and not ended, of all connections together: anybody may begin one, and
// every connection with a full one would be 20 GB. Those below http_header_bytes always fit.
inline constexpr std::size_t http_unfinished_bytes = 256u << 20;
inline constexpr std::size_t connections = 20'000;
inline constexpr std::size_t connections_per_address = 2'000;
inline constexpr auto handshake_timeout = 10s;
inline constexpr auto header_timeout = 10s;
inline constexpr auto body_timeout = 30s;
inline constexpr auto write_timeout = 30s;
inline constexpr auto keep_alive_timeout = 75s;
inline constexpr auto stop_grace = 5s;

// HTTP as a client.
inline constexpr std::size_t http_response_bytes = 8u << 20;
inline constexpr std::size_t idle_connections_per_host = 64;

// Missions. wire.md section 4.
inline constexpr std::size_t mission_id_min = 22;
inline constexpr std::size_t mission_id_max = 128;
inline constexpr std::size_t reason_bytes = 1024;
inline constexpr std::size_t nonce_max = 255;
inline constexpr std::size_t purpose_bytes = 4096;
inline constexpr std::size_t authorization_details_entries = 1000;
// Levels of an entry. Signals, answers and the audit's lines tell it inside of more than a request
// does, and every one of them has to stay within json_depth.
inline constexpr std::size_t authorization_details_depth = 16;
// In base64url, with what else a SET or a Status answer says, it stays below token_bytes.
inline constexpr std::size_t authorization_details_bytes = 160u << 10;
inline constexpr std::size_t evidence_bytes = 64u << 10;
inline constexpr std::size_t evidence_depth = 16;
inline constexpr auto nonce_retention = 24h;
inline constexpr std::size_t list_page = 1000;
// What [missions] max_depth and max_children may say at most: a family is settled from its root
// down in one decision, and drained in steps.
inline constexpr std::int64_t family_depth = 64;
inline constexpr std::int64_t family_children = 10'000'000;
// Entries of one type and resource in a set: comparing two sets costs their product at worst, in
// the writer's thread, and an entry may name a thousand actions.
inline constexpr std::size_t entries_per_resource = 64;
// Pairs of JSON values that one comparison of two sets may look at, in the writer's thread: a
// thousand entries of prefixes that all overlap would be minutes. About a tenth of a second.
inline constexpr std::int64_t comparison_effort = 20'000'000;
// Children that are looked at to count those that a limit of their parent's entry is about, and
// the octets of the sets of those that live: about a tenth of a second of the writer each.
inline constexpr std::size_t counted_children = 20'000;
inline constexpr std::size_t counted_authority_bytes = 4u << 20;
// Added entries that the audit of an approval repeats; of more it keeps the number.
inline constexpr std::size_t audited_entries_bytes = 16u << 10;
// Mirror: transitions in one request, and those that wait for the versions before them.
inline constexpr std::size_t reported_transitions = 1000;
inline constexpr std::size_t waiting_per_mission = 64;
inline constexpr std::size_t waiting_per_issuer = 10'000;
// What an orchestrator may say of a mission: a sentence or an object, and so often. Whoever has
// more to tell keeps it itself. All reporters together: a mission's list is one answer.
inline constexpr std::size_t report_detail_bytes = 8u << 10;
inline constexpr std::size_t report_detail_depth = 16;
inline constexpr std::size_t report_evidence_bytes = 16u << 10;
inline constexpr std::size_t reports_per_reporter = 50;
inline constexpr std::size_t reports_per_mission = 500;
// Clients are configured: more buckets than clients of any fleet.
inline constexpr std::size_t rate_limited_keys = 100'000;

// Mission management (draft-mcguinness-oauth-mission-management).
// A signed page stays below token_bytes.
inline constexpr std::size_t manage_page = 500;
// A filter is kept with each bulk job and in the audit.
inline constexpr std::size_t manage_filter_bytes = 16u << 10;
inline constexpr std::size_t manage_reason = 1024;  // characters of purpose and reason
// Long enough to review, short enough that the reviewed set cannot silently age.
inline constexpr auto bulk_token_lifetime = 10min;
// Rows written or missions moved by one decision: some milliseconds of the writer.
inline constexpr std::size_t bulk_pin_step = 1000;
inline constexpr std::size_t bulk_step = 200;
// Members of one bulk operation, whatever is configured: its manifest is one answer.
inline constexpr std::int64_t bulk_members = 20'000;
// A client's dry runs that wait for their execution.
inline constexpr std::size_t bulk_pinned_per_client = 100;
// A page is kept for whoever lost the answer, far longer than that answer is good.
inline constexpr auto manage_page_retention = 5min;

// Streams and delivery.
// A stream that has settled something within this is at work: sweeps wait for it, within bounds.
inline constexpr auto at_work = 10s;
inline constexpr std::size_t description_bytes = 255;  // wire.md section 1: truncated
inline constexpr std::size_t authorization_header_bytes = 4096;
inline constexpr std::size_t endpoint_url_bytes = 2048;
inline constexpr std::size_t status_reason_bytes = 1024;
// An event that somebody emits: with subject and claims its SET stays far below token_bytes.
inline constexpr std::size_t emitted_event_bytes = 64u << 10;
// As JSON: a longer one would fill SETs that no receiver takes, and rows that nobody needs.
inline constexpr std::size_t subject_bytes = 32u << 10;
inline constexpr std::size_t txn_bytes = 255;
// Operators that watch the log: how many, and how long one answer waits for something to tell.
inline constexpr std::size_t tails = 32;
inline constexpr auto tail_wait = 5s;
inline constexpr std::size_t emission_audience = 1000;
inline constexpr std::size_t events_requested_entries = 256;
inline constexpr std::size_t verify_state_bytes = 1024;
// SETs about a stream itself that may wait for it; one more verification is told to come later.
inline constexpr std::size_t waiting_verifications = 64;
inline constexpr std::size_t poll_max_events = 1000;
inline constexpr std::size_t poll_acks = 10'000;
// Of the SETs that one poll refuses (setErrs): so many are logged in words, the rest by number.
inline constexpr std::size_t poll_errors_logged = 8;
inline constexpr auto poll_wait = 30s;
// When a 404 goes out, counted from the arrival of its request: beyond what looking takes, so that
// not found and not yours take the same time (transmitter/api/even_refusal.hpp).
inline constexpr auto refusal_time = 5ms;
inline constexpr std::size_t acked_ranges = 1024;   // acked-ahead ranges of one cursor
inline constexpr std::size_t stream_window = 4096;  // unsettled signals held in memory per stream
inline constexpr auto retry_after_max = 5min;
inline constexpr auto backoff_first = 200ms;
inline constexpr auto backoff_max = 60s;
inline constexpr unsigned dead_letter_tries = 5;
// Long polls that may wait on one stream; one more answers the oldest.
inline constexpr std::size_t waiting_polls = 4;
// An answer stays below what a careful receiver reads at once (json_bytes); one SET is always in
// it.
inline constexpr std::size_t poll_answer_bytes = 768u << 10;
// Signals read from the log at a time for a stream that is behind.
inline constexpr std::size_t load_page = 512;
// Signals behind the smallest cursor that stay for operators' questions ("who has heard?").
inline constexpr std::int64_t kept_behind_cursors = 10'000;
// SETs that one worker signs in a row; a large answer is spread over all of them.
inline constexpr std::size_t sign_chunk = 32;
// What is settled is written together, at the latest after this.
inline constexpr auto flush_delay = 20ms;
inline constexpr auto flush_retry = 250ms;

// The writer (design section 4).
inline constexpr std::size_t batch_decisions = 1024;
inline constexpr std::size_t queued_decisions = 65'536;

// Tokens.
inline constexpr auto access_token_lifetime = 3600s;
inline constexpr auto assertion_lifetime_max = 5min;
inline constexpr auto clock_skew = 30s;
inline constexpr std::size_t access_token_bytes = 8u << 10;
inline constexpr std::size_t assertion_bytes = 16u << 10;
inline constexpr std::size_t assertion_jti_bytes = 255;
inline constexpr std::size_t token_verdicts = 100'000;
// Introspected verdicts live no longer, whatever the token says (wire.md section 1).
inline constexpr auto introspection_age = 60s;
// Looking up what a foreign token is worth: one exchange; per issuer, tokens at a time and requests
// that wait.
inline constexpr auto token_lookup_timeout = 5s;
inline constexpr std::size_t token_lookups = 256;
inline constexpr std::size_t token_lookup_waiters = 2048;
inline constexpr std::size_t introspection_bytes = 64u << 10;
// Keys of token issuers: renewed in the background after `age`, used up to `stale` when the issuer
// cannot be reached; a failed attempt is repeated after `retry`.
inline constexpr auto token_keys_age = 5min;
inline constexpr auto token_keys_stale = 1h;
inline constexpr auto token_keys_retry = 5s;
// A DPoP proof is good for so long after its `iat` (RFC 9449 section 11.1), and is remembered that
// long: memory for 8,000 requests a second.
inline constexpr auto dpop_proof_age = 60s;
inline constexpr std::size_t dpop_proofs = 1'000'000;

// Receiver. wire.md section 5.
inline constexpr auto iat_ahead_max = 5min;
inline constexpr auto jwks_refetch_min = 30s;
inline constexpr auto jwks_unavailable_max = 10min;
// Known `jti`s of SETs that are not about missions: for longer than a transmitter holds them
// (hold_days = 7), the oldest out.
inline constexpr std::size_t seen_jti = 1'000'000;
inline constexpr auto seen_jti_kept = 8 * 24h;
// Events that wait for their handlers: with more of them SETs are answered 503 and come again.
inline constexpr std::size_t inbox_events = 20'000;
inline constexpr std::size_t inbox_bytes = 64u << 20;
inline constexpr unsigned inbox_concurrency = 4;  // handler calls at once
// A transmitter that turns a key over under its old kid, or revokes one, is noticed within this.
inline constexpr auto jwks_fresh = 5min;
// What a SET says about itself and about a mission, beside the set in force and `reason`: none of
// ours is a tenth of it, and a million of them have to fit.
inline constexpr std::size_t set_text_bytes = 1024;
// What a peer says is wrong, in our log.
inline constexpr std::size_t peer_words_bytes = 300;
// SETs that wait for the key set, and pushes that wait for their answer.
inline constexpr int waiting_for_keys = 1000;
inline constexpr int pushes_in_flight = 1000;
inline constexpr std::size_t poll_batch = 100;  // SETs asked for at once
// Subjects of the host's configuration.
inline constexpr std::size_t configured_subjects = 10'000;
// Mission Status: requests at once, missions waiting, and the pace of a new epoch.
inline constexpr std::size_t status_in_flight = 16;
inline constexpr std::size_t status_waiting = 20'000;
// Questions of one caller alone (confirm()) that are under way: each holds a request of its own.
inline constexpr std::size_t status_confirms_in_flight = 256;
inline constexpr std::size_t status_confirm_per_tick = 10;
inline constexpr auto status_confirm_tick = 50ms;  // 200 missions a second
inline constexpr auto status_not_found_kept = 1s;
inline constexpr std::size_t status_not_found = 10'000;
// Units that wait while the disk refuses; units of one transaction.
inline constexpr std::size_t state_units_waiting = 10'000;
inline constexpr std::size_t state_units_per_commit = 1024;
// Finished teardown tasks are evidence, not work: so many are kept, in rows and in memory.
inline constexpr std::int64_t finished_tasks_rows = 10'000;
inline constexpr std::size_t finished_tasks_memory = 1000;

}  // namespace mission::limits
