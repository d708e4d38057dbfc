// The receiver without a network: takes verified SETs and Status answers, keeps cache, state, holds
// and teardown in step.
//
//   verified SET -> apply (pure) -> [a denial is shown] -> one transaction: entry + tasks
//                -> [a permission is shown] -> acknowledge -> tasks run          (I7, I8, I9)
//
// One lock guards the master copy; check() never takes it. Callbacks are called without it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "events/set.hpp"
#include "receiver/cache/apply.hpp"
#include "receiver/cache/authority_table.hpp"
#include "receiver/cache/table.hpp"
#include "receiver/engine/seen_jtis.hpp"
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
        status_requests{0}, gaps{0}, heartbeats{0}, unknown_events{0};
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
    };

    engine(state& s, task_runner& runner, std::size_t max_missions, hooks h);

    // Before anything else; sets the cache up from the rows.
    void load(state_snapshot snapshot);
    // Whom SETs come from, and for which mission issuers it may speak.
    void set_issuers(std::string transmitter, std::vector<std::string> mission_issuers);
    std::string transmitter() const;

    // --- the stream
    void receive(events::received_set set, std::function<void(set_outcome)> done);
    void on_stream(stream_identity identity);
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
        std::uint64_t revision = 0;  // of the entry; 0: there was none
    };
    asked_at status_asked(const mission_key& key) const;
    void on_status(const mission_key& key, const result<status_word>& word, asked_at asked,
                   std::function<void()> settled);
    // Still denied in a way that Status could mend, and somebody depends on it.
    bool wants_status(const mission_key& key) const;
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
    void task_done(const task_record& t);

    // --- looks
    mission_table& table() noexcept { return table_; }
    const authority_table& authorities() const noexcept { return authorities_; }
    std::optional<ms::mission_view> view(const mission_key& key) const;
    std::vector<ms::mission_view> list(std::size_t limit) const;
    stream_freshness freshness() const;
    counters& counts() noexcept { return counts_; }
    std::string setting(const std::string& name) const;
    void set_setting(const std::string& name, const std::string& value);

  private:
    using after = std::vector<std::function<void()>>;  // run once the lock is gone
    struct slot {
        record now;
        deadline fresh_until;
        std::uint64_t revision = 0;
        std::uint64_t doubted_at = 0;  // the revision that an event of another log_epoch made
        ms::standing shown = ms::standing::unknown;
        std::uint64_t shown_revision = 0;
        std::shared_ptr<const ms::authority> authority;
    };
    enum class pause { undecided, none, paused };
    struct held_mission {
        std::map<std::string, std::string> things;  // name -> data
        pause paused = pause::undecided;
        bool awaiting_first_status = false;  // at start nothing is paused before Status has spoken
        std::int64_t asked_for = 0;          // the fresh_until whose end Status was asked before
    };

    void receive_mission(events::received_set& set, std::function<void(set_outcome)> done);
    void receive_verification(events::received_set& set, std::function<void(set_outcome)> done);
    void receive_updated(events::received_set& set, std::function<void(set_outcome)> done);
    void receive_event(events::received_set& set, std::function<void(set_outcome)> done);
    // The member of the subject that must be understood and is not; empty: none.
    std::string critical_member(const events::subject* subject) const;
    void drop(events::received_set& set, const std::string& member,
              std::function<void(set_outcome)> done);
    void take(slot& s, applied a, std::function<void(result<void>)> answered, after& later);
    // What readers are shown of a revision.
    struct face {
        published what;
        std::shared_ptr<const ms::authority> authority;
    };
    void committed(const mission_key& key, std::uint64_t revision, const face& seen,
                   const std::vector<task_record>& tasks, ms::effect effect, bool tell);
    face face_of(slot& s);
    bool show(slot& s, const face& f, std::uint64_t revision);
    bool known_jti(const events::received_set& set) const;
    void remember_jti(const events::received_set& set, state_write& w);
    void put_stream(state_write& w);
    void begin_epoch(after& later);
    std::vector<hold_record> holds_of(const mission_key& key) const;
    // Looks at every held mission, and arranges for the next look.
    void watch_anew(instant now, after& later);
    std::chrono::milliseconds watch_locked(instant now, after& later);
    void note_hold_loaded(const hold_record& h);
    ms::mission_view view_locked(const slot& s) const;
    void log(ms::log_level level, std::string_view message,
             std::vector<ms::log_field> fields) const;

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
    std::map<mission_key, held_mission> held_;
    struct key_hash {
        std::size_t operator()(const mission_key& k) const noexcept {
            return std::hash<std::string>{}(k.id) ^ (std::hash<std::string>{}(k.issuer) << 1);
        }
    };
    std::unordered_map<mission_key, slot, key_hash> missions_;
    stream_freshness fresh_;
    std::chrono::seconds max_stale_{0};
    bool verification_proves_ = false;
    std::map<std::string, instant> awaited_;  // states of verifications asked for
    std::map<std::string, std::string> settings_;
    std::vector<std::string> critical_members_;
    seen_jtis seen_;
    std::uint64_t freshness_tasks_ = 0;
    std::int64_t first_status_until_ = 0;  // monotonic
};

}  // namespace mission::receiver
