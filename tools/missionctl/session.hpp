// A conversation with one transmitter: discovery, tokens, and answers that are checked before they
// are believed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "jose/jws.hpp"
#include "tools/missionctl/http.hpp"
#include "tools/missionctl/settings.hpp"

namespace mission::tools {

using form_fields = std::vector<std::pair<std::string, std::string>>;

struct metadata {
    std::string issuer, token_endpoint, jwks_uri, lifecycle_endpoint, status_endpoint,
        management_endpoint;
    std::vector<std::string> status_algs;
};

// A JSON answer of any status; `body` is a null value when the answer had none.
struct json_reply {
    int status = 0;
    json::document body;
    std::string text;
};

class session {
  public:
    // `wait` sleeps between tries; tests count. Key errors show here.
    static result<std::unique_ptr<session>> open(
        settings s, std::unique_ptr<blocking_http> http, const clock& time,
        std::function<void(std::chrono::milliseconds)> wait);

    // JSON resource with a bearer token of the scopes given. `path` below the issuer. Repeated on
    // 503 and lost connections only when `repeatable`.
    result<json_reply> call(std::string method, const std::string& path, std::string body,
                            std::string_view scopes, bool repeatable,
                            const std::vector<std::pair<std::string, std::string>>& fields = {});

    // The text of a GET, whatever it is.
    result<std::string> fetch(const std::string& path, std::string_view scopes,
                              const std::vector<std::pair<std::string, std::string>>& fields);

    // A form of section 4 (lifecycle, status): authenticated, repeated with the same nonce until it
    // is answered (I11), and its signed answer verified. Gives the answer's claims.
    enum class form { lifecycle, status };
    result<json::document> signed_call(form which, const std::string& mission_id,
                                       form_fields fields, std::string nonce);

    // POST /mission/manage: authenticated, repeated with the same nonce until it is answered, and
    // the signed answer verified. `nonce` empty: one of our own. Gives the answer's claims.
    result<json::document> manage(const json::value& request, std::string nonce);

  private:
    session(settings s, std::unique_ptr<blocking_http> http, const clock& time,
            std::function<void(std::chrono::milliseconds)> wait);
    result<void> discover();
    result<net::http_response> bearer_call(
        const std::string& method, const std::string& path, const std::string& body,
        std::string_view scopes, bool repeatable,
        const std::vector<std::pair<std::string, std::string>>& fields);
    result<std::string> bearer(std::string_view scopes);
    result<std::string> assertion(const std::string& audience) const;
    result<json::document> get_json(const std::string& url);
    // Asks with our own proof until there is an answer; the body of a 200.
    result<std::string> proven_call(
        const std::string& endpoint,
        const std::function<void(net::client_request&, const form_fields& proof)>& fill);
    result<jose::key_set> keys();
    result<json::document> check_status(const std::string& jws, const std::string& mission_id,
                                        const std::string& nonce, bool may_have_expired);
    result<net::http_response> send_again(const std::function<result<net::client_request>()>& make,
                                          bool repeatable);

    settings settings_;
    std::unique_ptr<blocking_http> http_;
    const clock& time_;
    std::function<void(std::chrono::milliseconds)> wait_;
    std::unique_ptr<jose::private_key> key_;
    metadata meta_;
    std::string bearer_, bearer_scopes_;
};

// The checks of a status answer (draft-mcguinness-oauth-mission-status "Mission Status Response"):
// `jws` against `keys` and what was asked. Gives the claims.
struct status_expectation {
    std::string issuer, audience, subject, nonce, mission_id;
    std::vector<std::string> algs;
    wall_time now{};
    // An operation asked again with its nonce gets its first claims for 24 hours (wire.md section
    // 4): true where such an old answer is what was asked for.
    bool may_have_expired = false;
};
result<json::document> verify_status(std::string_view jws, const jose::key_set& keys,
                                     const status_expectation& expected);
// The same checks of a management answer (draft-mcguinness-oauth-mission-management "Mission
// Management Endpoint"): `mission_id` does not count.
result<json::document> verify_management(std::string_view jws, const jose::key_set& keys,
                                         const status_expectation& expected);

}  // namespace mission::tools
