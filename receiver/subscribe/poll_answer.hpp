// The body of a poll's answer (RFC 8936 section 2.3), read. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::receiver {

struct polled_set {
    std::string_view jti;                   // the member's name
    std::optional<std::string_view> token;  // none: the member is no string
};

// In the order of the answer; empty when nothing is there. bad_response: no JSON with `sets`. The
// body is overwritten, and what is returned points into it: a full answer is read without a copy.
result<std::vector<polled_set>> parse_poll_answer(std::string& body);

}  // namespace mission::receiver
