// What /proc says about process groups.
#pragma once

#include <string>
#include <vector>

namespace sample {

struct process_entry {
    int pid = 0;
    char state = '?';  // proc(5): R S D T Z ...
    int parent = 0;
};
// The members of a process group, zombies included.
std::vector<process_entry> processes_of_group(int group);

// Starts `argv` as the leader of a new session and process group, its output appended to a file.
// The program does not run before let_go() is called: the caller can make its group known first.
// Destroyed before that, the process ends without having run anything.
class held_process {
  public:
    // errno in `error` when it could not be started.
    static held_process start(const std::vector<std::string>& argv, const std::string& output_file,
                              std::string& error);
    held_process(held_process&& other) noexcept;
    held_process& operator=(held_process&&) = delete;
    ~held_process();

    int pid() const noexcept { return pid_; }  // 0: not started
    void let_go();

  private:
    held_process(int pid, int gate) : pid_(pid), gate_(gate) {}
    int pid_ = 0, gate_ = -1;
};

}  // namespace sample
