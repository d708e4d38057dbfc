// Where to ask and as whom: flags first, then the configuration file.
#pragma once

#include <string>

#include "base/error.hpp"
#include "tools/missionctl/command_line.hpp"

namespace mission::tools {

struct settings {
    std::string server;  // issuer, without a trailing slash
    std::string client_id;
    std::string private_key_pem;  // or:
    std::string token;
    std::string ca_pem;  // empty: the system's trust store
};

// Reads the files that were named. bad_configuration with one sentence: an unknown key and its
// line, a file that cannot be read, neither key nor token.
result<settings> load_settings(const invocation& typed);

}  // namespace mission::tools
