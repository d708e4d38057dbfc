// The SQL behind `rows`, on one connection within one transaction.
#pragma once

#include "store/sqlite/connection.hpp"

namespace mission::store::sqlite {

// The row of `meta`.
struct log_position {
    std::string log_epoch;
    seq_t head = 0;
    seq_t tail = 1;
    wall_time last_commit{};
    std::string last_batch;
    std::int64_t last_mission = 0;
    std::int64_t last_stream = 0;
};
log_position read_position(connection& c);

// On the writer's connection `p` is ahead of the table: it counts what the batch has appended.
class sqlite_rows final : public rows {
  public:
    sqlite_rows(connection& c, const log_position& p, wall_time now) : c_(c), p_(p), now_(now) {}

    const std::string& log_epoch() const override { return p_.log_epoch; }
    seq_t head() const override { return p_.head; }
    seq_t tail() const override { return p_.tail; }
    wall_time last_commit() const override { return p_.last_commit; }
    std::optional<mission> find_mission(issuer_id, std::string_view mission_id) const override;
    std::optional<mission> find_mission(mission_row) const override;
    std::vector<mission> list_missions(issuer_id, const mission_filter&) const override;
    std::optional<std::string> authority(mission_row, std::int64_t revision) const override;
    std::vector<std::pair<wall_time, mission_row>> deadlines(wall_time until,
                                                             std::size_t limit) const override;
    std::optional<wall_time> next_deadline() const override;
    std::vector<signal> signals(seq_t after, seq_t until, std::size_t limit) const override;
    std::vector<signal> mission_signals(mission_row) const override;
    std::vector<stream> streams(issuer_id) const override;
    std::vector<stream> streams(issuer_id, std::string_view client_id) const override;
    std::optional<stream> find_stream(issuer_id, std::string_view stream_id) const override;
    std::vector<stream_epoch> epochs(stream_row) const override;
    std::optional<cursor> find_cursor(stream_row) const override;
    std::vector<exception> exceptions(stream_row) const override;
    std::vector<stream_event> stream_events(stream_row) const override;
    std::vector<stream_subject> subjects(stream_row) const override;
    std::vector<stream_subject> subjects(stream_row, std::string_view key) const override;
    std::size_t subject_count(stream_row) const override;
    void each_subject(issuer_id,
                      const std::function<void(const stream_subject&)>& fn) const override;
    std::vector<stream_subject> due_subject_removals(issuer_id, wall_time until,
                                                     std::size_t limit) const override;
    seq_t routed_seq(issuer_id) const override;
    std::vector<cursor> open_cursors(issuer_id) const override;
    std::optional<signal> find_signal(issuer_id, std::string_view signal_id) const override;
    std::optional<nonce_record> find_nonce(issuer_id, std::string_view scope,
                                           std::string_view client_id, std::string_view mission_id,
                                           std::string_view nonce) const override;

  private:
    mission read_mission(const query& q) const;
    signal read_signal(const query& q) const;
    stream read_stream(const query& q) const;

    connection& c_;
    const log_position& p_;
    wall_time now_;
};

}  // namespace mission::store::sqlite
