// POST /ssf/verify (SSF 1.0 section 8.1.4.2).
#include <map>
#include <mutex>

#include "base/limits.hpp"
#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

namespace {

// When each stream was last verified at its receiver's wish. THREAD: any.
class verification_times {
  public:
    // The seconds to wait, or zero and the request counts.
    std::chrono::seconds take(store::stream_row row, steady_time now,
                              std::chrono::seconds interval) {
        if (interval <= std::chrono::seconds{0}) return std::chrono::seconds{0};
        const std::lock_guard lock(mutex_);
        std::erase_if(last_, [&](const auto& one) { return one.second + interval <= now; });
        const auto [it, fresh] = last_.emplace(row, now);
        if (fresh) return std::chrono::seconds{0};
        return std::chrono::ceil<std::chrono::seconds>(it->second + interval - now);
    }

  private:
    std::mutex mutex_;
    std::map<store::stream_row, steady_time> last_;  // of the last interval: bounded by streams
};

}  // namespace

void add_verify_route(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    auto times = std::make_shared<verification_times>();
    r.add("POST", "/ssf/verify",
          [&issuer, &auth, &out, times](net::http_request request, std::string,
                                        net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              const auto body = checked_body(request, "verify-request");
              if (!body) return respond(error_answer(body.error()));
              const auto id = json::find_string(*body, "stream_id");
              if (!id) {
                  return respond(error_answer({errc::invalid_request, "stream_id is required"}));
              }
              std::optional<std::string> state;
              if (const json::value* given = json::find(*body, "state"); given != nullptr) {
                  if (!given->IsString() || given->GetStringLength() > limits::verify_state_bytes) {
                      return respond(error_answer(
                          {errc::invalid_request, "state must be a string of bounded length"}));
                  }
                  state = std::string(json::view(*given));
              }
              const auto stream = own_stream(out, *who, *id);
              if (!stream) return respond(error_answer(stream.error()));
              if (stream->status != store::stream_status::enabled) {
                  return respond(error_answer({errc::stream_not_enabled}));
              }
              const service& common = *issuer.common;
              const auto wait = times->take(stream->row, common.time->steady_now(),
                                            common.settings.ssf.min_verification_interval);
              if (wait > std::chrono::seconds{0}) {
                  auto answer = error_answer({errc::verification_too_soon});
                  answer.fields.set("retry-after", std::to_string(wait.count()));
                  return respond(std::move(answer));
              }
              out.verify(stream->row, std::move(state), [respond](const result<void>& done) {
                  respond(done ? empty_answer(204) : error_answer(done.error()));
              });
          });
}

}  // namespace mission::transmitter
