// The SQL behind engine::backend's writes, on the writer's connection within its transaction.
#pragma once

#include "store/engine/backend.hpp"
#include "store/sqlite/rows.hpp"

namespace mission::store::sqlite {

std::optional<engine::mission_head> head_of(connection&, mission_row);
bool has_issuer(connection&, issuer_id);
bool has_mission(connection&, issuer_id, std::string_view mission_id);
bool has_authority(connection&, mission_row, std::int64_t revision);
bool has_stream(connection&, stream_row);
bool has_stream_id(connection&, issuer_id, std::string_view stream_id);

issuer_id put_issuer(connection&, std::string_view url);
void insert_mission(connection&, const mission_record&, const std::vector<std::string>& resources);
void put_resources(connection&, mission_row, const std::vector<std::string>& resources);
void put_state(connection&, const mission_state&, const engine::mission_head&, bool is_new,
               bool deadline_moved);
void put_quiet(connection&, const mission_state&);
void append_version(connection&, const mission_version&);
void put_cascade(connection&, const cascade&);
void erase_cascade(connection&, mission_row);
void append_audit(connection&, const audit_entry&, mission_row of);
engine::audit_head audit_head_of(connection&, issuer_id);
void put_audit_head(connection&, issuer_id, std::string_view hash);
std::optional<bulk_job> bulk_job_of(connection&, std::int64_t id);
void put_bulk_job(connection&, const bulk_job&);
void put_bulk_member(connection&, const bulk_member&);
void remove_bulk_job(connection&, std::int64_t id);
void put_report(connection&, const report&);
void put_waiting(connection&, const waiting_transition&, issuer_id);
void erase_waiting(connection&, mission_row, std::int64_t version);
void insert_authority(connection&, mission_row, issuer_id, std::int64_t revision,
                      std::string_view text);
void append(connection&, const signal&);
void put_nonce(connection&, const nonce_record&);
void insert_stream(connection&, const stream&);
void update_stream(connection&, const stream&);
void remove_stream(connection&, stream_row, seq_t head, wall_time now);
void put_epoch(connection&, const stream_epoch&);
void put_cursor(connection&, const cursor&);
void put_exception(connection&, const exception&);
void erase_exception(connection&, stream_row, seq_t);
void put_stream_event(connection&, const stream_event&);
void erase_stream_event(connection&, stream_row, std::string_view jti);
void put_subject(connection&, const stream_subject&);
void drop_subject_count(connection&, stream_row);
void put_routed(connection&, issuer_id, seq_t);

// Drops up to `limit` intervals that ended at or below `tail`, and as many rows of removed streams.
// True when none is left.
bool trim_subjects(connection&, seq_t tail, std::size_t limit);
// How far the epochs have been looked through: in pieces, and only when there may be one to drop.
struct epoch_sweep {
    seq_t tail = 0;                // the last one that was completed was for this tail
    bool written = true;           // since then an epoch was
    std::int64_t next_stream = 0;  // of the one under way
};

// Drops up to `limit` signals and nonces; when no signal is left to drop, what hung on them.
// Moves p.tail. True when all is done.
bool trim_step(connection&, log_position& p, epoch_sweep& sweep, seq_t until, wall_time now,
               std::size_t limit);
void write_position(connection&, const log_position& p);

}  // namespace mission::store::sqlite
