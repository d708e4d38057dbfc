// The one interface to what is remembered. Backends: memory, sqlite (postgresql comes later).
//
//   request threads --submit(decision)--> [queue] --> the writer thread
//                                                      begin
//                                                      for each decision: rows, now -> changes
//                                                      commit (durable)
//                                                      each completion, then listener(signals)
//
// One writer per store. A decision is pure: it reads `rows`, which show everything that earlier
// decisions of the same batch have written, and returns changes or a refusal; it can be run again
// (after a failed batch), so it keeps no side effects outside of what it captured by value and
// overwrites at each run. A refusal changes nothing and disturbs nobody else in the batch.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "store/rows.hpp"

namespace mission::store {

struct mission_filter {
    std::vector<events::mission_state> states;  // any of these; empty: whatever
    std::optional<std::string> agent_client_id, tenant, parent;
    std::optional<principal_name> subject;
    std::optional<wall_time> approved_after, approved_before;  // exclusive, both
    std::optional<wall_time> expires_before;                   // exclusive
    mission_row after{};  // exclusive: the last row of the previous page
    std::size_t limit = 100;
};

// A consistent view. Valid inside the callback it was handed to, on that thread.
// Every read of a broken database throws store_error (caught by the store, reported to the caller).
class rows {
  public:
    virtual ~rows() = default;
    virtual const std::string& log_epoch() const = 0;
    virtual seq_t head() const = 0;             // the last seq in the log
    virtual seq_t tail() const = 0;             // the first seq still in the log; head()+1 if none
    virtual wall_time last_commit() const = 0;  // of the log; epoch 0 when empty

    virtual std::optional<mission> find_mission(issuer_id, std::string_view mission_id) const = 0;
    virtual std::optional<mission> find_mission(mission_row) const = 0;
    // The narrow row alone: for walking up a family.
    virtual std::optional<mission_state> find_state(mission_row) const = 0;
    virtual std::optional<mission_row> find_row(issuer_id, std::string_view mission_id) const = 0;
    virtual std::vector<mission> list_missions(issuer_id, const mission_filter&) const = 0;
    // The authorization_details of a revision, JSON array text.
    virtual std::optional<std::string> authority(mission_row, std::int64_t revision) const = 0;
    // Missions that are not terminal, by their next deadline (expires_at or suspend_until),
    // soonest first, at or before `until`.
    virtual std::vector<std::pair<wall_time, mission_row>> deadlines(wall_time until,
                                                                     std::size_t limit) const = 0;
    virtual std::optional<wall_time> next_deadline() const = 0;
    // Of all missions with first <= row <= last, ascending; issuers mixed.
    struct row_state {
        mission_row row{};
        issuer_id issuer{};
        events::mission_state state{};
    };
    virtual std::vector<row_state> states(mission_row first, mission_row last) const = 0;
    virtual mission_row last_mission() const = 0;  // 0: none

    // Ascending by version, after < version, at most `limit`.
    virtual std::vector<mission_version> versions(mission_row, std::int64_t after,
                                                  std::size_t limit) const = 0;
    // Those with an effect on children, ascending, after < version: what a child replays.
    virtual std::vector<mission_version> family_effects(mission_row, std::int64_t after) const = 0;
    // The last version that was committed at or before `at`.
    virtual std::optional<mission_version> version_at(mission_row, wall_time at) const = 0;
    // Ascending by row, after < row, at most `limit`.
    virtual std::vector<mission_row> children(mission_row parent, mission_row after,
                                              std::size_t limit) const = 0;
    // The same ones, whole.
    virtual std::vector<mission> child_missions(mission_row parent, mission_row after,
                                                std::size_t limit) const = 0;
    // By id: the oldest first.
    virtual std::vector<cascade> cascades(std::size_t limit) const = 0;
    virtual std::optional<cascade> find_cascade(mission_row) const = 0;
    // The earliest `since` of all marks: what was committed up to then has reached everybody below.
    virtual std::optional<wall_time> oldest_cascade() const = 0;

    // Of an issuer, ascending by seq, after < seq.
    virtual std::vector<audit_entry> audit(issuer_id, std::int64_t after,
                                           std::size_t limit) const = 0;
    virtual std::vector<audit_entry> audit_of(issuer_id, std::string_view target,
                                              std::int64_t after, std::size_t limit) const = 0;
    virtual std::optional<audit_entry> find_audit(std::int64_t seq) const = 0;

    virtual std::optional<bulk_job> find_bulk_job(issuer_id, std::string_view token_hash) const = 0;
    virtual std::vector<bulk_job> bulk_jobs(issuer_id, bulk_status) const = 0;
    // Ascending by position, from <= position.
    virtual std::vector<bulk_member> bulk_members(std::int64_t job, std::int64_t from,
                                                  std::size_t limit) const = 0;
    // Jobs whose token expired before `until` and that are not running.
    virtual std::vector<std::int64_t> old_bulk_jobs(wall_time until, std::size_t limit) const = 0;

    virtual std::optional<report> find_report(issuer_id, std::int64_t id) const = 0;
    virtual std::vector<report> reports_of(mission_row) const = 0;  // by id
    // Ascending by id, after < id; of every status when none is named.
    virtual std::vector<report> reports(issuer_id, std::optional<report_status>, std::int64_t after,
                                        std::size_t limit) const = 0;

    virtual std::vector<waiting_transition> waiting_transitions(mission_row) const = 0;
    virtual std::size_t waiting_transition_count(issuer_id) const = 0;

    // Signals with after < seq <= until, ascending, at most `limit`.
    virtual std::vector<signal> signals(seq_t after, seq_t until, std::size_t limit) const = 0;
    // The signals of one mission, ascending by version.
    virtual std::vector<signal> mission_signals(mission_row) const = 0;

    virtual std::vector<stream> streams(issuer_id) const = 0;  // removed ones left out
    virtual std::vector<stream> streams(issuer_id, std::string_view client_id) const = 0;
    virtual std::optional<stream> find_stream(issuer_id, std::string_view stream_id) const = 0;
    virtual std::vector<stream_epoch> epochs(stream_row) const = 0;  // by from_seq
    virtual std::optional<cursor> find_cursor(stream_row) const = 0;
    virtual std::vector<exception> exceptions(stream_row) const = 0;
    virtual std::vector<stream_event> stream_events(stream_row) const = 0;  // by created_at
    virtual std::vector<stream_subject> subjects(stream_row) const = 0;
    // Rows of one key, all intervals still kept, by added_seq.
    virtual std::vector<stream_subject> subjects(stream_row, std::string_view key) const = 0;
    // Those in force or to come (removed_seq unset).
    virtual std::size_t subject_count(stream_row) const = 0;
    // All rows of an issuer's streams that are not removed, one after the other: a million fit.
    virtual void each_subject(issuer_id,
                              const std::function<void(const stream_subject&)>& fn) const = 0;
    // Rows whose `remove_at` has come and removed_seq is unset, soonest first.
    virtual std::vector<stream_subject> due_subject_removals(issuer_id, wall_time until,
                                                             std::size_t limit) const = 0;
    // Every stream of the issuer whose cursor is not open has settled everything up to here.
    virtual seq_t routed_seq(issuer_id) const = 0;
    // Cursors that are open, of streams that are not removed.
    virtual std::vector<cursor> open_cursors(issuer_id) const = 0;
    virtual std::optional<signal> find_signal(issuer_id, std::string_view signal_id) const = 0;

    virtual std::optional<nonce_record> find_nonce(issuer_id, std::string_view scope,
                                                   std::string_view client_id,
                                                   std::string_view mission_id,
                                                   std::string_view nonce) const = 0;
};

// One version of one mission: state, perhaps authority, and its signal, inseparable (I1).
struct mission_commit {
    std::optional<mission_record> approval;  // a new mission; its `row` is ignored
    mission_state state;                     // `row` names the mission (ignored with approval);
                                             // version must be the present one plus 1
    std::optional<std::string> authorization_details;  // the set of state.authority_revision
    // All audiences so far, sorted (mission::resources). Empty: as they were.
    std::vector<std::string> resources;
    family_effect effect = family_effect::none;
    std::optional<wall_time> bound_at;  // none: the batch's time
    std::string source_hash;
    // A mirror was told that versions are missing: `version` may then be any above the present.
    bool declared_gap = false;
    // Who did it: actor, origin, action, detail; the rest is the writer's. Written with it (I1).
    audit_entry audit;
    // The signal; seq, mission, version, committed_at, bucket, issuer, batch_id are the writer's.
    std::string txn;
    std::string body;
    match_keys keys;
};

// An event for the log that belongs to no mission.
struct event_commit {
    issuer_id issuer{};
    std::string txn;
    std::string body;
    std::string signal_id;
};

struct changes {
    std::vector<mission_commit> missions;
    // Rows of missions whose part that nobody is told has changed (own_hold, parent_seen,
    // family_version, children): version, state, deadlines and authority as they stand after
    // `missions`.
    std::vector<mission_state> quiet;
    // A mark for each mission: inserted (at the end), or `after` and `family_version` replaced
    // when the mission has one already.
    std::vector<cascade> cascades;
    std::vector<mission_row> settled_cascades;
    std::vector<audit_entry> audit;         // what made no version: refusals, operations on streams
    std::vector<bulk_job> bulk_jobs;        // inserted or replaced by id
    std::vector<bulk_member> bulk_members;  // inserted or replaced by (job, position)
    std::vector<std::int64_t> removed_bulk_jobs;          // with their members
    std::vector<report> reports;                          // inserted (id 0) or replaced by id
    std::vector<waiting_transition> waiting_transitions;  // inserted or replaced
    std::vector<std::pair<mission_row, std::int64_t>> settled_transitions;
    std::vector<event_commit> events;  // appended after the missions of the same decision
    std::vector<nonce_record> nonces;
    std::vector<stream> new_streams;          // rows are assigned; epochs below refer to them
    std::vector<stream> updated_streams;      // by row
    std::vector<stream_row> removed_streams;  // with cursor, events, exceptions, subjects
    // `stream` 0 refers to the one stream of new_streams.
    std::vector<stream_epoch> epochs;
    std::vector<cursor> cursors;
    std::vector<exception> exceptions;  // inserted or replaced by (stream, seq)
    std::vector<std::pair<stream_row, seq_t>> settled_exceptions;
    std::vector<stream_event> stream_events;  // inserted or replaced by (stream, jti)
    std::vector<std::pair<stream_row, std::string>> settled_stream_events;  // by jti
    std::vector<stream_subject> subjects;  // inserted or replaced by (stream, key, added_seq)
    // Raised, never lowered.
    std::vector<std::pair<issuer_id, seq_t>> routed;
    bool empty() const noexcept;
};

// `now` is the batch's time: never before the last commit's committed_at, and the value that
// becomes committed_at. Decisions put it into bodies themselves.
using decision = std::function<result<changes>(const rows&, wall_time now)>;

struct receipt {
    wall_time committed_at{};
    std::vector<seq_t> seqs;            // of its mission commits, then of its events, in order
    std::vector<mission_row> missions;  // likewise
    std::vector<stream_row> streams;    // of its new streams
    std::vector<std::int64_t> reports;  // of its reports, in order
};

// Called after the commit is durable (or after the refusal), exactly once, on the writer thread:
// hand on, do not work there. store_unavailable while the outcome is unknown or the disk refuses;
// store_full for ENOSPC and EFBIG; store_read_only; store_locked.
using completion = std::function<void(result<receipt>)>;

// The signals of one durable batch, in order; on the writer thread, after the completions of the
// batch: who is told of a changed stream by a completion knows it before the signals that come
// after the change.
using commit_listener = std::function<void(std::shared_ptr<const std::vector<signal>>)>;

class store {
  public:
    virtual ~store() = default;  // drains the queue, joins its threads

    // THREAD: any. Refused at once with store_unavailable when limits::queued_decisions wait.
    virtual void submit(decision d, completion done) = 0;
    // The same for a step of something large: alone in its transaction, after whatever else waits
    // when the writer comes to it. So a decision that is submitted meanwhile waits for one of these
    // at most, however many follow each other.
    virtual void submit_step(decision d, completion done) = 0;
    // Runs `fn` on a reader thread within one snapshot; `done` follows on the same thread.
    virtual void read(std::function<void(const rows&)> fn,
                      std::function<void(result<void>)> done) = 0;
    // The same, blocking the caller: start-up, tests, worker threads. Never on a network thread.
    virtual result<void> read_now(const std::function<void(const rows&)>& fn) = 0;

    // Registers (or finds) an issuer by its URL. Blocking.
    virtual result<issuer_id> add_issuer(std::string_view url) = 0;
    virtual void set_commit_listener(commit_listener listener) = 0;
    // Called after a durable batch that wrote a mark (changes::cascades); on the writer thread,
    // before the commit listener.
    virtual void set_mark_listener(std::function<void()> listener) = 0;

    // Drops signals with seq <= until, epochs that every cursor has passed, nonces past their time.
    // In steps, between batches, and seldom while there are others (submit_step). The caller knows
    // that no cursor needs them, or has raised `continuity` of those that do.
    virtual void trim(seq_t until, std::function<void(result<void>)> done) = 0;

    // Healthy: the last commit succeeded (readiness). The error otherwise.
    virtual result<void> health() const = 0;
};

// A store that was opened as a copy of an older state: the log goes on under another log_epoch.
struct new_history {
    std::string why;  // one sentence
    std::string log_epoch;
    seq_t head = 0;  // the last seq that the copy holds
};

struct store_options {
    const clock* time = nullptr;              // null: system clock
    std::string sqlite_vfs;                   // tests: name of a registered VFS
    std::string sqlite_synchronous = "FULL";  // tests show that OFF loses
    unsigned readers = 2;
    std::chrono::milliseconds busy_timeout{2000};
    bool declared_restored = false;  // begin a new history, whatever the store looks like
    // Called within open_store(), when the new log_epoch is durable.
    std::function<void(const new_history&)> on_new_history;
};

// url: "memory:" or "sqlite:PATH" (relative to the working directory; folders are made).
// Errors name the file: store_newer (made by a newer program), not_a_database, store_read_only,
// store_locked (another process writes it), store_full, store_corrupt, bad_configuration (scheme).
result<std::unique_ptr<store>> open_store(std::string_view url, store_options options = {});

// What `rows` throws inside a decision or a read; the store turns it into its error.
struct store_error {
    error what;
};

}  // namespace mission::store
