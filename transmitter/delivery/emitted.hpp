// An event that somebody emitted (`POST /signals`), as the log keeps it: CAEP, RISC, a configured
// foreign type. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::transmitter {

struct emitted_event {
    std::string type;     // event type URI
    std::string subject;  // JSON text (RFC 9493)
    std::string event;    // JSON object text
    std::string signal_id;
    // Client ids; nullopt: all clients of the issuer.
    std::optional<std::vector<std::string>> audience;
    std::string emitted_by;  // client id; for operators, never sent

    friend bool operator==(const emitted_event&, const emitted_event&) = default;
};

// The body of a signal of kind `event`: lossless both ways, and not a wire format.
std::string to_record(const emitted_event& e);
// store_corrupt when the text is not what `to_record` writes.
result<emitted_event> from_record_event(std::string_view text);

}  // namespace mission::transmitter
