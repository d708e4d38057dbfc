#include <algorithm>

#include "transmitter/api/audit_origin.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/mirroring.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /missions/{id}/transitions (wire.md section 4, mirror mode): another service is the
// authority and reports what it has committed. The rules are missions/mirror.hpp.

namespace mission::transmitter {
namespace {

struct report_request {
    std::string mission_id, txn;
    std::vector<reported_transition> items;
    store::audit_entry audit;  // who reports
};

struct reported {
    report_judgement how;
    std::int64_t version = 0;
};

struct outcome {
    std::vector<reported> items;  // as they were sent
    store::mission_state state;
};

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const report_request& request, outcome& out, const store::rows& rows,
                              wall_time now) {
    out = {};
    auto m = rows.find_mission(issuer.id, request.mission_id);
    if (!m || !may_know(client, keys_of(*m))) return error{errc::mission_not_found};
    if (!issuer.settings.mirror || !m->state.mirrored)
        return error{errc::mission_conflict, "this issuer is the authority: nothing is reported"};
    mirroring mirror(rows, std::move(*m), context_of(issuer, rows, request.txn, now),
                     request.audit);
    // In the order of their versions, whatever the order of the array: what is here is no hole.
    std::vector<std::size_t> order(request.items.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return request.items[a].version < request.items[b].version;
    });
    out.items.resize(order.size());
    for (const auto i : order)
        out.items[i] = {mirror.take(request.items[i]), request.items[i].version};
    out.state = mirror.state();
    return mirror.finish();
}

net::http_response answer(const std::string& mission_id, const outcome& out) {
    std::string conflict;
    for (std::size_t i = 0; i < out.items.size() && conflict.empty(); ++i)
        if (out.items[i].how.what == report_outcome::conflict)
            conflict = "/" + std::to_string(i) + ": " + out.items[i].how.why;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (!conflict.empty()) {
        json::member(w, "err", "conflict");
        json::member(w, "description", conflict);
    }
    json::member(w, "mission_id", mission_id);
    json::member(w, "state", events::name(out.state.state));
    json::key(w, "version");
    w.Int64(out.state.version);
    json::key(w, "outcomes");
    w.StartArray();
    for (const auto& item : out.items) {
        w.StartObject();
        json::key(w, "version");
        w.Int64(item.version);
        json::member(w, "outcome", name(item.how.what));
        if (item.how.declared_gap) {
            json::key(w, "declared_gap");
            w.Bool(true);
        }
        if (!item.how.why.empty()) json::member(w, "description", item.how.why);
        w.EndObject();
    }
    w.EndArray();
    w.EndObject();
    return json_answer(conflict.empty() ? 200 : 409, json::text(buffer));
}

result<report_request> read_request(issuer_service& issuer, const authorization_types& types,
                                    const principal& who, const net::http_request& http,
                                    std::string mission_id) {
    const auto body = checked_body(http, "mission-transitions");
    if (!body) return body.error();
    if (!events::valid_mission_id(mission_id))
        return error{errc::invalid_request, "mission_id: not a mission id"};
    report_request out;
    const auto now = issuer.common->time->now();
    for (const auto& item : body->GetArray()) {
        auto t = read_transition(item, types, now);
        if (!t)
            return error{errc::invalid_request,
                         "/" + std::to_string(out.items.size()) + t.error().detail};
        out.items.push_back(std::move(*t));
    }
    out.audit = audited(issuer, who, http);
    out.audit.action = "mirror.transition";
    out.audit.target = mission_id;
    out.mission_id = std::move(mission_id);
    out.txn = new_txn(issuer);
    return out;
}

}  // namespace

void add_transition_route(router& r, issuer_service& issuer, authenticator& auth) {
    auto types = std::make_shared<const authorization_types>(
        authorization_types::from(issuer.common->settings).value());
    r.add("POST", "/missions/*/transitions",
          [&, types](net::http_request http, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(http, {"mission.write"});
              if (!who) return respond(error_answer(who.error()));
              auto request = read_request(issuer, *types, *who, http, std::move(id));
              if (!request) return respond(error_answer(request.error()));
              auto shared = std::make_shared<const report_request>(std::move(*request));
              auto out = std::make_shared<outcome>();
              const auto& client = *who->client;
              issuer.common->db->submit(
                  [&issuer, &client, shared, out](const store::rows& rows, wall_time now) {
                      return decide(issuer, client, *shared, *out, rows, now);
                  },
                  [shared, out, respond](const result<store::receipt>& done) {
                      respond(done ? answer(shared->mission_id, *out) : error_answer(done.error()));
                  });
          });
}

}  // namespace mission::transmitter
