// The library's own worker threads, for hosts that supply no executor. Blocking handlers have them
// to themselves: nothing of the network runs here.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "mission_signals/receiver.hpp"

namespace mission::receiver {

class worker_pool {
  public:
    virtual ~worker_pool() = default;  // finishes what is queued
    virtual void post(std::function<void()> job) = 0;
    virtual void stop() = 0;
};
std::unique_ptr<worker_pool> make_worker_pool(unsigned threads);

// Runs jobs one after the other, in order, on an executor that may be parallel.
class serial_queue : public std::enable_shared_from_this<serial_queue> {
  public:
    // At most `most` jobs wait.
    serial_queue(std::function<void(std::function<void()>)> execute, std::size_t most);
    ~serial_queue();
    // False when so many wait that this one is not taken.
    [[nodiscard]] bool post(std::function<void()> job);

  private:
    struct impl;
    std::unique_ptr<impl> p_;
};

}  // namespace mission::receiver
