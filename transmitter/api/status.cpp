#include "transmitter/api/mission_forms.hpp"
#include "transmitter/api/rate_limit.hpp"
#include "transmitter/missions/visibility.hpp"

// POST /mission/status: the signed present state (draft-mcguinness-oauth-mission-status "Mission
// Status Operation").

namespace mission::transmitter {
namespace {

void handle(issuer_service& issuer, const authenticator& auth, rate_limiter& rate,
            const net::http_request& request, const net::responder& respond) {
    mission_form form;
    principal who;
    if (const auto refused = read_mission_form(request, auth, issuer.url("/mission/status"),
                                               "mission_status", form, who))
        return respond(form_error_answer(*refused));
    const auto& client = *who.client;
    // Before the store is asked and anything is signed: who asks too often costs little.
    if (const auto wait = rate.take(client.id, issuer.common->time->steady_now()))
        return respond(form_error_answer({too_many(*wait), form.nonce}));
    status_request wanted{&client, std::nullopt, form.nonce};
    if (has_field(form.fields, "audience"))
        wanted.audience = std::string(field(form.fields, "audience"));
    // The explicit grant to read, and nobody else's audience; judged with the lookup done, so that
    // refusing takes the time that not finding takes.
    const bool allowed =
        who.has("mission_status") &&
        (!wanted.audience || (!client.audience.empty() && *wanted.audience == client.audience));
    const auto asked_at = issuer.common->time->now();
    load_mission_here(
        issuer, form.mission_id,
        [&issuer, &client, wanted, allowed, asked_at, respond](result<mission_view> v) {
            if (v && (!allowed || !may_know(client, keys_of(v->mission))))
                v = error{errc::mission_not_found};
            if (!v) return respond(form_error_answer({v.error(), wanted.nonce}));
            answer_signed(issuer, status_claims(*v, issuer, wanted, asked_at), wanted.nonce,
                          respond);
        });
}

}  // namespace

void add_status_route(router& r, issuer_service& issuer, authenticator& auth) {
    const auto per_second = issuer.common->settings.missions.status_rate;
    auto rate = std::make_shared<rate_limiter>(per_second, 2 * per_second);
    r.add("POST", "/mission/status",
          [&, rate](net::http_request request, std::string, net::responder respond) {
              // The assertion is verified on a worker: network threads only move octets.
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              issuer.common->runtime->post_work([&issuer, &auth, rate, shared, respond] {
                  handle(issuer, auth, *rate, *shared, respond);
              });
          });
}

}  // namespace mission::transmitter
