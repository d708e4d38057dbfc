// `mission-transmitter keys list|rotate|revoke KID`: works on the folders, whether a transmitter
// runs on them or not.
#pragma once

#include <string>

#include "base/error.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

struct keys_request {
    enum class kind { list, rotate, revoke } what = kind::list;
    std::string issuer;  // empty: all
    std::string alg;     // rotate; empty: both
    std::string kid;     // revoke
};

// The lines to print. Errors are sentences for the operator.
result<std::string> keys_command(const config& settings, const keys_request& request);

}  // namespace mission::transmitter
