// What a decision of the store does to missions. Everybody who reads, operates on or moves a
// mission inside a decision does it through one settlement: it brings the mission and everything
// above it to `now` first, so that nobody reads a state without its version (I12) and nobody judges
// by a state that has passed. Pure but for the rows it reads.
//
//     settle(row):  the parent first, then this one: what the clock owes and what the parent has
//                   done since (mission_version::effect), merged in the order of their times.
//                   Expiry wins over a parent's end of the same moment (wire.md section 4).
//     commit(..):   a judged version, with its signal, its audit entry and its mark for children.
//
// Versions of a family do not depend on when they are written: a child that is visited late
// replays its parent's effects one by one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

class settlement {
  public:
    // `clock_ok` false: the clock's own moves wait (design section 4), all else goes on.
    settlement(const store::rows& rows, commit_context context, bool clock_ok);
    ~settlement();
    settlement(const settlement&) = delete;
    settlement& operator=(const settlement&) = delete;

    // The mission as it stands at context.now. nullopt: no such mission.
    std::optional<store::mission> settle(store::mission_row row);
    std::optional<store::mission> settle(store::issuer_id issuer, std::string_view mission_id);

    // The same without an answer, for whoever visits very many: a mission that is visited, as it
    // was read in this decision, is not asked for again in it, and is nobody's parent.
    void visit(store::mission m);
    // So many changes will come.
    void expect(std::size_t changes) { changes_.missions.reserve(changes); }

    // The set in force, JSON array text.
    std::string authority(const store::mission& m);

    // Writes a judged change of a mission that was settled here, and returns it as it then stands.
    // `by`: actor, origin and detail; an empty action is the proposal's. A change that nobody is
    // told (proposal::quiet) is audited without a version.
    store::mission commit(const store::mission& before, const proposal& p, store::audit_entry by);
    // The successor's part of a supersession: who may know of the successor may be told its name.
    store::mission commit_superseded(const store::mission& before, const proposal& p,
                                     const store::match_keys& successor, store::audit_entry by);

    // Version 1. record.parent_row set: the parent was settled here, and counts one child more.
    void approve(store::mission_record record, store::mission_state first,
                 const std::string& authorization_details, std::vector<std::string> resources,
                 store::audit_entry by);

    const commit_context& context() const noexcept { return context_; }
    // True when something would be written.
    bool dirty() const noexcept;
    // What was found out so far; the caller adds nonces, reports and refusals of its own. Once.
    store::changes take();

  private:
    struct node;
    node& load(store::mission_row row);
    void read(node& n, store::mission_row row);
    const std::string& cause_detail(store::mission_row parent, std::int64_t version);
    void bring(node& n);
    void apply_effect(node& n, const store::mission_version& effect);
    void write(node& n, const proposal& p, wall_time bound_at, store::audit_entry by,
               const store::match_keys* successor = nullptr);
    store::mission as_it_stands(const node& n) const;
    const store::match_keys* keys_of_row(store::mission_row row);  // null for no row
    const std::vector<store::mission_version>& effects(store::mission_row parent,
                                                       std::int64_t after);
    const std::string& authority_text(store::mission_row row, std::int64_t revision);

    const store::rows& rows_;
    const commit_context context_;
    const bool clock_ok_;
    store::changes changes_;
    std::map<store::mission_row, std::unique_ptr<node>> nodes_;
    std::map<std::pair<store::mission_row, std::int64_t>, std::vector<store::mission_version>>
        effects_;
    std::map<std::pair<store::mission_row, std::int64_t>, std::string> authorities_;
    // What audit entries say of a cause: the last one.
    std::pair<store::mission_row, std::int64_t> cause_{};
    std::string cause_detail_;
};

// Whether settle() of this mission would write anything: narrow rows alone, for whoever reads.
bool is_pending(const store::rows& rows, const store::mission_state& held, wall_time now,
                bool clock_ok);

}  // namespace mission::transmitter
