// Who may know of a mission (wire.md section 3). Pure; asked by the API for every mission it shows,
// and by delivery for every signal and stream.
#pragma once

#include <string_view>

#include "store/rows.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

// True for who has `audience` when some authorization_details named it as `resource`, now or at any
// version before (`keys.resources`); when all missions are its business; when it is told the
// mission's tenant or agent.
bool may_know(std::string_view audience, const mission_visibility& visibility,
              const store::match_keys& keys);
bool may_know(const client_config& client, const store::match_keys& keys);

// What a mission is matched by, from its registry row.
store::match_keys keys_of(const store::mission& m);

}  // namespace mission::transmitter
