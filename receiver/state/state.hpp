// What the receiver remembers over restarts: entries, holds, tasks, the stream, known `jti`s.
//
// One writer thread takes what waits, writes it in ONE transaction and answers all of it: a batch
// of SETs costs one fsync (design section 4). The engine's memory is the master; the rows follow.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "receiver/cache/record.hpp"
#include "receiver/inbox/event_record.hpp"
#include "receiver/teardown/task_record.hpp"

namespace mission::receiver {

// A SET that need not be looked at again.
struct jti_record {
    std::string iss, jti;
    wall_time at{};  // when it came
    friend bool operator==(const jti_record&, const jti_record&) = default;
};

// One atomic unit: all of it is on disk, or none.
struct state_write {
    std::vector<record> missions;                               // replace by key
    std::vector<hold_record> holds;                             // replace by (mission, name)
    std::vector<std::pair<mission_key, std::string>> released;  // (mission, name)
    std::vector<task_record> tasks;                             // replace by key
    std::vector<std::pair<std::string, std::string>> settings;  // replace by name
    std::vector<jti_record> jtis;                               // to remember
    std::vector<event_record> events;                           // replace by event_key()
    std::vector<event_record> settled_events;                   // their rows go
};

struct state_snapshot {
    std::vector<record> missions;
    std::vector<hold_record> holds;
    std::vector<task_record> tasks;
    std::vector<std::pair<std::string, std::string>> settings;
    std::vector<jti_record> jtis;        // oldest first, none older than limits::seen_jti_kept
    std::vector<event_record> events{};  // not acknowledged yet, oldest first
    bool rebuilt = false;                // what was there was damaged and has been moved aside
};

class state {
  public:
    virtual ~state() = default;  // writes what waits, then closes

    virtual result<state_snapshot> load() = 0;

    // `answered` is called exactly once, after the first attempt. After an error the unit stays
    // first in the queue and is tried again, so that rows never overtake each other and a later
    // success implies this one; `committed` (may be null) is called once when that happens.
    // Both on the writer thread. After stop() units are dropped and nothing is called.
    // THREAD: any; units are written in the order of the calls.
    virtual void submit(state_write unit, std::function<void(result<void>)> answered,
                        std::function<void()> committed = nullptr) = 0;
    // False when so much waits for the disk that nothing more may be begun.
    virtual bool accepts() const noexcept = 0;
    virtual void stop() = 0;
};

// `path` empty: in memory, for hosts that want nothing to outlive the process. A damaged file is
// moved aside to `<path>.damaged-<n>` and an empty one is made: everything is denied until Status
// has spoken. store_newer, store_read_only, store_locked, io_error are the host's to mend.
result<std::unique_ptr<state>> open_state(const std::string& path,
                                          std::function<void(std::string)> on_problem);

}  // namespace mission::receiver
