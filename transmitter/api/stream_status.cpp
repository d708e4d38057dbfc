// GET and POST /ssf/status (SSF 1.0 section 8.1.2).
#include <memory>

#include "jose/digest.hpp"
#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

void change_status(issuer_service& issuer, delivery& out, store::stream_row row,
                   status_request wanted, status_actor actor, const net::responder& respond,
                   const std::optional<store::audit_entry>& by) {
    struct work {
        status_request wanted;
        status_actor actor;
        std::string jti;
        stream_outcome found;  // of the run that was committed
        std::optional<store::audit_entry> by;
    };
    const service& common = *issuer.common;
    auto w = std::make_shared<work>(
        work{std::move(wanted), actor, jose::random_id(18, *common.random), {}, by});
    common.db->submit(
        [w, id = issuer.id, row](const store::rows& rows, wall_time now) {
            auto changes =
                status_decision({w->wanted, w->actor, w->jti}, id, row, rows, now, w->found);
            if (changes && w->by) {
                changes->audit.push_back(*w->by);
                changes->audit.back().outcome = w->found.changed ? "done" : "unchanged";
            }
            return changes;
        },
        [w, &out, respond](const result<store::receipt>& receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            auto& found = w->found;
            const auto answer =
                status_json(found.row.stream_id, found.row.status, found.row.status_reason);
            if (found.changed) {
                log(level::info, "stream status changed",
                    {{"stream", found.row.stream_id},
                     {"client", found.row.client_id},
                     {"status", std::string(store::name(found.row.status))},
                     {"by", w->actor == status_actor::receiver ? "receiver" : "operator"}});
                out.stream_changed({std::move(found.row), std::move(found.epochs),
                                    std::move(found.cursor), std::move(found.events)});
            }
            respond(json_answer(200, answer));
        });
}

void add_status_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    r.add("GET", "/ssf/status",
          [&auth, &out](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.read", "ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              const auto id = stream_id_of(request);
              if (!id) return respond(error_answer(id.error()));
              if (id->empty())
                  return respond(error_answer({errc::invalid_request, "stream_id is required"}));
              const auto stream = own_stream(out, *who, *id);
              if (!stream) return respond(error_answer(stream.error()));
              respond(json_answer(200, status_json(*id, stream->status, stream->status_reason)));
          });
    r.add("POST", "/ssf/status",
          [&issuer, &auth, &out](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              const auto body = checked_body(request, "status-update");
              if (!body) return respond(error_answer(body.error()));
              auto wanted = parse_status_update(*body);
              if (!wanted) return respond(error_answer(wanted.error()));
              const auto stream = own_stream(out, *who, wanted->stream_id);
              if (!stream) return respond(error_answer(stream.error()));
              change_status(issuer, out, stream->row, std::move(*wanted), status_actor::receiver,
                            respond);
          });
}

}  // namespace mission::transmitter
