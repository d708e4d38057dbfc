// What the form endpoints /mission/status and /mission/lifecycle share: reading, refusing, and the
// claims of the signed answer (draft-mcguinness-oauth-mission-status).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "transmitter/api/mission_views.hpp"

namespace mission::transmitter {

// The fields, and the nonce once it is known to be well formed: from then on every error echoes it.
struct mission_form {
    form fields;
    std::string nonce;
    std::string mission_id;
};

// A refusal as the drafts spell it. `status` and symbol follow from the errc; what is unknown and
// what may not be known are one answer, byte for byte.
struct form_error {
    error what;
    std::optional<std::string> nonce;
};
net::http_response form_error_answer(const form_error& e);
// What all /mission/.. endpoints refuse with: {"error","error_description","nonce"}, challenges on
// 401, Retry-After on 429 and 503. `nonce` empty: not echoed.
struct shown_error {
    int status = 500;
    std::string_view symbol;
    std::string description;
};
net::http_response draft_error_answer(const shown_error& shown, const error& why,
                                      std::string_view nonce);
// A signed answer of theirs; `media_type` without "application/".
net::http_response draft_signed_answer(std::string_view media_type, std::string token);

// Reads the body and authenticates: malformed form or content type, then 401, then nonce, then
// mission_id. On success `who` is set.
std::optional<form_error> read_mission_form(const net::http_request& request,
                                            const authenticator& auth,
                                            std::string_view endpoint_url, std::string_view scope,
                                            mission_form& out, principal& who);

// Characters of valid UTF-8 without controls; nullopt when it is none.
std::optional<std::size_t> count_characters(std::string_view text) noexcept;

struct status_request {
    const client_config* client = nullptr;
    std::optional<std::string> audience;
    std::string nonce;
};
// The claims of a status answer, JSON text. `now` is when the state was true: iat and fresh_until
// follow from it, so that a slow answer is not a fresh one.
std::string status_claims(const mission_view& v, const issuer_service& issuer,
                          const status_request& request, wall_time now);

// Signs on the calling thread (a worker) and answers.
void answer_signed(const issuer_service& issuer, const std::string& claims,
                   const std::optional<std::string>& nonce, const net::responder& respond);

}  // namespace mission::transmitter
