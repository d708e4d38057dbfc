// Who did what to a mission, as its history tells it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "transmitter/api/mission_views.hpp"

namespace mission::transmitter {

// The audit entry of a version, as member `name`: actor, origin (without the peer's address),
// action, audit_seq, and of its detail what concerns nobody else (reason, approver, purpose, report
// ..). Nothing when there is no entry. For who sees the whole mission.
void write_author(json::writer& w, std::string_view name, const store::rows& rows,
                  const store::mission_version& v);

struct mission_details {
    std::string members;  // JSON, without braces; maybe empty
    // By client that has told of its teardown: "complete", "incomplete", "reported" (in words of
    // its own) or "outdated" (of an earlier version).
    std::map<std::string, std::string> teardown;
};
// What load_details() answers, from one snapshot.
mission_details details_of(const store::rows& rows, const client_config& client,
                           const store::mission& m);

}  // namespace mission::transmitter
