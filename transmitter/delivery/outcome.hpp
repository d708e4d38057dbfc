// One stream's delivery state, and what answers do to it: accepted, this SET rejected, relation
// failed. The rules that push and poll share. Pure; one owner (the issuer's strand).
//
//      SET rejected (invalid_request, invalid_state)
//        -> a later version of its mission waits?  superseded: buried, the later one goes at once
//        -> fewer than 5 tries?                    again after a growing gap
//        -> another SET accepted meanwhile?        dead letter
//        -> else a verification event probes:      accepted -> dead letter; refused -> relation
//
//      relation failed -> held: back off, probe with one SET; whatever is accepted ends the hold
//
// What is taken from a stream (dead letters, withheld changes, overrun holds) raises its
// `continuity`: `effects.lost` says why, the shell makes it durable together with the cursor (I3).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "store/rows.hpp"
#include "transmitter/delivery/window.hpp"

namespace mission::transmitter {

struct instant {
    steady_time steady;
    wall_time wall;
};

// A SET about the stream itself, outside the log.
struct stream_special {
    enum class kind { verification, stream_updated, heartbeat, probe } what{};
    std::string jti;             // random
    std::string type;            // event type URI
    std::string event;           // JSON object text
    store::seq_t after_seq = 0;  // sent once everything up to here is settled; 0: at once
    wall_time created_at{};
    bool stored = false;  // a row of stream_events, settled there too
    // stream-updated: says that the transmitter or an operator has paused or disabled the stream as
    // it now is; it goes although nothing else does (SSF 1.0 section 8.1.5).
    bool tells_status = false;
    bool in_flight = false, offered = false;
    steady_time not_before{};
    unsigned rejections = 0;
};

// Is the receiver reachable and content with us?
struct relation {
    bool held = false;
    instant held_since;
    std::string reason;  // with the receiver's words
    unsigned failures = 0;
    steady_time next_try{};
    std::string probe;  // jti of the one SET that is under way while held
    steady_time last_accepted{};
    wall_time last_success{}, last_failure{};
    std::string last_failure_reason;
};

// What has become due outside this state; the shell takes it.
struct delivery_effects {
    bool cursor_moved = false;
    std::vector<store::exception> exceptions;
    std::vector<store::seq_t> settled_exceptions;
    std::vector<std::string> settled_events;  // jti
    std::vector<std::string> lost;            // sentences: continuity must rise
    std::uint64_t delivered = 0, failed = 0, dead = 0;

    bool durable() const noexcept {
        return cursor_moved || !exceptions.empty() || !settled_exceptions.empty() ||
               !settled_events.empty() || !lost.empty();
    }
};

struct delivery_limits {
    std::size_t push_window = 16;
    std::chrono::milliseconds redelivery{5'000};
    std::chrono::milliseconds max_stale{90'000};
};

struct delivery_state {
    store::stream_row stream{};
    delivery_limits limits;
    window unsettled;
    std::vector<stream_special> specials;
    relation receiver;
    delivery_effects effects;
    std::size_t in_flight = 0;       // push requests under way
    std::size_t awaiting_probe = 0;  // entries that a probe decides about
    // A raised `continuity` that is not durable yet: heartbeats wait for it and what tells of it.
    bool continuity_pending = false;
    // The stream is not enabled: of its events only those go that say so.
    bool quiet = false;

    stream_special* find_special(std::string_view jti) noexcept;
};

// A signal that concerns the stream. An earlier version of its mission that stands rejected is
// superseded by it.
void admit(delivery_state& s, window_entry e, instant now);

// The receiver has this SET. False when no unsettled SET has that jti (an ack repeated, unknown).
bool accepted(delivery_state& s, std::string_view jti, instant now);

// The receiver has judged this SET bad. Unknown ones are ignored.
void rejected(delivery_state& s, std::string_view jti, std::string err, std::string description,
              instant now, random_source& random);

// The relation is bad. `retry_after` wins over the back-off when it is longer.
void relation_failed(delivery_state& s, std::string_view jti, std::string reason,
                     std::optional<std::chrono::milliseconds> retry_after, instant now,
                     random_source& random);

// A SET that was handed out but never left (signing failed, the poller had gone).
void not_sent(delivery_state& s, std::string_view jti);

// The receiver asks for a verification: a hold does not make it wait for the back-off, since who
// asks is there. A probe under way is waited for.
void verification_requested(delivery_state& s, stream_special e, instant now);

// What was under way is given up, and the relation begins anew: another endpoint, another method.
void restart_relation(delivery_state& s);

// The stream is disabled: nothing is held for it. What waits is dropped, and `continuity` rises
// when that was anything, or `behind`: signals nobody had looked at. Only what tells of the new
// status stays.
void drop_everything(delivery_state& s, bool behind);

// True when the relation has been bad for so long that the stream is to be paused.
bool given_up(const delivery_state& s, std::chrono::milliseconds pause_after, instant now);

// Special events that may go now: everything they wait for is settled.
bool may_go(const delivery_state& s, const stream_special& e, steady_time now);

}  // namespace mission::transmitter
