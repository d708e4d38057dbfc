// POST /ssf/verify (SSF 1.0 section 8.1.4.2).
#include <memory>

#include "base/limits.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/streams/extra.hpp"

namespace mission::transmitter {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct verify_request {
    std::string stream_id;
    std::optional<std::string> state;
};

result<verify_request> parse_verify(const json::value& body) {
    verify_request out;
    auto id = read_stream_id(body);
    if (!id) return id.error();
    out.stream_id = std::move(*id);
    if (const json::value* given = json::find(body, "state"); given != nullptr) {
        if (!given->IsString() || given->GetStringLength() > limits::verify_state_bytes)
            return error{errc::invalid_request, "state must be a string of bounded length"};
        out.state = std::string(json::view(*given));
    }
    return out;
}

// SSF 1.0 section 8.1.1, min_verification_interval. The last one is remembered with the stream, so
// that a restart forgets nothing. `wait` is how long to wait when it is too soon.
result<store::changes> interval_decision(const std::string& stream_id, store::issuer_id issuer,
                                         store::stream_row row, seconds interval,
                                         const store::rows& rows, wall_time now, seconds& wait) {
    const auto present = rows.find_stream(issuer, stream_id);
    if (!present || present->row != row) return error{errc::stream_not_found};
    const auto at = std::chrono::duration_cast<milliseconds>(now.time_since_epoch());
    if (const auto last = extra_number(present->extra, "verified_at")) {
        // A time that lies ahead is one of before the clock was set back: it binds nobody.
        const auto since = at - milliseconds(*last);
        if (since >= milliseconds(0) && since < interval) {
            wait = std::chrono::ceil<seconds>(interval - since);
            return error{errc::verification_too_soon};
        }
    }
    store::changes changes;
    changes.updated_streams.push_back(*present);
    auto& extra = changes.updated_streams.back().extra;
    extra = with_extra_number(extra, "verified_at", at.count());
    return changes;
}

void verify(issuer_service& issuer, delivery& out, store::stream_row row, verify_request asked,
            const net::responder& respond) {
    const auto send = [&out, row, state = asked.state, respond] {
        out.verify(row, state, [respond](const result<void>& done) {
            respond(done ? empty_answer(204) : error_answer(done.error()));
        });
    };
    const auto interval = issuer.common->settings.ssf.min_verification_interval;
    if (interval <= seconds(0)) return send();
    auto wait = std::make_shared<seconds>(0);
    issuer.common->db->submit(
        [id = issuer.id, stream_id = asked.stream_id, row, interval, wait](const store::rows& rows,
                                                                           wall_time now) {
            return interval_decision(stream_id, id, row, interval, rows, now, *wait);
        },
        [send, wait, respond](const result<store::receipt>& receipt) {
            if (receipt) return send();
            auto answer = error_answer(receipt.error());
            if (receipt.error() == errc::verification_too_soon)
                answer.fields.set("retry-after", std::to_string(wait->count()));
            respond(std::move(answer));
        });
}

}  // namespace

void add_verify_route(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    r.add("POST", "/ssf/verify",
          [&issuer, &auth, &out](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              const auto body = checked_body(request, "verify-request");
              if (!body) return respond(error_answer(body.error()));
              auto asked = parse_verify(*body);
              if (!asked) return respond(error_answer(asked.error()));
              const auto stream = own_stream(out, *who, asked->stream_id);
              if (!stream) return respond(error_answer(stream.error()));
              if (stream->status != store::stream_status::enabled)
                  return respond(error_answer({errc::stream_not_enabled}));
              verify(issuer, out, stream->row, std::move(*asked), respond);
          });
}

}  // namespace mission::transmitter
