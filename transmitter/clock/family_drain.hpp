// Brings to the children what their parents have done (wire.md section 4): takes the oldest mark,
// visits its children step by step, and goes on until there is none. What is owed is in the rows,
// so a restart goes on where it stopped.
//
//     idle --a mark was made, or start--> asked for a turn --> a step --> more? asked again
//                                                                 |  no
//                                                                 +-------> idle
#pragma once

#include <memory>
#include <vector>

#include "transmitter/clock/pacer.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

class family_drain {
  public:
    virtual ~family_drain() = default;
    virtual void start() = 0;
    // A mark may have been made. THREAD: any; hands on at once.
    virtual void wake() = 0;
    virtual void stop() = 0;  // THREAD: any; nothing is submitted afterwards
};

// `common` and the issuers outlive it; their marks are drained together, in the order they were
// made.
std::shared_ptr<family_drain> make_family_drain(service& common,
                                                const std::vector<issuer_service*>& issuers,
                                                std::shared_ptr<pacer> pace);

}  // namespace mission::transmitter
