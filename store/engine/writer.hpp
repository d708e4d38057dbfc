// The writer thread: takes what waits, runs it as one transaction, answers after the commit.
//
//   idle --submit--> batching --commit ok--> publish --> idle
//                       |  full, read-only: everyone in the batch gets the error
//                       +- COMMIT failed --> settling: reopen with back-off, look for the batch id
//                              found: publish      not found: run it once more, or answer the error
//
// While settling, submissions are refused at once (503); what waits already keeps waiting, at most
// `unknown_patience`.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/engine/apply.hpp"

namespace mission::store::engine {

class writer {
  public:
    // Owns neither; both outlive it.
    writer(backend& tables, const clock& time);
    ~writer();  // answers everything that waits, then joins
    writer(const writer&) = delete;
    writer& operator=(const writer&) = delete;

    // THREAD: any.
    void submit(decision d, completion done);
    // In a batch of its own, between two of the others'.
    void submit_step(decision d, completion done);
    void set_listener(commit_listener listener);
    void set_mark_listener(std::function<void()> listener);
    result<void> health() const;

    // Runs `step` as a transaction of its own between batches, again until it returns true or
    // fails. THREAD: any; `done` on the writer thread.
    using step_function = std::function<bool(backend&, wall_time now)>;
    void run_steps(step_function step, std::function<void(result<void>)> done);

  private:
    struct item {
        decision decide;
        completion done;
    };
    struct job {
        step_function step;
        std::function<void(result<void>)> done;
    };
    enum class settled { committed, absent, given_up };

    void enqueue(std::deque<item> writer::*queue, decision d, completion done);
    void loop();
    bool idle() const noexcept { return queue_.empty() && steps_.empty() && jobs_.empty(); }
    void wait_for_work(std::unique_lock<std::mutex>& lock);
    void run_batch(std::vector<item> items);
    void run_job(job j);
    void probe();
    batch open_batch();
    result<receipt> run_one(const item& i, batch& b);
    // After a failed COMMIT. Answers `items` itself (and empties it) when patience runs out.
    settled settle(const batch& b, std::vector<item>& items);
    void publish(batch& b);
    void fail(std::vector<item>& items, const error& why);
    void fail_queue(const error& why);
    void set_health(std::optional<error> e);

    backend& tables_;
    const clock& time_;
    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<item> queue_;
    std::deque<item> steps_;
    std::deque<job> jobs_;
    std::shared_ptr<const commit_listener> listener_;
    std::shared_ptr<const std::function<void()>> mark_listener_;
    std::optional<error> broken_;
    bool stopping_ = false;
    bool settling_ = false;
    bool untidy_ = false;       // writer thread only, like the next
    unsigned steps_taken_ = 0;  // since the last job
    std::thread thread_;        // last: starts when all else is there
};

}  // namespace mission::store::engine
