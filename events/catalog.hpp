// The event types of CAEP 1.0, RISC 1.0 and SSF 1.0: what they are called and what they must say.
#pragma once

#include <span>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"
#include "events/subject.hpp"

namespace mission::events {

enum class event_family { mission, ssf, caep, risc };

struct event_kind {
    std::string_view uri;
    std::string_view name;    // "session-revoked"
    std::string_view schema;  // of schemas/: "caep-session-revoked"
    event_family family{};
    // May still be read, but is not to be sent anew (RISC 1.0 section 2.11, sessions-revoked).
    bool deprecated = false;
};

// Every CAEP 1.0 and RISC 1.0 type, and SSF's two. Mission types are in mission_event.hpp.
std::span<const event_kind> event_catalog() noexcept;
const event_kind* find_event_kind(std::string_view uri) noexcept;

// Whether a transmitter may send this event about this subject: what its specification says beyond
// the shape of the body, which schemas/ holds. The body is read by the typed readers (caep.hpp,
// risc.hpp), so a value outside a closed list is refused here too. invalid_request with a sentence
// that names the member; a deprecated type is refused as such.
result<void> check_event(const event_kind& kind, const subject& about, const json::value& body);

}  // namespace mission::events
