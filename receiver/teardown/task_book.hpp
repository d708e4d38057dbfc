// What is to be torn down, in which order, by whom and when: the books of the runner. No threads
// and no clocks: times come in, and whoever calls holds one lock around it all.
//
// A held thing's tasks of one handler form a lane: one runs at a time, in the order they were
// planned. Nothing here looks at all tasks to find one, save list() and status().
//
// Memory may end: plan(), cancel(), due() and launch() throw std::bad_alloc and have changed
// nothing then; what comes after them (noexcept) takes none, or leaves out what is only to be
// looked at.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/random.hpp"
#include "receiver/teardown/account.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

using steady_time = std::chrono::steady_clock::time_point;

class task_book {
  public:
    explicit task_book(random_source& random) : random_(random) {}

    void add_handler(ms::handler_options what, ms::handler run);
    const std::vector<ms::handler_options>& handlers() const noexcept { return options_; }

    // As task_runner's of the same names.
    std::vector<task_record> plan(std::vector<task_record> tasks, steady_time now);
    void unplan(const std::vector<task_record>& tasks) noexcept;
    void release(const std::vector<task_record>& tasks, steady_time now) noexcept;
    void restore(std::vector<task_record> tasks, steady_time now);
    std::vector<task_record> cancel(const mission_key& mission, const std::string& name,
                                    const std::string& why);
    bool retry_now(const std::string& key, steady_time now);

    // --- calls of handlers
    // Open tasks that are due and have a slot, at most so many as there are slots.
    std::vector<task_record> due(steady_time now) const;
    // Who comes behind a task that is held back may go.
    void hold_back(const std::string& key) noexcept;
    // All of them are asked about again.
    void let_go() noexcept;
    std::size_t held_back() const noexcept { return held_back_.size(); }

    struct call {
        std::uint64_t id = 0;
        ms::handler run;
        ms::task what;
    };
    // nullopt: it is not wanted any more, or there is no slot.
    std::optional<call> launch(const std::string& key, steady_time now);
    void begun(std::uint64_t id, steady_time now) noexcept;  // its timeout counts from here
    struct returned {
        std::optional<task_record> told;  // what is to be recorded
        bool late = false;
    };
    returned finish(std::uint64_t id, ms::outcome o, steady_time now, wall_time at) noexcept;
    // It was never begun.
    void drop(std::uint64_t id, steady_time now) noexcept;
    // Calls whose timeout has passed: what is to be recorded, as far as there is memory for it.
    std::vector<task_record> expire(steady_time now, wall_time at) noexcept;
    // When due() or expire() will have something to say; nullopt: not by time alone.
    std::optional<steady_time> next(steady_time now) const;
    std::size_t overdue() const noexcept { return overdue_; }
    // The calls that were begun: when the last of them has had its time. nullopt: there are none.
    std::optional<steady_time> last_limit() const;
    // How many calls were begun and have not returned.
    std::size_t running() const noexcept;

    // --- looks
    struct listed {
        task_record task;
        bool orphaned = false, running = false;
        std::optional<steady_time> next;
    };
    std::vector<listed> list(bool open_only) const;
    std::vector<ms::handler_status> status() const;
    std::size_t open_count() const noexcept { return open_; }
    bool has_open(const mission_key& mission, const std::string& name) const;
    bool has_open(const mission_key& mission) const {
        const auto it = missions_.find(mission);
        return it != missions_.end() && it->second.open != 0;
    }

    // --- accounts: how the end of a mission is coming along
    // Of a mission of whose end nothing is open any more; once.
    std::optional<teardown_account> take_closed(const mission_key& mission);
    // Those with something open since `before`, each once, with what is open.
    std::vector<teardown_account> take_slow(steady_time before);

  private:
    struct handler_entry;
    struct item;
    using place = std::tuple<steady_time, std::uint64_t, item*>;
    using limit = std::pair<steady_time, std::uint64_t>;  // of a call
    // By thing, in the order of planning: lanes of one handler each. Nodes stay where they are.
    using things = std::unordered_map<std::string, std::vector<item*>>;
    struct item {
        task_record task;
        handler_entry* handler = nullptr;
        things::value_type* thing = nullptr;
        std::uint64_t order = 0;
        // The order of the task for which it was cancelled, until that is released: it may be
        // taken back.
        std::uint64_t superseded_by = 0;
        std::string evidence_before;  // what it says again then
        wall_time updated_before{};
        bool released = false;   // its row is on disk, or nothing else can be had
        bool held_back = false;  // it must not run yet
        std::uint64_t call = 0;  // the call that runs within its timeout; 0: none
        unsigned calls = 0;      // that have not returned
        steady_time due{};
        bool queued = false;
        // Its nodes of the sets, while it is in none: to put it there takes no memory.
        std::set<place>::node_type place_node;
        std::set<item*>::node_type held_back_node;
    };
    struct handler_entry {
        ms::handler_options what;
        ms::handler run;
        bool registered = false;
        unsigned busy = 0;  // calls that have not returned
        ms::handler_status counts;
        std::set<place> queue;  // what may run once it is due
    };
    struct open_call {
        std::string key;
        std::uint64_t order = 0;  // of its task: a key may be planned anew meanwhile
        handler_entry* handler = nullptr;
        std::optional<steady_time> ends{};
        bool overdue = false;
        // Made with it, as memory may have ended when it returns: what is told then, its limit.
        task_record told{};
        std::set<limit>::node_type limit_node{};
    };
    struct mission_tasks {
        std::size_t all = 0, open = 0;
    };
    struct open_account {
        teardown_account told;
        std::map<std::uint64_t, const item*> open;  // by order
        steady_time since{};
        bool told_slow = false;
    };
    struct key_hash {
        std::size_t operator()(const mission_key& k) const noexcept {
            return std::hash<std::string>{}(k.id) ^ (std::hash<std::string>{}(k.issuer) << 1);
        }
    };

    item& add(const task_record& t, steady_time now);  // std::bad_alloc: nothing has changed
    // Cancels those of its lane that are not wanted any more, and tells of them. std::bad_alloc: it
    // has cancelled some.
    void supersede(const item& by, std::vector<task_record>& out);
    // As if it, which nobody has released, had never been planned.
    void take_back(item& i) noexcept;
    // What was superseded by it, or by an earlier one of its thing, stays so.
    void settle(const item& by) noexcept;
    // To be looked at only: left out where there is no memory for it.
    static void note(std::string& into, const std::string& text) noexcept;
    handler_entry& handler_of(const std::string& name);
    static std::string thing_of(const mission_key& mission, const std::string& name);
    bool first_in_lane(const item& i) const noexcept;
    bool may_take_slot(const item& i) const noexcept;
    // Puts it into its handler's queue, or takes it out, as it stands.
    void place_item(item& i) noexcept;
    void place_lane(const item& of) noexcept;
    void unplace(item& i) noexcept;
    void close(item& i) noexcept;  // the counts, once it is not open any more
    void over(item& i) noexcept;   // the same, and its account
    // False: it is still wanted, or runs.
    bool retire(item& i) noexcept;
    std::unique_ptr<item> remove(item& i) noexcept;
    void keep(task_record t) noexcept;
    void account_for(const item& i, steady_time now);
    void note_end(const item& i) noexcept;

    random_source& random_;
    std::vector<ms::handler_options> options_;
    std::map<std::string, handler_entry> handlers_;  // nodes stay where they are
    std::unordered_map<std::string, std::unique_ptr<item>> items_;
    things things_;
    std::deque<task_record> finished_;
    std::unordered_set<std::string> done_before_;  // keys of ends that the last run has finished
    std::unordered_map<mission_key, open_account, key_hash> accounts_;
    std::unordered_map<mission_key, mission_tasks, key_hash> missions_;
    std::set<item*> held_back_;
    std::map<std::uint64_t, open_call> calls_;
    std::set<limit> limits_;  // of calls within their timeout
    std::size_t open_ = 0, overdue_ = 0;
    std::uint64_t last_order_ = 0, last_call_ = 0;
};

}  // namespace mission::receiver
