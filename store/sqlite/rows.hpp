// The SQL behind `rows`, on one connection within one transaction.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>

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
    std::int64_t last_audit = 0;
    std::int64_t last_cascade = 0;
    std::int64_t last_report = 0;
};
log_position read_position(connection& c);

// What the writer has read or written of missions in its batch, so that it does not ask twice.
struct seen_mission {
    issuer_id issuer{};
    std::uint16_t bucket = 0;
    std::int64_t version = 0;
    std::optional<wall_time> deadline;
};
using seen_missions = boost::unordered_flat_map<mission_row, seen_mission, std::hash<mission_row>>;
// When the clock moves a mission next; nullopt when it is terminal or mirrored.
std::optional<wall_time> deadline_of(const mission_state& s);

// On the writer's connection `p` is ahead of the table: it counts what the batch has appended.
class sqlite_rows final : public rows {
  public:
    // `seen`: the writer's, or null.
    sqlite_rows(connection& c, const log_position& p, wall_time now, seen_missions* seen = nullptr)
        : c_(c), p_(p), now_(now), seen_(seen) {}

    const std::string& log_epoch() const override { return p_.log_epoch; }
    seq_t head() const override { return p_.head; }
    seq_t tail() const override { return p_.tail; }
    wall_time last_commit() const override { return p_.last_commit; }
    std::optional<mission> find_mission(issuer_id, std::string_view mission_id) const override;
    std::optional<mission> find_mission(mission_row) const override;
    std::optional<mission_state> find_state(mission_row) const override;
    std::optional<mission_row> find_row(issuer_id, std::string_view mission_id) const override;
    std::vector<mission> list_missions(issuer_id, const mission_filter&) const override;
    std::optional<std::string> authority(mission_row, std::int64_t revision) const override;
    std::vector<std::pair<wall_time, mission_row>> deadlines(wall_time until,
                                                             std::size_t limit) const override;
    std::optional<wall_time> next_deadline() const override;
    std::vector<row_state> states(mission_row first, mission_row last) const override;
    mission_row last_mission() const override { return mission_row{p_.last_mission}; }
    std::vector<mission_version> versions(mission_row, std::int64_t after,
                                          std::size_t limit) const override;
    std::vector<mission_version> family_effects(mission_row, std::int64_t after) const override;
    std::optional<mission_version> version_at(mission_row, wall_time at) const override;
    std::vector<mission_row> children(mission_row parent, mission_row after,
                                      std::size_t limit) const override;
    std::vector<mission> child_missions(mission_row parent, mission_row after,
                                        std::size_t limit) const override;
    std::vector<cascade> cascades(std::size_t limit) const override;
    std::optional<cascade> find_cascade(mission_row) const override;
    std::optional<wall_time> oldest_cascade() const override;
    std::vector<audit_entry> audit(issuer_id, std::int64_t after, std::size_t limit) const override;
    std::vector<audit_entry> audit_of(issuer_id, std::string_view target, std::int64_t after,
                                      std::size_t limit) const override;
    std::optional<audit_entry> find_audit(std::int64_t seq) const override;
    std::optional<bulk_job> find_bulk_job(issuer_id, std::string_view token_hash) const override;
    std::vector<bulk_job> bulk_jobs(issuer_id, bulk_status) const override;
    std::vector<bulk_member> bulk_members(std::int64_t job, std::int64_t from,
                                          std::size_t limit) const override;
    std::vector<std::int64_t> old_bulk_jobs(wall_time until, std::size_t limit) const override;
    std::optional<report> find_report(issuer_id, std::int64_t id) const override;
    std::vector<report> reports_of(mission_row) const override;
    std::vector<report> reports(issuer_id, std::optional<report_status>, std::int64_t after,
                                std::size_t limit) const override;
    std::vector<waiting_transition> waiting_transitions(mission_row) const override;
    std::size_t waiting_transition_count(issuer_id) const override;
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
    // The columns from `first` on; not `row`.
    mission_state read_state(const query& q, int first) const;
    signal read_signal(const query& q) const;
    stream read_stream(const query& q) const;

    connection& c_;
    const log_position& p_;
    wall_time now_;
    seen_missions* seen_;
};

}  // namespace mission::store::sqlite
