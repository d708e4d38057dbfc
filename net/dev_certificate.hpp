// A certificate made on the spot, for development and tests: an own CA and a leaf under it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace mission::net {

struct dev_certificate {
    std::string ca_pem;           // what clients trust
    std::string certificate_pem;  // leaf, then CA
    std::string private_key_pem;  // of the leaf; the CA's key is thrown away
};

// `names` are DNS names and IP addresses; empty: localhost, 127.0.0.1 and ::1. Valid from an hour
// ago; usable for servers and clients. invalid_argument for an empty or odd name.
result<dev_certificate> make_dev_certificate(std::vector<std::string> names,
                                             std::chrono::days validity);

}  // namespace mission::net
