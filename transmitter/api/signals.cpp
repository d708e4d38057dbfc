// POST /signals (wire.md section 3): events of others, handed to the streams that may hear them.
#include <memory>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/delivery/emitted.hpp"
#include "transmitter/streams/emission.hpp"

namespace mission::transmitter {

namespace {

constexpr std::size_t signal_id_octets = 18;

struct signal_request {
    emitted_event event;
    std::string txn;
    std::string idempotency_key;  // empty: none
    std::string request_hash;
};

std::string accepted(const signal_request& request) {
    json::buffer text;
    json::writer w(text);
    w.StartObject();
    json::member(w, "signal_id", request.event.signal_id);
    json::member(w, "txn", request.txn);
    w.EndObject();
    return json::text(text);
}

// `answer` is written by the run that is committed.
result<store::changes> decide(const issuer_service& issuer, const signal_request& request,
                              std::string& answer, const store::rows& rows, wall_time now) {
    store::changes changes;
    const auto& client = request.event.emitted_by;
    if (!request.idempotency_key.empty()) {
        const auto known =
            rows.find_nonce(issuer.id, "signal", client, "", request.idempotency_key);
        if (known && known->expires_at > now) {
            if (known->request_hash != request.request_hash)
                return error{errc::invalid_request,
                             "the Idempotency-Key was used with another request"};
            answer = known->outcome;  // I11: the first outcome, as it was
            return changes;
        }
    }
    answer = accepted(request);
    store::event_commit commit;
    commit.issuer = issuer.id;
    commit.txn = request.txn;
    commit.signal_id = request.event.signal_id;
    commit.body = to_record(request.event);
    changes.events.push_back(std::move(commit));
    if (!request.idempotency_key.empty())
        changes.nonces.push_back({issuer.id, "signal", client, "", request.idempotency_key,
                                  request.request_hash, answer, now + limits::nonce_retention});
    return changes;
}

result<signal_request> read_request(issuer_service& issuer, const client_config& client,
                                    const std::vector<foreign_event>& foreign,
                                    const net::http_request& http) {
    const auto body = checked_body(http, "signal-emit");
    if (!body) return body.error();
    auto key = idempotency_key_of(http);
    if (!key) return key.error();
    const service& common = *issuer.common;
    const std::function<bool(std::string_view)> is_client = [&](std::string_view id) {
        return issuer.find_client(id) != nullptr;
    };
    auto parsed = parse_emission(
        *body, {common.settings.event_type_base, foreign, client, is_client, common.time->now()});
    if (!parsed) return parsed.error();
    // The members count, not their order or spacing.
    const auto canonical = json::canonical(*body);
    if (!canonical) return error{errc::invalid_request, canonical.error().detail};
    signal_request out;
    out.event.type = std::move(parsed->type);
    out.event.subject = std::move(parsed->subject);
    out.event.event = std::move(parsed->event);
    out.event.signal_id = jose::random_id(signal_id_octets, *common.random);
    out.event.audience = std::move(parsed->audience);
    out.event.emitted_by = client.id;
    out.txn = parsed->txn.empty() ? new_txn(issuer) : std::move(parsed->txn);
    out.idempotency_key = std::move(*key);
    out.request_hash = jose::base64url_encode(jose::view(jose::sha256(*canonical)));
    return out;
}

}  // namespace

void add_signal_route(router& r, issuer_service& issuer, authenticator& auth) {
    // A schema that cannot be read is a fault of the configuration: found at start.
    auto compiled = compile_foreign(issuer.common->settings.foreign_events);
    auto foreign = std::make_shared<const std::vector<foreign_event>>(std::move(compiled).value());
    r.add("POST", "/signals",
          [&issuer, &auth, foreign](net::http_request http, std::string, net::responder respond) {
              const auto who = auth.bearer_with(http, {"signals.emit"});
              if (!who) return respond(error_answer(who.error()));
              auto request = read_request(issuer, *who->client, *foreign, http);
              if (!request) return respond(error_answer(request.error()));
              auto shared = std::make_shared<const signal_request>(std::move(*request));
              auto answer = std::make_shared<std::string>();
              issuer.common->db->submit(
                  [&issuer, shared, answer](const store::rows& rows, wall_time now) {
                      return decide(issuer, *shared, *answer, rows, now);
                  },
                  [answer, respond](const result<store::receipt>& done) {
                      respond(done ? json_answer(202, *answer) : error_answer(done.error()));
                  });
          });
}

}  // namespace mission::transmitter
