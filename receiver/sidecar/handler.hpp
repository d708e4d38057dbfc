// The routes of the sidecar. Private to it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/http.hpp"
#include "receiver/sidecar/core.hpp"

namespace mission::receiver::sidecar {

// `more_metrics` may be null.
std::shared_ptr<net::http_handler> make_handler(std::shared_ptr<core> shared,
                                                std::function<std::string()> more_metrics);

}  // namespace mission::receiver::sidecar
