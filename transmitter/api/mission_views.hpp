// A mission as the API shows it: loading it (with what the clock owes written first) and rendering
// it for one client.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transmitter/api/router.hpp"
#include "transmitter/delivery/delivery.hpp"
#include "transmitter/missions/settlement.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

struct mission_view {
    store::mission mission;
    std::string in_force;  // authorization_details, JSON array text
    std::string log_epoch;
    // Of the missions that this one names: who may not know them is not told their names.
    std::optional<store::match_keys> parent, successor, predecessor;
    // As of the same snapshot; only load_mission knows it, inside a decision it may be about to
    // change.
    std::optional<events::mission_state> parent_state;
};

// The mission as it stands: one that is past a deadline, or that has yet to follow its parent, has
// its row written first, by a decision like any other, so that no answer shows a state without its
// version (I12). mission_not_found; errors of the store. `done` runs on a reader thread.
void load_mission(issuer_service& issuer, std::string mission_id,
                  std::function<void(result<mission_view>)> done);
// What a view holds of the authority in force: an answer about the state alone does not read it.
enum class authority_part { in_force, none };
// The same where the caller is: the first look is taken there, and `done` called from it unless
// something has to be written. Blocks for the look.
void load_mission_here(issuer_service& issuer, const std::string& mission_id, authority_part part,
                       const std::function<void(result<mission_view>)>& done);

// The view of one row, inside a snapshot or a decision.
mission_view view_of(const store::rows& rows, store::mission m,
                     authority_part part = authority_part::in_force);

// A transaction identifier of a change.
std::string new_txn(issuer_service& issuer);
commit_context context_of(const issuer_service& issuer, const store::rows& rows, std::string txn,
                          wall_time now);

// The entries of a set that name `audience` as their resource, JSON array text.
std::string entries_for(std::string_view authorization_details, std::string_view audience);

// Who has heard of it and, of a mission that has ended, what has become of its teardown by client
// (mission_details::teardown): what is not in there has told nothing.
struct streams_heard {
    const std::vector<delivery::acked_version>& acked;
    const std::map<std::string, std::string>& teardown;
};

// The mission for `client`, schemas/mission.json. Who knows of it only because its audience is
// named sees its own entries and what `disclose` allows; who has missions of its own (all, or this
// tenant or agent) sees the whole record and, when given, who has acknowledged which version.
std::string render_mission(const mission_view& v, const issuer_service& issuer,
                           const client_config& client, const streams_heard* streams = nullptr);
// The member {"iss":..,"sub":..}.
void write_name(json::writer& w, std::string_view member, const store::principal_name& p);
// The client's entry names what (tenant | user | reason) it may be told.
bool discloses(const client_config& client, std::string_view what);
bool sees_whole(const client_config& client, const store::mission& m);

// Routes (api/missions.cpp, api/create_mission.cpp, api/scope.cpp, api/status.cpp,
// api/lifecycle.cpp, api/metadata.cpp).
void add_metadata_routes(router& r, issuer_service& issuer);
// RFC 9728 section 5.1: every 401 says where the metadata of what was asked for is.
void name_resource_metadata(router& r, const issuer_service& issuer);
void add_token_routes(router& r, issuer_service& issuer, authenticator& auth);
void add_mission_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);
void add_create_mission_route(router& r, issuer_service& issuer, authenticator& auth);
void add_scope_route(router& r, issuer_service& issuer, authenticator& auth);
void add_transition_route(router& r, issuer_service& issuer, authenticator& auth);
void add_status_route(router& r, issuer_service& issuer, authenticator& auth);
void add_lifecycle_route(router& r, issuer_service& issuer, authenticator& auth);

}  // namespace mission::transmitter
