#include "receiver/teardown/pool.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace mission::receiver {
namespace {

class pool final : public worker_pool {
  public:
    explicit pool(unsigned threads) {
        for (unsigned i = 0; i < std::max(threads, 1u); ++i) {
            threads_.emplace_back([this] { run(); });
        }
    }
    ~pool() override { stop(); }

    void post(std::function<void()> job) override {
        std::lock_guard lock(m_);
        jobs_.push_back(std::move(job));
        wake_.notify_one();
    }

    void stop() override {
        {
            std::lock_guard lock(m_);
            stopping_ = true;
            wake_.notify_all();
        }
        for (auto& t : threads_) {
            if (t.joinable()) t.join();
        }
    }

  private:
    void run() {
        std::unique_lock lock(m_);
        for (;;) {
            wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
            job = nullptr;
            lock.lock();
        }
    }

    std::mutex m_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::thread> threads_;
    bool stopping_ = false;
};

}  // namespace

std::unique_ptr<worker_pool> make_worker_pool(unsigned threads) {
    return std::make_unique<pool>(threads);
}

struct serial_queue::impl {
    std::function<void(std::function<void()>)> execute;
    std::mutex m;
    std::deque<std::function<void()>> jobs;
    std::size_t most = 0;
    bool running = false;
};

serial_queue::serial_queue(std::function<void(std::function<void()>)> execute, std::size_t most)
    : p_(std::make_unique<impl>()) {
    p_->execute = std::move(execute);
    p_->most = most;
}

serial_queue::~serial_queue() = default;

bool serial_queue::post(std::function<void()> job) {
    {
        std::lock_guard lock(p_->m);
        if (p_->jobs.size() >= p_->most) return false;
        p_->jobs.push_back(std::move(job));
        if (p_->running) return true;
        p_->running = true;
    }
    p_->execute([self = shared_from_this()] {
        auto& q = *self->p_;
        for (;;) {
            std::function<void()> next;
            {
                std::lock_guard lock(q.m);
                if (q.jobs.empty()) {
                    q.running = false;
                    return;
                }
                next = std::move(q.jobs.front());
                q.jobs.pop_front();
            }
            next();
        }
    });
    return true;
}

}  // namespace mission::receiver
