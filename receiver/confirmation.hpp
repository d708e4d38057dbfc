// One caller's own answer of Mission Status, as the host is told of it.
#pragma once

#include <string>

#include "mission_signals/receiver.hpp"
#include "receiver/subscribe/status_desk.hpp"

namespace mission::receiver {

// Of an answer or of the error that came instead; `now` is the caller's to fill in, but for `why`.
ms::confirmation confirmation_of(const status_desk::reply& come);
// There is none, and this is why.
ms::confirmation unconfirmed(std::string why, ms::cause cause = ms::cause::status_unreachable);

}  // namespace mission::receiver
