// The rules of POST /mission/manage (draft-mcguinness-oauth-mission-management), pure: what a
// request says, which missions its caller may manage, what binds a bulk token, and what an
// operation makes of one member.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "store/store.hpp"
#include "transmitter/config.hpp"
#include "transmitter/missions/judge.hpp"

namespace mission::transmitter {

// Mission Filter.
struct managed_filter {
    store::mission_filter rows;    // `states` empty: whatever
    bool empty = true;             // has no member: everything within the caller's filter scope
    bool matches_nothing = false;  // names an owner (none is kept) or only states that we have not
    std::string canonical = "{}";  // RFC 8785: what cursors and tokens are bound to
};

struct manage_request {
    enum class kind { enumerate, dry_run, execute } what{};
    operation_request bulk;  // dry_run, execute; its reason is always there
    managed_filter filter;
    std::string purpose;  // enumerate
    std::string cursor, bulk_token;
    std::size_t limit = limits::manage_page;
    // RFC 8785 text of operation, filter, suspend_until and on_expiry: what a bulk token binds
    // beside its caller and its membership.
    std::string binding;

    std::string_view operation() const noexcept {
        return what == kind::enumerate ? "enumerate" : name(bulk.what);
    }
};

// Errors: invalid_request with the member at fault; invalid_bulk_token for an execution without
// one.
result<manage_request> read_manage_request(const json::value& body);
// A deadline must lie ahead when it is asked for, at both steps: invalid_request.
result<void> check_deadline(const manage_request& request, wall_time now);

// ---- Authorization and Filter Scope. From grant and request alone, never from missions.

// forbidden: the client has no filter scope; its entry does not name the operation (`lifecycle`);
// the filter could match a mission outside of the scope; a mirror is operated elsewhere.
result<void> check_grant(const client_config& client, bool mirror, const manage_request& request);
// Whether a mission lies within the scope.
bool manages(const mission_visibility& scope, const store::mission_record& record);

// ---- Bulk Token Binding.

// Four of the five: unused, unexpired, of this caller, of this request. The fifth, that every
// member is still within the scope, is manages(). invalid_bulk_token.
result<void> check_bulk_token(const std::optional<store::bulk_job>& job, std::string_view client_id,
                              std::string_view binding, wall_time now);
// The same for a review of the membership, where the filter alone must be the same.
result<void> check_review(const std::optional<store::bulk_job>& job, std::string_view client_id,
                          std::string_view filter, wall_time now);
// The operation that a job was pinned for.
result<operation_request> operation_of(const store::bulk_job& job);

// ---- Outcome Manifest.

enum class bulk_outcome { applied, already_terminal, illegal_transition, error };
std::string_view name(bulk_outcome o) noexcept;

struct member_verdict {
    bulk_outcome outcome{};
    std::optional<proposal> change;
};
// `held` is settled. A deadline beyond the mission's own end is cut to it: the hold that an
// incident asks for is worth more than a refusal, and expiry wins anyway.
member_verdict judge_member(const store::mission_state& held, operation_request request,
                            wall_time now);

}  // namespace mission::transmitter
