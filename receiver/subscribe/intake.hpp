// From the text of a SET to its fate: the checks in their order, then the engine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "receiver/engine/engine.hpp"
#include "receiver/subscribe/link.hpp"

namespace mission::receiver {

// THREAD: accept() from any thread; `done` is called exactly once, on any.
class intake {
  public:
    virtual ~intake() = default;
    // `expected_jti`: under which key a poll answer listed it; empty for a push.
    // Both are looked at during the call alone.
    virtual void accept(std::string_view token, std::string_view expected_jti,
                        std::function<void(set_outcome)> done) = 0;
    // While this lives, what SETs say waits for what follows them on its way to the disk: those of
    // one poll answer become one transaction. Denials are shown at once all the same. Not for long:
    // teardown begins once it is on disk.
    virtual std::shared_ptr<void> gather() = 0;
    // The `aud` SETs have to carry. Empty: not known yet, every SET has to wait.
    virtual void set_audience(std::string audience) = 0;
    virtual std::string audience() const = 0;
};

// All outlive it. `quirks` null: none is tolerated.
std::shared_ptr<intake> make_intake(link& l, engine& e, std::function<instant()> now = coarse_now,
                                    std::shared_ptr<quirk_log> quirks = nullptr);

}  // namespace mission::receiver
