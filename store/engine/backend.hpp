// What the engine asks of a backend: tables without rules. Which change is legal, which number it
// gets and when it is answered is decided once, in engine/apply and engine/writer.
//
// Every function here may throw store_error. Unless a line says otherwise it is called on the
// writer thread alone; what writes is called between begin() and commit() or rollback().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.hpp"

namespace mission::store::engine {

// The little that judging a mission commit needs.
struct mission_head {
    issuer_id issuer{};
    std::uint16_t bucket = 0;
    std::int64_t version = 0;
};

// The last numbers given out; the next ones follow without a hole.
struct positions {
    seq_t head = 0;
    mission_row mission{};
    stream_row stream{};
    std::int64_t audit = 0;
    std::int64_t cascade = 0;
    std::int64_t report = 0;
};

// Where an issuer's audit stands: its URL, and the hash of its last entry.
struct audit_head {
    std::string issuer;
    std::string hash;
};

class backend {
  public:
    virtual ~backend() = default;

    // Opens the transaction; `now` is the batch's time, which decides what has expired.
    virtual void begin(wall_time now) = 0;
    // Valid until commit or rollback; shows what was written since begin.
    virtual const rows& view() const = 0;
    virtual positions last() const = 0;
    // Durable when it returns. store_full and store_read_only: certainly not written, rollback()
    // follows. Any other error: the outcome is unknown until recover() has looked.
    virtual void commit(const std::string& batch_id) = 0;
    virtual void rollback() noexcept = 0;
    // Closes and opens again; whether that batch is in the store, durably. Throws while it cannot
    // tell.
    virtual bool recover(const std::string& batch_id) = 0;

    // What is there.
    virtual std::optional<mission_head> head_of(mission_row) const = 0;
    virtual bool has_issuer(issuer_id) const = 0;
    virtual bool has_mission(issuer_id, std::string_view mission_id) const = 0;
    virtual bool has_authority(mission_row, std::int64_t revision) const = 0;
    virtual bool has_stream(stream_row) const = 0;  // not removed
    virtual bool has_stream_id(issuer_id, std::string_view stream_id) const = 0;
    virtual std::optional<bulk_job> bulk_job_of(std::int64_t id) const = 0;
    virtual audit_head audit_head_of(issuer_id) const = 0;  // of an issuer that is there

    // Writes; numbers are assigned and references checked.
    virtual issuer_id put_issuer(std::string_view url) = 0;
    virtual void insert_mission(const mission_record&,
                                const std::vector<std::string>& resources) = 0;
    virtual void put_resources(mission_row, const std::vector<std::string>& resources) = 0;
    virtual void put_state(const mission_state&, const mission_head&, bool is_new) = 0;
    // parent_hold, own_hold, parent_seen, family_version and children alone.
    virtual void put_quiet(const mission_state&) = 0;
    virtual void append_version(const mission_version&) = 0;
    virtual void put_cascade(const cascade&) = 0;  // by mission
    virtual void erase_cascade(mission_row) = 0;
    // `of`: the mission whose version the entry is about, so that audit_of() finds it by that
    // version's row; 0: found by its target.
    virtual void append_audit(const audit_entry&, mission_row of) = 0;
    virtual void put_audit_head(issuer_id, std::string_view hash) = 0;
    virtual void put_bulk_job(const bulk_job&) = 0;
    virtual void put_bulk_member(const bulk_member&) = 0;
    virtual void remove_bulk_job(std::int64_t id) = 0;  // with its members
    virtual void put_report(const report&) = 0;
    virtual void put_waiting(const waiting_transition&, issuer_id) = 0;
    virtual void erase_waiting(mission_row, std::int64_t version) = 0;
    virtual void insert_authority(mission_row, issuer_id, std::int64_t revision,
                                  std::string_view text) = 0;
    virtual void append(const signal&) = 0;
    virtual void put_nonce(const nonce_record&) = 0;
    virtual void insert_stream(const stream&) = 0;
    virtual void update_stream(const stream&) = 0;
    // Marks it removed at the present head and drops all that hangs on it but its epochs.
    virtual void remove_stream(stream_row, wall_time now) = 0;
    virtual void put_epoch(const stream_epoch&) = 0;
    virtual void put_cursor(const cursor&) = 0;
    virtual void put_exception(const exception&) = 0;
    virtual void erase_exception(stream_row, seq_t) = 0;
    virtual void put_stream_event(const stream_event&) = 0;
    virtual void erase_stream_event(stream_row, std::string_view jti) = 0;
    virtual void put_subject(const stream_subject&) = 0;
    virtual void put_routed(issuer_id, seq_t) = 0;

    // Drops at most `limit` rows of each kind that trim() names; true when nothing is left to drop.
    virtual bool trim_step(seq_t until, wall_time now, std::size_t limit) = 0;

    // Between batches (idle false) and after a pause (idle true). True: call again when idle.
    virtual bool tidy(bool idle) noexcept = 0;

    // THREAD: any. One consistent snapshot, held while `fn` runs.
    virtual void snapshot(wall_time now, const std::function<void(const rows&)>& fn) = 0;
};

// The store over a backend: the writer thread, the reader threads, the listener.
std::unique_ptr<store> make_store(std::unique_ptr<backend> tables, const store_options& options);

}  // namespace mission::store::engine
