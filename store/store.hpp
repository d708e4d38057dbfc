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
    std::optional<events::mission_state> state;
    std::optional<std::string> agent_client_id, tenant, parent;
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
    virtual std::vector<mission> list_missions(issuer_id, const mission_filter&) const = 0;
    // The authorization_details of a revision, JSON array text.
    virtual std::optional<std::string> authority(mission_row, std::int64_t revision) const = 0;
    // Missions that are not terminal, by their next deadline (expires_at or suspend_until),
    // soonest first, at or before `until`.
    virtual std::vector<std::pair<wall_time, mission_row>> deadlines(wall_time until,
                                                                     std::size_t limit) const = 0;
    virtual std::optional<wall_time> next_deadline() const = 0;

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
    std::vector<std::string> resources;  // all audiences so far, sorted (mission::resources)
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
    // Runs `fn` on a reader thread within one snapshot; `done` follows on the same thread.
    virtual void read(std::function<void(const rows&)> fn,
                      std::function<void(result<void>)> done) = 0;
    // The same, blocking the caller: start-up, tests, worker threads. Never on a network thread.
    virtual result<void> read_now(const std::function<void(const rows&)>& fn) = 0;

    // Registers (or finds) an issuer by its URL. Blocking.
    virtual result<issuer_id> add_issuer(std::string_view url) = 0;
    virtual void set_commit_listener(commit_listener listener) = 0;

    // Drops signals with seq <= until, epochs that every cursor has passed, nonces past their time.
    // In steps, between batches. The caller knows that no cursor needs them, or has raised
    // `continuity` of those that do.
    virtual void trim(seq_t until, std::function<void(result<void>)> done) = 0;

    // Healthy: the last commit succeeded (readiness). The error otherwise.
    virtual result<void> health() const = 0;
};

struct store_options {
    const clock* time = nullptr;              // null: system clock
    std::string sqlite_vfs;                   // tests: name of a registered VFS
    std::string sqlite_synchronous = "FULL";  // tests show that OFF loses
    unsigned readers = 2;
    std::chrono::milliseconds busy_timeout{2000};
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
