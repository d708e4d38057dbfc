// Runs teardown tasks until each is acknowledged.
//
// One scheduler thread decides what is due; handlers run on the host's executor. Per (handler,
// mission, held name) one task runs at a time, in version order. A handler that outlives its
// timeout is recorded as timed_out and tried again; its slot stays taken until it has returned.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

class task_runner {
  public:
    struct hooks {
        ms::executor execute;
        // Durably records an outcome; called without any lock held. Not for stale and fresh.
        std::function<void(const task_record&)> record;
        // A resume waits while this says no: its mission is stale, say. Called on the scheduler.
        std::function<bool(const task_record&)> may_run;
        // A task was acknowledged; after `record`.
        std::function<void(const task_record&)> acknowledged;
        std::function<void(const task_record&)> log;
    };
    virtual ~task_runner() = default;  // stops

    // Before start().
    virtual void add_handler(ms::handler_options what, ms::handler run) = 0;
    virtual std::vector<ms::handler_options> handlers() const = 0;
    virtual void start(hooks h) = 0;
    // Running handlers finish; nothing new begins.
    virtual void stop() = 0;

    // Adds the tasks (known keys are ignored) and cancels those that they supersede. Returns
    // what is to be written in the transaction that makes the tasks durable: them, and the
    // cancelled ones. Nothing of it runs before release() is given the same keys.
    // THREAD: any.
    virtual std::vector<task_record> plan(std::vector<task_record> tasks) = 0;
    virtual void release(const std::vector<task_record>& tasks) = 0;
    // What the rows say at start: open tasks are due at once.
    virtual void restore(std::vector<task_record> tasks) = 0;

    // The held thing is gone by other means: its open tasks are cancelled. Returns them.
    virtual std::vector<task_record> cancel(const mission_key& mission, const std::string& name,
                                            const std::string& why) = 0;
    virtual bool retry_now(const std::string& key) = 0;
    virtual void poke() = 0;  // may_run may have changed its mind

    virtual std::vector<task_record> list(bool open_only) const = 0;
    virtual std::size_t open_count() const = 0;
    // True when some task of that held thing is still open.
    virtual bool has_open(const mission_key& mission, const std::string& name) const = 0;
};

std::unique_ptr<task_runner> make_task_runner(random_source& random);

}  // namespace mission::receiver
