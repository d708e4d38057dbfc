// Who asks, and what may they do. Checks in the order of wire.md: token (401), scope (403).
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
    wall_time token_expires{};  // long polls end here
    bool has(std::string_view scope) const noexcept;
};

using form = std::vector<std::pair<std::string, std::string>>;
std::string_view field(const form& f, std::string_view name) noexcept;  // empty when absent
bool has_field(const form& f, std::string_view name) noexcept;

// THREAD: any.
class authenticator {
  public:
    virtual ~authenticator() = default;
    // `Authorization: Bearer`: unauthenticated, or the principal.
    virtual result<principal> bearer(const net::http_request& request) const = 0;
    // The same, and one of the scopes: insufficient_scope otherwise.
    virtual result<principal> bearer_with(const net::http_request& request,
                                          std::initializer_list<std::string_view> scopes) const = 0;
    // The form endpoints: client assertion (aud = endpoint_url), or bearer under allow_bearer with
    // `scope`. unauthenticated otherwise.
    virtual result<principal> form_client(const net::http_request& request, const form& fields,
                                          std::string_view endpoint_url,
                                          std::string_view scope) const = 0;
    // POST /oauth/token.
    virtual net::http_response token(const net::http_request& request) = 0;
};

std::unique_ptr<authenticator> make_authenticator(issuer_service& issuer);

}  // namespace mission::transmitter
