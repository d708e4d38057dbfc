#include "transmitter/missions/settlement.hpp"

#include <algorithm>
#include <memory>

#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {

// What is known of a mission inside this decision. `state` runs ahead of the rows.
struct settlement::node {
    store::mission_state state;
    bool found = false;
    bool settled = false;
    bool unwritten = false;              // beneath its version: goes to changes.quiet at the end
    std::optional<store::mission> full;  // record and resources; its state is an earlier one
    std::optional<store::match_keys> keys;
    // Effects of versions that this decision writes, after those in the rows.
    std::vector<store::mission_version> effects;
};

namespace {

store::audit_entry by_itself(std::string_view origin) {
    store::audit_entry by;
    by.origin = std::string(origin);
    return by;
}

}  // namespace

settlement::settlement(const store::rows& rows, commit_context context, bool clock_ok)
    : rows_(rows), context_(std::move(context)), clock_ok_(clock_ok) {}

settlement::~settlement() = default;

settlement::node& settlement::load(store::mission_row row) {
    auto& place = nodes_[row];
    if (place) return *place;
    place = std::make_unique<node>();
    read(*place, row);
    return *place;
}

void settlement::read(node& n, store::mission_row row) {
    n.full = rows_.find_mission(row);
    n.found = n.full.has_value();
    if (n.found) n.state = n.full->state;
}

void settlement::visit(store::mission m) {
    if (const auto known = nodes_.find(m.state.row); known != nodes_.end()) {
        if (known->second->found) bring(*known->second);
        return;
    }
    node n;
    n.found = true;
    n.state = m.state;
    n.full = std::move(m);
    bring(n);
    if (n.unwritten) changes_.quiet.push_back(std::move(n.state));
}

std::optional<store::mission> settlement::settle(store::mission_row row) {
    node& n = load(row);
    if (!n.found) return std::nullopt;
    bring(n);
    return as_it_stands(n);
}

std::optional<store::mission> settlement::settle(store::issuer_id issuer,
                                                 std::string_view mission_id) {
    const auto row = rows_.find_row(issuer, mission_id);
    return row ? settle(*row) : std::nullopt;
}

store::mission settlement::as_it_stands(const node& n) const {
    auto m = *n.full;
    m.state = n.state;
    return m;
}

const std::string& settlement::authority_text(store::mission_row row, std::int64_t revision) {
    auto& text = authorities_[{row, revision}];
    if (text.empty()) text = rows_.authority(row, revision).value_or("[]");
    return text;
}

std::string settlement::authority(const store::mission& m) {
    return authority_text(m.state.row, m.state.authority_revision);
}

const std::vector<store::mission_version>& settlement::effects(store::mission_row parent,
                                                               std::int64_t after) {
    const auto [place, fresh] = effects_.try_emplace({parent, after});
    if (fresh) place->second = rows_.family_effects(parent, after);
    return place->second;
}

// What of a family a child's version says about its cause.
const std::string& settlement::cause_detail(store::mission_row parent, std::int64_t version) {
    if (!cause_detail_.empty() && cause_ == std::pair{parent, version}) return cause_detail_;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "parent", load(parent).full->record.mission_id);
    json::key(w, "parent_version");
    w.Int64(version);
    w.EndObject();
    cause_ = {parent, version};
    cause_detail_ = json::text(buffer);
    return cause_detail_;
}

const store::match_keys* settlement::keys_of_row(store::mission_row row) {
    if (row == store::mission_row{}) return nullptr;
    node& parent = load(row);
    if (!parent.found) return nullptr;
    if (!parent.keys) parent.keys = keys_of(*parent.full);
    return &*parent.keys;
}

void settlement::bring(node& n) {
    if (n.settled) return;
    n.settled = true;
    if (n.state.mirrored || events::is_terminal(n.state.state)) return;
    std::vector<const store::mission_version*> pending;
    if (n.state.parent_row != store::mission_row{}) {
        node& parent = load(n.state.parent_row);
        bring(parent);  // creation forbids cycles and bounds the depth
        if (parent.state.family_version > n.state.parent_seen) {
            for (const auto& e : effects(n.state.parent_row, n.state.parent_seen))
                pending.push_back(&e);
            for (const auto& e : parent.effects)
                if (e.version > n.state.parent_seen) pending.push_back(&e);
        }
    }
    auto next = pending.begin();
    while (!events::is_terminal(n.state.state)) {
        // What was due before the next effect was committed comes before it.
        const auto horizon = next == pending.end() ? context_.now : (*next)->bound_at;
        const auto deadline = next_deadline(n.state);
        if (const auto p = clock_ok_ ? judge_clock(n.state, horizon, context_.now) : std::nullopt) {
            write(n, *p, std::min(*deadline, context_.now), by_itself("clock"));
        } else if (next != pending.end()) {
            apply_effect(n, **next++);
        } else {
            break;
        }
    }
}

void settlement::apply_effect(node& n, const store::mission_version& effect) {
    const bool scope = effect.effect == store::family_effect::narrowed;
    static const std::string none;
    const auto& in_force = scope ? authority_text(n.state.row, n.state.authority_revision) : none;
    const auto& bound = scope ? authority_text(effect.mission, effect.authority_revision) : none;
    auto p = judge_effect(n.state, effect, in_force, bound, context_.now);
    if (!p) {
        n.state.parent_seen = effect.version;
        n.unwritten = true;
        return;
    }
    p->next.parent_seen = effect.version;
    auto by = by_itself("family");
    by.detail = cause_detail(effect.mission, effect.version);
    write(n, *p, effect.bound_at, std::move(by));
}

void settlement::write(node& n, const proposal& p, wall_time bound_at, store::audit_entry by,
                       const store::match_keys* successor) {
    if (by.action.empty()) by.action = std::string(p.action);
    if (p.quiet) {
        n.state = p.next;
        n.unwritten = true;
        by.issuer = n.full->record.issuer;
        by.target = n.full->record.mission_id;
        by.outcome = "done";
        changes_.audit.push_back(std::move(by));
        return;
    }
    store::mission& before = *n.full;
    before.state = n.state;
    std::string in_force;
    if (p.authorization_details) {
        in_force = *p.authorization_details;
        authorities_[{n.state.row, p.next.authority_revision}] = in_force;
    } else if (p.change) {
        in_force = authority_text(n.state.row, p.next.authority_revision);
    }
    auto& commit = changes_.missions.emplace_back(to_commit(
        before, p, in_force, context_, {keys_of_row(before.state.parent_row), successor}));
    commit.state.children = before.state.children;  // which approvals alone change
    commit.bound_at = bound_at;
    commit.audit = std::move(by);
    n.state = commit.state;
    n.unwritten = false;
    if (!commit.resources.empty()) {
        before.resources = commit.resources;
        n.keys.reset();
    }
    if (commit.effect != store::family_effect::none) {
        store::mission_version effect;
        effect.mission = n.state.row;
        effect.version = n.state.version;
        effect.state = n.state.state;
        effect.expires_at = n.state.expires_at;
        effect.authority_revision = n.state.authority_revision;
        effect.effect = commit.effect;
        effect.bound_at = bound_at;
        n.effects.push_back(effect);
        const auto marked = [&](const store::cascade& c) { return c.mission == n.state.row; };
        if (n.state.children > 0 && !rows_.find_cascade(n.state.row) &&
            std::none_of(changes_.cascades.begin(), changes_.cascades.end(), marked))
            changes_.cascades.push_back({0, n.state.row, n.state.version, {}, bound_at});
    }
}

store::mission settlement::commit(const store::mission& before, const proposal& p,
                                  store::audit_entry by) {
    node& n = load(before.state.row);
    write(n, p, context_.now, std::move(by));
    return as_it_stands(n);
}

store::mission settlement::commit_superseded(const store::mission& before, const proposal& p,
                                             const store::match_keys& successor,
                                             store::audit_entry by) {
    node& n = load(before.state.row);
    write(n, p, context_.now, std::move(by), &successor);
    return as_it_stands(n);
}

void settlement::approve(store::mission_record record, store::mission_state first,
                         const std::string& authorization_details,
                         std::vector<std::string> resources, store::audit_entry by) {
    first.parent_row = record.parent_row;
    if (record.parent_row != store::mission_row{}) {
        node& parent = load(record.parent_row);
        bring(parent);
        first.parent_seen = parent.state.family_version;
        ++parent.state.children;
        parent.unwritten = true;
    }
    const auto* keys = keys_of_row(first.parent_row);
    auto commit = to_approval(std::move(record), first, authorization_details, std::move(resources),
                              context_, {keys, nullptr});
    if (by.action.empty()) by.action = "mission.create";
    commit.audit = std::move(by);
    changes_.missions.push_back(std::move(commit));
}

bool settlement::dirty() const noexcept {
    return !changes_.empty() || std::any_of(nodes_.begin(), nodes_.end(),
                                            [](const auto& n) { return n.second->unwritten; });
}

store::changes settlement::take() {
    for (auto& [row, n] : nodes_)
        if (std::exchange(n->unwritten, false)) changes_.quiet.push_back(n->state);
    return std::move(changes_);
}

bool is_pending(const store::rows& rows, const store::mission_state& held, wall_time now,
                bool clock_ok) {
    auto at = held;
    for (;;) {
        if (at.mirrored || events::is_terminal(at.state)) return false;
        if (clock_ok && judge_clock(at, now)) return true;
        if (at.parent_row == store::mission_row{}) return false;
        const auto parent = rows.find_state(at.parent_row);
        if (!parent) return false;
        if (parent->family_version > at.parent_seen) return true;
        at = *parent;
    }
}

}  // namespace mission::transmitter
