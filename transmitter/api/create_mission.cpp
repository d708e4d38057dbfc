#include <algorithm>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/approval.hpp"
#include "transmitter/missions/family.hpp"
#include "transmitter/missions/succession.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /missions (wire.md section 4): the approval, version 1 of a mission; of a child within its
// parent, or of a successor that supersedes its predecessor in the same decision.

namespace mission::transmitter {
namespace {

// 16 octets would do (128 bits); 18 give 24 characters without a remainder.
constexpr std::size_t mission_id_octets = 18;

struct create_request {
    approval what;
    json::document body;
    std::string idempotency_key;  // empty: none
    std::string request_hash;
    std::string txn;
    store::audit_entry audit;  // who asks
    bool clock_ok = true;
};

// What the decision found out: written by its last run, read by the completion.
struct created {
    std::string body;
    std::optional<error> refused;
};

// The missions that a new one names, as they stand.
struct relatives {
    std::optional<store::mission> parent, predecessor;
    approval_detail detail;
};

// One that the client may not know is none.
result<std::optional<store::mission>> named(settlement& s, const store::rows& rows,
                                            const issuer_service& issuer,
                                            const client_config& client, std::string_view member,
                                            const std::optional<std::string>& id) {
    if (!id) return std::optional<store::mission>();
    const auto found = rows.find_mission(issuer.id, *id);
    if (!found || !may_know(client, keys_of(*found)))
        return error{errc::invalid_request, "/" + std::string(member) + ": no such mission"};
    return s.settle(found->state.row);
}

// A successor ends its predecessor, which not everybody may do who knows of it: whoever made it, or
// has missions of its own, or is granted to end any.
bool may_supersede(const client_config& client, const store::mission& predecessor) {
    const auto granted = [&](operation o) {
        return std::find(client.lifecycle.begin(), client.lifecycle.end(), name(o)) !=
               client.lifecycle.end();
    };
    return predecessor.record.created_by == client.id || sees_whole(client, predecessor) ||
           granted(operation::revoke) || granted(operation::complete);
}

// What a parent and a predecessor ask of the new mission. A mirror is told, and judges nothing.
result<void> check_relatives(settlement& s, const store::rows& rows, const issuer_service& issuer,
                             const create_request& request, relatives& family) {
    const auto& record = request.what.record;
    const auto& bounds = issuer.common->settings.missions;
    if (family.predecessor)
        if (auto ok = check_predecessor(*family.predecessor, record.parent); !ok) return ok.error();
    if (!family.parent) return {};
    const auto& parent = *family.parent;
    if (auto ok = check_parent(parent, {bounds.max_depth, bounds.max_children}); !ok)
        return ok.error();
    const auto sets = parent_bounds::load(s, rows, parent);
    if (!sets) return sets.error();
    const auto authority = sets->authority();
    // A predecessor makes room: it ends in the same decision.
    const auto replaced = family.predecessor ? family.predecessor->state.row : store::mission_row{};
    auto justified =
        check_child(authority,
                    {json::find(request.body, "authorization_details"), request.what.expires_at,
                     issuer.settings.url, record.agent_client_id},
                    count_children(rows, parent.state.row, *authority.in_force, replaced));
    if (!justified) return justified.error();
    family.detail.justified_by = std::move(*justified);
    return {};
}

void approve(settlement& s, const store::rows& rows, const issuer_service& issuer,
             const client_config& client, const create_request& request, relatives& family,
             created& out) {
    const auto now = s.context().now;
    auto record = request.what.record;
    record.issuer = issuer.id;
    record.bucket = store::bucket_of(record.mission_id);
    record.approved_at = now;
    record.created_by = client.id;
    if (family.parent) {
        const auto& parent = *family.parent;
        const bool top = parent.record.root_row == store::mission_row{};
        record.parent_row = parent.state.row;
        record.root_row = top ? parent.state.row : parent.record.root_row;
        record.depth = parent.record.depth + 1;
    }
    store::mission_state first;
    first.state = events::mission_state::active;
    first.version = 1;
    first.authority_revision = 1;
    first.expires_at = request.what.expires_at;
    first.changed_at = now;
    first.mirrored = issuer.settings.mirror;

    mission_view view;
    view.mission = {record, first, request.what.resources};
    view.in_force = request.what.authorization_details;
    view.log_epoch = rows.log_epoch();
    if (family.parent) view.parent = keys_of(*family.parent);
    if (family.predecessor) view.predecessor = keys_of(*family.predecessor);
    out.body = render_mission(view, issuer, client);

    json::document previous;
    if (family.predecessor) {
        if (auto set = json::parse(s.authority(*family.predecessor))) previous = std::move(*set);
        family.detail.previous = &previous;
    }
    family.detail.body = &request.body;
    auto by = request.audit;
    by.detail = detail_of(family.detail);
    s.approve(record, first, request.what.authorization_details, request.what.resources, by);
    if (!family.predecessor || issuer.settings.mirror) return;
    // The successor is there, and the predecessor gives way, in one piece.
    by.action.clear();
    by.detail = "{\"successor\":\"" + record.mission_id + "\"}";
    s.commit_superseded(*family.predecessor,
                        judge_supersession(family.predecessor->state, record.mission_id, now),
                        keys_of(view.mission), std::move(by));
}

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const create_request& request, created& out, const store::rows& rows,
                              wall_time now) {
    out = {};
    if (!request.idempotency_key.empty()) {
        const auto known =
            rows.find_nonce(issuer.id, "create", client.id, "", request.idempotency_key);
        if (known && known->expires_at > now) {
            if (known->request_hash != request.request_hash)
                return error{errc::invalid_request,
                             "the Idempotency-Key was used with another request"};
            out.body = known->outcome;  // I11: the first outcome, as it was
            return store::changes{};
        }
    }
    if (rows.find_mission(issuer.id, request.what.record.mission_id))
        return error{errc::mission_exists, "there is a mission of that mission_id"};
    if (request.what.expires_at <= now && !issuer.settings.mirror)
        return error{errc::invalid_request, "/expires_at: lies in the past"};

    settlement s(rows, context_of(issuer, rows, request.txn, now), request.clock_ok);
    relatives family;
    auto parent = named(s, rows, issuer, client, "parent", request.what.record.parent);
    if (!parent) return parent.error();
    auto predecessor =
        named(s, rows, issuer, client, "predecessor", request.what.record.predecessor);
    if (!predecessor) return predecessor.error();
    if (*predecessor && !issuer.settings.mirror && !may_supersede(client, **predecessor))
        return error{errc::forbidden, "/predecessor: is not this client's to end"};
    family.parent = std::move(*parent);
    family.predecessor = std::move(*predecessor);
    if (!issuer.settings.mirror)
        if (auto ok = check_relatives(s, rows, issuer, request, family); !ok) {
            // Whoever was settled stays settled, and the attempt is on record.
            out.refused = ok.error();
            auto entry = request.audit;
            entry.target = request.what.record.mission_id;
            entry.outcome = refused_outcome(ok.error());
            family.detail.body = &request.body;
            entry.detail = detail_of(family.detail);
            auto changes = s.take();
            changes.audit.push_back(std::move(entry));
            return changes;
        }
    approve(s, rows, issuer, client, request, family, out);
    auto changes = s.take();
    if (!request.idempotency_key.empty())
        changes.nonces.push_back({issuer.id, "create", client.id, "", request.idempotency_key,
                                  request.request_hash, out.body, now + limits::nonce_retention});
    return changes;
}

result<create_request> read_request(issuer_service& issuer, const authorization_types& types,
                                    const principal& who, const net::http_request& http) {
    auto body = checked_body(http, "mission-create");
    if (!body) return body.error();
    create_request request;
    auto key = idempotency_key_of(http);
    if (!key) return key.error();
    request.idempotency_key = std::move(*key);
    auto approval = read_approval(*body, {issuer.settings.url, types, issuer.settings.mirror},
                                  jose::random_id(mission_id_octets, *issuer.common->random),
                                  issuer.common->time->now());
    if (!approval) return approval.error();
    request.what = std::move(*approval);
    // The members count, not their order or spacing.
    const auto canonical = json::canonical(*body);
    if (!canonical) return error{errc::invalid_request, canonical.error().detail};
    request.request_hash = jose::base64url_encode(jose::view(jose::sha256(*canonical)));
    request.txn = new_txn(issuer);
    request.audit = audited(issuer, who, http);
    request.audit.action = "mission.create";
    request.audit.target = request.what.record.mission_id;
    request.clock_ok = clock_trusted(*issuer.common);
    request.body = std::move(*body);
    return request;
}

}  // namespace

void add_create_mission_route(router& r, issuer_service& issuer, authenticator& auth) {
    // A schema that cannot be read is a fault of the configuration: found at start.
    auto types = std::make_shared<const authorization_types>(
        authorization_types::from(issuer.common->settings).value());
    r.add("POST", "/missions",
          [&, types](net::http_request http, std::string, net::responder respond) {
              const auto who = auth.bearer_with(http, {"mission.write"});
              if (!who) return respond(error_answer(who.error()));
              auto request = read_request(issuer, *types, *who, http);
              if (!request) return respond(error_answer(request.error()));
              auto shared = std::make_shared<const create_request>(std::move(*request));
              auto out = std::make_shared<created>();
              const auto& client = *who->client;
              issuer.common->db->submit(
                  [&issuer, &client, shared, out](const store::rows& rows, wall_time now) {
                      return decide(issuer, client, *shared, *out, rows, now);
                  },
                  [&issuer, shared, out, respond](result<store::receipt> done) {
                      issuer.common->runtime->post_work([&issuer, shared, out, respond, done] {
                          if (!done) {
                              respond(error_answer(done.error()));
                              return note_refusal(issuer, shared->audit, done.error());
                          }
                          respond(out->refused ? error_answer(*out->refused)
                                               : json_answer(201, out->body));
                      });
                  });
          });
}

}  // namespace mission::transmitter
