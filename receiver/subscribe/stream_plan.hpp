// Adopt, create, update, replace or refuse: what to do about our stream. Pure.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::receiver {

inline constexpr std::string_view push_method = "urn:ietf:rfc:8935";
inline constexpr std::string_view poll_method = "urn:ietf:rfc:8936";

struct stream_config {
    std::string stream_id, iss, method, endpoint_url, description, default_subjects;
    std::vector<std::string> aud, events_supported, events_requested, events_delivered;
    std::chrono::seconds inactivity_timeout{0}, min_verification_interval{0};  // 0: none
};
result<stream_config> parse_stream(std::string_view json_object);
// GET without stream_id: an array; a lone object is taken as one of one.
result<std::vector<stream_config>> parse_streams(std::string_view json_text);

struct wanted_stream {
    std::string method, endpoint_url;   // endpoint_url for push
    std::string authorization_header;   // push; empty: none
    std::string description, audience;  // audience empty: whatever the transmitter gives
    std::vector<std::string> events;
    bool events_chosen = false;   // by the host, not by us
    std::string known_id;         // the stream of the last run; empty: none
    bool header_changed = false;  // the authorization header is not the last run's
    bool replace = false;
    bool may_update = true;  // PATCH has not been tried yet
};

struct stream_step {
    enum class kind { adopt, create, update, remove, refuse } what = kind::create;
    stream_config stream;  // to adopt, update or remove
    std::string why;       // to refuse
};
stream_step plan_stream(const std::vector<stream_config>& existing, const wanted_stream& wanted);

// The bodies of POST and PATCH: receiver-supplied members alone (wire.md section 5).
std::string create_body(const wanted_stream& wanted);
std::string update_body(const std::string& stream_id, const wanted_stream& wanted);

// One call of SSF 1.0 section 8.1.3.
struct subject_call {
    bool add = false;
    std::string subject;  // JSON text
};
// `before` is what an earlier run kept: the stream's id, then one line per subject that it added.
// What is not wanted any more goes, if it was added to this stream; all that is wanted is added.
std::deque<subject_call> plan_subject_calls(std::string_view stream_id, std::string_view before,
                                            const std::vector<std::string>& wanted);

// Of subjects (JSON texts) the missions that are added by their id: `opaque`, or a complex subject
// of a `mission` alone. Sorted. Those of other subjects cannot be told.
std::vector<std::string> missions_named(const std::vector<std::string>& subjects);

// Our nine types, or the drafts' one.
std::vector<std::string> our_event_types();
bool any_mission_event(const std::vector<std::string>& types);

// Whether the created stream carries all missions, or another vocabulary should be tried.
bool should_try_lifecycle_change(const stream_config& created, const wanted_stream& wanted);

}  // namespace mission::receiver
