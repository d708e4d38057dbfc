// Work that waits for its mission: what is dispatched is decided at dispatch, not at acceptance.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mission_signals/receiver.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "samples/common/journal.hpp"

namespace sample {

struct work_item {
    std::string id, mission, secret;
    std::int64_t steps = 1;
    std::string state = "queued";  // queued | dispatching | started | cancelled | failed | unclear
    std::string reason, agent;     // why it waits or did not start; who does it
    json_object line() const;
};

// Items of a mission are dispatched in the order in which they came. While the mission is
// suspended, its state stale, or not known well enough, they are held, and those of other missions
// go on; when it is active again they follow in their order. When it has ended (with its parent,
// too) they are cancelled. Every step is on disk before it has an effect. An item is started at
// most once: one whose start a crash has interrupted is `unclear` afterwards, and not started
// again.
//
// The file grows with every item; what is finished is kept in memory up to finished_max.
//
// THREAD: every method from any thread. One thread of its own dispatches.
class work_queue {
  public:
    // Starts an agent for an item: its name; nullopt with an empty `why` when the mission does not
    // permit it after all. Called from the dispatching thread.
    using starter = std::function<std::optional<std::string>(const work_item&, std::string& why)>;

    static constexpr std::size_t waiting_max = 1000;
    static constexpr std::size_t finished_max = 1000;

    // At most `at_once` of its agents run at the same time.
    work_queue(mission_signals::receiver& receiver, const std::string& file, std::size_t at_once,
               starter start);
    ~work_queue();

    // Dispatches from now on; after the receiver's start. `alive` names the agents that run, as an
    // earlier run of this program left them: its own count among `at_once`.
    void begin(const std::function<std::vector<std::string>()>& alive);
    void stop();  // nothing is started any more when it returns
    // nullopt when too many wait. runtime_error when the file cannot be written.
    std::optional<work_item> add(const std::string& mission, const std::string& secret,
                                 std::int64_t steps);
    std::vector<work_item> list() const;  // what waits, in order, then what does not any more
    void wake();                          // something about missions has changed
    // True while more work of its mission waits or is done: then the mission's work is not done.
    bool agent_ended(const std::string& agent, const std::string& mission);

  private:
    enum class turn { moved, resting };
    void take_line(const rj::Document& line);
    void run();
    turn pass(std::unique_lock<std::mutex>& hold);
    turn dispatch(std::list<work_item>::iterator at, const mission_signals::answer& standing,
                  std::unique_lock<std::mutex>& hold);
    void keep_waiting(const work_item& item, const mission_signals::answer& standing);
    void finish(std::list<work_item>::iterator at, const char* state, const std::string& reason,
                std::int64_t version);
    void write(const work_item& item) { file_->append(item.line()); }

    mission_signals::receiver& receiver_;
    const std::size_t at_once_;
    const starter start_;
    mutable std::mutex lock_;
    std::condition_variable wake_;
    std::list<work_item> waiting_;
    std::deque<work_item> finished_;
    std::map<std::string, std::string> held_;     // mission -> why its items wait
    std::map<std::string, std::string> running_;  // agent -> mission
    std::unique_ptr<journal> file_;
    bool woken_ = false, stopping_ = false, starting_ = false;
    std::thread thread_;
};

}  // namespace sample
