// POST /ssf/subjects/add and /ssf/subjects/remove (SSF 1.0 sections 8.1.3.2 and 8.1.3.3).
//
// Every well-formed request takes the same way and gets the same answer: what the transmitter knows
// of the subject is never asked (SSF 1.0 section 9.1).
#include "transmitter/streams/subjects.hpp"

#include <memory>

#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

namespace {

void change_subject(issuer_service& issuer, delivery& out, const principal& who, bool remove,
                    const net::http_request& request, const net::responder& respond) {
    const auto body = checked_body(request, remove ? "subject-remove" : "subject-add");
    if (!body) return respond(error_answer(body.error()));
    auto parsed = parse_subject_request(*body);
    if (!parsed) return respond(error_answer(parsed.error()));
    const auto stream = own_stream(out, who, parsed->stream_id);
    if (!stream) return respond(error_answer(stream.error()));

    auto wanted = std::make_shared<const subject_request>(std::move(*parsed));
    auto written = std::make_shared<std::vector<store::stream_subject>>();
    const auto& ssf = issuer.common->settings.ssf;
    const subject_limits limits{ssf.subjects_per_stream, ssf.removal_grace};
    issuer.common->db->submit(
        [wanted, written, remove, limits, id = issuer.id, row = stream->row](
            const store::rows& rows, wall_time now) {
            return subject_decision(*wanted, remove, limits, id, row, rows, now, *written);
        },
        [written, remove, &out, row = stream->row, respond](const result<store::receipt>& receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            if (!written->empty()) out.subjects_changed(row, std::move(*written));
            respond(empty_answer(remove ? 204 : 200));
        });
}

}  // namespace

void add_subject_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    for (const bool remove : {false, true}) {
        r.add("POST", remove ? "/ssf/subjects/remove" : "/ssf/subjects/add",
              [&issuer, &auth, &out, remove](net::http_request request, std::string,
                                             net::responder respond) {
                  const auto who = auth.bearer_with(request, {"ssf.manage"});
                  if (!who) return respond(error_answer(who.error()));
                  change_subject(issuer, out, *who, remove, request, respond);
              });
    }
}

}  // namespace mission::transmitter
