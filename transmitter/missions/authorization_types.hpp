// Which authorization_details may be approved (RFC 9396 section 5: `type` decides what an entry
// must look like). mission_resource_access is built in; more by configuration. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "schemas/schemas.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

// Thread safe once made.
class authorization_types {
  public:
    // bad_configuration names the type whose schema is none.
    static result<authorization_types> from(const config& settings);

    // Takes every type but the built-in one as it is: for what another service has approved
    // already.
    static authorization_types any();

    // Everything that is asked of a set at the door, type by type: what
    // draft-mcguinness-oauth-mission asks of mission_resource_access and its Common Constraints,
    // the configured schemas, the size. An entry that nobody could enforce is refused here.
    // invalid_request with the place ("/authorization_details/1/actions/0: ...").
    result<void> check(const json::value& set) const;

  private:
    struct known {
        std::string type;
        schemas::compiled schema;
    };
    std::vector<known> known_;
    bool accept_unknown_ = false;
};

}  // namespace mission::transmitter
