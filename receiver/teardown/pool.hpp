// The library's own worker threads, for hosts that supply no executor. Blocking handlers have them
// to themselves: nothing of the network runs here.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "mission_signals/receiver.hpp"

namespace mission::receiver {

// THREAD: any. A job that is queued when stop() comes is run before it returns.
class worker_pool {
  public:
    virtual ~worker_pool() = default;  // stops, and waits for every job
    virtual void post(std::function<void()> job) = 0;
    // So many of the jobs that run are not expected back: as many threads stand in for them, up to
    // `stand_ins_max`. They go again when they are not needed. Where no thread is to be had the next
    // job tries again.
    static constexpr std::size_t stand_ins_max = 64;
    virtual void lost(std::size_t jobs) = 0;
    // Waits for queued jobs, and for those that run, at most so long. False: some still run, their
    // threads are left behind, and what was queued behind them is dropped.
    virtual bool stop(std::chrono::milliseconds patience) = 0;
};
std::unique_ptr<worker_pool> make_worker_pool(unsigned threads);

// Runs jobs one after the other, in order, on an executor that may be parallel.
class serial_queue : public std::enable_shared_from_this<serial_queue> {
  public:
    // At most `most` jobs wait.
    serial_queue(std::function<void(std::function<void()>)> execute, std::size_t most);
    ~serial_queue();
    // False when so many wait that this one is not taken, or after close().
    [[nodiscard]] bool post(std::function<void()> job);
    // What waits is dropped; a job that runs is not waited for.
    void close();

  private:
    struct impl;
    std::unique_ptr<impl> p_;
};

}  // namespace mission::receiver
