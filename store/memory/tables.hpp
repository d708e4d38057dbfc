// The memory backend's tables, and the view that reads them.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "store/store.hpp"

namespace mission::store::memory {

struct stream_entry {
    stream record;
    bool removed = false;
    seq_t removed_at = 0;           // the head at removal
    std::size_t subject_count = 0;  // removed_seq unset
    std::optional<cursor> position;
    std::map<seq_t, stream_epoch> epochs;
    std::map<seq_t, exception> exceptions;
    std::vector<stream_event> events;
    std::map<std::pair<std::string, seq_t>, stream_subject> subjects;
};

struct issuer_entry {
    std::string url;
    seq_t routed_seq = 0;
    std::string audit_hash;           // of the last entry
    std::vector<std::int64_t> audit;  // seq of each entry
};

// Where a subject's row lies.
struct subject_place {
    stream_row stream{};
    std::string key;
    seq_t added_seq = 0;
    auto operator<=>(const subject_place&) const = default;
};

using nonce_key = std::tuple<issuer_id, std::string, std::string, std::string, std::string>;

struct tables {
    std::string log_epoch;
    seq_t head = 0;
    seq_t tail = 1;
    wall_time last_commit{};
    std::string last_batch;
    std::vector<issuer_entry> issuers;  // issuer_id is the index plus 1
    std::vector<mission> missions;      // mission_row is the index plus 1
    std::map<std::pair<issuer_id, std::string>, mission_row, std::less<>> mission_ids;
    std::set<std::pair<wall_time, mission_row>> deadlines;
    std::map<std::pair<mission_row, std::int64_t>, std::string> authorities;
    std::deque<signal> log;  // [tail, head]
    std::map<mission_row, std::vector<seq_t>> log_of;
    std::map<std::pair<issuer_id, std::string>, seq_t> event_seqs;  // by signal_id
    std::int64_t last_stream = 0;
    std::map<stream_row, stream_entry> streams;
    std::map<std::pair<issuer_id, std::string>, stream_row> stream_ids;  // removed ones too
    std::map<std::pair<issuer_id, std::string>, std::set<stream_row>> streams_of;  // by client
    std::set<stream_row> open_cursors;
    std::set<std::pair<wall_time, subject_place>> removals;  // remove_at set, removed_seq not
    std::set<std::pair<seq_t, subject_place>> closed;        // by removed_seq
    std::map<nonce_key, nonce_record> nonces;
    std::vector<std::vector<mission_version>> versions;        // by mission, as `missions`
    std::map<mission_row, std::vector<mission_row>> children;  // ascending
    std::map<std::int64_t, cascade> cascades;                  // by id
    std::map<mission_row, std::int64_t> cascade_of;            // its id
    std::int64_t last_cascade = 0;
    std::vector<audit_entry> audit;  // seq is the index plus 1
    std::map<std::pair<issuer_id, std::string>, std::vector<std::int64_t>> audit_of;  // by target
    std::map<std::int64_t, bulk_job> bulk_jobs;
    std::map<std::pair<issuer_id, std::string>, std::int64_t> bulk_tokens;
    std::map<std::pair<std::int64_t, std::int64_t>, bulk_member> bulk_members;
    std::vector<report> reports;  // id is the index plus 1
    std::map<mission_row, std::vector<std::int64_t>> reports_of;
    std::map<std::pair<mission_row, std::int64_t>, waiting_transition> waiting;
    std::map<issuer_id, std::size_t> waiting_count;
};

// When the clock moves this mission next; nullopt when it is terminal or mirrored.
std::optional<wall_time> deadline_of(const mission_state& s);

// Valid while its owner holds the lock of `t`.
class table_rows final : public rows {
  public:
    table_rows(const tables& t, wall_time now) : t_(t), now_(now) {}

    const std::string& log_epoch() const override { return t_.log_epoch; }
    seq_t head() const override { return t_.head; }
    seq_t tail() const override { return t_.tail; }
    wall_time last_commit() const override { return t_.last_commit; }
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
    mission_row last_mission() const override {
        return mission_row{static_cast<std::int64_t>(t_.missions.size())};
    }
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
    const stream_entry* entry(stream_row row) const;
    const std::vector<mission_version>* versions_of(mission_row row) const;
    std::vector<audit_entry> entries(const std::vector<std::int64_t>& seqs, std::int64_t after,
                                     std::size_t limit) const;

    const tables& t_;
    wall_time now_;
};

}  // namespace mission::store::memory
