// `mission-transmitter store copy TO` and `store restored`: the backup of what the transmitter
// remembers, and what a store must be told that cannot notice by itself that it is one.
#pragma once

#include <string>

#include "base/error.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

struct store_request {
    enum class kind { copy, restored } what = kind::copy;
    std::string to;  // copy: the file to make
};

// The lines to print. Errors are sentences for the operator.
result<std::string> store_command(const config& settings, const store_request& request);

}  // namespace mission::transmitter
