// What a transmitter says about itself, and where it says it. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::receiver {

// SSF 1.0 "Obtaining Transmitter Configuration Metadata", RFC 8414 section 3: the well-known string
// goes between host and path; a trailing "/" of the issuer is stripped first.
result<std::string> well_known_url(std::string_view issuer, std::string_view suffix);

struct transmitter_metadata {
    std::string issuer, jwks_uri, configuration_endpoint, verification_endpoint;
    std::string mission_status_endpoint;   // empty: Status is out of reach
    std::vector<std::string> status_algs;  // mission_status_signing_alg_values_supported
    std::vector<std::string> delivery_methods;
    std::chrono::seconds max_stale{0};  // mission_max_stale_seconds
    std::string default_subjects;       // ALL | NONE | empty
};

// Checks the form, that `issuer` is `expected` (when not empty), and that endpoints which are sent
// tokens lie on the issuer's origin: bad_response, wrong_issuer, bad_configuration.
result<transmitter_metadata> parse_metadata(std::string_view text, std::string_view expected);

// RFC 8414: token_endpoint of a document whose `issuer` is `expected`, on its origin.
result<std::string> parse_token_endpoint(std::string_view text, std::string_view expected);

struct access_token {
    std::string value;
    std::chrono::seconds lifetime{0};
};
// RFC 6749 section 5.1.
result<access_token> parse_token_response(std::string_view text);

}  // namespace mission::receiver
