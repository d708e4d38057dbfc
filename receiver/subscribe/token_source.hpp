// Access tokens (RFC 6749 section 4.4): where they come from, and one request per lifetime.
//
// Client authentication by secret (basic or post), private_key_jwt (RFC 7523) or certificate
// (RFC 8705), or a static token. Mission Status may need a token of its own: who has only a secret
// asks for one bound to a key of its own making (RFC 9449), for that endpoint (RFC 8707).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "jose/key.hpp"
#include "mission_signals/receiver.hpp"
#include "net/client.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/subscribe/discovery.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission::receiver {

struct credentials {
    std::string client_id, client_secret, token;
    std::optional<jose::private_key> key;
    bool secret_in_form = false;
    std::string certificate_pem, certificate_key_pem;
    // Of our own making; given where Status can be asked by DPoP alone.
    std::optional<jose::private_key> dpop_key;

    bool has_certificate() const noexcept { return !certificate_pem.empty(); }
    // A plain token, and nothing that proves who we are.
    bool token_only() const noexcept { return !key && client_secret.empty() && !has_certificate(); }
};

struct token_options {
    credentials who;
    std::string endpoint, scope;  // empty: found out
    token_reach reach;
    secrets known;  // never shown in words
    std::shared_ptr<quirk_log> quirks;
    ms::log_function log;
    std::function<instant()> now = coarse_now;
};

// THREAD: all methods from any thread; completions on network threads.
class token_source {
  public:
    // reports: a token of its own, since a client that may not report must not lose its stream.
    enum class purpose { streams, status, reports };
    struct usable {
        std::string value;
        bool dpop = false;  // goes with `Authorization: DPoP` and a proof
    };
    virtual ~token_source() = default;

    // Whoever asks while a request is under way waits for it. `m` decides where to ask.
    virtual void get(purpose p, const transmitter_metadata& m,
                     std::function<void(result<usable>)> done) = 0;
    // The server refused it: the next get() asks for another. A static one stays.
    virtual void forget(purpose p, const std::string& value) = 0;
    // What is left of the server's Retry-After, unless there is a token at hand: until then get()
    // fails at once, with the server's words.
    virtual std::chrono::milliseconds asked_to_wait(purpose p) const = 0;
    virtual bool is_static() const noexcept = 0;

    // RFC 7523 section 3, signed with the client's key.
    virtual result<std::string> assertion(std::string_view audience) const = 0;
    // Adds the Authorization field, and the proof where the token is bound to our key.
    virtual result<void> authorize(net::client_request& request, const usable& token) const = 0;
    // Remembers what a server answered with: RFC 9449 section 8. True when it is another nonce
    // than the last.
    virtual bool take_nonce(const std::string& url, const net::http_response& r) = 0;
};

// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
std::string basic_credentials(std::string_view client_id, std::string_view client_secret);

std::shared_ptr<token_source> make_token_source(std::shared_ptr<net::http_client> http,
                                                token_options o);

// RFC 7523 section 3: good for a minute from `now`, a NumericDate; a fresh one each time, for its
// `jti` is good once.
result<std::string> client_assertion(const jose::private_key& key, std::string_view client_id,
                                     std::string_view audience, std::int64_t now);
inline constexpr std::string_view client_assertion_type =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

}  // namespace mission::receiver
