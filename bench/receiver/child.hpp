// The process that is measured, seen from the one that measures.
#pragma once

#include <string>

namespace mission::bench {

struct child_setup {
    std::string issuer, ca_file, client_id, key_file, state_path;
    bool push = false;
    std::string certificate_file, certificate_key_file;  // of its push endpoint
    std::string sidecar_socket;                          // not empty: it answers there, too
    int restart_missions = 0;  // so many are in its state: it tells when all of them answer
};
// The id of the n-th of those.
std::string restart_id(int n);

struct child_counts {
    unsigned long long received = 0, rejected = 0, duplicate = 0, missions = 0;
};

class child {
  public:
    // Starts this very program again.
    explicit child(const child_setup& setup);
    ~child();  // asks it to end, then insists
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    void wait_live();
    // What a process with `restart_missions` has measured.
    double restart_ms();
    double cpu_seconds();  // of all its threads, user and system
    child_counts counts();

  private:
    std::string ask(const std::string& command);
    int pid_ = -1;
    int to_ = -1, from_ = -1;
    std::string unread_;
};

}  // namespace mission::bench
