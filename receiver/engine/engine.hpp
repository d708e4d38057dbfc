// The receiver without a network: takes verified SETs and Status answers, keeps cache, state, holds
// and teardown in step.
//
//   verified SET -> apply (pure) -> [a denial is shown] -> one transaction: entry + tasks
//                -> [a permission is shown] -> acknowledge -> tasks run          (I7, I8, I9)
//
// One lock guards what is in memory: the table of all missions, whole those that are being worked
// on (working_set.hpp); check() never takes it. Callbacks are called without it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "receiver/cache/apply.hpp"
#include "receiver/cache/authority_table.hpp"
#include "receiver/cache/table.hpp"
#include "receiver/engine/seen_jtis.hpp"
#include "receiver/engine/working_set.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/inbox/inbox.hpp"
#include "receiver/state/state.hpp"
#include "receiver/teardown/runner.hpp"

namespace mission::receiver {

enum class set_fate { acknowledge, reject, retry };
struct set_outcome {
    set_fate fate = set_fate::acknowledge;
    error why;
};

struct counters {
    std::atomic<std::uint64_t> sets_received{0}, sets_rejected{0}, sets_duplicate{0},
        status_requests{0}, gaps{0}, heartbeats{0}, unknown_events{0}, missions_evicted{0},
        missions_refused{0};
};

class engine {
  public:
    struct hooks {
        std::function<instant()> now = coarse_now;
        ms::log_function log;
        // Status has to be asked; `urgent` ones go first. Must only queue.
        std::function<void(const mission_key&, bool urgent)> ask_status;
        // A new epoch: these, in this order, at a bounded rate.
        std::function<void(std::vector<mission_key>)> confirm;
        // Calls watch() after this time, instead of what was asked before.
        std::function<void(std::chrono::milliseconds)> wake_after;
        std::function<void(const ms::mission_view&, ms::effect)> on_change;  // serial
        std::function<void()> on_verified;  // our verification came back
        // The transmitter changed our stream: "enabled", "paused", "disabled".
        std::function<void(const std::string& status, const std::string& reason)> on_updated;
        inbox* events = nullptr;  // outlives the engine; null: no event has a handler
        // Runs what takes its time, reading the disk: one job after the other, on a thread that
        // has nothing else to do. Null: at once.
        std::function<void(std::function<void()>)> background;
    };

    // What is kept whole in memory: some 20 MB, and as much of texts. The missions of the last
    // seconds of a busy stream, so that most of what a Status or the next SET is about is there.
    struct memory {
        std::size_t missions = 16'384;
        std::size_t octets = 32u << 20;
    };
    engine(state& s, task_runner& runner, std::size_t max_missions, hooks h);
    engine(state& s, task_runner& runner, std::size_t max_missions, hooks h, memory working);

    // Before anything else. The missions of the state's file follow in the background: who is not
    // there yet is unknown, which denies, and read when a SET or a Status is about it.
    void load(state_snapshot snapshot);
    // What runs in the background comes to its end.
    void stop_background() noexcept { stopping_.store(true, std::memory_order_relaxed); }
    bool loaded() const noexcept { return !loading_.load(std::memory_order_relaxed); }
    // Whom SETs come from, and for which mission issuers it may speak.
    void set_issuers(std::string transmitter, std::vector<std::string> mission_issuers);
    std::string transmitter() const;

    // --- the stream
    void receive(events::received_set set, std::function<void(set_outcome)> done);
    // Around many of them: state::begin_gathering().
    void begin_gathering() { state_.begin_gathering(); }
    void end_gathering() { state_.end_gathering(); }
    void on_stream(stream_identity identity);
    // The stream that comes next was there before anything that is remembered: what it told by now
    // may be lost, and no SET of before is a first contact.
    void on_older_stream();
    // What a read of the stream's status says; like a stream-updated event.
    void note_status(const std::string& status, const std::string& reason);
    // Subject members that must be understood (SSF 1.0 section 7.1, critical_subject_members).
    void set_critical_members(std::vector<std::string> members);
    void set_max_stale(std::chrono::seconds s);
    // Durably expects a verification with this state, then calls `ready`.
    void expect_verification(const std::string& state, std::function<void(bool)> ready);
    // The stream carries lifecycle-change: a verification proves all before it was settled.
    void set_verification_proves(bool proves);
    std::uint64_t epoch() const;

    // --- Status. `asked` is status_asked() before the request; `settled` after it is durable.
    struct asked_at {
        std::uint64_t epoch = 0;     // of the stream
        std::uint64_t revision = 0;  // of the engine: what changes later has a higher one
        // The monotonic clock: no answer is relied on for longer than max_stale from here, whatever
        // our wall clock makes of its times.
        std::int64_t mono = INT64_MAX;
    };
    asked_at status_asked(const mission_key& key) const;
    void on_status(const mission_key& key, const result<status_word>& word, asked_at asked,
                   std::function<void()> settled);
    // Still denied in a way that Status could mend, and somebody depends on it.
    bool wants_status(const mission_key& key) const;
    // Suspended, or expired by our own clock alone, and for longer than that may be relied on: it
    // may have been resumed or extended (draft-mcguinness-oauth-mission-status "Caching": the hard
    // stop is for denials as well). Or ended in a history that the transmitter has left since: it
    // was restored from a copy, and may have another truth.
    bool denial_aged(const mission_key& key);
    // Missions in doubt whoever holds them, for the start; at most `limit`.
    std::vector<mission_key> doubtful(std::size_t limit) const;

    // --- holds
    bool hold(const mission_key& key, const std::string& name, const std::string& data);
    void release(const mission_key& key, const std::string& name);
    std::vector<hold_record> held(std::string_view mission_id) const;
    std::vector<mission_key> held_missions() const;
    // Called by the timer: pauses and continues what is held, as freshness goes and comes.
    void watch();
    // For the runner: resumed and fresh wait until the mission is permitted.
    bool may_run(const task_record& t) const;
    // What else is written with the task's end: the thing is held no more.
    void task_done(const task_record& t, state_write& w);

    // --- looks
    mission_table& table() noexcept { return table_; }
    const authority_table& authorities() const noexcept { return authorities_; }
    std::optional<ms::mission_view> view(const mission_key& key);
    std::vector<ms::mission_view> list(std::size_t limit) const;
    stream_freshness freshness() const;
    counters& counts() noexcept { return counts_; }
    std::size_t working() const;  // missions that are whole in memory now
    std::string setting(const std::string& name) const;
    void set_setting(const std::string& name, const std::string& value);

  private:
    using after = std::vector<std::function<void()>>;  // run once the lock is gone
    using slot = mission_slot;
    enum class pause { undecided, none, paused };
    struct held_mission {
        std::map<std::string, std::string> things;  // name -> data
        pause paused = pause::undecided;
        bool awaiting_first_status = false;  // at start nothing is paused before Status has spoken
        std::int64_t asked_for = 0;          // the fresh_until whose end Status was asked before
        std::int64_t look_at = 0;            // monotonic; its place in looks_
        std::uint64_t looked = 0;            // in which watch it was looked at last
    };

    // What is admitted is given back if its first write is not handed on.
    class place_kept {
      public:
        place_kept(engine& e, slot* s) noexcept : e_(e), s_(s) {}
        ~place_kept() {
            if (s_ != nullptr) e_.take_back(*s_);
        }
        place_kept(const place_kept&) = delete;
        place_kept& operator=(const place_kept&) = delete;

      private:
        engine& e_;
        slot* const s_;
    };

    // What is planned is taken back if it is not handed on.
    class plan_kept {
      public:
        plan_kept(task_runner& of, const std::vector<task_record>& tasks) noexcept
            : of_(of), tasks_(&tasks) {}
        ~plan_kept() {
            if (tasks_ != nullptr) of_.unplan(*tasks_);
        }
        plan_kept(const plan_kept&) = delete;
        plan_kept& operator=(const plan_kept&) = delete;
        void handed_on() noexcept { tasks_ = nullptr; }

      private:
        task_runner& of_;
        const std::vector<task_record>* tasks_;
    };

    void receive_mission(events::received_set& set, std::function<void(set_outcome)> done);
    result<void> apply_change(const events::mission_change& c, std::int64_t iat,
                              std::function<void(set_outcome)>& done, after& later);
    void receive_verification(events::received_set& set, std::function<void(set_outcome)> done);
    void receive_heartbeat(const stream_freshness::heartbeat& h, instant now,
                           std::function<void(set_outcome)> done, after& later);
    void receive_updated(events::received_set& set, std::function<void(set_outcome)> done);
    void receive_event(events::received_set& set, std::function<void(set_outcome)> done);
    // The member of the subject that must be understood and is not; empty: none.
    std::string critical_member(const events::subject* subject) const;
    void drop(events::received_set& set, const std::string& member,
              std::function<void(set_outcome)> done);
    // `since`: when what is told was true, at the latest. std::bad_alloc: nothing has changed.
    void take(slot& s, applied a, std::function<void(result<void>)> answered, after& later,
              std::int64_t since = INT64_MAX);
    // What readers are shown of a revision.
    struct face {
        published what;
        bool same_authority = true;
        authority_text authority;  // unless it is the same
    };
    void committed(slot& s, std::uint64_t revision, const face& seen,
                   const std::vector<task_record>& tasks, ms::effect effect, bool tell);
    static face face_of(const record& r, const deadline& fresh_until);
    // False: there is no memory for it in the table. Takes none of its own where `revision` is the
    // mission's last.
    bool show(slot& s, const face& f, std::uint64_t revision);

    // --- which missions are known, and where they are
    // nullptr: it is not known. An error: nobody can say, its row cannot be read. What was found
    // stays until the next find() or admit().
    result<slot*> find(const mission_key& key);
    // What is not in the working set, as its row and the table have it now.
    result<slot*> bring_in(const mission_key& key, std::optional<record> row,
                           const std::optional<published>& p);
    // Room for a mission that is not known; nullptr: there is none. `heard`: its `iat`.
    slot* admit(const mission_key& key, std::int64_t heard, after& later);
    // Its place is free again, unless its first write is on its way.
    void take_back(slot& s) noexcept;
    void refuse(const mission_key& key, std::int64_t heard, state_write& w, after& later);
    bool evict(const std::string& issuer, const std::string& id);
    bool evictable(const mission_key& key) const;
    std::uint64_t& evicted_at(std::string_view id) noexcept;
    // What was committed by then is no news of a mission that is not known (wire.md section 5:
    // first contact): it may have been known, and ended, and forgotten.
    void raise_horizon(std::int64_t heard, state_write& w);
    // Without the second that has just begun: what is committed in it is told to us.
    static std::int64_t before_this_second(instant now) noexcept { return now.wall / 1000 - 1; }
    void deny_unread(const events::mission_change& c) noexcept;
    // Everything but the memory of what is held is lost.
    void forget_history(instant now, state_write& w, after& later);
    void state_lost();
    void load_missions();
    enum class loading { more, over, unreadable, no_memory };
    // Behind this one, which stays where it is while there is no reading, or no memory for, what
    // follows it.
    loading load_some(row_place& last);
    bool wait_to_load() const;  // false: not to go on
    deadline deadline_of(const record& row) const;
    void fetch_authority(std::string_view issuer, std::string_view id);
    void in_background(std::function<void()> job);
    void confirm_in_use();
    bool known_jti(const events::received_set& set) const;
    // Submits what a SET means, and knows its `jti` from here on: both, or neither.
    void submit_known(const events::received_set& set, state_write w,
                      std::function<void(result<void>)> answered,
                      std::function<void()> committed = nullptr);
    // Once what it has put is submitted stream_unwritten_ is false again.
    void put_stream(state_write& w);
    void submit_stream(state_write w, std::function<void(result<void>)> answered);
    bool live_to_keep() const;
    void begin_epoch(after& later);
    std::vector<hold_record> holds_of(const mission_key& key) const;
    bool ended_elsewhere(const mission_key& key);
    // Looks at the held missions that need it, and arranges for the next look. `changed` (may be
    // null) is one that has. Where memory ends nothing has changed, and all are looked at soon.
    void watch_anew(instant now, after& later, const mission_key* changed = nullptr) noexcept;
    // std::bad_alloc: nothing has changed, and `later` is to be let go.
    std::chrono::milliseconds watch_locked(instant now, after& later, const mission_key* changed);
    // What becomes of one that is looked at, once all that it takes is there.
    struct look {
        pause paused = pause::undecided;
        bool awaiting_first_status = false;
        std::int64_t asked_for = 0;
        bool permitted = false;
        std::chrono::milliseconds wait{0};  // until the next look
    };
    look look_at_held(const mission_key& key, const held_mission& m, instant now,
                      std::vector<task_record>& tasks, after& later);
    void drop_held(std::map<mission_key, held_mission>::iterator it);
    void note_hold_loaded(const hold_record& h);
    ms::mission_view view_of(const record& r) const;
    ms::mission_view view_locked(const slot& s) const;
    void log(ms::log_level level, std::string_view message,
             std::vector<ms::log_field> fields = {}) const;

    state& state_;
    task_runner& runner_;
    const hooks hooks_;
    const std::size_t max_missions_;
    mission_table table_;
    authority_table authorities_;
    counters counts_;

    mutable std::mutex m_;
    std::string transmitter_;
    std::vector<std::string> mission_issuers_;
    std::map<mission_key, held_mission> held_;                     // nodes stay where they are
    std::set<std::pair<std::int64_t, const mission_key*>> looks_;  // of all held missions
    std::set<const mission_key*> doubted_;  // not permitted at their last look
    stream_word watched_;                   // as it was at the last look
    bool watched_once_ = false;
    std::int64_t watched_offset_ = 0;  // of the wall clock to the monotonic one
    std::uint64_t watches_ = 0;        // counted
    working_set set_;
    std::uint64_t revision_ = 1;  // of the last change of any mission
    std::uint64_t dropped_ = 0;   // the highest revision that is not in the working set any more
    // By hash: the revision at the last eviction, or denial that there was no memory for.
    std::array<std::uint64_t, 4096> evicted_{};
    std::size_t unshown_ = 0;         // in the working set, and not in the table yet
    std::int64_t horizon_ = 0;        // an `iat`, in seconds
    bool horizon_unwritten_ = false;  // it may be ahead of what was submitted
    std::int64_t refused_told_ = 0;   // monotonic; when that was last logged
    std::uint64_t refused_untold_ = 0;
    // By what rows of before the start are believed to be fresh.
    struct {
        std::chrono::seconds bound{0};
        std::int64_t believed = 0;  // no `fresh_until` lies behind this
        instant at;
    } row_terms_;
    std::atomic<bool> loading_{false};  // written under the lock
    std::atomic<bool> stopping_{false};
    std::weak_ptr<char> confirming_;  // a walk through the table that waits to begin
    bool confirm_owed_ = false;       // the running epoch's is not over
    stream_freshness fresh_;
    std::chrono::seconds max_stale_{0};
    bool verification_proves_ = false;
    std::map<std::string, instant> awaited_;  // states of verifications asked for
    std::map<std::string, std::string> settings_;
    std::vector<std::string> critical_members_;
    seen_jtis seen_;
    std::uint64_t freshness_tasks_ = 0;
    std::int64_t first_status_until_ = 0;  // monotonic
    std::int64_t live_kept_ = 0;           // live_until as it is on disk, or nearly; wall clock
    bool stream_unwritten_ = false;        // settings_ may be ahead of what was submitted
};

}  // namespace mission::receiver
