#include "store/engine/apply.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <set>
#include <utility>

#include "base/limits.hpp"
#include "store/engine/families.hpp"

namespace mission::store::engine {
namespace {

error conflict(std::string why) {
    return {errc::store_conflict, std::move(why)};
}

// Judges everything before anything is written, with the decision's own earlier changes in view.
class judge {
  public:
    judge(const changes& c, const backend& t, const batch& b) : c_(c), t_(t), b_(b) {}

    result<void> run() {
        heads.reserve(c_.missions.size());
        changed_.reserve(c_.missions.size());
        for (const auto& m : c_.missions)
            if (auto r = mission_commit_ok(m); !r) return r;
        if (auto r = judge_families(c_, t_); !r) return r;
        if (auto r = events_ok(); !r) return r;
        for (const auto& n : c_.nonces)
            if (!t_.has_issuer(n.issuer)) return conflict("a nonce names an unknown issuer");
        for (const auto& [issuer, seq] : c_.routed) {
            if (!t_.has_issuer(issuer)) return conflict("unknown issuer");
            if (seq < 0 || seq > new_head())
                return error(errc::invalid_argument, "routed beyond the head of the log");
        }
        return streams_ok();
    }

    // What apply needs again, looked up once.
    std::vector<mission_head> heads;

  private:
    result<void> mission_commit_ok(const mission_commit& m) {
        if (m.approval) return approval_ok(m);
        auto seen = changed_.find(m.state.row);
        if (seen == changed_.end()) {
            const auto head = t_.head_of(m.state.row);
            if (!head) return conflict("no such mission row");
            seen = changed_.emplace(m.state.row, *head).first;
        }
        const std::int64_t present = seen->second.version;
        if (m.declared_gap ? m.state.version <= present : m.state.version != present + 1)
            return conflict("the mission is at version " + std::to_string(present));
        if (m.authorization_details && t_.has_authority(m.state.row, m.state.authority_revision))
            return conflict("that authority revision exists");
        seen->second.version = m.state.version;
        heads.push_back(seen->second);
        return {};
    }

    result<void> approval_ok(const mission_commit& m) {
        const auto& a = *m.approval;
        if (!t_.has_issuer(a.issuer)) return conflict("unknown issuer");
        if (m.declared_gap ? m.state.version < 1 : m.state.version != 1)
            return conflict("an approval is version 1");
        if (a.parent_row != mission_row{}) {
            const auto parent = t_.head_of(a.parent_row);
            if (!parent || parent->issuer != a.issuer) return conflict("no such parent row");
        }
        if (!approved_.insert({a.issuer, a.mission_id}).second ||
            t_.has_mission(a.issuer, a.mission_id))
            return error(errc::mission_exists, "the mission id is taken");
        heads.push_back({a.issuer, bucket_of(a.mission_id), 1});
        return {};
    }

    result<void> events_ok() {
        std::set<std::pair<issuer_id, std::string_view>> fresh;
        for (const auto& e : c_.events) {
            if (!t_.has_issuer(e.issuer)) return conflict("unknown issuer");
            if (e.signal_id.empty())
                return error(errc::invalid_argument, "an event without a signal id");
            if (!fresh.insert({e.issuer, e.signal_id}).second ||
                t_.view().find_signal(e.issuer, e.signal_id))
                return conflict("the signal id is taken");
        }
        return {};
    }

    result<void> streams_ok() {
        std::set<std::pair<issuer_id, std::string_view>> fresh;
        for (const auto& s : c_.new_streams) {
            if (!t_.has_issuer(s.issuer)) return conflict("unknown issuer");
            if (!fresh.insert({s.issuer, s.stream_id}).second ||
                t_.has_stream_id(s.issuer, s.stream_id))
                return conflict("the stream id is taken");
        }
        for (const auto& s : c_.updated_streams)
            if (auto r = known(s.row, false); !r) return r;
        for (const auto row : c_.removed_streams)
            if (auto r = known(row, false); !r) return r;
        for (const auto& e : c_.epochs)
            if (auto r = known(e.stream); !r) return r;
        for (const auto& k : c_.cursors)
            if (auto r = cursor_ok(k); !r) return r;
        for (const auto& e : c_.exceptions)
            if (auto r = known(e.stream); !r) return r;
        for (const auto& [row, seq] : c_.settled_exceptions)
            if (auto r = known(row, false); !r) return r;
        for (const auto& e : c_.stream_events)
            if (auto r = known(e.stream); !r) return r;
        for (const auto& [row, jti] : c_.settled_stream_events)
            if (auto r = known(row, false); !r) return r;
        for (const auto& s : c_.subjects)
            if (auto r = known(s.stream); !r) return r;
        return {};
    }

    result<void> cursor_ok(const cursor& k) {
        if (auto r = known(k.stream); !r) return r;
        if (k.ranges.size() > limits::acked_ranges)
            return error(errc::invalid_argument, "a cursor with too many ranges");
        seq_t floor = k.acked_seq;
        for (const auto& [first, last] : k.ranges) {
            if (first <= floor || last < first)
                return error(errc::invalid_argument, "cursor ranges out of order");
            floor = last;
        }
        if (k.acked_seq < 0 || floor > new_head())
            return error(errc::invalid_argument, "a cursor beyond the head of the log");
        return {};
    }

    // The head once these changes are written.
    seq_t new_head() const {
        return b_.last.head + static_cast<seq_t>(c_.missions.size() + c_.events.size());
    }

    // Row 0 is the one stream of new_streams.
    result<void> known(stream_row row, bool zero_is_new = true) {
        if (zero_is_new && row == stream_row{}) {
            if (c_.new_streams.size() == 1) return {};
            return conflict("row 0 without exactly one new stream");
        }
        if (known_.contains(row)) return {};
        if (!t_.has_stream(row)) return conflict("no such stream row");
        known_.insert(row);
        return {};
    }

    const changes& c_;
    const backend& t_;
    const batch& b_;
    boost::unordered_flat_map<mission_row, mission_head, std::hash<mission_row>> changed_;
    std::set<std::pair<issuer_id, std::string_view>> approved_;
    std::set<stream_row> known_;
};

void write_version(const mission_commit& m, const mission_state& state, seq_t seq,
                   std::int64_t audit_seq, backend& t, const batch& b) {
    mission_version v;
    v.mission = state.row;
    v.version = state.version;
    v.state = state.state;
    v.committed_at = b.now;
    v.expires_at = state.expires_at;
    v.suspend_until = state.suspend_until;
    v.on_expiry = state.on_expiry;
    v.authority_revision = state.authority_revision;
    v.successor = state.successor;
    v.reason = state.reason;
    v.effect = m.effect;
    v.bound_at = m.bound_at.value_or(b.now);
    v.source_hash = m.source_hash;
    v.audit_seq = audit_seq;
    v.seq = seq;
    t.append_version(v);
}

// Moves out of `m` what the signal keeps.
void write_mission(mission_commit& m, const mission_head& head, backend& t, batch& b,
                   receipt& out) {
    mission_state& state = m.state;
    if (m.approval) {
        mission_record& record = *m.approval;
        record.row = b.last.mission = mission_row{static_cast<std::int64_t>(b.last.mission) + 1};
        record.bucket = head.bucket;
        state.row = record.row;
        state.parent_row = record.parent_row;
        t.insert_mission(record, m.resources);
    } else if (!m.resources.empty()) {
        t.put_resources(state.row, m.resources);
    }
    t.put_state(state, head, m.approval.has_value());
    if (m.authorization_details)
        t.insert_authority(state.row, head.issuer, state.authority_revision,
                           *m.authorization_details);
    audit_entry& who = m.audit;
    who.issuer = head.issuer;
    who.target = m.approval ? m.approval->mission_id : m.keys.mission_id;
    who.version = state.version;
    who.outcome = "done";
    signal s;
    s.seq = ++b.last.head;
    write_version(m, state, s.seq, write_audit(std::move(who), state.row, t, b), t, b);
    s.issuer = head.issuer;
    s.bucket = head.bucket;
    s.mission = state.row;
    s.version = state.version;
    s.committed_at = b.now;
    s.txn = std::move(m.txn);
    s.body = std::move(m.body);
    s.keys = std::move(m.keys);
    s.authority_revision = state.authority_revision;
    s.batch_id = b.id;
    t.append(s);
    out.seqs.push_back(s.seq);
    out.missions.push_back(state.row);
    b.signals.push_back(std::move(s));
}

void write_event(const event_commit& e, backend& t, batch& b, receipt& out) {
    signal s;
    s.seq = ++b.last.head;
    s.issuer = e.issuer;
    s.kind = signal_kind::event;
    s.committed_at = b.now;
    s.txn = e.txn;
    s.body = e.body;
    s.signal_id = e.signal_id;
    s.batch_id = b.id;
    t.append(s);
    out.seqs.push_back(s.seq);
    b.signals.push_back(std::move(s));
}

// A copy with row 0 replaced by the new stream's.
template <class Row>
Row with_stream(const Row& row, stream_row fresh) {
    Row copy = row;
    if (copy.stream == stream_row{}) copy.stream = fresh;
    return copy;
}

void write_streams(const changes& c, backend& t, batch& b, receipt& out) {
    for (stream s : c.new_streams) {
        s.row = b.last.stream = stream_row{static_cast<std::int64_t>(b.last.stream) + 1};
        t.insert_stream(s);
        out.streams.push_back(s.row);
    }
    const stream_row fresh = out.streams.empty() ? stream_row{} : out.streams.front();
    for (const auto& s : c.updated_streams)
        t.update_stream(s);
    for (const auto& e : c.epochs)
        t.put_epoch(with_stream(e, fresh));
    for (const auto& k : c.cursors)
        t.put_cursor(with_stream(k, fresh));
    for (const auto& e : c.exceptions)
        t.put_exception(with_stream(e, fresh));
    for (const auto& [row, seq] : c.settled_exceptions)
        t.erase_exception(row, seq);
    for (const auto& e : c.stream_events)
        t.put_stream_event(with_stream(e, fresh));
    for (const auto& [row, jti] : c.settled_stream_events)
        t.erase_stream_event(row, jti);
    for (const auto& s : c.subjects)
        t.put_subject(with_stream(s, fresh));
    // Last: what the same decision wrote for a stream it removes goes with it.
    for (const auto row : c.removed_streams)
        t.remove_stream(row, b.now);
}

}  // namespace

result<receipt> apply(changes wanted, backend& tables, batch& b) {
    receipt out;
    out.committed_at = b.now;
    if (wanted.empty()) return out;
    judge j(wanted, tables, b);
    if (auto ok = j.run(); !ok) return ok.error();
    b.dirty = true;
    out.seqs.reserve(wanted.missions.size() + wanted.events.size());
    out.missions.reserve(wanted.missions.size());
    b.signals.reserve(b.signals.size() + wanted.missions.size());
    for (std::size_t i = 0; i < wanted.missions.size(); ++i)
        write_mission(wanted.missions[i], j.heads[i], tables, b, out);
    write_families(wanted, tables, b, out);
    for (const auto& e : wanted.events)
        write_event(e, tables, b, out);
    for (const auto& [issuer, seq] : wanted.routed)
        tables.put_routed(issuer, seq);
    for (const auto& n : wanted.nonces)
        tables.put_nonce(n);
    write_streams(wanted, tables, b, out);
    return out;
}

}  // namespace mission::store::engine
