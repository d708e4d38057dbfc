// What a push stream sends next, and when to look again (RFC 8935; design section 6). Pure.
//
// A window of requests in flight, never two of one mission at once (I5), oldest first. While the
// relation is bad: one SET at a time, when its back-off has passed.
#pragma once

#include <optional>
#include <vector>

#include "transmitter/delivery/outcome.hpp"

namespace mission::transmitter {

// One SET to build, sign and send: everything it needs, owned.
struct outgoing_set {
    std::string jti;
    std::string type;
    // A signal's SET, or null and the stream's own event follows.
    routed_ptr signal;
    terms_ptr terms;
    events::form form{};
    set_shape shape = set_shape::mission;
    std::string event;
    wall_time created_at{};
};
outgoing_set outgoing(const window_entry& e, const window_set& set);
outgoing_set outgoing(const stream_special& e, terms_ptr terms);

// Marks what it returns as in flight; each is then told to accepted, rejected, relation_failed or
// not_sent. `terms` are the stream's newest.
std::vector<outgoing_set> next_pushes(delivery_state& s, const terms_ptr& terms, steady_time now);

// When `next_pushes` may have something that it has not now; nullopt: only after an event.
std::optional<steady_time> next_push_time(const delivery_state& s, steady_time now);

}  // namespace mission::transmitter
