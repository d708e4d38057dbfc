#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/approval.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /missions/{id}/scope (wire.md section 4): narrows what a mission may do. Widening is a
// successor's business, never this path's.

namespace mission::transmitter {
namespace {

struct narrowing {
    std::string mission_id;
    json::document body;
    std::optional<wall_time> expires_at;
    std::string txn;
};

struct outcome {
    mission_view view;
    std::optional<error> refused;  // after a deadline that had to be written all the same
};

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const narrowing& request, bool clock_ok, outcome& out,
                              const store::rows& rows, wall_time now) {
    out = {};
    auto m = rows.find_mission(issuer.id, request.mission_id);
    if (!m || !may_know(client, keys_of(*m))) return error{errc::mission_not_found};
    store::changes changes;
    const auto context = context_of(issuer, rows, request.txn, now);
    settle_clock(rows, *m, changes, context, clock_ok);

    out.view = view_of(rows, *m);
    const auto in_force = json::parse(out.view.in_force);
    if (!in_force) return error{errc::store_corrupt, "an authority is no JSON"};
    scope_request wanted;
    wanted.authorization_details = json::find(request.body, "authorization_details");
    wanted.expires_at = request.expires_at;
    if (const auto reason = json::find_string(request.body, "reason")) wanted.reason = *reason;
    wanted.expected_version = json::find_int(request.body, "expected_version");
    const auto judged = judge_narrowing(m->state, *in_force, wanted, now);
    if (!judged) {
        if (changes.missions.empty()) return judged.error();
        out.refused = judged.error();
        return changes;
    }
    if (!*judged) return changes;
    if ((*judged)->authorization_details) out.view.in_force = *(*judged)->authorization_details;
    auto commit = to_commit(*m, **judged, out.view.in_force, context);
    out.view.mission = after(*m, commit);
    changes.missions.push_back(std::move(commit));
    return changes;
}

result<narrowing> read_request(issuer_service& issuer, const net::http_request& http,
                               std::string mission_id) {
    auto body = checked_body(http, "mission-scope");
    if (!body) return body.error();
    if (!events::valid_mission_id(mission_id))
        return error{errc::invalid_request, "mission_id: not a mission id"};
    narrowing out;
    if (const auto end = json::find_string(*body, "expires_at")) {
        const auto t = from_rfc3339(*end);
        if (!t) return error{errc::invalid_request, "/expires_at: not an RFC 3339 date-time"};
        out.expires_at = *t;
    }
    if (const auto* set = json::find(*body, "authorization_details"))
        if (auto ok = check_authorization_details(*set); !ok) return ok.error();
    if (json::find_string(*body, "change") != "narrowed")
        return error{errc::extension_not_allowed,
                     "/change: widening needs a successor mission, approved anew"};
    out.mission_id = std::move(mission_id);
    out.body = std::move(*body);
    out.txn = new_txn(issuer);
    return out;
}

}  // namespace

void add_scope_route(router& r, issuer_service& issuer, authenticator& auth) {
    r.add(
        "POST", "/missions/*/scope",
        [&](net::http_request http, std::string id, net::responder respond) {
            const auto who = auth.bearer_with(http, {"mission.scope"});
            if (!who) return respond(error_answer(who.error()));
            auto request = read_request(issuer, http, std::move(id));
            if (!request) return respond(error_answer(request.error()));
            auto shared = std::make_shared<const narrowing>(std::move(*request));
            auto out = std::make_shared<outcome>();
            const auto& client = *who->client;
            const bool clock_ok = clock_trusted(*issuer.common);
            issuer.common->db->submit(
                [&issuer, &client, shared, out, clock_ok](const store::rows& rows, wall_time now) {
                    return decide(issuer, client, *shared, clock_ok, *out, rows, now);
                },
                [&issuer, &client, out, respond](result<store::receipt> done) {
                    issuer.common->runtime->post_work([&issuer, &client, out, respond, done] {
                        if (!done) return respond(error_answer(done.error()));
                        if (out->refused) return respond(error_answer(*out->refused));
                        respond(json_answer(200, render_mission(out->view, issuer, client)));
                    });
                });
        });
}

}  // namespace mission::transmitter
