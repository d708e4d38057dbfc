#include "store/engine/families.hpp"

#include <set>
#include <unordered_map>
#include <utility>

#include "store/audit.hpp"

namespace mission::store::engine {
namespace {

error conflict(std::string why) {
    return {errc::store_conflict, std::move(why)};
}

// What everybody is told: a quiet change leaves it alone (I12).
bool same_told(const mission_state& a, const mission_state& b) {
    return a.version == b.version && a.state == b.state && a.expires_at == b.expires_at &&
           a.suspend_until == b.suspend_until && a.on_expiry == b.on_expiry &&
           a.authority_revision == b.authority_revision;
}

result<void> quiet_ok(const changes& c, const backend& t) {
    if (c.quiet.empty()) return {};
    std::unordered_map<std::int64_t, const mission_state*> committed;
    for (const auto& m : c.missions)
        if (!m.approval) committed[static_cast<std::int64_t>(m.state.row)] = &m.state;
    for (const auto& q : c.quiet) {
        const auto own = committed.find(static_cast<std::int64_t>(q.row));
        const auto stands = own == committed.end() ? t.view().find_state(q.row)
                                                   : std::optional<mission_state>(*own->second);
        if (!stands) return conflict("no such mission row");
        if (!same_told(q, *stands))
            return conflict("a quiet change of what is told at version " +
                            std::to_string(stands->version));
    }
    return {};
}

result<void> mission_ok(mission_row row, issuer_id issuer, const backend& t) {
    const auto head = t.head_of(row);
    if (!head || head->issuer != issuer) return conflict("no such mission row");
    return {};
}

result<void> bulk_ok(const changes& c, const backend& t) {
    std::set<std::int64_t> own;
    std::set<std::pair<issuer_id, std::string_view>> tokens;
    for (const auto& j : c.bulk_jobs) {
        if (!t.has_issuer(j.issuer)) return conflict("unknown issuer");
        if (j.id == 0) return error(errc::invalid_argument, "a bulk job without an id");
        const auto before = t.bulk_job_of(j.id);
        const auto holder = t.view().find_bulk_job(j.issuer, j.token_hash);
        if (before && before->issuer != j.issuer) return conflict("another issuer's bulk job");
        if ((holder && holder->id != j.id) ||
            (!tokens.insert({j.issuer, j.token_hash}).second && !own.contains(j.id)))
            return conflict("the bulk token is taken");
        own.insert(j.id);
    }
    for (const auto& m : c.bulk_members) {
        if (!own.contains(m.job) && !t.bulk_job_of(m.job)) return conflict("no such bulk job");
        own.insert(m.job);
        if (m.position < 0) return error(errc::invalid_argument, "a position below 0");
    }
    return {};
}

result<void> reports_ok(const changes& c, const backend& t) {
    for (const auto& r : c.reports) {
        if (auto ok = mission_ok(r.mission, r.issuer, t); !ok) return ok;
        if (r.id == 0) continue;
        const auto before = t.view().find_report(r.issuer, r.id);
        if (!before || before->mission != r.mission) return conflict("no such report");
    }
    return {};
}

}  // namespace

result<void> judge_families(const changes& c, const backend& t) {
    if (auto r = quiet_ok(c, t); !r) return r;
    for (const auto& k : c.cascades)
        if (!t.head_of(k.mission)) return conflict("no such mission row");
    for (const auto& e : c.audit)
        if (!t.has_issuer(e.issuer)) return conflict("an audit entry names an unknown issuer");
    if (auto r = bulk_ok(c, t); !r) return r;
    if (auto r = reports_ok(c, t); !r) return r;
    for (const auto& w : c.waiting_transitions)
        if (!t.head_of(w.mission)) return conflict("no such mission row");
    return {};
}

std::int64_t write_audit(audit_entry e, mission_row of, backend& t, batch& b) {
    audit_chain& chain = b.audit[e.issuer];
    if (!chain.written) {
        auto head = t.audit_head_of(e.issuer);
        chain = {std::move(head.issuer), std::move(head.hash), true};
    }
    if (e.detail != b.detail_given) {
        b.detail_given = e.detail;
        b.detail_kept = audit_detail(e.detail);
    }
    e.detail = b.detail_kept;
    e.seq = ++b.last.audit;
    e.at = b.now;
    e.previous = chain.hash;
    e.hash = audit_hash(audit_text(e, chain.issuer));
    t.append_audit(e, of);
    chain.hash = std::move(e.hash);
    return b.last.audit;
}

void write_families(const changes& c, backend& t, batch& b, receipt& out) {
    for (const auto& q : c.quiet)
        t.put_quiet(q);
    for (auto k : c.cascades) {
        // A mark keeps its place: the passes of a mission are one after the other.
        if (const auto before = t.view().find_cascade(k.mission)) {
            k.id = before->id;
            k.since = before->since;
        } else {
            k.id = ++b.last.cascade;
            if (k.since == wall_time{}) k.since = b.now;
        }
        t.put_cascade(k);
        b.marked = true;
    }
    for (const auto row : c.settled_cascades)
        t.erase_cascade(row);
    for (const auto& e : c.audit)
        write_audit(e, mission_row{}, t, b);
    for (const auto& j : c.bulk_jobs)
        t.put_bulk_job(j);
    for (const auto& m : c.bulk_members)
        t.put_bulk_member(m);
    for (const auto id : c.removed_bulk_jobs)
        t.remove_bulk_job(id);
    for (auto r : c.reports) {
        if (r.id == 0) r.id = ++b.last.report;
        out.reports.push_back(r.id);
        t.put_report(r);
    }
    for (const auto& w : c.waiting_transitions)
        t.put_waiting(w, t.head_of(w.mission)->issuer);
    for (const auto& [row, version] : c.settled_transitions)
        t.erase_waiting(row, version);
}

void finish(backend& tables, batch& b) {
    for (const auto& [issuer, chain] : b.audit)
        tables.put_audit_head(issuer, chain.hash);
}

}  // namespace mission::store::engine
