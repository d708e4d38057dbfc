// PATCH and PUT /ssf/streams (SSF 1.0 sections 8.1.1.3 and 8.1.1.4).
#include "transmitter/streams/update.hpp"

#include <memory>

#include "jose/digest.hpp"
#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

namespace {

// Everything the decision needs; it may run more than once and overwrites `found` each time.
struct update_work {
    json::document body;
    update_request wanted;
    std::string sealed;
    stream_outcome found;
};

void update_stream(issuer_service& issuer, delivery& out, const principal& who,
                   const net::egress_policy& egress, bool replace, const net::http_request& request,
                   const net::responder& respond) {
    auto body = checked_body(request, replace ? "stream-replace" : "stream-update");
    if (!body) return respond(error_answer(body.error()));
    auto wanted = parse_update(*body, replace, egress);
    if (!wanted) return respond(error_answer(wanted.error()));
    const auto stream = own_stream(out, who, wanted->stream_id);
    if (!stream) return respond(error_answer(stream.error()));

    auto work = std::make_shared<update_work>();
    work->body = std::move(*body);
    work->wanted = std::move(*wanted);
    const service& common = *issuer.common;
    if (work->wanted.delivery &&
        work->wanted.delivery->authorization == delivery_request::header::replace) {
        work->sealed =
            jose::seal(common.settings.secrets_key, authorization_context(work->wanted.stream_id),
                       work->wanted.delivery->authorization_header, *common.random);
        work->wanted.delivery->authorization_header.clear();
    }
    const client_config* client = who.client;
    common.db->submit(
        [work, client, &issuer, row = stream->row](const store::rows& rows, wall_time) {
            return update_decision({work->wanted, work->body, work->sealed, *client, issuer}, row,
                                   rows, work->found);
        },
        [work, client, &issuer, &out, respond](const result<store::receipt>& receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            auto& found = work->found;
            const auto& epoch = found.epochs.empty() ? store::stream_epoch{} : found.epochs.back();
            const std::string answer = to_json(found.row, epoch, *client, issuer);
            if (found.changed) {
                log(level::info, "stream changed",
                    {{"stream", found.row.stream_id}, {"client", found.row.client_id}});
                out.stream_changed(
                    {std::move(found.row), std::move(found.epochs), std::nullopt, {}});
            }
            respond(json_answer(200, answer));
        });
}

}  // namespace

void add_update_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out,
                       std::shared_ptr<const net::egress_policy> egress) {
    for (const bool replace : {false, true}) {
        r.add(replace ? "PUT" : "PATCH", "/ssf/streams",
              [&issuer, &auth, &out, egress, replace](net::http_request request, std::string,
                                                      net::responder respond) {
                  const auto who = auth.bearer_with(request, {"ssf.manage"});
                  if (!who) return respond(error_answer(who.error()));
                  update_stream(issuer, out, *who, *egress, replace, request, respond);
              });
    }
}

}  // namespace mission::transmitter
