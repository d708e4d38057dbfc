#include "store/memory/backend.hpp"

#include <algorithm>
#include <mutex>

#include "jose/digest.hpp"
#include "store/memory/tables.hpp"

namespace mission::store::memory {
namespace {

class memory_backend final : public engine::backend {
  public:
    memory_backend() { t_.log_epoch = jose::random_id(16); }

    // The lock is held for the whole batch: a reader sees a batch whole or not at all.
    void begin(wall_time now) override {
        lock_ = std::unique_lock(mutex_);
        view_.emplace(t_, now);
    }
    const rows& view() const override { return *view_; }
    engine::positions last() const override {
        return {t_.head,
                mission_row{static_cast<std::int64_t>(t_.missions.size())},
                stream_row{t_.last_stream},
                static_cast<std::int64_t>(t_.audit.size()),
                t_.last_cascade,
                static_cast<std::int64_t>(t_.reports.size())};
    }
    void commit(const std::string& batch_id) override {
        t_.last_batch = batch_id;
        lock_.unlock();
    }
    // Nothing to take back: apply() judges before it writes, and writing cannot fail here.
    void rollback() noexcept override {
        if (lock_.owns_lock()) lock_.unlock();
    }
    bool recover(const std::string& batch_id) override { return t_.last_batch == batch_id; }

    std::optional<engine::mission_head> head_of(mission_row row) const override {
        const auto index = static_cast<std::size_t>(row) - 1;
        if (index >= t_.missions.size()) return std::nullopt;
        const mission& m = t_.missions[index];
        return engine::mission_head{m.record.issuer, m.record.bucket, m.state.version};
    }
    bool has_issuer(issuer_id id) const override {
        const auto n = static_cast<std::int64_t>(id);
        return n >= 1 && static_cast<std::size_t>(n) <= t_.issuers.size();
    }
    bool has_mission(issuer_id issuer, std::string_view id) const override {
        return t_.mission_ids.contains(std::pair{issuer, std::string(id)});
    }
    bool has_authority(mission_row row, std::int64_t revision) const override {
        return t_.authorities.contains({row, revision});
    }
    bool has_stream(stream_row row) const override {
        const auto it = t_.streams.find(row);
        return it != t_.streams.end() && !it->second.removed;
    }
    bool has_stream_id(issuer_id issuer, std::string_view id) const override {
        return t_.stream_ids.contains({issuer, std::string(id)});
    }
    std::optional<bulk_job> bulk_job_of(std::int64_t id) const override {
        const auto it = t_.bulk_jobs.find(id);
        if (it == t_.bulk_jobs.end()) return std::nullopt;
        return it->second;
    }
    engine::audit_head audit_head_of(issuer_id issuer) const override {
        const issuer_entry& e = t_.issuers.at(static_cast<std::size_t>(issuer) - 1);
        return {e.url, e.audit_hash};
    }

    issuer_id put_issuer(std::string_view url) override {
        const auto it = std::find_if(t_.issuers.begin(), t_.issuers.end(),
                                     [&](const auto& e) { return e.url == url; });
        if (it == t_.issuers.end()) {
            t_.issuers.push_back({std::string(url), 0, {}, {}});
            return issuer_id{static_cast<std::int64_t>(t_.issuers.size())};
        }
        return issuer_id{it - t_.issuers.begin() + 1};
    }
    void insert_mission(const mission_record& r,
                        const std::vector<std::string>& resources) override {
        t_.missions.push_back({r, {}, resources});
        t_.versions.emplace_back();
        if (r.parent_row != mission_row{}) t_.children[r.parent_row].push_back(r.row);
        t_.mission_ids.emplace(std::pair{r.issuer, r.mission_id}, r.row);
    }
    void put_resources(mission_row row, const std::vector<std::string>& resources) override {
        at(row).resources = resources;
    }
    void put_state(const mission_state& s, const engine::mission_head&, bool is_new) override {
        mission_state& present = at(s.row).state;
        if (!is_new)
            if (const auto d = deadline_of(present)) t_.deadlines.erase({*d, s.row});
        const mission_row parent = is_new ? s.parent_row : present.parent_row;
        present = s;
        present.parent_row = parent;
        if (const auto d = deadline_of(s)) t_.deadlines.insert({*d, s.row});
    }
    void put_quiet(const mission_state& s) override {
        mission_state& present = at(s.row).state;
        present.parent_hold = s.parent_hold;
        present.own_hold = s.own_hold;
        present.parent_seen = s.parent_seen;
        present.family_version = s.family_version;
        present.children = s.children;
    }
    void append_version(const mission_version& v) override {
        t_.versions.at(static_cast<std::size_t>(v.mission) - 1).push_back(v);
    }
    void put_cascade(const cascade& c) override {
        t_.last_cascade = std::max(t_.last_cascade, c.id);
        t_.cascade_of[c.mission] = c.id;
        t_.cascades[c.id] = c;
    }
    void erase_cascade(mission_row row) override {
        const auto it = t_.cascade_of.find(row);
        if (it == t_.cascade_of.end()) return;
        t_.cascades.erase(it->second);
        t_.cascade_of.erase(it);
    }
    void append_audit(const audit_entry& e, mission_row) override {
        t_.audit.push_back(e);
        t_.issuers.at(static_cast<std::size_t>(e.issuer) - 1).audit.push_back(e.seq);
        t_.audit_of[{e.issuer, e.target}].push_back(e.seq);
    }
    void put_audit_head(issuer_id issuer, std::string_view hash) override {
        t_.issuers.at(static_cast<std::size_t>(issuer) - 1).audit_hash = hash;
    }
    void put_bulk_job(const bulk_job& j) override {
        if (const auto it = t_.bulk_jobs.find(j.id); it != t_.bulk_jobs.end())
            t_.bulk_tokens.erase({it->second.issuer, it->second.token_hash});
        t_.bulk_jobs[j.id] = j;
        t_.bulk_tokens[{j.issuer, j.token_hash}] = j.id;
    }
    void put_bulk_member(const bulk_member& m) override {
        t_.bulk_members[{m.job, m.position}] = m;
    }
    void remove_bulk_job(std::int64_t id) override {
        const auto it = t_.bulk_jobs.find(id);
        if (it == t_.bulk_jobs.end()) return;
        t_.bulk_tokens.erase({it->second.issuer, it->second.token_hash});
        t_.bulk_jobs.erase(it);
        t_.bulk_members.erase(t_.bulk_members.lower_bound({id, 0}),
                              t_.bulk_members.upper_bound({id, INT64_MAX}));
    }
    void put_report(const report& r) override {
        const auto index = static_cast<std::size_t>(r.id) - 1;
        if (index < t_.reports.size()) {
            t_.reports[index] = r;
            return;
        }
        t_.reports.push_back(r);
        t_.reports_of[r.mission].push_back(r.id);
    }
    void put_waiting(const waiting_transition& w, issuer_id issuer) override {
        const auto [it, is_new] = t_.waiting.insert_or_assign({w.mission, w.version}, w);
        t_.waiting_count[issuer] += is_new;
    }
    void erase_waiting(mission_row row, std::int64_t version) override {
        if (t_.waiting.erase({row, version}) != 0) --t_.waiting_count[at(row).record.issuer];
    }
    void insert_authority(mission_row row, issuer_id, std::int64_t revision,
                          std::string_view text) override {
        t_.authorities.emplace(std::pair{row, revision}, text);
    }
    void append(const signal& s) override {
        t_.head = s.seq;
        t_.last_commit = s.committed_at;
        if (s.kind == signal_kind::mission)
            t_.log_of[s.mission].push_back(s.seq);
        else
            t_.event_seqs[{s.issuer, s.signal_id}] = s.seq;
        t_.log.push_back(s);
    }
    void put_nonce(const nonce_record& n) override {
        t_.nonces[{n.issuer, n.scope, n.client_id, n.mission_id, n.nonce}] = n;
    }

    void insert_stream(const stream& s) override {
        t_.last_stream = static_cast<std::int64_t>(s.row);
        t_.streams[s.row].record = s;
        t_.stream_ids[{s.issuer, s.stream_id}] = s.row;
        t_.streams_of[{s.issuer, s.client_id}].insert(s.row);
    }
    void update_stream(const stream& s) override { t_.streams.at(s.row).record = s; }
    void remove_stream(stream_row row, wall_time) override {
        stream_entry& e = t_.streams.at(row);
        e.removed = true;
        const auto of = t_.streams_of.find({e.record.issuer, e.record.client_id});
        of->second.erase(row);
        if (of->second.empty()) t_.streams_of.erase(of);
        e.removed_at = t_.head;
        e.position.reset();
        e.exceptions.clear();
        e.events.clear();
        for (const auto& [key, s] : e.subjects)
            forget(s);
        e.subjects.clear();
        t_.open_cursors.erase(row);
    }
    void put_epoch(const stream_epoch& e) override {
        t_.streams.at(e.stream).epochs[e.from_seq] = e;
    }
    void put_cursor(const cursor& c) override {
        t_.streams.at(c.stream).position = c;
        if (c.open)
            t_.open_cursors.insert(c.stream);
        else
            t_.open_cursors.erase(c.stream);
    }
    void put_exception(const exception& e) override {
        t_.streams.at(e.stream).exceptions[e.seq] = e;
    }
    void erase_exception(stream_row row, seq_t seq) override {
        t_.streams.at(row).exceptions.erase(seq);
    }
    void put_stream_event(const stream_event& e) override {
        erase_stream_event(e.stream, e.jti);
        t_.streams.at(e.stream).events.push_back(e);
    }
    void erase_stream_event(stream_row row, std::string_view jti) override {
        std::erase_if(t_.streams.at(row).events, [&](const auto& e) { return e.jti == jti; });
    }
    void put_subject(const stream_subject& s) override {
        stream_entry& e = t_.streams.at(s.stream);
        const auto [it, is_new] = e.subjects.try_emplace({s.key, s.added_seq}, s);
        if (!is_new) {
            forget(it->second);
            it->second = s;
        }
        e.subject_count += !s.removed_seq;
        if (s.removed_seq) t_.closed.insert({*s.removed_seq, place_of(s)});
        if (s.remove_at && !s.removed_seq) t_.removals.insert({*s.remove_at, place_of(s)});
    }
    void put_routed(issuer_id issuer, seq_t seq) override {
        seq_t& present = t_.issuers.at(static_cast<std::size_t>(issuer) - 1).routed_seq;
        present = std::max(present, seq);
    }

    bool trim_step(seq_t until, wall_time now, std::size_t limit) override {
        until = std::min(until, t_.head);
        for (std::size_t n = 0; n < limit && t_.tail <= until; ++n)
            drop_first();
        std::erase_if(t_.nonces, [&](const auto& n) { return n.second.expires_at <= now; });
        for (std::size_t n = 0; n < limit && closed_before_tail(); ++n)
            drop_closed();
        if (t_.tail <= until || closed_before_tail()) return false;
        for (auto it = t_.streams.begin(); it != t_.streams.end();) {
            trim_stream(it->second);
            // A removed stream goes when no signal of its time is left.
            if (!it->second.removed || it->second.removed_at >= t_.tail) {
                ++it;
                continue;
            }
            t_.stream_ids.erase({it->second.record.issuer, it->second.record.stream_id});
            it = t_.streams.erase(it);
        }
        return true;
    }

    bool tidy(bool) noexcept override { return false; }

    void snapshot(wall_time now, const std::function<void(const rows&)>& fn) override {
        const std::lock_guard lock(mutex_);
        fn(table_rows(t_, now));
    }

  private:
    mission& at(mission_row row) { return t_.missions.at(static_cast<std::size_t>(row) - 1); }

    static subject_place place_of(const stream_subject& s) {
        return {s.stream, s.key, s.added_seq};
    }
    // Takes a row that is going out of the counts and indexes.
    void forget(const stream_subject& s) {
        t_.streams.at(s.stream).subject_count -= !s.removed_seq;
        if (s.removed_seq) t_.closed.erase({*s.removed_seq, place_of(s)});
        if (s.remove_at && !s.removed_seq) t_.removals.erase({*s.remove_at, place_of(s)});
    }
    // Intervals that no signal is left for.
    bool closed_before_tail() const {
        return !t_.closed.empty() && t_.closed.begin()->first <= t_.tail;
    }
    void drop_closed() {
        const subject_place place = t_.closed.begin()->second;
        t_.closed.erase(t_.closed.begin());
        t_.streams.at(place.stream).subjects.erase({place.key, place.added_seq});
    }

    void drop_first() {
        const signal& s = t_.log.front();
        if (s.kind == signal_kind::mission) {
            auto& of_mission = t_.log_of[s.mission];
            of_mission.erase(of_mission.begin());
            if (of_mission.empty()) t_.log_of.erase(s.mission);
        } else {
            t_.event_seqs.erase({s.issuer, s.signal_id});
        }
        t_.log.pop_front();
        ++t_.tail;
    }

    // An epoch is over when a later one covers all that is left of the log.
    void trim_stream(stream_entry& e) {
        while (e.epochs.size() > 1 && std::next(e.epochs.begin())->first <= t_.tail)
            e.epochs.erase(e.epochs.begin());
        e.exceptions.erase(e.exceptions.begin(), e.exceptions.lower_bound(t_.tail));
    }

    std::mutex mutex_;
    std::unique_lock<std::mutex> lock_;  // writer thread, during a batch
    std::optional<table_rows> view_;
    tables t_;
};

}  // namespace

std::unique_ptr<engine::backend> make_backend() {
    return std::make_unique<memory_backend>();
}

}  // namespace mission::store::memory
