// When the next step of a sweep (deadlines, families, bulk operations) may be taken. Design section
// 4, urgent before bulk: one step at a time whoever takes it, what else waits for the writer goes
// first (store::submit_step), and no hurry while receivers that are at work fall behind.
//
//     sweep --ask(go)--> [queue] --when it is its turn--> go(turn) --> a decision --> turn let go
//
// So a single decision waits for at most one step and its commit.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "net/runtime.hpp"

namespace mission::transmitter {

class pacer {
  public:
    // Held while the step is on its way; the next one waits until the last copy has gone.
    using turn = std::shared_ptr<void>;

    virtual ~pacer() = default;
    // Calls `go` once, on a network thread or where the turn before it was let go, never from
    // inside ask(): it hands on and does not work there. Asked in turn are answered in turn. A step
    // is put off by at most `patience` for the sake of streams: a receiver that is
    // slow must not hold what concerns others. THREAD: any.
    virtual void ask(std::function<void(turn)> go,
                     std::chrono::milliseconds patience = std::chrono::seconds(1)) = 0;
    // Who waits is forgotten. THREAD: any.
    virtual void stop() = 0;
};

struct pace {
    // How far the streams are behind that are at work (delivery::healthy_lag), and how far they
    // may be; null: never asked. THREAD: any.
    std::function<std::chrono::milliseconds()> lag;
    std::chrono::milliseconds lag_max{0};
};

// `runtime` outlives what it is asked for.
std::shared_ptr<pacer> make_pacer(net::runtime& runtime, pace how);

// How much the next step takes, so that it keeps the writer for about `step_time`, its commit
// included: at most 1,000.
class step_size {
  public:
    std::size_t limit() const noexcept { return limit_; }
    // What a step of `done` took, from the start of its decision to its completion.
    void took(std::size_t done, std::chrono::nanoseconds time) noexcept;

  private:
    std::size_t limit_ = 250;
};

}  // namespace mission::transmitter
