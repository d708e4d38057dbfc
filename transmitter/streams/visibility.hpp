// What one stream may be told, as its client's entry was when the stream's epoch began.
//
// It is written into the epoch (`stream_epoch::visibility`), so that a change of the configuration
// never alters a SET that is delivered again (I4).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

struct stream_visibility {
    mission_visibility missions;
    // wire.md section 3: `user`, `tenant`, `reason` only as the client's `disclose` allows.
    bool user = false, tenant = false, reason = false;
    // The stream has declared `authority_changed` in `mission_capabilities_supported`.
    bool authority_changed = false;
    // The end of a mission is told as CAEP session-revoked as well: "" (no) | "session" | "user".
    std::string caep_bridge;

    std::string to_json() const;
    // bad_configuration when the text is not what `to_json` writes.
    static result<stream_visibility> from_json(std::string_view text);
};

stream_visibility visibility_of(const client_config& client,
                                const std::vector<std::string>& capabilities);

}  // namespace mission::transmitter
