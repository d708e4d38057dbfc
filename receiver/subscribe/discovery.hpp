// What a transmitter says about itself, and where it says it. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "receiver/subscribe/quirks.hpp"

namespace mission::receiver {

// SSF 1.0 "Obtaining Transmitter Configuration Metadata", RFC 8414 section 3: the well-known string
// goes between host and path; a trailing "/" of the issuer is stripped first.
result<std::string> well_known_url(std::string_view issuer, std::string_view suffix);

// Where the transmitter's metadata may lie, in the order they are tried: inserted between host and
// path (SSF 1.0 section 7.2), appended to the issuer, at the root of the host, and the old
// "risc-configuration" of SSF 1.0 section 7.2.1.
result<std::vector<std::string>> metadata_urls(std::string_view issuer);
// RFC 8414 section 3 and 5: the authorization server's.
result<std::vector<std::string>> authorization_server_urls(std::string_view issuer);

// Of a metadata URL that was given without an issuer: whether `issuer` is one that it could have
// been made of. A URL without a well-known string: the origin alone is compared.
bool issuer_fits_url(std::string_view issuer, std::string_view metadata_url);

// The issuer that a metadata URL with a well-known string was made of; empty: it has none.
std::string issuer_of_url(std::string_view metadata_url);

// Where tokens may go: over https to the issuer's origin, or to a listed host.
class token_reach {
  public:
    token_reach() = default;
    // "host", "host:port" or "https://host:port"; invalid ones are left out (valid_host()).
    explicit token_reach(const std::vector<std::string>& hosts);
    static bool valid_host(std::string_view host);
    // bad_configuration, with `what` in its sentence.
    result<void> check(std::string_view url, std::string_view issuer, std::string_view what) const;

  private:
    std::vector<std::string> origins_;
};

struct transmitter_metadata {
    std::string issuer, jwks_uri, configuration_endpoint, verification_endpoint;
    std::string status_endpoint, add_subject_endpoint, remove_subject_endpoint;  // may be empty
    std::string mission_status_endpoint;        // empty: Status is out of reach
    std::vector<std::string> status_algs;       // mission_status_signing_alg_values_supported
    std::vector<std::string> status_methods;    // mission_status_endpoint_auth_methods_supported
    std::vector<std::string> delivery_methods;  // empty: not said
    std::vector<std::string> critical_subject_members;
    std::chrono::seconds max_stale{0};  // mission_max_stale_seconds
    std::string default_subjects;       // ALL | NONE | empty
};

// Checks the form, that `issuer` is `expected` (when not empty), and that endpoints which are sent
// tokens lie within reach: bad_response, wrong_issuer, bad_configuration. `quirks` may be null.
result<transmitter_metadata> parse_metadata(std::string_view text, std::string_view expected,
                                            const token_reach& reach = {},
                                            quirk_log* quirks = nullptr);

// RFC 8414: token_endpoint of a document whose `issuer` is `expected`; with `mutual_tls` its alias
// of RFC 8705 section 5, if there is one.
result<std::string> parse_token_endpoint(std::string_view text, std::string_view expected,
                                         const token_reach& reach = {}, quirk_log* quirks = nullptr,
                                         bool mutual_tls = false);

// RFC 9728 section 2.
struct protected_resource {
    std::vector<std::string> authorization_servers, scopes_supported;
};
// wrong_issuer when `resource` is another one.
result<protected_resource> parse_protected_resource(std::string_view text,
                                                    std::string_view expected,
                                                    quirk_log* quirks = nullptr);

struct access_token {
    std::string value;
    bool dpop = false;  // token_type DPoP (RFC 9449 section 5)
    std::chrono::seconds lifetime{0};
};
// RFC 6749 section 5.1.
result<access_token> parse_token_response(std::string_view text);

}  // namespace mission::receiver
