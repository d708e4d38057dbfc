// What is remembered, as plain rows (design section 3). No backend, no SQL.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "events/mission_event.hpp"

namespace mission::store {

// Ids are distinct types. Numbers are the store's own and never cross the wire.
enum class issuer_id : std::int64_t {};
enum class mission_row : std::int64_t {};
enum class stream_row : std::int64_t {};
// Position in the log: dense from 1, in commit order (I2). 0: before everything.
using seq_t = std::int64_t;

// 0 to 1023, from the mission id: what is later spread over nodes.
std::uint16_t bucket_of(std::string_view mission_id) noexcept;

struct principal_name {
    std::string iss, sub;
    friend bool operator==(const principal_name&, const principal_name&) = default;
};

// The registry: written once, at approval.
struct mission_record {
    mission_row row{};
    issuer_id issuer{};
    std::string mission_id;
    std::uint16_t bucket = 0;
    std::string purpose;
    principal_name approver, subject;
    std::string agent_client_id;
    std::optional<std::string> agent_spiffe_id;
    std::optional<std::string> tenant;
    std::optional<std::string> parent;       // mission_id
    std::optional<std::string> predecessor;  // mission_id
    mission_row parent_row{};                // of `parent`; 0: none
    mission_row root_row{};                  // where the family's approval began; 0: this one
    std::int64_t depth = 0;                  // generations below the root
    std::optional<std::string> evidence;     // JSON text
    std::string authority_hash;              // of the approved set: never changes
    wall_time approved_at{};
    std::string created_by;  // client id
};

// Narrow and hot. `state` is what everybody is told, with its version; under a parent's suspension
// the mission's own state lies beneath it.
struct mission_state {
    mission_row row{};
    mission_row parent_row{};  // 0: none
    events::mission_state state{};
    std::int64_t version = 0;
    std::int64_t authority_revision = 0;  // 1 is the approved set
    wall_time expires_at{};
    std::optional<wall_time> suspend_until;
    std::optional<events::on_expiry> on_expiry;
    std::optional<std::string> successor;
    std::optional<std::string> reason;  // of the last change
    wall_time changed_at{};
    // Suspended because a mission above is. `own_hold` is read under it alone: the mission's own
    // state is `suspended` then, else `active`.
    bool parent_hold = false;
    bool own_hold = false;
    // The parent's last version whose effect this mission carries; what the parent has committed
    // beyond it (mission_version::effect) is pending here.
    std::int64_t parent_seen = 0;
    // This mission's own last version that has an effect on its children; 0: none.
    std::int64_t family_version = 0;
    std::int64_t children = 0;  // ever created
    // An external service's (mirror): it has no deadline of ours, and no family moves it.
    bool mirrored = false;
    friend bool operator==(const mission_state&, const mission_state&) = default;
};

// What a version of a mission does to its children (wire.md section 4).
enum class family_effect { none, hold, lift, end, narrowed };

// One row for each version, for ever: what the mission was at any moment, and what its children
// have to follow. Written by the store with each mission_commit.
struct mission_version {
    mission_row mission{};
    std::int64_t version = 0;
    events::mission_state state{};
    wall_time committed_at{};
    wall_time expires_at{};
    std::optional<wall_time> suspend_until;
    std::optional<events::on_expiry> on_expiry;
    std::int64_t authority_revision = 0;
    std::optional<std::string> successor;
    std::optional<std::string> reason;
    family_effect effect = family_effect::none;
    // When the cause of the effect was committed or due: a grandparent's end binds from there on,
    // however late this row was written. committed_at when it is a cause itself.
    wall_time bound_at{};
    std::string source_hash;     // mirror: of the reported transition; else empty
    std::int64_t audit_seq = 0;  // who did it
    seq_t seq = 0;               // of its signal; below 1: gone before there were versions
    friend bool operator==(const mission_version&, const mission_version&) = default;
};

// The mark of a mission whose children have yet to be visited (design section 4, Families). In the
// order of `id`: generation after generation.
struct cascade {
    std::int64_t id = 0;  // the writer's
    mission_row mission{};
    std::int64_t family_version = 0;  // of the mission, when this pass began
    mission_row after{};              // children up to here have been visited
    wall_time since{};                // when what it follows from was committed or due
};

// Who did what, from where, on whose authority, and what came of it. Append-only; each entry
// commits to the one before it of the same issuer (store/audit.hpp).
struct audit_entry {
    std::int64_t seq = 0;  // the writer's: over all issuers, ascending
    issuer_id issuer{};
    wall_time at{};      // the writer's
    std::string actor;   // client id; empty: this service itself (clock, family, rule)
    std::string origin;  // how it came: authentication and peer, "clock", "family", "rule NAME"
    std::string action;  // "mission.create", "lifecycle.revoke", "clock.expire", "stream.pause" ..
    std::string target;  // mission_id or stream_id
    std::int64_t version = 0;  // of the mission that it made; 0: none
    std::string outcome;       // "done" | "unchanged" | "refused: <symbol>"
    std::string detail;        // JSON object text: reason, approver, rule, filter ..; may be empty
    std::string previous;      // the writer's: hash of the entry before
    std::string hash;          // the writer's
    friend bool operator==(const audit_entry&, const audit_entry&) = default;
};

// A bulk operation: its pinned membership, and how far it has been executed.
enum class bulk_status { pinning, pinned, running, done };
struct bulk_job {
    std::int64_t id = 0;  // random, the caller's
    issuer_id issuer{};
    std::string token_hash;  // of the bulk token; unique
    std::string client_id;
    std::string request;  // JSON text: operation, filter, suspend_until, on_expiry, reason
    bulk_status status = bulk_status::pinning;
    std::int64_t total = 0;  // members
    std::int64_t next = 0;   // position of the first member that is not done
    wall_time created_at{};
    wall_time expires_at{};  // of the token
    std::string execution;   // JSON text, once it runs: nonce, who, when
};
struct bulk_member {
    std::int64_t job = 0;
    std::int64_t position = 0;  // from 0
    mission_row mission{};
    std::string outcome;  // empty until it was executed
    std::string detail;
};

// What an orchestrator has reported about a mission (wire.md section 4).
enum class report_status { open, acted, dismissed };
struct report {
    std::int64_t id = 0;  // the writer's when 0
    issuer_id issuer{};
    mission_row mission{};
    std::string mission_id;
    std::string client_id;
    std::string kind;    // completed | failed | extension_requested | anomaly | teardown
    std::string detail;  // text, or JSON text as it was sent
    std::string evidence;
    wall_time received_at{};
    report_status status = report_status::open;
    std::string decision;  // JSON text: by whom or by which rule, operation, version
};

// Mirror: a reported transition that waits for the versions before it.
struct waiting_transition {
    mission_row mission{};
    std::int64_t version = 0;
    std::string body;  // JSON text
    wall_time received_at{};
};

struct mission {
    mission_record record;
    mission_state state;
    // Every audience that any revision's authorization_details named (`resource`), sorted:
    // visibility is "now or at any version before".
    std::vector<std::string> resources;
};

// What a signal is matched by. Held in the signal row: matching never reads `missions`.
struct match_keys {
    std::string mission_id;
    std::string agent_client_id;
    std::optional<std::string> agent_spiffe_id;
    std::optional<principal_name> user;
    std::optional<std::string> tenant;
    std::vector<std::string> resources;  // now or at any version before, sorted
    friend bool operator==(const match_keys&, const match_keys&) = default;
};

// What a row of the log tells: a version of a mission, or an event that somebody emitted
// (`POST /signals`: CAEP, RISC, configured foreign types).
enum class signal_kind { mission, event };

// One committed change; one row of the log. Immutable.
struct signal {
    seq_t seq = 0;
    issuer_id issuer{};
    signal_kind kind = signal_kind::mission;
    std::uint16_t bucket = 0;
    mission_row mission{};     // 0 for an event
    std::int64_t version = 0;  // of the mission; 0 for an event
    wall_time committed_at{};
    std::string txn;
    // mission: events::to_record, all of the change that is not in `keys`. event: the record of
    // transmitter/delivery/emitted.hpp (type, subject, event, audience).
    std::string body;
    std::string signal_id;  // random; of an event alone
    match_keys keys;
    std::int64_t authority_revision = 0;
    std::string batch_id;  // of the transaction that wrote it
};

enum class delivery_method { push, poll };
enum class stream_status { enabled, paused, disabled };
std::string_view name(stream_status s) noexcept;

// Who listens. `removed_at` set: deleted, kept until its epochs are trimmed.
struct stream {
    stream_row row{};
    issuer_id issuer{};
    std::string stream_id;
    std::string client_id;
    wall_time created_at{};
    delivery_method method = delivery_method::poll;
    std::string endpoint_url;          // push
    std::string sealed_authorization;  // AES-256-GCM, empty: none
    std::vector<std::string> events_requested;
    std::vector<std::string> capabilities;  // mission_capabilities_supported
    std::string description;
    stream_status status = stream_status::enabled;
    std::string status_reason;
    std::int64_t continuity = 0;
    bool default_all = true;  // default_subjects ALL
    std::string extra;        // JSON text for members later versions add
};

// From `from_seq` on (inclusive) the stream's SETs are built like this (I4).
struct stream_epoch {
    stream_row stream{};
    seq_t from_seq = 0;
    std::string iss, aud;
    std::vector<std::string> events_delivered;
    std::string alg;         // "ES256"
    std::string visibility;  // JSON text, as the client's entry was then (streams/visibility)
};

// Everything at or below `acked_seq` is settled; beyond it the ranges [first, last], ascending,
// disjoint, at most limits::acked_ranges.
//
// `open`: something at or below the issuer's routed_seq may be unsettled, so the cursor alone says
// where the stream stands. Not open: everything up to max(acked_seq, routed_seq) is settled; an
// idle stream's row is never written, however far the log goes on.
struct cursor {
    stream_row stream{};
    seq_t acked_seq = 0;
    bool open = true;
    std::vector<std::pair<seq_t, seq_t>> ranges;
};

// A signal of a stream that is retrying or dead.
struct exception {
    stream_row stream{};
    seq_t seq = 0;
    bool dead = false;
    std::uint32_t attempts = 0;
    std::string err, description;  // the receiver's words, cut to 1 KiB
    wall_time since{}, last{};
};

// A verification or stream-updated event of one stream, outside the log; `jti` random and kept
// until settled.
struct stream_event {
    stream_row stream{};
    std::string jti;
    std::string type;     // event type URI
    std::string event;    // JSON object text; empty for what is sampled when sent
    seq_t after_seq = 0;  // sent once everything up to here is settled; 0: at once
    wall_time created_at{};
};

// Versioned subject filter: in force for seq in [added_seq, removed_seq).
//
// A stream with default_subjects NONE gets what an including row matches. One with ALL gets
// everything but what an excluding row matches, unless an including row matches it too.
struct stream_subject {
    stream_row stream{};
    std::string key;      // events::canonical_key of a simple subject, or of the complex one
    std::string subject;  // JSON text
    seq_t added_seq = 0;
    std::optional<seq_t> removed_seq;
    bool verified = true;
    bool excluded = false;
    // Removed by the receiver, in force until this time (SSF 1.0 section 9.3): then a decision
    // sets removed_seq.
    std::optional<wall_time> remove_at;
};

// An answered operation (I11). `scope` names the kind ("lifecycle", "create").
struct nonce_record {
    issuer_id issuer{};
    std::string scope;
    std::string client_id;
    std::string mission_id;  // empty for creation
    std::string nonce;
    std::string request_hash;
    std::string outcome;  // JSON text: the claims of the answer, not its bytes
    wall_time expires_at{};
};

}  // namespace mission::store
