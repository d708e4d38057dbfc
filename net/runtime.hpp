// The threads of a program: an io_context with a fixed number of threads, timers, a worker pool.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace mission::net {

// Cancels at destruction. Callbacks that are already running finish.
class timer {
  public:
    virtual ~timer() = default;
    virtual void cancel() noexcept = 0;
};

// A serial executor: callbacks posted to one never run concurrently.
class strand {
  public:
    virtual ~strand() = default;
    virtual void post(std::function<void()> fn) = 0;
    [[nodiscard]] virtual std::unique_ptr<timer> after(std::chrono::milliseconds delay,
                                                       std::function<void()> fn) = 0;
};

// Owns its threads. THREAD: all methods may be called from any thread.
class runtime {
  public:
    virtual ~runtime() = default;
    // Network threads: must not block.
    virtual void post(std::function<void()> fn) = 0;
    // Worker threads: signing, blocking calls.
    virtual void post_work(std::function<void()> fn) = 0;
    virtual std::shared_ptr<strand> make_strand() = 0;
    // Runs `fn` once after `delay` on a network thread, unless the timer is destroyed before.
    [[nodiscard]] virtual std::unique_ptr<timer> after(std::chrono::milliseconds delay,
                                                       std::function<void()> fn) = 0;
    // Calls `on_stop` once on SIGTERM or SIGINT (programs only; the library never installs
    // handlers).
    virtual void on_stop_signal(std::function<void()> on_stop) = 0;
    // Stops accepting work, joins all threads. Not from one of its own threads.
    virtual void stop() = 0;
    // The io_context, for net's own files: a pointer to boost::asio::io_context.
    virtual void* native() noexcept = 0;
};

// `worker_niceness` (setpriority(2)): how far the workers stand back when processors are short.
std::unique_ptr<runtime> make_runtime(unsigned network_threads, unsigned worker_threads,
                                      int worker_niceness = 0);

}  // namespace mission::net
