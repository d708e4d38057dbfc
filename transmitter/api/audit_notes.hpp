// Audit entries of what made no version of a mission: refusals, successes without a change,
// operations on streams and reports (store/audit.hpp chains them).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "transmitter/api/audit_origin.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

// {"name":"value", ..}: the detail of an entry; pairs with an empty value are left out.
std::string audit_members(
    std::initializer_list<std::pair<std::string_view, std::string_view>> members);

// `by` (actor, origin, issuer; audited() makes it) with the rest filled in.
store::audit_entry audit_note(store::audit_entry by, std::string action, std::string target,
                              std::string outcome, std::string detail = {});

// Writes an entry by a decision of its own: beside the answer, without holding it up. What cannot
// be written is logged. THREAD: any.
void write_note(const issuer_service& issuer, store::audit_entry entry);

// A request of an authenticated client that was refused instead of making a change; `asked` has its
// author, action and target. Refusals for reasons of ours (the store cannot write, too many
// requests) are none of the client's doing and are not written.
void note_refusal(const issuer_service& issuer, store::audit_entry asked, const error& why);

}  // namespace mission::transmitter
