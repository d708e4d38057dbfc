#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/approval.hpp"

// POST /missions (wire.md section 4): the approval, version 1 of a mission.

namespace mission::transmitter {
namespace {

// 16 octets would do (128 bits); 18 give 24 characters without a remainder.
constexpr std::size_t mission_id_octets = 18;

struct create_request {
    approval what;
    std::string client_id;
    std::string idempotency_key;  // empty: none
    std::string request_hash;
    std::string txn;
};

// What the decision found out: written by its last run, read by the completion.
struct created {
    std::string body;
};

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const create_request& request, created& out, const store::rows& rows,
                              wall_time now) {
    store::changes changes;
    if (!request.idempotency_key.empty()) {
        const auto known =
            rows.find_nonce(issuer.id, "create", request.client_id, "", request.idempotency_key);
        if (known && known->expires_at > now) {
            if (known->request_hash != request.request_hash)
                return error{errc::invalid_request,
                             "the Idempotency-Key was used with another request"};
            out.body = known->outcome;  // I11: the first outcome, as it was
            return changes;
        }
    }
    if (rows.find_mission(issuer.id, request.what.record.mission_id))
        return error{errc::mission_exists, "there is a mission of that mission_id"};
    if (request.what.expires_at <= now)
        return error{errc::invalid_request, "/expires_at: lies in the past"};

    auto record = request.what.record;
    record.issuer = issuer.id;
    record.bucket = store::bucket_of(record.mission_id);
    record.approved_at = now;
    record.created_by = request.client_id;
    store::mission_state first;
    first.state = events::mission_state::active;
    first.version = 1;
    first.authority_revision = 1;
    first.expires_at = request.what.expires_at;
    first.changed_at = now;

    mission_view view;
    view.mission = {record, first, request.what.resources};
    view.in_force = request.what.authorization_details;
    view.log_epoch = rows.log_epoch();
    out.body = render_mission(view, issuer, client);

    changes.missions.push_back(
        to_approval(std::move(record), first, request.what.authorization_details,
                    request.what.resources, context_of(issuer, rows, request.txn, now)));
    if (!request.idempotency_key.empty())
        changes.nonces.push_back({issuer.id, "create", request.client_id, "",
                                  request.idempotency_key, request.request_hash, out.body,
                                  now + limits::nonce_retention});
    return changes;
}

result<create_request> read_request(issuer_service& issuer, const client_config& client,
                                    const net::http_request& http) {
    const auto body = checked_body(http, "mission-create");
    if (!body) return body.error();
    create_request request;
    request.client_id = client.id;
    auto key = idempotency_key_of(http);
    if (!key) return key.error();
    request.idempotency_key = std::move(*key);
    auto approval = read_approval(*body, issuer.settings.url,
                                  jose::random_id(mission_id_octets, *issuer.common->random),
                                  issuer.common->time->now());
    if (!approval) return approval.error();
    request.what = std::move(*approval);
    // The members count, not their order or spacing.
    const auto canonical = json::canonical(*body);
    if (!canonical) return error{errc::invalid_request, canonical.error().detail};
    request.request_hash = jose::base64url_encode(jose::view(jose::sha256(*canonical)));
    request.txn = new_txn(issuer);
    return request;
}

}  // namespace

void add_create_mission_route(router& r, issuer_service& issuer, authenticator& auth) {
    r.add("POST", "/missions", [&](net::http_request http, std::string, net::responder respond) {
        const auto who = auth.bearer_with(http, {"mission.write"});
        if (!who) return respond(error_answer(who.error()));
        auto request = read_request(issuer, *who->client, http);
        if (!request) return respond(error_answer(request.error()));
        auto shared = std::make_shared<const create_request>(std::move(*request));
        auto out = std::make_shared<created>();
        const auto& client = *who->client;
        issuer.common->db->submit(
            [&issuer, &client, shared, out](const store::rows& rows, wall_time now) {
                return decide(issuer, client, *shared, *out, rows, now);
            },
            [&issuer, out, respond](result<store::receipt> done) {
                issuer.common->runtime->post_work([out, respond, done] {
                    respond(done ? json_answer(201, out->body) : error_answer(done.error()));
                });
            });
    });
}

}  // namespace mission::transmitter
