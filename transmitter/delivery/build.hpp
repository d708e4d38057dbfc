// The SET of (signal, stream epoch, form): a pure function.
//
// I4: the same claims and the same `jti` at every delivery, also after a restart and after the
// mission, the stream or the keys have changed. So nothing is read here but the signal's row and
// the epoch's, and nothing of another receiver can get in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "store/rows.hpp"
#include "transmitter/delivery/emitted.hpp"
#include "transmitter/streams/visibility.hpp"

namespace mission::transmitter {

// A signal with its body read once, shared by all streams it concerns.
struct routed_signal {
    std::shared_ptr<const store::signal> row;
    events::mission_change change;  // of a mission's signal
    emitted_event emitted;          // of an event's
    events::subject subject;        // likewise
    bool is_event() const noexcept { return row->kind == store::signal_kind::event; }
};
using routed_ptr = std::shared_ptr<const routed_signal>;
// store_corrupt when the body is no record. The row is copied: what was read from the log together
// with it is not kept for as long as one of them waits (I6).
result<routed_ptr> read_signal(const std::shared_ptr<const store::signal>& row);

// An epoch with its visibility read once.
struct stream_terms {
    store::stream_epoch epoch;
    stream_visibility visibility;
    std::string stream_id;
    std::string client_id;
};
using terms_ptr = std::shared_ptr<const stream_terms>;
result<terms_ptr> read_terms(store::stream_epoch epoch, std::string stream_id,
                             std::string client_id = {});
// The terms in force at `seq`; null before the first. `terms` ascend by from_seq.
terms_ptr terms_at(const std::vector<terms_ptr>& terms, store::seq_t seq);

// Names SETs: a keyed hash of (log epoch, stream, seq, event type), so that it tells nothing.
class jti_maker {
  public:
    // `secret` is the transmitter's secret key; a key of its own is derived from it.
    jti_maker(std::string_view secret, std::string log_epoch);
    std::string operator()(std::string_view stream_id, store::seq_t seq,
                           std::string_view event_type) const;

  private:
    std::string key_;
    std::string log_epoch_;
};

// What of a change the stream may be told (wire.md section 3): `parent` and `successor` only where
// every mission may be known, `user`, `tenant` and `reason` as disclosed, authorization_details
// only the entries that name the stream's audience.
events::mission_change cut_to(const events::mission_change& whole, const stream_terms& terms,
                              events::form form);

// The entries of a JSON array of authorization_details whose `resource` is `audience`.
std::string entries_naming(std::string_view authorization_details, std::string_view audience);

// What one SET of a signal tells.
enum class set_shape {
    mission,  // a version of the mission, in one of its two forms
    bridge,   // CAEP session-revoked in its place (bridge.hpp)
    emitted,  // the event that was emitted
};

// A mission's SET, member by member: what `encode_set` writes is tested against it.
events::set_claims build_set(const routed_signal& signal, const stream_terms& terms,
                             events::form form, std::string_view type, std::string jti);

// The claims of a SET as JSON text: what is signed.
std::string encode_set(const routed_signal& signal, const stream_terms& terms, events::form form,
                       std::string_view type, std::string_view jti,
                       set_shape shape = set_shape::mission);

// Verification and stream-updated events: about the stream itself (SSF 1.0 sections 8.1.4, 8.1.5).
events::set_claims build_stream_set(const stream_terms& terms, std::string_view type,
                                    std::string event, std::string jti, wall_time at);

}  // namespace mission::transmitter
