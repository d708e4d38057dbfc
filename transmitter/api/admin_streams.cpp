// GET /admin/streams and /admin/streams/{stream_id}: where each stream stands, for operators.
#include "transmitter/api/report_routes.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

namespace {

void member_time(json::writer& w, std::string_view name, wall_time at) {
    if (at != wall_time{}) json::member(w, name, to_rfc3339(at));
}

void member_number(json::writer& w, std::string_view name, std::int64_t number) {
    json::key(w, name);
    w.Int64(number);
}

void write_report(json::writer& w, const stream_report& r) {
    const store::stream& s = r.config;
    const bool push = s.method == store::delivery_method::push;
    w.StartObject();
    json::member(w, "stream_id", s.stream_id);
    json::member(w, "client_id", s.client_id);
    json::member(w, "method", push ? push_urn : poll_urn);
    if (push) json::member(w, "endpoint_url", s.endpoint_url);
    if (!s.description.empty()) json::member(w, "description", s.description);
    json::member(w, "status", store::name(s.status));
    if (!s.status_reason.empty()) json::member(w, "reason", s.status_reason);
    member_time(w, "created_at", s.created_at);
    member_number(w, "acked_seq", r.acked_seq);
    member_number(w, "lag_signals", r.lag_signals);
    json::key(w, "lag_seconds");
    w.Double(static_cast<double>(r.lag_milliseconds) / 1000.0);
    json::key(w, "held");
    w.Bool(r.held);
    if (r.held) json::member(w, "held_reason", r.held_reason);
    member_time(w, "last_success", r.last_success);
    if (r.last_failure != wall_time{}) {
        member_time(w, "last_failure", r.last_failure);
        json::member(w, "last_failure_reason", r.last_failure_reason);
    }
    member_number(w, "continuity", s.continuity);
    member_number(w, "delivered", static_cast<std::int64_t>(r.delivered));
    member_number(w, "failed", static_cast<std::int64_t>(r.failed));
    member_number(w, "dead", static_cast<std::int64_t>(r.dead));
    w.EndObject();
}

}  // namespace

void add_admin_stream_routes(router& r, issuer_service& issuer, authenticator& auth,
                             delivery& out) {
    r.add("GET", "/admin/streams",
          [&auth, &out](net::http_request request, std::string, net::responder respond) {
              if (const auto who = auth.bearer_with(request, {"ssf.admin"}); !who) {
                  return respond(error_answer(who.error()));
              }
              json::buffer text;
              json::writer w(text);
              w.StartArray();
              for (const auto& report : out.reports())
                  write_report(w, report);
              w.EndArray();
              respond(json_answer(200, json::text(text)));
          });
    r.add("GET", "/admin/streams/*",
          [&auth, &out](net::http_request request, std::string tail, net::responder respond) {
              if (const auto who = auth.bearer_with(request, {"ssf.admin"}); !who) {
                  return respond(error_answer(who.error()));
              }
              const auto report = out.report_of(tail);
              if (!report) return respond(error_answer({errc::stream_not_found}));
              json::buffer text;
              json::writer w(text);
              write_report(w, *report);
              respond(json_answer(200, json::text(text)));
          });
    add_admin_operation_routes(r, issuer, auth, out);
    add_dead_letter_routes(r, issuer, auth, out);
    add_admin_tail_route(r, issuer, auth);
    add_admin_report_routes(r, issuer, auth);
    add_admin_audit_route(r, issuer, auth);
}

}  // namespace mission::transmitter
