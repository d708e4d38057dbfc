// Routes of one issuer, and the one mapping from errors to HTTP that discloses nothing.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "net/http.hpp"
#include "net/runtime.hpp"

namespace mission::transmitter {

// `tail` is what followed a route that ends in "/*" (percent-decoded), else empty.
using route_handler =
    std::function<void(net::http_request request, std::string tail, net::responder respond)>;

// Whose errors are {"error", "error_description"}: the token endpoint (RFC 6749 section 5.2) and
// the mission endpoints of the drafts. All others say {"err", "description"}.
bool speaks_oauth(std::string_view path) noexcept;
// An error answer in the shape of that path. `description` is cut to what fits an answer and its
// grammar.
net::http_response shaped_error(std::string_view path, int status, std::string_view code,
                                std::string_view description);

// Filled at start, then only read. THREAD: dispatch from any thread.
class router {
  public:
    explicit router(std::string prefix) : prefix_(std::move(prefix)) {}
    // path: "/ssf/streams" exactly, "/ssf/poll/*" with one more segment, "/missions/*/scope".
    // Well-known paths are given whole, prefix included, through `add_absolute`.
    void add(std::string method, std::string path, route_handler h);
    void add_absolute(std::string method, std::string path, route_handler h);
    // Told of every answer: the route's path (with its '*') and the status.
    using observer = std::function<void(std::string_view route, int status)>;
    void set_observer(observer o) { observer_ = std::move(o); }
    // Every 404 of a route takes the same time (even_refusal.hpp). `runtime` outlives the router.
    void even_refusals(net::runtime& runtime) { runtime_ = &runtime; }
    // RFC 9728 section 5.1: where the metadata of a protected resource is, added to the challenge
    // of every 401. `place` gives the URL for a route's path, without the prefix.
    using resource_place = std::function<std::string(std::string_view route)>;
    void set_resource_metadata(resource_place p) { resource_ = std::move(p); }
    // False when no path matches; a known path with another method is answered 405 with Allow.
    bool dispatch(net::http_request& request, const net::responder& respond) const;
    // Whether dispatch would answer: some route has that path.
    bool knows(std::string_view path) const noexcept;

  private:
    struct route {
        std::string method, path;
        route_handler handler;
    };
    std::string prefix_;
    std::vector<route> routes_;
    observer observer_;
    net::runtime* runtime_ = nullptr;
    resource_place resource_;
};

// JSON answers with Cache-Control: no-store.
net::http_response json_answer(int status, std::string body);
net::http_response empty_answer(int status);
// {"err":..,"description":..} (SSF, /missions, /admin) with the status of the errc,
// WWW-Authenticate on 401 and 403 insufficient_scope, Retry-After on 429. Input errors say what is
// wrong; everything else says a fixed sentence per code.
net::http_response error_answer(const error& e);
int http_status(errc code) noexcept;
// WWW-Authenticate, once for each scheme of tokens (RFC 6750 section 3, RFC 9449 section 7.1); for
// a refused proof the scheme that it belongs to.
void add_challenges(net::http_response& answer, errc why, bool token_refused);

// Body of a JSON endpoint: Content-Type absent or application/json (415 otherwise), strict parse.
result<json::document> json_body(const net::http_request& request);
// The same, and checked against the schema of that name (schemas/schemas.hpp): 400 with the place.
result<json::document> checked_body(const net::http_request& request, std::string_view schema);
// Whether the request brought a body at all, be it one that was too large to read.
bool has_body(const net::http_request& request) noexcept;
// The Idempotency-Key header, empty when there is none; invalid_request when it is no such thing.
result<std::string> idempotency_key_of(const net::http_request& request);
// Content-Type absent or application/x-www-form-urlencoded.
bool form_content_type(const net::http_request& request);
// Query parameters; a name given twice, access_token: invalid_request.
result<std::vector<std::pair<std::string, std::string>>> query_of(const net::http_request& request);

}  // namespace mission::transmitter
