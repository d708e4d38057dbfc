#include "samples/orchestrator/agents.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "samples/orchestrator/processes.hpp"

namespace sample {

namespace ms = mission_signals;

namespace {

agent_view look_at(const std::string& name, const std::string& mission, int pid) {
    agent_view view{.name = name, .mission = mission, .pid = pid, .processes = {}, .state = "gone"};
    bool all_stopped = true;
    for (const auto& p : processes_of_group(pid)) {
        if (p.state == 'Z' || p.state == 'X') continue;
        view.processes.push_back(p.pid);
        all_stopped = all_stopped && p.state == 'T';
    }
    if (!view.processes.empty()) view.state = all_stopped ? "stopped" : "running";
    return view;
}

std::string how_ended(int status) {
    if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
    return "exited with " + std::to_string(WEXITSTATUS(status));
}

// It has ended, and we have not asked yet how: its exit status is still to be had.
bool to_be_reaped(int pid) {
    const auto members = processes_of_group(pid);
    return std::any_of(members.begin(), members.end(), [pid](const process_entry& p) {
        return p.pid == pid && p.parent == ::getpid();
    });
}

}  // namespace

agent_table::agent_table(ms::receiver& receiver,
                         std::function<void(const agent_view&, const std::string&)> ended)
    : receiver_(receiver), ended_(std::move(ended)) {
    // What an agent has started is ours to reap when the agent is gone.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    watcher_ = std::thread([this] { watch(); });
}

agent_table::~agent_table() {
    {
        const std::lock_guard hold(lock_);
        stopping_ = true;
    }
    wake_.notify_all();
    watcher_.join();
}

std::vector<agent_view> agent_table::adopt() {
    std::vector<agent_view> found;
    for (const auto& held : receiver_.held()) {
        const auto group = ms::process_group::from_data(held.data);
        if (!group) continue;
        const auto now = ms::process_group::of(group->pid);
        const bool same =
            now && now->start_time == group->start_time && now->boot_id == group->boot_id;
        auto view = look_at(held.name, held.mission_id, group->pid);
        // The leader may be gone while its children live: the group is still held for them.
        if (!same && (now || view.processes.empty())) {
            receiver_.release(held.mission_id, held.name);
            continue;
        }
        const std::lock_guard hold(lock_);
        agents_[held.name] = {held.name, held.mission_id, *group};
        found.push_back(std::move(view));
    }
    return found;
}

std::optional<agent_view> agent_table::start(const std::string& mission,
                                             const std::vector<std::string>& argv,
                                             const std::string& output_file, std::string& why) {
    auto process = held_process::start(argv, output_file, why);
    if (process.pid() == 0) return std::nullopt;
    const auto group = ms::process_group::of(process.pid());
    if (!group) {
        why = "the process is gone already";
        return std::nullopt;
    }
    // pid and start time: a name that no other agent of this host ever has.
    const std::string name =
        "agent-" + std::to_string(group->pid) + "-" + std::to_string(group->start_time);
    // Held first, let go after: an ending between the two finds a process that has done nothing.
    if (!receiver_.hold(mission, name, group->to_data())) {
        why.clear();
        return std::nullopt;
    }
    {
        const std::lock_guard hold(lock_);
        agents_[name] = {name, mission, *group};
    }
    process.let_go();
    wake_.notify_all();
    return look_at(name, mission, group->pid);
}

std::vector<agent_view> agent_table::list() const {
    std::vector<agent_view> views;
    const std::lock_guard hold(lock_);
    for (const auto& [name, a] : agents_)
        views.push_back(look_at(name, a.mission, a.group.pid));
    return views;
}

void agent_table::watch() {
    using namespace std::chrono_literals;
    auto looked = std::chrono::steady_clock::time_point();
    std::unique_lock hold(lock_);
    while (!stopping_) {
        hold.unlock();
        // Adopted agents are no children of ours: they are looked for now and then.
        const auto now = std::chrono::steady_clock::now();
        if (reap_children() || now - looked > 500ms) {
            release_gone();
            looked = now;
        }
        hold.lock();
        // Reaping is housekeeping: the kill itself is done and confirmed by the library.
        wake_.wait_for(hold, agents_.empty() ? 500ms : 20ms);
    }
}

bool agent_table::reap_children() {
    bool any = false;
    int status = 0;
    for (int pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        const std::lock_guard hold(lock_);
        const bool known = std::any_of(agents_.begin(), agents_.end(),
                                       [pid](const auto& e) { return e.second.group.pid == pid; });
        if (known) exits_[pid] = how_ended(status);
        any = true;
    }
    return any;
}

void agent_table::release_gone() {
    std::vector<std::pair<agent_view, std::string>> gone;
    {
        const std::lock_guard hold(lock_);
        for (auto it = agents_.begin(); it != agents_.end();) {
            auto view = look_at(it->first, it->second.mission, it->second.group.pid);
            if (view.state != "gone" || to_be_reaped(view.pid)) {
                ++it;
                continue;
            }
            const auto how = exits_.find(view.pid);
            gone.emplace_back(view, how == exits_.end() ? "gone" : how->second);
            if (how != exits_.end()) exits_.erase(how);
            it = agents_.erase(it);
        }
    }
    for (const auto& [view, how] : gone) {
        ended_(view, how);
        // One that ended by itself is held no longer; one that was ended is the library's to
        // settle.
        if (!ms::is_terminal(receiver_.missions().check(view.mission).what))
            receiver_.release(view.mission, view.name);
    }
}

}  // namespace sample
