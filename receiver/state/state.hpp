// What the receiver remembers over restarts: entries, holds, tasks, the stream, known `jti`s.
//
// One writer thread takes what waits, writes it in ONE transaction and answers all of it: a batch
// of SETs costs one fsync (design section 4). The engine's memory is the master; the rows follow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "receiver/cache/record.hpp"
#include "receiver/inbox/event_record.hpp"
#include "receiver/teardown/report.hpp"
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
    std::vector<mission_key> forgotten{};  // their rows go, before all else
    std::vector<record> missions;          // replace by key
    std::vector<record> states{};          // the same, while the authority on disk stays as it is
    std::vector<hold_record> holds;        // replace by (mission, name)
    std::vector<std::pair<mission_key, std::string>> released;  // (mission, name)
    std::vector<task_record> tasks;                             // replace by key
    std::vector<std::pair<std::string, std::string>> settings;  // replace by name
    std::vector<jti_record> jtis;                               // to remember
    std::vector<event_record> events;                           // replace by event_key()
    std::vector<event_record> settled_events;                   // their rows go
    std::vector<report_record> reports;                         // replace by mission
    std::vector<mission_key> settled_reports;                   // their rows go
};

struct state_snapshot {
    // A file's missions are not read here, but by each(): ten million fit in no vector.
    std::vector<record> missions;
    std::vector<hold_record> holds;
    std::vector<task_record> tasks;
    std::vector<std::pair<std::string, std::string>> settings;
    std::vector<jti_record> jtis;          // oldest first, none older than limits::seen_jti_kept
    std::vector<event_record> events{};    // not acknowledged yet, oldest first
    std::vector<report_record> reports{};  // oldest first
    bool rebuilt = false;  // what was there was damaged and has been moved aside, or cut off
    bool missions_stored = false;  // there are some to be read
};

// How far a walk through the missions has come; at its beginning at first.
struct row_place {
    std::int64_t number = INT64_MIN;
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
    // What is submitted between the two waits for what follows it: the SETs of one poll answer are
    // one transaction instead of one each. Whoever begins ends soon: nothing is answered meanwhile,
    // unless a whole transaction has come together. Calls nest. THREAD: any.
    virtual void begin_gathering() {}
    virtual void end_gathering() {}
    // False when so much waits for the disk that nothing more may be begun.
    virtual bool accepts() const noexcept = 0;
    virtual void stop() = 0;

    // --- missions as they are on disk: not what is still waiting in a unit. THREAD: any. For a
    // state that keeps none there are none.
    // Damage is answered by an empty file in its place, see when_lost(), and told as an error here.
    virtual result<std::optional<record>> read(const mission_key&) {
        return std::optional<record>();
    }
    // At most `limit` of them behind `after`, those first that have been known for longest, without
    // their authority; returns how many, and moves `after` behind them (not after an error). A walk
    // meets each mission that is there from its beginning to its end once, as it is then; one that
    // comes meanwhile once or not at all. `brief`: without what only people read. The record is
    // valid during the call alone.
    virtual result<std::size_t> each(row_place& after, std::size_t limit, bool brief,
                                     const std::function<void(const record&)>& fn) {
        (void)after, (void)limit, (void)brief, (void)fn;
        return std::size_t{0};
    }
    // Those that Status has to be asked about.
    virtual result<std::vector<mission_key>> in_doubt(std::size_t limit) {
        (void)limit;
        return std::vector<mission_key>();
    }
    // What was read cannot be what was written: as if reading had found the damage. THREAD: any.
    virtual void found_damaged(error why) { (void)why; }
    // Called on the writer thread, once the file was found damaged and another one is in its place:
    // it has what could be read of holds, tasks and settings, and no missions. THREAD: any.
    virtual void when_lost(std::function<void()> fn) { (void)fn; }
};

// `path` empty: in memory, for hosts that want nothing to outlive the process. A damaged file is
// moved aside to `<path>.damaged-<n>` and another one is made, with the holds and tasks that could
// still be read: every mission is denied until Status has spoken. store_newer, store_read_only,
// store_locked, io_error are the host's to mend.
result<std::unique_ptr<state>> open_state(const std::string& path,
                                          std::function<void(std::string)> on_problem);

}  // namespace mission::receiver
