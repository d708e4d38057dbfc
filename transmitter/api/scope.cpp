#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/approval.hpp"
#include "transmitter/missions/extension.hpp"
#include "transmitter/missions/family.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /missions/{id}/scope (wire.md section 4): narrows what a mission may do, or, where the
// issuer's configuration allows it, extends it in place as an attributed amendment. Otherwise
// widening is a successor's business.

namespace mission::transmitter {
namespace {

struct amendment {
    std::string mission_id;
    json::document body;
    scope_request wanted;  // points into `body`
    bool extends = false;
    std::string txn;
    store::audit_entry audit;  // who asks
    bool clock_ok = true;
};

struct outcome {
    mission_view view;
    std::optional<error> refused;
};

// An extension of a child stays within its parent, in every dimension that its creation was held
// to. Suspended parents count: what they allow is not in question.
result<void> check_bounds(settlement& s, const store::rows& rows, const issuer_service& issuer,
                          const store::mission& m, const json::value& set, wall_time expires_at) {
    if (m.record.parent_row == store::mission_row{}) return {};
    const auto parent = s.settle(m.record.parent_row);
    if (!parent) return error{errc::store_corrupt, "a parent is missing"};
    const auto sets = parent_bounds::load(s, rows, *parent);
    if (!sets) return sets.error();
    const auto authority = sets->authority();
    const auto within =
        check_child(authority, {&set, expires_at, issuer.settings.url, m.record.agent_client_id},
                    count_children(rows, parent->state.row, *authority.in_force, m.state.row));
    return within ? result<void>() : within.error();
}

result<std::optional<proposal>> judge(settlement& s, const store::rows& rows,
                                      const issuer_service& issuer, const amendment& request,
                                      const store::mission& m, const json::value& in_force) {
    const auto now = s.context().now;
    if (issuer.settings.mirror || m.state.mirrored)
        return error{errc::mission_conflict, "this issuer mirrors another: change it there"};
    if (!request.extends) return judge_narrowing(m.state, in_force, request.wanted, now);
    auto judged = judge_extension(m.state, in_force, request.wanted,
                                  {issuer.settings.in_place_extension}, now);
    if (!judged || !*judged) return judged;
    const auto& set =
        (*judged)->authorization_details ? *request.wanted.authorization_details : in_force;
    if (auto ok = check_bounds(s, rows, issuer, m, set, (*judged)->next.expires_at); !ok)
        return ok.error();
    return judged;
}

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const amendment& request, outcome& out, const store::rows& rows,
                              wall_time now) {
    out = {};
    const auto found = rows.find_mission(issuer.id, request.mission_id);
    if (!found || !may_know(client, keys_of(*found))) return error{errc::mission_not_found};
    settlement s(rows, context_of(issuer, rows, request.txn, now), request.clock_ok);
    auto m = *s.settle(found->state.row);
    const auto in_force = json::parse(s.authority(m));
    if (!in_force) return error{errc::store_corrupt, "an authority is no JSON"};

    auto by = request.audit;
    by.detail = detail_of({&request.body, &*in_force, {}, true});
    const auto judged = judge(s, rows, issuer, request, m, *in_force);
    const bool changes_it = judged && *judged;
    if (changes_it) m = s.commit(m, **judged, by);
    if (!judged) out.refused = judged.error();
    out.view = view_of(rows, m);
    out.view.in_force = s.authority(m);
    auto changes = s.take();
    if (!changes_it) {
        by.outcome = judged ? "unchanged" : refused_outcome(judged.error());
        changes.audit.push_back(std::move(by));
    }
    return changes;
}

result<std::shared_ptr<const amendment>> read_request(issuer_service& issuer,
                                                      const authorization_types& types,
                                                      const principal& who,
                                                      const net::http_request& http,
                                                      std::string mission_id) {
    auto body = checked_body(http, "mission-scope");
    if (!body) return body.error();
    if (!events::valid_mission_id(mission_id))
        return error{errc::invalid_request, "mission_id: not a mission id"};
    auto out = std::make_shared<amendment>();
    out->body = std::move(*body);
    auto& wanted = out->wanted;
    if (const auto end = json::find_string(out->body, "expires_at")) {
        const auto t = from_rfc3339(*end);
        if (!t) return error{errc::invalid_request, "/expires_at: not an RFC 3339 date-time"};
        wanted.expires_at = *t;
    }
    wanted.authorization_details = json::find(out->body, "authorization_details");
    if (wanted.authorization_details)
        if (auto ok = types.check(*wanted.authorization_details); !ok) return ok.error();
    if (const auto reason = json::find_string(out->body, "reason")) wanted.reason = *reason;
    wanted.expected_version = json::find_int(out->body, "expected_version");
    out->extends = json::find_string(out->body, "change") == "extended";
    out->mission_id = std::move(mission_id);
    out->txn = new_txn(issuer);
    out->audit = audited(issuer, who, http);
    out->audit.action = out->extends ? "scope.extend" : "scope.narrow";
    out->audit.target = out->mission_id;
    out->clock_ok = clock_trusted(*issuer.common);
    return std::shared_ptr<const amendment>(std::move(out));
}

}  // namespace

void add_scope_route(router& r, issuer_service& issuer, authenticator& auth) {
    auto types = std::make_shared<const authorization_types>(
        authorization_types::from(issuer.common->settings).value());
    r.add(
        "POST", "/missions/*/scope",
        [&, types](net::http_request http, std::string id, net::responder respond) {
            const auto who = auth.bearer_with(http, {"mission.scope"});
            if (!who) return respond(error_answer(who.error()));
            const auto request = read_request(issuer, *types, *who, http, std::move(id));
            if (!request) return respond(error_answer(request.error()));
            auto out = std::make_shared<outcome>();
            const auto& client = *who->client;
            issuer.common->db->submit(
                [&issuer, &client, asked = *request, out](const store::rows& rows, wall_time now) {
                    return decide(issuer, client, *asked, *out, rows, now);
                },
                [&issuer, &client, asked = *request, out, respond](result<store::receipt> done) {
                    issuer.common->runtime->post_work(
                        [&issuer, &client, asked, out, respond, done] {
                            if (!done) {
                                respond(error_answer(done.error()));
                                return note_refusal(issuer, asked->audit, done.error());
                            }
                            if (out->refused) return respond(error_answer(*out->refused));
                            respond(json_answer(200, render_mission(out->view, issuer, client)));
                        });
                });
        });
}

}  // namespace mission::transmitter
