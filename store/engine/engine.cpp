// The store interface over one backend: writer, readers, start and stop.
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/limits.hpp"
#include "store/engine/backend.hpp"
#include "store/engine/writer.hpp"

namespace mission::store::engine {
namespace {

// Rows dropped in one step of trim: a commit waits at most for one of these.
constexpr std::size_t trim_rows = 500;

// Threads that run reads. What waits is bounded by the callers: each request has at most one read.
class readers {
  public:
    explicit readers(unsigned count) {
        for (unsigned i = 0; i < count; ++i)
            threads_.emplace_back([this] { loop(); });
    }
    ~readers() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (auto& t : threads_)
            t.join();
    }
    readers(const readers&) = delete;
    readers& operator=(const readers&) = delete;

    // False when too many wait.
    bool post(std::function<void()> task) {
        {
            const std::lock_guard lock(mutex_);
            if (tasks_.size() >= limits::queued_decisions) return false;
            tasks_.push_back(std::move(task));
        }
        wake_.notify_one();
        return true;
    }

  private:
    void loop() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

class store_over_backend final : public store {
  public:
    store_over_backend(std::unique_ptr<backend> tables, const store_options& options)
        : time_(options.time ? *options.time : system_clock()),
          tables_(std::move(tables)),
          writer_(*tables_, time_),
          readers_(std::max(1u, options.readers)) {}

    void submit(decision d, completion done) override {
        writer_.submit(std::move(d), std::move(done));
    }
    void submit_step(decision d, completion done) override {
        writer_.submit_step(std::move(d), std::move(done));
    }

    void read(std::function<void(const rows&)> fn,
              std::function<void(result<void>)> done) override {
        auto task = [this, fn = std::move(fn), done] { done(read_now(fn)); };
        if (!readers_.post(std::move(task)))
            done(error(errc::store_unavailable, "too many reads wait"));
    }

    result<void> read_now(const std::function<void(const rows&)>& fn) override {
        try {
            tables_->snapshot(time_.now(), fn);
            return {};
        } catch (const store_error& e) {
            return e.what;
        } catch (const std::exception& e) {
            return error(errc::store_unavailable, std::string("a read failed: ") + e.what());
        }
    }

    result<issuer_id> add_issuer(std::string_view url) override {
        auto id = std::make_shared<issuer_id>();
        auto promise = std::make_shared<std::promise<result<void>>>();
        auto future = promise->get_future();
        writer_.run_steps(
            [id, text = std::string(url)](backend& t, wall_time) {
                *id = t.put_issuer(text);
                return true;
            },
            [promise](result<void> r) { promise->set_value(std::move(r)); });
        if (auto r = future.get(); !r) return r.error();
        return *id;
    }

    void set_commit_listener(commit_listener listener) override {
        writer_.set_listener(std::move(listener));
    }

    void set_mark_listener(std::function<void()> listener) override {
        writer_.set_mark_listener(std::move(listener));
    }

    void trim(seq_t until, std::function<void(result<void>)> done) override {
        writer_.run_steps(
            [until](backend& t, wall_time now) { return t.trim_step(until, now, trim_rows); },
            std::move(done));
    }

    result<void> health() const override { return writer_.health(); }

  private:
    const clock& time_;
    std::unique_ptr<backend> tables_;
    writer writer_;
    readers readers_;  // first to stop: a read may use everything above
};

}  // namespace

std::unique_ptr<store> make_store(std::unique_ptr<backend> tables, const store_options& options) {
    return std::make_unique<store_over_backend>(std::move(tables), options);
}

}  // namespace mission::store::engine
