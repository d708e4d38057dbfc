// Who asks, and what may they do. Checks in the order of wire.md: token (401), scope (403).
//
//   front -> prepare -- look up what the token is worth, prove what it is bound to --> handler
//                                                        handler -> bearer_with -> principal
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "net/http.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

struct principal {
    const client_config* client = nullptr;  // lives as long as the service
    std::vector<std::string> scopes;        // of the token, within the client's
    enum class method { bearer, private_key_jwt, secret, certificate } how = method::bearer;
    bool bound = false;  // the token is DPoP- or certificate-bound, and proven
    // Of the token: resources of ours (RFC 8707). Empty: this issuer as a whole, which else is one
    // of them.
    std::vector<std::string> audiences;
    wall_time token_expires{};  // long polls end here
    bool of_mission = false;    // the token was derived from a mission: it manages none
    bool has(std::string_view scope) const noexcept;
};

using form = std::vector<std::pair<std::string, std::string>>;
std::string_view field(const form& f, std::string_view name) noexcept;  // empty when absent
bool has_field(const form& f, std::string_view name) noexcept;

// ---- What metadata says of all this (RFC 8414, RFC 9728).

// Signatures we take: client assertions, access tokens, DPoP proofs.
inline constexpr std::string_view auth_signing_algs[] = {"ES256", "RS256", "PS256", "EdDSA"};
inline constexpr std::string_view dpop_algs_text = "ES256 RS256 PS256 EdDSA";
// Whether client certificates are asked for at all: [tls] client_ca, or a client's certificate.
bool uses_client_certificates(const config& settings) noexcept;
// token_endpoint_auth_methods_supported.
std::vector<std::string_view> token_auth_methods(const config& settings);
// mission_*_endpoint_auth_methods_supported (wire.md section 4).
std::vector<std::string_view> mission_auth_methods(const config& settings);

// THREAD: any.
class authenticator {
  public:
    virtual ~authenticator() = default;
    // Before the handlers: what judging the token needs from elsewhere (keys of its issuer,
    // introspection) is fetched, the verdict kept in `request.context`; then `go`, at once when
    // nothing has to be asked. Bounded in time and number. THREAD: network threads.
    virtual void prepare(net::http_request request,
                         std::function<void(net::http_request)> go) const = 0;
    // `Authorization: Bearer` or `DPoP`: unauthenticated, invalid_dpop_proof, rate_limited or
    // unavailable, or the principal; its token is for this issuer as a whole. A request that was
    // prepared is judged there, once; another one is judged here, without asking anybody.
    virtual result<principal> bearer(const net::http_request& request) const = 0;
    // The same, and one of the scopes: insufficient_scope otherwise.
    virtual result<principal> bearer_with(const net::http_request& request,
                                          std::initializer_list<std::string_view> scopes) const = 0;
    // The form endpoints and /mission/manage: a bound token with `endpoint_url` among its audiences
    // and `scope`; else a client assertion (aud = endpoint_url); else the client's certificate.
    // Under allow_bearer any token with `scope`. unauthenticated otherwise. The JSON endpoint hands
    // in what its body has of client_id, client_assertion and client_assertion_type as fields.
    // `scope` empty: the caller judges what the principal has, to know whom it refuses.
    virtual result<principal> form_client(const net::http_request& request, const form& fields,
                                          std::string_view endpoint_url,
                                          std::string_view scope) const = 0;
    // POST /oauth/token.
    virtual net::http_response token(const net::http_request& request) = 0;
    // Ends look-ups: what waits for one goes on, unauthenticated.
    virtual void stop() = 0;
};

// bad_configuration when a ca_file of [[auth.issuer]] cannot be used.
result<std::unique_ptr<authenticator>> make_authenticator(issuer_service& issuer);

}  // namespace mission::transmitter
