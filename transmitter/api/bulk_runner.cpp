#include "transmitter/api/bulk_runner.hpp"

#include <deque>
#include <mutex>

#include "base/crash_point.hpp"
#include "transmitter/missions/bulk_step.hpp"

namespace mission::transmitter {
namespace {

constexpr auto retry_after_failure = std::chrono::milliseconds(250);
constexpr auto sweep_interval = std::chrono::seconds(60);

// What is over by itself: nothing has to be found out about the mission.
bool transient(const error& e) {
    switch (e.code) {
        case errc::store_unavailable:
        case errc::store_full:
        case errc::store_read_only:
        case errc::store_locked:
        case errc::outcome_unknown:
        case errc::unavailable:
        case errc::cancelled:
            return true;
        default:
            return false;
    }
}

class paced_runner final : public bulk_runner, public std::enable_shared_from_this<paced_runner> {
  public:
    paced_runner(issuer_service& issuer, std::shared_ptr<pacer> pace)
        : issuer_(issuer), pace_(std::move(pace)) {}

    void start() override {
        auto running = std::make_shared<std::vector<store::bulk_job>>();
        issuer_.common->db->read(
            [running, id = issuer_.id](const store::rows& rows) {
                *running = rows.bulk_jobs(id, store::bulk_status::running);
            },
            [self = shared_from_this(), running](result<void> done) {
                if (!done)
                    log(level::warning, "bulk operations could not be taken up again",
                        {{"why", done.error().message()}});
                for (const auto& job : *running)
                    self->enqueue(job.token_hash, {});
            });
        sweep();
    }

    void stop() override {
        std::deque<queued> left;
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
            timer_.reset();
            sweeper_.reset();
            left.swap(queue_);
        }
        for (auto& job : left)
            tell(job.waiting, error{errc::unavailable});
    }

    void run(const std::string& token_hash, std::function<void(result<void>)> done) override {
        if (!enqueue(token_hash, done)) done(error{errc::unavailable});
    }

  private:
    using waiters = std::vector<std::function<void(result<void>)>>;
    struct queued {
        std::string token_hash;
        waiters waiting;
    };

    static void tell(waiters& all, const result<void>& what) {
        for (auto& done : std::exchange(all, {}))
            done(what);
    }

    // False once stopped.
    bool enqueue(const std::string& token_hash, std::function<void(result<void>)> done) {
        bool idle = false;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return false;
            auto at = queue_.begin();
            while (at != queue_.end() && at->token_hash != token_hash)
                ++at;
            if (at == queue_.end()) {
                idle = queue_.empty();
                at = queue_.insert(queue_.end(), {token_hash, {}});
            }
            if (done) at->waiting.push_back(std::move(done));
        }
        if (idle) next();
        return true;
    }

    // The step after this one: when the pace allows it, on a worker.
    void next() {
        auto go = [weak = weak_from_this()](pacer::turn turn) {
            const auto self = weak.lock();
            if (!self) return;
            self->issuer_.common->runtime->post_work(
                [self, turn = std::move(turn)] { self->step(turn); });
        };
        pace_ ? pace_->ask(std::move(go)) : go({});
    }

    void step(pacer::turn turn) {
        std::string token_hash;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_ || queue_.empty()) return;
            token_hash = queue_.front().token_hash;
        }
        bulk_step_request request{issuer_.id, issuer_.settings.url, std::move(token_hash),
                                  size_,      giving_up_,           clock_trusted(*issuer_.common)};
        auto over = std::make_shared<bool>();
        issuer_.common->db->submit_step(
            [request = std::move(request), over](const store::rows& rows, wall_time now) {
                return bulk_step(rows, now, request, *over);
            },
            [self = shared_from_this(), over, turn = turn](result<store::receipt> done) mutable {
                turn.reset();  // the step is over for the writer
                self->issuer_.common->runtime->post_work(
                    [self, over, done] { self->stepped(*over, done); });
            });
    }

    // THREAD: a worker.
    void stepped(bool over, const result<store::receipt>& done) {
        // Tests kill the process here: some members are done, and nobody knows of the others.
        if (done) crash_point("bulk_step");
        if (!done) return failed(done.error());
        giving_up_.reset();
        size_ = limits::bulk_step;
        if (!over) return next();
        waiters told;
        bool more = false;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_ || queue_.empty()) return;  // stop() has told them
            told = std::move(queue_.front().waiting);
            queue_.pop_front();
            more = !queue_.empty();
        }
        tell(told, {});
        if (more) next();
    }

    // The store is away: those who wait are sent home with what they can repeat, and the job goes
    // on. A member that cannot be processed is found by going one by one, and reported.
    void failed(const error& why) {
        log(level::warning, "a step of a bulk operation failed", {{"why", why.message()}});
        const bool hopeless = transient(why) || giving_up_;
        if (!transient(why)) {
            if (size_ == 1) giving_up_ = why;
            size_ = 1;
        }
        waiters told;
        {
            const std::lock_guard lock(mutex_);
            if (stopped_ || queue_.empty()) return;
            if (hopeless) told = std::exchange(queue_.front().waiting, {});
            timer_ = issuer_.common->runtime->after(retry_after_failure, [weak = weak_from_this()] {
                if (auto self = weak.lock()) self->next();
            });
        }
        tell(told, error{errc::unavailable});
    }

    // ---- What is over goes: one job at a time, with up to bulk_limit members.

    void sweep() {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        sweeper_ = issuer_.common->runtime->after(sweep_interval, [weak = weak_from_this()] {
            if (auto self = weak.lock()) self->remove_one();
        });
    }

    void remove_one() {
        auto removed = std::make_shared<bool>(false);
        issuer_.common->db->submit(
            [id = issuer_.id, removed](const store::rows& rows,
                                       wall_time now) -> result<store::changes> {
                store::changes changes;
                // The manifest of an executed one is kept as long as its nonce is.
                changes.removed_bulk_jobs = rows.old_bulk_jobs(now - limits::nonce_retention, 1);
                for (const auto status : {store::bulk_status::pinning, store::bulk_status::pinned})
                    for (const auto& job : rows.bulk_jobs(id, status))
                        if (changes.removed_bulk_jobs.empty() && job.expires_at <= now)
                            changes.removed_bulk_jobs.push_back(job.id);
                *removed = !changes.removed_bulk_jobs.empty();
                return changes;
            },
            [self = shared_from_this(), removed](result<store::receipt> done) {
                if (done && *removed) return self->remove_one();
                self->sweep();
            });
    }

    issuer_service& issuer_;
    const std::shared_ptr<pacer> pace_;
    std::mutex mutex_;
    bool stopped_ = false;
    std::deque<queued> queue_;  // the first one runs
    std::unique_ptr<net::timer> timer_, sweeper_;
    // Of the one step that is on its way.
    std::size_t size_ = limits::bulk_step;
    std::optional<error> giving_up_;
};

}  // namespace

std::shared_ptr<bulk_runner> make_bulk_runner(issuer_service& issuer, std::shared_ptr<pacer> pace) {
    return std::make_shared<paced_runner>(issuer, std::move(pace));
}

}  // namespace mission::transmitter
