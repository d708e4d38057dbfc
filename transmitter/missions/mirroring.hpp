// What is reported of one mirrored mission, brought into the rows inside a store decision. The
// rules are mirror.hpp; this keeps what waits and writes what has come. Pure but for the rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "store/store.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/mirror.hpp"

namespace mission::transmitter {

class mirroring {
  public:
    // `who` reports: actor and origin of every entry of the audit; action and target are set.
    mirroring(const store::rows& rows, store::mission m, commit_context context,
              store::audit_entry who);

    // One report, and what it makes of those that waited. Ascending versions leave no hole that is
    // none.
    report_judgement take(const reported_transition& t);

    const store::mission_state& state() const noexcept { return m_.state; }
    store::changes finish();  // once

  private:
    struct place {
        store::waiting_transition row;
        bool stored = false;  // in the rows already
    };

    report_judgement judge(const reported_transition& t) const;
    report_judgement keep(const reported_transition& t);
    void apply(const reported_transition& t, bool declared_gap);
    void drain();
    void note(const reported_transition& t, const report_judgement& how);
    std::optional<reported_transition> read_again(const std::string& content) const;
    json::document authority(std::int64_t revision) const;

    const store::rows& rows_;
    const authorization_types any_type_;  // what waits was checked when it came
    store::mission m_;
    const commit_context context_;
    const store::audit_entry who_;
    json::document in_force_;
    std::map<std::int64_t, place> waiting_;
    std::size_t elsewhere_ = 0;                    // waiting for other missions of the issuer
    std::map<std::int64_t, std::string> applied_;  // version to hash, in this decision
    store::changes changes_;
};

}  // namespace mission::transmitter
