// The `stream` commands: which call each makes, and what its answer means. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "receiver/program/command_line.hpp"
#include "receiver/program/config.hpp"
#include "receiver/subscribe/management.hpp"

namespace mission::receiver::program {

struct stream_call {
    std::string method = "GET";
    endpoint where = endpoint::configuration;
    bool poll = false;  // to the stream's own endpoint instead
    std::string query, body;
};

// False for `create` and `list` alone.
bool names_a_stream(verb v) noexcept;

// `stream_id` is the one to speak of, empty for create and list. `given_body`: of --json-body,
// empty without. `random_state`: of a verification for which none was typed. invalid_argument with
// a sentence for whoever typed it.
result<stream_call> plan_call(const invocation& typed, const ms::options& configured,
                              std::string_view stream_id, std::string_view given_body,
                              std::string_view random_state);

// Each configuration of an answer, one or a list, has to name the transmitter's issuer (SSF 1.0
// sections 8.1.1.1 to 8.1.1.4): wrong_issuer. What is no configuration at all passes.
result<void> check_issuer(std::string_view body, std::string_view issuer, bool slash_tolerated);

// The only stream of a list's answer; invalid_argument when there is none or several.
result<std::string> only_stream(std::string_view list_body);

}  // namespace mission::receiver::program
