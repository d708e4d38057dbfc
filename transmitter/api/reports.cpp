#include <algorithm>
#include <charconv>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/api/rate_limit.hpp"
#include "transmitter/api/report_routes.hpp"
#include "transmitter/api/report_views.hpp"
#include "transmitter/api/teardown_statement.hpp"
#include "transmitter/missions/report_rules.hpp"
#include "transmitter/missions/visibility.hpp"

// POST and GET /missions/{id}/reports (wire.md section 4): what an orchestrator has to say of a
// mission that it may know of, and what the rules of the configuration make of it.

namespace mission::transmitter {
namespace {

constexpr std::size_t page_limit = 100;

constexpr jose::alg evidence_algs[] = {jose::alg::es256, jose::alg::rs256, jose::alg::ps256,
                                       jose::alg::eddsa};

struct report_request {
    store::report what;  // without mission, id, times and status
    std::string idempotency_key, request_hash, txn;
    store::audit_entry by;
};

// What the decision found out, written by its last run.
struct reported {
    std::string body;
    std::vector<store::audit_entry> notes;
};

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

// A JWS of a key of the client's own: whoever reads it later can tell who said it. What it says is
// the client's business, unless it is the statement of a receiver of ours.
result<void> check_evidence(std::string_view text, const client_config& client,
                            const teardown_claims& report) {
    if (text.size() > limits::report_evidence_bytes) return invalid("/evidence: too long");
    const auto token = jose::parse_compact(text);
    if (!token) return invalid("/evidence: not a compact JWS");
    if (client.jwks.keys().empty()) return invalid("/evidence: no key of this client is known");
    if (!jose::verify(*token, client.jwks, evidence_algs, false))
        return invalid("/evidence: not signed by a key of this client");
    return check_teardown_statement(*token, report);
}

result<report_request> read_request(issuer_service& issuer, const client_config& client,
                                    const net::http_request& http, std::string mission_id) {
    const auto body = checked_body(http, "mission-report");
    if (!body) return body.error();
    if (!events::valid_mission_id(mission_id)) return invalid("mission_id: not a mission id");
    report_request out;
    auto key = idempotency_key_of(http);
    if (!key) return key.error();
    out.idempotency_key = std::move(*key);
    out.what.issuer = issuer.id;
    out.what.mission_id = std::move(mission_id);
    out.what.client_id = client.id;
    out.what.kind = std::string(*json::find_string(*body, "kind"));
    out.what.detail = json::write(*json::find(*body, "detail"));
    if (out.what.detail.size() > limits::report_detail_bytes)
        return invalid("/detail: at most 8 KiB");
    // Lists of reports and missions tell it inside of more than this body does.
    if (!json::parse(out.what.detail, limits::report_detail_bytes, limits::report_detail_depth))
        return invalid("/detail: nested too deep");
    if (const auto evidence = json::find_string(*body, "evidence")) {
        const teardown_claims report{client.id, issuer.settings.url, out.what.mission_id,
                                     out.what.kind, out.what.detail};
        if (auto ok = check_evidence(*evidence, client, report); !ok) return ok.error();
        out.what.evidence = std::string(*evidence);
    }
    // The members count, not their order or spacing.
    const auto canonical = json::canonical(*body);
    if (!canonical) return invalid(canonical.error().detail);
    out.request_hash = jose::base64url_encode(jose::view(jose::sha256(*canonical)));
    out.txn = new_txn(issuer);
    return out;
}

std::string accepted(const store::report& r, const std::string& id, const store::mission& m,
                     report_reader reader) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "report_id", id);
    json::member(w, "mission_id", r.mission_id);
    json::member(w, "kind", r.kind);
    json::member(w, "received_at", to_rfc3339(r.received_at));
    json::member(w, "status", name(r.status));
    if (reader == report_reader::whole && !r.decision.empty()) {
        json::key(w, "decision");
        json::raw(w, r.decision);
    }
    json::member(w, "state", events::name(m.state.state));
    json::key(w, "version");
    w.Int64(m.state.version);
    w.EndObject();
    return json::text(buffer);
}

// What a rule makes of the report, in the same decision: status, decision and the operation.
void apply_rule(const issuer_service& issuer, const report_rule_config& rule, const std::string& id,
                settlement& s, store::mission& m, store::report& r, reported& out) {
    report_decision d;
    d.rule = rule.name;
    d.at = s.context().now;
    const auto operation = operation_of(rule, m.state, s.context().now);
    if (!operation) return;  // "none": an operator's business
    d.decision = std::string(name(operation->what));
    store::audit_entry by;
    by.issuer = issuer.id;
    by.origin = "rule " + rule.name;
    by.detail = audit_members({{"report", id},
                               {"kind", r.kind},
                               {"reporter", r.client_id},
                               {"reason", *operation->reason},
                               {"txn", s.context().txn}});
    d.outcome = apply_for_report(s, m, issuer.settings.mirror, *operation, "policy", by, out.notes);
    d.version = m.state.version;
    // Refused: the mission has ended otherwise, and somebody should know.
    if (!d.outcome.starts_with("refused")) r.status = store::report_status::acted;
    r.decision = to_json(d);
}

result<store::changes> decide(const issuer_service& issuer, const client_config& client,
                              const report_request& request, bool clock_ok, reported& out,
                              const store::rows& rows, wall_time now) {
    out = {};
    const auto& id = request.what.mission_id;
    if (!request.idempotency_key.empty()) {
        const auto known =
            rows.find_nonce(issuer.id, "report", client.id, id, request.idempotency_key);
        if (known && known->expires_at > now) {
            if (known->request_hash != request.request_hash)
                return invalid("the Idempotency-Key was used with another request");
            out.body = known->outcome;  // I11: the first outcome, as it was
            return store::changes{};
        }
    }
    auto found = rows.find_mission(issuer.id, id);
    if (!found || !may_know(client, keys_of(*found))) return error{errc::mission_not_found};
    settlement s(rows, context_of(issuer, rows, request.txn, now), clock_ok);
    auto m = *s.settle(found->state.row);
    const auto earlier = rows.reports_of(m.state.row);
    const auto own = std::count_if(earlier.begin(), earlier.end(),
                                   [&](const auto& r) { return r.client_id == client.id; });
    if (static_cast<std::size_t>(own) >= limits::reports_per_reporter ||
        earlier.size() >= limits::reports_per_mission)
        return error{errc::mission_conflict, "there are as many reports as are kept"};

    auto r = request.what;
    r.mission = m.state.row;
    r.received_at = now;
    const auto report_id =
        report_id_of(issuer, {r.mission, static_cast<std::int64_t>(earlier.size()) + 1});
    out.notes.push_back(audit_note(request.by, "mission.report", id, "done",
                                   audit_members({{"report", report_id}, {"kind", r.kind}})));
    // A teardown is news of an end that was decided: nobody has anything to decide.
    if (r.kind == "teardown") r.status = store::report_status::acted;
    if (const auto* rule = rule_for(issuer.common->settings.report_rules, issuer.settings.url,
                                    client.id, r.kind, m.record))
        apply_rule(issuer, *rule, report_id, s, m, r, out);
    out.body = accepted(r, report_id, m,
                        sees_whole(client, m) ? report_reader::whole : report_reader::reporter);

    auto changes = s.take();
    changes.reports.push_back(std::move(r));
    changes.audit.insert(changes.audit.end(), out.notes.begin(), out.notes.end());
    if (!request.idempotency_key.empty())
        changes.nonces.push_back({issuer.id, "report", client.id, id, request.idempotency_key,
                                  request.request_hash, out.body, now + limits::nonce_retention});
    return changes;
}

void post(issuer_service& issuer, const principal& who, const net::http_request& http,
          std::string mission_id, const net::responder& respond) {
    const auto& client = *who.client;
    auto by = audited(issuer, who, http);
    by.action = "mission.report";
    by.target = mission_id;
    auto request = read_request(issuer, client, http, mission_id);
    if (!request) {
        // A body that is none tells an auditor nothing; a signature that is not the client's does.
        if (request.error().detail.starts_with("/evidence"))
            note_refusal(issuer, std::move(by), request.error());
        return respond(error_answer(request.error()));
    }
    request->by = std::move(by);
    auto shared = std::make_shared<const report_request>(std::move(*request));
    auto out = std::make_shared<reported>();
    issuer.common->db->submit(
        [&issuer, &client, shared, out, clock_ok = clock_trusted(*issuer.common)](
            const store::rows& rows, wall_time now) {
            return decide(issuer, client, *shared, clock_ok, *out, rows, now);
        },
        [&issuer, shared, out, respond](const result<store::receipt>& done) {
            if (done) return respond(json_answer(202, out->body));
            respond(error_answer(done.error()));
            note_refusal(issuer, shared->by, done.error());
        });
}

struct list_request {
    std::string mission_id;
    std::size_t limit = page_limit;
    std::optional<report_place> cursor;
};

result<list_request> read_list_request(const issuer_service& issuer, const net::http_request& http,
                                       std::string mission_id) {
    const auto query = query_of(http);
    if (!query) return query.error();
    list_request out;
    for (const auto& [name, value] : *query) {
        if (name == "cursor") {
            out.cursor = parse_report_id(issuer, value);
            if (!out.cursor) return invalid("cursor: not one of this list");
        } else if (name == "limit") {
            const auto [end, failed] =
                std::from_chars(value.data(), value.data() + value.size(), out.limit);
            if (failed != std::errc{} || end != value.data() + value.size() || out.limit == 0 ||
                out.limit > page_limit)
                return invalid("limit: must be between 1 and 100");
        }
    }
    if (!events::valid_mission_id(mission_id)) return invalid("mission_id: not a mission id");
    out.mission_id = std::move(mission_id);
    return out;
}

// Who sees the whole mission sees all reports, others see their own.
result<std::string> list(const issuer_service& issuer, const client_config& client,
                         const list_request& request, const store::rows& rows) {
    const auto m = rows.find_mission(issuer.id, request.mission_id);
    if (!m || !may_know(client, keys_of(*m))) return error{errc::mission_not_found};
    if (request.cursor && request.cursor->mission != m->state.row)
        return invalid("cursor: not one of this list");
    const bool whole = sees_whole(client, *m);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::key(w, "reports");
    w.StartArray();
    std::int64_t number = 0;
    std::size_t shown = 0;
    std::string last;
    bool more = false;
    for (const auto& r : rows.reports_of(m->state.row)) {
        ++number;
        if ((request.cursor && number <= request.cursor->number) ||
            (!whole && r.client_id != client.id))
            continue;
        if (shown == request.limit) {
            more = true;
            break;
        }
        ++shown;
        last = report_id_of(issuer, {m->state.row, number});
        write_report(w, r, last, whole ? report_reader::whole : report_reader::reporter);
    }
    w.EndArray();
    if (more) json::member(w, "next_cursor", last);
    w.EndObject();
    return json::text(buffer);
}

void get(issuer_service& issuer, const client_config& client, list_request request,
         const net::responder& respond) {
    auto found = std::make_shared<result<std::string>>(error{errc::mission_not_found});
    issuer.common->db->read(
        [found, &issuer, &client, request = std::move(request)](const store::rows& rows) {
            *found = list(issuer, client, request, rows);
        },
        [found, respond](const result<void>& read) {
            if (!read) return respond(error_answer(read.error()));
            respond(*found ? json_answer(200, std::move(**found)) : error_answer(found->error()));
        });
}

}  // namespace

void add_report_routes(router& r, issuer_service& issuer, authenticator& auth) {
    const auto per_second = issuer.common->settings.missions.report_rate;
    auto rate = std::make_shared<rate_limiter>(per_second, 2 * per_second);
    // A report makes nothing larger, so whoever may read a mission may speak of it.
    r.add("POST", "/missions/*/reports",
          [&issuer, &auth, rate](net::http_request http, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(http, {"mission.write", "mission.read"});
              if (!who) return respond(error_answer(who.error()));
              if (const auto wait = rate->take(who->client->id, issuer.common->time->steady_now()))
                  return respond(error_answer(too_many(*wait)));
              auto shared = std::make_shared<const net::http_request>(std::move(http));
              // Evidence is verified on a worker: network threads only move octets.
              issuer.common->runtime->post_work(
                  [&issuer, who = *who, shared, id = std::move(id), respond] {
                      post(issuer, who, *shared, id, respond);
                  });
          });
    r.add("GET", "/missions/*/reports",
          [&issuer, &auth](net::http_request http, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(http, {"mission.read"});
              if (!who) return respond(error_answer(who.error()));
              auto request = read_list_request(issuer, http, std::move(id));
              if (!request) return respond(error_answer(request.error()));
              get(issuer, *who->client, std::move(*request), respond);
          });
}

}  // namespace mission::transmitter
