// What a receiver's answer means: about this SET, or about the relation. Pure.
// wire.md section 2, for push answers (RFC 8935 section 2) and `setErrs` (RFC 8936 section 2.4).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/time.hpp"
#include "net/http.hpp"

namespace mission::transmitter {

enum class verdict {
    delivered,
    set_rejected,     // this SET is bad: retried, then dead-lettered
    relation_failed,  // keys, authorization, transport: the stream is held and probed
};

struct push_outcome {
    verdict what = verdict::relation_failed;
    // 200 and 204 are taken for 202, and counted.
    bool unusual_success = false;
    std::string err, description;  // the receiver's words, cut to 1 KiB
    std::optional<std::chrono::milliseconds> retry_after;
    std::string reason() const;  // one line for operators
};

push_outcome classify_push(const result<net::http_response>& answer, wall_time now);

// RFC 8935 section 2.4 codes: `invalid_request` and `invalid_state` speak of the SET, every other
// one of the relation.
verdict classify_error_code(std::string_view err) noexcept;

}  // namespace mission::transmitter
