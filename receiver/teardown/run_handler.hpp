// How a handler of the host is run, for teardown and for events.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "mission_signals/receiver.hpp"

namespace mission::receiver {

// A host's handler may throw; what it has done is not known.
template <class Handler, class What>
mission_signals::outcome run_handler(const Handler& run, const What& what) {
    using mission_signals::outcome_kind;
    try {
        return run(what);
    } catch (const std::exception& e) {
        try {
            return {outcome_kind::unknown, std::string("exception: ") + e.what()};
        } catch (const std::bad_alloc&) {
        }
    } catch (...) {
    }
    return {outcome_kind::unknown, "exception"};  // short: it takes no memory
}

}  // namespace mission::receiver
