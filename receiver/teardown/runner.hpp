// Runs teardown tasks until each is acknowledged.
//
// One scheduler thread decides what is due; handlers run on the host's executor. Per (handler,
// mission, held name) one task runs at a time, in version order. A handler that outlives its
// timeout is recorded as timed_out; its slot stays taken until it has returned, and its task is
// tried once more beside it where other tasks keep a slot. What it says late still counts when it
// is an acknowledgement.
//
// Outcomes but the last are told, not promised: who dies between a handler's end and the record of
// it runs the handler again, with the same idempotency key (at least once).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "receiver/teardown/account.hpp"
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
        std::function<void(const task_record&)> log;
        // A durable task is not wanted any more, and that is on disk.
        std::function<void(const task_record&)> cancelled;
        // So many calls have outlived their timeout: their threads are lost for now.
        std::function<void(std::size_t)> overdue;
    };
    virtual ~task_runner() = default;  // stops

    // Before start().
    virtual void add_handler(ms::handler_options what, ms::handler run) = 0;
    // Does not change after start().
    virtual const std::vector<ms::handler_options>& handlers() const = 0;
    virtual void start(hooks h) = 0;
    // Nothing new begins. Handlers that run are waited for until their timeout has passed, and a
    // moment longer; those that run on are left behind, and what they say is not heard. Returns how
    // many.
    virtual std::size_t stop() = 0;

    // Adds the tasks (known keys are ignored) and cancels those that they supersede. Returns
    // what is to be written in the transaction that makes the tasks durable: them, and the
    // cancelled ones. Nothing of it runs before release() is given the same keys.
    // std::bad_alloc: nothing has changed. THREAD: any.
    virtual std::vector<task_record> plan(std::vector<task_record> tasks) = 0;
    // What the last plan() has returned is not going to be written: as if it had not been planned,
    // and what it superseded is wanted again. Before anything else is planned for that mission.
    virtual void unplan(const std::vector<task_record>& tasks) noexcept = 0;
    virtual void release(const std::vector<task_record>& tasks) = 0;
    // They run although the disk refuses them for now; release() follows.
    virtual void release_early(const std::vector<task_record>& tasks) = 0;
    // What the rows say at start: open tasks are due at once. Tasks of handlers that are not there
    // are kept until one of that name is.
    virtual void restore(std::vector<task_record> tasks) = 0;

    // The held thing is gone by other means: its open tasks are cancelled. Returns them, to be
    // written and then given to release().
    virtual std::vector<task_record> cancel(const mission_key& mission, const std::string& name,
                                            const std::string& why) = 0;
    virtual bool retry_now(const std::string& key) = 0;
    virtual void poke() = 0;  // may_run may have changed its mind

    virtual std::vector<task_record> list(bool open_only) const = 0;
    virtual std::vector<ms::task_view> views(bool open_only) const = 0;
    virtual std::vector<ms::handler_status> status() const = 0;
    virtual std::size_t open_count() const = 0;
    // True when some task of that held thing is still open.
    virtual bool has_open(const mission_key& mission, const std::string& name) const = 0;
    // True when some task of the mission is. Costs one look.
    virtual bool has_open(const mission_key& mission) const = 0;

    // What reports are made of. take_closed(): of a mission of whose end nothing is open any more;
    // once. take_slow(): of which something is open for longer than `since_at_least`; each once.
    virtual std::optional<teardown_account> take_closed(const mission_key& mission) = 0;
    virtual std::vector<teardown_account> take_slow(std::chrono::milliseconds since_at_least) = 0;
};

std::unique_ptr<task_runner> make_task_runner(random_source& random);

}  // namespace mission::receiver
