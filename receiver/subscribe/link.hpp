// The way to the transmitter: discovery, HTTP with tokens, its keys, Mission Status.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "jose/key.hpp"
#include "mission_signals/receiver.hpp"
#include "net/client.hpp"
#include "receiver/cache/apply.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/subscribe/discovery.hpp"
#include "receiver/subscribe/http_calls.hpp"
#include "receiver/subscribe/token_source.hpp"

namespace mission::receiver {

// THREAD: all methods from any thread; completions on network threads.
class link {
  public:
    virtual ~link() = default;

    // Metadata, then keys. Kept until the next discover().
    virtual void discover(std::function<void(result<transmitter_metadata>)> done) = 0;
    virtual std::optional<transmitter_metadata> metadata() const = 0;

    // One authenticated call; after a 401 once more with a new token. `url` has to lie on the
    // issuer's origin or a host of token_hosts. Any status but a second 401 is a success here.
    struct call {
        std::string method = "GET", url, body, content_type;
        std::chrono::milliseconds timeout{10'000};
        std::string content_language{};  // none when empty
        std::string idempotency_key{};   // none when empty
        token_source::purpose what_for = token_source::purpose::streams;
    };
    virtual void send(call c, http_done done) = 0;
    // http_status: "`what` answered 400: ...", with the peer's words, our token left out.
    virtual error unexpected_answer(const net::http_response& r, std::string_view what) const = 0;
    // For how long the metadata's or the token endpoint's Retry-After still asks us to stay away:
    // until then discover(), and send() without a token at hand, fail without asking anybody.
    virtual std::chrono::milliseconds asked_to_wait() const = 0;

    // The keys of the last fetch that brought any; nullptr before the first.
    virtual std::shared_ptr<const jose::key_set> keys() const = 0;
    // Fetches again, unless that was done within limits::jwks_refetch_min (then `done` is told
    // keys_unavailable at once). Askers at one time share one request.
    virtual void refetch_keys(std::function<void(result<void>)> done) = 0;
    // Older than limits::jwks_fresh: worth fetching again, though they still serve.
    virtual bool keys_aged() const = 0;
    // Keys could not be had for so long that waiting is over.
    virtual bool keys_given_up() const = 0;

    // One Mission Status request, its answer fully checked. mission_not_found, unauthenticated,
    // rate_limited, unavailable, and what verification says. While a Retry-After lasts nothing is
    // sent, and the error is the one that came with it.
    virtual void ask_status(const mission_key& key, const std::string& audience,
                            std::function<void(result<status_word>)> done) = 0;

    // Cancels what is in flight; later calls fail with cancelled.
    virtual void stop() = 0;
};

struct link_options {
    std::string issuer, metadata_url, metadata_json;
    credentials who;
    std::vector<std::string> token_hosts;
    std::string token_endpoint, token_scope;
    secrets known;                      // never shown in words, besides tokens
    std::shared_ptr<quirk_log> quirks;  // null: all off
    ms::log_function log;
    std::function<instant()> now = coarse_now;
};
std::unique_ptr<link> make_link(std::shared_ptr<net::http_client> http, link_options o);

}  // namespace mission::receiver
