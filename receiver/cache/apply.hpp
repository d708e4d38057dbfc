// Applying what was said to what is held: versions, gaps, epochs. wire.md section 5;
// draft-mcguinness-oauth-mission-signals "Consumer Behavior on Receipt". Pure.
#pragma once

#include <optional>
#include <string>

#include "events/mission_event.hpp"
#include "receiver/cache/record.hpp"

namespace mission::receiver {

// A verified Mission Status answer.
struct status_word {
    std::string id, issuer, state, log_epoch, successor;
    std::int64_t version = 0;
    wall_time issued_at{};  // `iat`
    std::optional<wall_time> committed_at, expires_at, fresh_until, suspend_until;
    std::optional<std::string> authority;  // JSON array; nullopt in a state-only answer
};

struct applied {
    record next;
    bool changed = false;     // `next` is to be written
    bool confirms = false;    // gap-free: the entry is confirmed in the stream's running epoch
    bool ask_status = false;  // Status has to be asked, now
    // The change takes authority away: it may be shown before it is on disk.
    bool narrows = false;
    std::optional<ms::effect> effect;  // what durable handlers run for
    std::string note;                  // for the log; empty when there is nothing to say
};

// The effect of having come to a terminal standing; nullopt for the others.
std::optional<ms::effect> ended_effect(ms::standing s) noexcept;

applied apply_event(const record& before, const events::mission_change& change);
applied apply_status(const record& before, const status_word& word);
// Status answered not_found.
applied apply_not_found(const record& before);

}  // namespace mission::receiver
