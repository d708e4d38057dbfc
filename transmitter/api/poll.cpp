// POST /ssf/poll/{stream_id} (RFC 8936).
#include "base/limits.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

// RFC 8936 section 2.4. No body at all is an empty request.
result<delivery::poll_request> parse_poll(const json::value& body) {
    if (!body.IsObject()) return invalid("the body must be an object");
    delivery::poll_request out;
    if (const json::value* max = json::find(body, "maxEvents"); max != nullptr) {
        if (!max->IsUint64()) return invalid("maxEvents must be a non-negative integer");
        out.max_events = static_cast<std::size_t>(
            std::min<std::uint64_t>(max->GetUint64(), limits::poll_max_events));
    }
    if (const json::value* now = json::find(body, "returnImmediately"); now != nullptr) {
        if (!now->IsBool()) return invalid("returnImmediately must be a boolean");
        out.return_immediately = now->GetBool();
    }
    if (const json::value* acks = json::find(body, "ack"); acks != nullptr) {
        if (!acks->IsArray()) return invalid("ack must be an array of strings");
        if (acks->Size() > limits::poll_acks) return invalid("ack has too many entries");
        for (const auto& jti : acks->GetArray()) {
            if (!jti.IsString()) return invalid("ack must be an array of strings");
            out.acks.emplace_back(json::view(jti));
        }
    }
    if (const json::value* errors = json::find(body, "setErrs"); errors != nullptr) {
        if (!errors->IsObject()) return invalid("setErrs must be an object");
        if (errors->MemberCount() > limits::poll_acks)
            return invalid("setErrs has too many members");
        for (const auto& [jti, one] : errors->GetObject()) {
            const auto err = json::find_string(one, "err");
            if (!err) return invalid("setErrs: err is required");
            delivery::poll_request::set_error e;
            e.jti = json::view(jti);
            e.err = cut_utf8(*err, 255);
            e.description =
                cut_utf8(json::find_string(one, "description").value_or(std::string_view{}), 1024);
            out.set_errs.push_back(std::move(e));
        }
    }
    return out;
}

}  // namespace

void add_poll_route(router& r, authenticator& auth, delivery& out) {
    r.add("POST", "/ssf/poll/*",
          [&auth, &out](net::http_request request, std::string tail, net::responder respond) {
              const auto who =
                  auth.bearer_with(request, {"ssf.read", "ssf.manage", "ssf.manage.poll"});
              if (!who) return respond(error_answer(who.error()));
              delivery::poll_request asked;
              if (has_body(request)) {
                  const auto body = checked_body(request, "poll-request");
                  if (!body) return respond(error_answer(body.error()));
                  auto parsed = parse_poll(*body);
                  if (!parsed) return respond(error_answer(parsed.error()));
                  asked = std::move(*parsed);
              }
              const auto stream = own_stream(out, *who, tail);
              if (!stream) return respond(error_answer(stream.error()));
              // A push stream has no poll endpoint: its SETs go one way alone.
              if (stream->method != store::delivery_method::poll) {
                  return respond(error_answer({errc::stream_not_found}));
              }
              asked.until = who->token_expires;
              out.poll(stream->row, std::move(asked), std::move(respond));
          });
}

}  // namespace mission::transmitter
