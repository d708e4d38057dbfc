#include "transmitter/delivery/classify.hpp"

#include "base/json.hpp"
#include "transmitter/delivery/backoff.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

namespace {

constexpr std::size_t words_max = 1024;     // store::exception keeps no more
constexpr std::size_t body_max = 64 << 10;  // an error body beyond that is not read

}  // namespace

verdict classify_error_code(std::string_view err) noexcept {
    return err == "invalid_request" || err == "invalid_state" ? verdict::set_rejected
                                                              : verdict::relation_failed;
}

push_outcome classify_push(const result<net::http_response>& answer, wall_time now) {
    push_outcome out;
    if (!answer) {
        out.err = std::string(name(answer.error().code));
        out.description = cut_utf8(answer.error().detail, words_max);
        return out;
    }
    const net::http_response& r = *answer;
    if (r.status == 202 || r.status == 200 || r.status == 204) {
        out.what = verdict::delivered;
        out.unusual_success = r.status != 202;
        return out;
    }
    out.err = "http_" + std::to_string(r.status);
    out.retry_after = retry_after(r.fields.get("retry-after"), now);
    const auto body = json::parse(r.body, body_max);
    if (body && body->IsObject()) {
        if (const auto err = json::find_string(*body, "err")) {
            // Only a 400 speaks RFC 8935's language; its codes in another status say nothing.
            if (r.status == 400) out.what = classify_error_code(*err);
            out.err = cut_utf8(*err, words_max);
        }
        if (const auto text = json::find_string(*body, "description")) {
            out.description = cut_utf8(*text, words_max);
        }
    }
    return out;
}

std::string push_outcome::reason() const {
    return description.empty() ? err : err + ": " + description;
}

}  // namespace mission::transmitter
