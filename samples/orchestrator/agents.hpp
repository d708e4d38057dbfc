// Agents as process groups of this host: started for a mission, found again, reaped.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mission_signals/receiver.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sample {

struct agent_view {
    std::string name, mission;
    int pid = 0;
    std::vector<int> processes;  // all of its group that are alive
    std::string state;           // running | stopped | gone
};

// Every agent leads a process group of its own, and is held at the receiver library under its name
// before its program runs: from then on the library stops, continues and kills the group.
//
// THREAD: every method from any thread. One thread of its own waits for processes to end.
class agent_table {
  public:
    // `ended` is called once per agent that is gone, from the reaping thread.
    agent_table(mission_signals::receiver& receiver,
                std::function<void(const agent_view&, const std::string& how)> ended);
    ~agent_table();

    // Takes over what an earlier run of this program had started and still held.
    std::vector<agent_view> adopt();

    // nullopt when the mission does not permit it, or the program cannot be started (`why` says).
    std::optional<agent_view> start(const std::string& mission,
                                    const std::vector<std::string>& argv,
                                    const std::string& output_file, std::string& why);
    std::vector<agent_view> list() const;

  private:
    struct agent {
        std::string name, mission;
        mission_signals::process_group group;
    };
    void watch();
    bool reap_children();  // true when there was one
    void release_gone();

    mission_signals::receiver& receiver_;
    std::function<void(const agent_view&, const std::string&)> ended_;
    mutable std::mutex lock_;
    std::condition_variable wake_;
    std::map<std::string, agent> agents_;  // by name
    std::map<int, std::string> exits_;     // how a reaped leader ended
    bool stopping_ = false;
    std::thread watcher_;
};

}  // namespace sample
