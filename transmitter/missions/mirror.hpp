// The rules of a mirror (design section 5): another service is the authority, and reports each
// version that it has committed, late, repeated or out of order. What is missing is waited for or
// declared, never guessed; a denial does not wait. Pure. docs/adr/0031.
//
//   present 4:   3 known        same content: repeated; other content: conflict
//                3 not known    late: it lay in a declared gap; recorded, never applied
//                5              applied
//                7 active       waits for 5 and 6, or until it says `missing`
//                7 revoked      applied at once, as a declared gap
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transmitter/missions/authorization_types.hpp"
#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

struct reported_transition {
    events::mission_state state{};
    std::int64_t version = 0;
    wall_time committed_at{};  // by the authority
    std::optional<wall_time> expires_at, suspend_until;
    std::optional<events::on_expiry> expiry_action;
    std::optional<std::string> successor, reason;
    std::optional<std::string> authorization_details;  // the full set, JSON array text
    bool missing = false;  // the versions between the present one and this one will never come
    std::string content;   // RFC 8785 form of the report, without `missing`
    std::string hash;      // of `content`
};

// `item` is valid against the items of schemas/mission-transitions.json; `now`: the authority's
// clock may be limits::iat_ahead_max ahead of ours. invalid_request with the member, below the
// item.
result<reported_transition> read_transition(const json::value& item,
                                            const authorization_types& types, wall_time now);

enum class report_outcome { applied, repeated, waiting, late, conflict, refused };
std::string_view name(report_outcome o) noexcept;

struct report_judgement {
    report_outcome what{};
    bool declared_gap = false;  // applied over missing versions
    std::string why;            // conflict, refused: one sentence
};

// `known_hash`: of the content under that version, from the history or from those that wait; empty
// for a version that was not reported (the creation). nullopt: there is none.
report_judgement judge_report(const store::mission_state& held, const reported_transition& t,
                              const std::optional<std::string>& known_hash);

// Version 1 came with the creation, not as a report: the same when nothing it says is different.
// `approved` is the set of that time.
bool repeats_creation(const store::mission_version& first, const json::value& approved,
                      const reported_transition& t);

// The next version as it was reported.
proposal mirror_transition(const store::mission_state& held, const json::value& in_force,
                           const reported_transition& t, wall_time now);

}  // namespace mission::transmitter
