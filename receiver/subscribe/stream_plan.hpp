// Adopt, create, replace or refuse: what to do about our stream. Pure.
#pragma once

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
};
result<stream_config> parse_stream(std::string_view json_object);
// GET without stream_id: an array; a lone object is taken as one of one.
result<std::vector<stream_config>> parse_streams(std::string_view json_text);

struct wanted_stream {
    std::string method, endpoint_url;   // endpoint_url for push
    std::string authorization_header;   // push; empty: none
    std::string description, audience;  // audience empty: whatever the transmitter gives
    std::vector<std::string> events;
    std::string known_id;         // the stream of the last run; empty: none
    bool header_changed = false;  // the authorization header is not the last run's
    bool replace = false;
};

struct stream_step {
    enum class kind { adopt, create, remove, refuse } what = kind::create;
    stream_config stream;  // to adopt or remove
    std::string why;       // to refuse
};
stream_step plan_stream(const std::vector<stream_config>& existing, const wanted_stream& wanted);

// The body of POST: receiver-supplied members alone (wire.md section 5).
std::string create_body(const wanted_stream& wanted);

// Our nine types, or the drafts' one.
std::vector<std::string> our_event_types();

// Whether the created stream carries all missions, or another vocabulary should be tried.
bool should_try_lifecycle_change(const stream_config& created, const wanted_stream& wanted);

}  // namespace mission::receiver
