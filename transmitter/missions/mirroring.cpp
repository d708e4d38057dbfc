#include "transmitter/missions/mirroring.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

std::string detail_of(const reported_transition& t, bool declared_gap) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::key(w, "version");
    w.Int64(t.version);
    json::member(w, "state", events::name(t.state));
    json::member(w, "committed_at", to_rfc3339(t.committed_at));
    if (t.reason) json::member(w, "reason", *t.reason);
    if (declared_gap) {
        json::key(w, "declared_gap");
        w.Bool(true);
    }
    w.EndObject();
    return json::text(buffer);
}

}  // namespace

mirroring::mirroring(const store::rows& rows, store::mission m, commit_context context,
                     store::audit_entry who)
    : rows_(rows),
      any_type_(authorization_types::any()),
      m_(std::move(m)),
      context_(std::move(context)),
      who_(std::move(who)),
      in_force_(authority(m_.state.authority_revision)) {
    for (auto& w : rows.waiting_transitions(m_.state.row)) {
        const auto version = w.version;
        waiting_.emplace(version, place{std::move(w), true});
    }
    elsewhere_ = rows.waiting_transition_count(m_.record.issuer) - waiting_.size();
}

json::document mirroring::authority(std::int64_t revision) const {
    auto set = json::parse(rows_.authority(m_.state.row, revision).value_or("[]"));
    if (!set) throw store::store_error{{errc::store_corrupt, "an authority is no JSON"}};
    return std::move(*set);
}

std::optional<reported_transition> mirroring::read_again(const std::string& content) const {
    const auto kept = json::parse(content);
    if (!kept) return std::nullopt;
    auto t = read_transition(*kept, any_type_, context_.now);
    return t ? std::optional(std::move(*t)) : std::nullopt;
}

report_judgement mirroring::take(const reported_transition& t) {
    auto how = judge(t);
    if (how.what == report_outcome::waiting) how = keep(t);
    if (how.what == report_outcome::applied) {
        apply(t, how.declared_gap);
        drain();
    } else if (how.what != report_outcome::repeated && how.what != report_outcome::waiting) {
        note(t, how);
    }
    return how;
}

store::changes mirroring::finish() {
    for (auto& [version, p] : waiting_)
        if (!p.stored) changes_.waiting_transitions.push_back(std::move(p.row));
    return std::move(changes_);
}

// What is known under that version: applied here, waiting, or in the history.
report_judgement mirroring::judge(const reported_transition& t) const {
    if (const auto it = applied_.find(t.version); it != applied_.end())
        return judge_report(m_.state, t, it->second);
    if (const auto it = waiting_.find(t.version); it != waiting_.end()) {
        const auto kept = read_again(it->second.row.body);
        return judge_report(m_.state, t, kept ? std::optional(kept->hash) : std::nullopt);
    }
    const auto history = rows_.versions(m_.state.row, t.version - 1, 1);
    if (history.empty() || history[0].version != t.version)
        return judge_report(m_.state, t, std::nullopt);
    const auto& known = history[0];
    if (!known.source_hash.empty()) return judge_report(m_.state, t, known.source_hash);
    const bool same = repeats_creation(known, authority(known.authority_revision), t);
    return judge_report(m_.state, t, same ? t.hash : std::string());
}

report_judgement mirroring::keep(const reported_transition& t) {
    if (!waiting_.contains(t.version)) {
        if (waiting_.size() >= limits::waiting_per_mission ||
            elsewhere_ + waiting_.size() >= limits::waiting_per_issuer)
            return {report_outcome::refused, false,
                    "too many transitions wait for the versions before them"};
        waiting_.emplace(t.version,
                         place{{m_.state.row, t.version, t.content, context_.now}, false});
    }
    return {report_outcome::waiting, false, {}};
}

void mirroring::apply(const reported_transition& t, bool declared_gap) {
    const auto p = mirror_transition(m_.state, in_force_, t, context_.now);
    const std::string set = p.authorization_details.value_or(json::write(in_force_));
    store::match_keys parent, successor;
    related_missions related;
    if (const auto m = rows_.find_mission(m_.record.parent_row)) {
        parent = keys_of(*m);
        related.parent = &parent;
    }
    if (t.successor)
        if (const auto m = rows_.find_mission(m_.record.issuer, *t.successor)) {
            successor = keys_of(*m);
            related.successor = &successor;
        }
    // The body says when the authority committed it; the order of the log is ours.
    auto context = context_;
    context.now = std::min(t.committed_at, context_.now);
    auto commit = to_commit(m_, p, set, context, related);
    // A mirror cascades nothing: the authority reports each child itself.
    commit.effect = store::family_effect::none;
    commit.state.family_version = m_.state.family_version;
    if (p.authorization_details) {
        if (auto now_in_force = json::parse(set)) in_force_ = std::move(*now_in_force);
        commit.resources = resources_of(in_force_, m_.resources);
        commit.keys.resources = commit.resources;
    }
    commit.source_hash = t.hash;
    commit.declared_gap = declared_gap;
    commit.audit = who_;
    commit.audit.detail = detail_of(t, declared_gap);
    m_ = after(m_, commit);
    changes_.missions.push_back(std::move(commit));
    applied_[t.version] = t.hash;
}

// Those whose turn has come, and those that a declared gap has overtaken.
void mirroring::drain() {
    while (!waiting_.empty() && waiting_.begin()->first <= m_.state.version + 1) {
        const auto version = waiting_.begin()->first;
        const auto p = std::move(waiting_.begin()->second);
        waiting_.erase(waiting_.begin());
        if (p.stored) changes_.settled_transitions.emplace_back(m_.state.row, version);
        const auto t = read_again(p.row.body);
        if (!t || applied_.contains(version)) continue;
        const auto how = judge_report(m_.state, *t, std::nullopt);
        if (how.what == report_outcome::applied)
            apply(*t, how.declared_gap);
        else
            note(*t, how);
    }
    if (!events::is_terminal(m_.state.state)) return;
    // Nothing follows an end: what still waits for its turn will never have one.
    for (const auto& [version, p] : waiting_)
        if (p.stored) changes_.settled_transitions.emplace_back(m_.state.row, version);
    waiting_.clear();
}

void mirroring::note(const reported_transition& t, const report_judgement& how) {
    auto entry = who_;
    const bool late = how.what == report_outcome::late;
    if (late) entry.action = "mirror.late";
    entry.outcome = late ? std::string("unchanged") : "refused: " + std::string(name(how.what));
    entry.detail = detail_of(t, false);
    changes_.audit.push_back(std::move(entry));
}

}  // namespace mission::transmitter
