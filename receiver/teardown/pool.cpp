#include "receiver/teardown/pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace mission::receiver {
namespace {

// Shared with the threads: one that is left behind outlives the pool.
struct crew {
    struct worker {
        std::thread thread;
        bool over = false, left = false;  // left: nobody counts on it any more
    };
    std::mutex m;
    std::condition_variable wake, gone;
    std::deque<std::function<void()>> jobs;
    std::list<worker> workers;
    std::size_t wanted = 0, alive = 0;
    bool stopping = false;
};

// More threads than are wanted: this one goes, but never while it would leave jobs behind.
bool surplus(const crew& c) {
    return c.alive > c.wanted && !c.stopping;
}

void work(const std::shared_ptr<crew>& c, std::list<crew::worker>::iterator self) {
    std::unique_lock lock(c->m);
    for (;;) {
        c->wake.wait(lock, [&] { return c->stopping || !c->jobs.empty() || surplus(*c); });
        if (surplus(*c) || c->jobs.empty()) break;
        auto job = std::move(c->jobs.front());
        c->jobs.pop_front();
        lock.unlock();
        job();
        job = nullptr;
        lock.lock();
    }
    if (!self->left) --c->alive;
    self->over = true;
    c->gone.notify_all();
}

class pool final : public worker_pool {
  public:
    explicit pool(unsigned threads) : base_(std::max(threads, 1u)) {
        std::lock_guard lock(c_->m);
        resize(base_);
    }
    ~pool() override { (void)stop(std::chrono::milliseconds::max()); }

    void post(std::function<void()> job) override {
        std::lock_guard lock(c_->m);
        c_->jobs.push_back(std::move(job));
        if (c_->alive < c_->wanted && !c_->stopping) resize_if_can(c_->wanted);
        c_->wake.notify_one();
    }

    void lost(std::size_t jobs) override {
        std::list<crew::worker> over;
        {
            std::lock_guard lock(c_->m);
            if (c_->stopping) return;
            for (auto it = c_->workers.begin(); it != c_->workers.end();) {
                const auto at = it++;
                if (at->over) over.splice(over.end(), c_->workers, at);
            }
            resize_if_can(base_ + std::min(jobs, stand_ins_max));
        }
        for (auto& w : over)
            w.thread.join();
    }

    bool stop(std::chrono::milliseconds patience) override {
        std::list<crew::worker> workers;
        std::deque<std::function<void()>> dropped;
        bool all = true;
        {
            std::unique_lock lock(c_->m);
            c_->stopping = true;
            c_->wake.notify_all();
            const auto done = [&] { return c_->alive == 0; };
            if (patience == std::chrono::milliseconds::max()) {
                c_->gone.wait(lock, done);
            } else {
                all = c_->gone.wait_for(lock, patience, done);
            }
            dropped.swap(c_->jobs);
            for (auto it = c_->workers.begin(); it != c_->workers.end();) {
                const auto at = it++;
                if (at->over) {
                    workers.splice(workers.end(), c_->workers, at);
                } else if (at->thread.joinable()) {
                    at->thread.detach();  // its place stays in the crew, for it to sign off
                    at->left = true;
                    --c_->alive;
                }
            }
        }
        for (auto& w : workers)
            w.thread.join();
        return all;
    }

  private:
    // Under the lock.
    void resize(std::size_t wanted) {
        c_->wanted = wanted;
        for (; c_->alive < wanted; ++c_->alive) {
            const auto at = c_->workers.emplace(c_->workers.end());
            try {
                at->thread = std::thread([c = c_, at] { work(c, at); });
            } catch (...) {
                c_->workers.erase(at);
                throw;
            }
        }
        c_->wake.notify_all();
    }
    // The same, as far as there are threads to be had: who is missing is tried again with the next
    // job. Whoever tells us of lost ones has others to look after.
    void resize_if_can(std::size_t wanted) noexcept {
        try {
            resize(wanted);
        } catch (const std::system_error&) {
        } catch (const std::bad_alloc&) {
        }
    }

    const std::shared_ptr<crew> c_ = std::make_shared<crew>();
    const std::size_t base_;
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
    bool running = false, closed = false;
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
        if (p_->closed || p_->jobs.size() >= p_->most) return false;
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

void serial_queue::close() {
    std::deque<std::function<void()>> dropped;
    std::lock_guard lock(p_->m);
    p_->closed = true;
    dropped.swap(p_->jobs);
}

}  // namespace mission::receiver
