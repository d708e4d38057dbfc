#include "net/runtime.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace mission::net {
namespace {

namespace asio = boost::asio;
using strand_type = asio::strand<asio::io_context::executor_type>;

// Shared by the handle and the waiting handler; the handler may be running while the handle goes.
struct timer_state {
    template <class Executor>
    explicit timer_state(const Executor& executor) : waiter(executor) {}

    std::mutex mutex;  // asio's timer is not to be touched by two threads at once
    asio::steady_timer waiter;
    std::atomic<bool> cancelled{false};
    std::function<void()> fn;  // touched by the handler alone
};

class timer_handle final : public timer {
  public:
    explicit timer_handle(std::shared_ptr<timer_state> state) : state_(std::move(state)) {}
    ~timer_handle() override { cancel(); }
    void cancel() noexcept override {
        if (state_->cancelled.exchange(true)) return;
        const std::lock_guard lock(state_->mutex);
        state_->waiter.cancel();
    }

  private:
    std::shared_ptr<timer_state> state_;
};

template <class Executor>
std::unique_ptr<timer> start_timer(const Executor& executor, std::chrono::milliseconds delay,
                                   std::function<void()> fn) {
    auto state = std::make_shared<timer_state>(executor);
    state->fn = std::move(fn);
    auto handle = std::make_unique<timer_handle>(state);
    const std::lock_guard lock(state->mutex);
    state->waiter.expires_after(std::max(delay, std::chrono::milliseconds(0)));
    state->waiter.async_wait([state](const boost::system::error_code&) {
        // Taken out first: what the callback holds is let go whether it runs or not.
        const auto callback = std::exchange(state->fn, nullptr);
        // The flag, not the error code, decides: a timer that expired and waits in the strand's
        // queue can no longer be recalled by asio.
        if (!state->cancelled.exchange(true)) callback();
    });
    return handle;
}

class strand_impl final : public strand {
  public:
    explicit strand_impl(asio::io_context& context) : strand_(context.get_executor()) {}
    void post(std::function<void()> fn) override { asio::post(strand_, std::move(fn)); }
    std::unique_ptr<timer> after(std::chrono::milliseconds delay,
                                 std::function<void()> fn) override {
        return start_timer(strand_, delay, std::move(fn));
    }

  private:
    strand_type strand_;
};

// Threads for what blocks or computes. Its queue is bounded by its users: each request and each
// stream has at most one job waiting.
class worker_pool {
  public:
    worker_pool(unsigned threads, int niceness) {
        for (unsigned i = 0; i < threads; ++i)
            threads_.emplace_back([this, niceness] {
                // Of this thread alone, as Linux has it; a refusal changes nothing that matters.
                if (niceness != 0)
                    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);
                run();
            });
    }
    ~worker_pool() { stop(); }

    void post(std::function<void()> fn) {
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
            queue_.push_back(std::move(fn));
        }
        wake_.notify_one();
    }

    void stop() {
        std::deque<std::function<void()>> dropped;
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
            dropped.swap(queue_);
        }
        wake_.notify_all();
        for (auto& t : threads_) {
            if (t.joinable()) t.join();
        }
    }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
            if (stopped_) return;
            {
                const auto fn = std::move(queue_.front());
                queue_.pop_front();
                lock.unlock();
                fn();
            }  // destroyed outside the lock: it may own anything
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> queue_;
    bool stopped_ = false;
    std::vector<std::thread> threads_;
};

class runtime_impl final : public runtime {
  public:
    runtime_impl(unsigned network_threads, unsigned worker_threads, int niceness)
        : context_(static_cast<int>(network_threads)),
          guard_(asio::make_work_guard(context_)),
          workers_(worker_threads, niceness) {
        for (unsigned i = 0; i < network_threads; ++i) {
            threads_.emplace_back([this] { context_.run(); });
        }
    }
    ~runtime_impl() override { stop(); }

    void post(std::function<void()> fn) override { asio::post(context_, std::move(fn)); }
    void post_work(std::function<void()> fn) override { workers_.post(std::move(fn)); }
    std::shared_ptr<strand> make_strand() override {
        return std::make_shared<strand_impl>(context_);
    }
    std::unique_ptr<timer> after(std::chrono::milliseconds delay,
                                 std::function<void()> fn) override {
        return start_timer(context_.get_executor(), delay, std::move(fn));
    }

    void on_stop_signal(std::function<void()> on_stop) override {
        const std::lock_guard lock(mutex_);
        signals_.emplace(context_, SIGINT, SIGTERM);
        signals_->async_wait([fn = std::move(on_stop)](const boost::system::error_code& ec, int) {
            if (!ec) fn();
        });
    }

    void stop() override {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        stopped_ = true;
        workers_.stop();  // first: its jobs may still post to the network threads
        signals_.reset();
        guard_.reset();
        context_.stop();
        for (auto& t : threads_)
            t.join();
    }

    void* native() noexcept override { return &context_; }

  private:
    std::mutex mutex_;
    bool stopped_ = false;
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    worker_pool workers_;
    std::optional<asio::signal_set> signals_;
    std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<runtime> make_runtime(unsigned network_threads, unsigned worker_threads,
                                      int worker_niceness) {
    return std::make_unique<runtime_impl>(std::max(1u, network_threads),
                                          std::max(1u, worker_threads), worker_niceness);
}

}  // namespace mission::net
