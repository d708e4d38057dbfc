#include <atomic>
#include <chrono>
#include <limits>

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
        issuer, form.mission_id, wanted.audience ? authority_part::in_force : authority_part::none,
        [&issuer, &client, wanted, allowed, asked_at, respond](result<mission_view> v) {
            if (v && (!allowed || !may_know(client, keys_of(v->mission))))
                v = error{errc::mission_not_found};
            if (!v) return respond(form_error_answer({v.error(), wanted.nonce}));
            answer_signed(issuer, status_claims(*v, issuer, wanted, asked_at), wanted.nonce,
                          respond);
        });
}

// Where a request is answered. Who shows a certificate costs one look and one ES256 signature, some
// forty microseconds, and handing that to another thread and back costs as much again: it is done
// on the network thread that read the request. Assertions and tokens are verified on a worker, and
// so is everybody's while looks are slow (a cold cache, a busy disk): nobody else's octets wait
// then.
class place {
  public:
    explicit place(const clock& time) : time_(time) {}

    bool is_here(const net::http_request& request) const noexcept {
        return !request.peer.certificate_der.empty() &&
               request.fields.count("authorization") == 0 && request.query.empty() &&
               request.body.find("client_assertion") == std::string::npos &&
               time_.steady_now().time_since_epoch().count() >= slow_until_.load();
    }
    template <class Answer>
    void run_here(const Answer& answer) {
        const auto begin = time_.steady_now();
        answer();
        const auto end = time_.steady_now();
        if (end - begin <= longest) {
            in_a_row_ = 0;
        } else if (++in_a_row_ >= slow_ones) {
            in_a_row_ = 0;
            slow_until_ = (end + pause).time_since_epoch().count();
        }
    }

  private:
    static constexpr std::chrono::milliseconds longest{2};
    static constexpr int slow_ones = 3;
    static constexpr std::chrono::seconds pause{1};

    const clock& time_;
    std::atomic<int> in_a_row_{0};
    std::atomic<steady_time::rep> slow_until_{std::numeric_limits<steady_time::rep>::min()};
};

}  // namespace

void add_status_route(router& r, issuer_service& issuer, authenticator& auth) {
    const auto per_second = issuer.common->settings.missions.status_rate;
    auto rate = std::make_shared<rate_limiter>(per_second, 2 * per_second);
    auto where = std::make_shared<place>(*issuer.common->time);
    r.add("POST", "/mission/status",
          [&, rate, where](net::http_request request, std::string, net::responder respond) {
              if (where->is_here(request))
                  return where->run_here([&] { handle(issuer, auth, *rate, request, respond); });
              auto shared = std::make_shared<const net::http_request>(std::move(request));
              issuer.common->runtime->post_work([&issuer, &auth, rate, shared, respond] {
                  handle(issuer, auth, *rate, *shared, respond);
              });
          });
}

}  // namespace mission::transmitter
