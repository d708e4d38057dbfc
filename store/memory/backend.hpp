// Everything in this process's memory: for tests, --dev and transmitters that may forget.
#pragma once

#include <memory>

#include "store/engine/backend.hpp"

namespace mission::store::memory {

std::unique_ptr<engine::backend> make_backend();

}  // namespace mission::store::memory
