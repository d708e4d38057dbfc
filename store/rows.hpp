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
    std::optional<std::string> evidence;     // JSON text
    std::string authority_hash;              // of the approved set: never changes
    wall_time approved_at{};
    std::string created_by;  // client id
};

// Narrow and hot. `state` is the mission's own; the projection of its parent comes with families.
struct mission_state {
    mission_row row{};
    events::mission_state state{};
    std::int64_t version = 0;
    std::int64_t authority_revision = 0;  // 1 is the approved set
    wall_time expires_at{};
    std::optional<wall_time> suspend_until;
    std::optional<events::on_expiry> on_expiry;
    std::optional<std::string> successor;
    std::optional<std::string> reason;  // of the last change
    wall_time changed_at{};
    friend bool operator==(const mission_state&, const mission_state&) = default;
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
    // mission: events::to_record, the full change, uncut. event: the record of
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
