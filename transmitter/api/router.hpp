// Routes of one issuer, and the one mapping from errors to HTTP that discloses nothing.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "net/http.hpp"

namespace mission::transmitter {

// `tail` is what followed a route that ends in "/*" (percent-decoded), else empty.
using route_handler =
    std::function<void(net::http_request request, std::string tail, net::responder respond)>;

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
    // False when no path matches; a known path with another method is answered 405 with Allow.
    bool dispatch(net::http_request& request, const net::responder& respond) const;

  private:
    struct route {
        std::string method, path;
        route_handler handler;
    };
    std::string prefix_;
    std::vector<route> routes_;
    observer observer_;
};

// JSON answers with Cache-Control: no-store.
net::http_response json_answer(int status, std::string body);
net::http_response empty_answer(int status);
// {"err":..,"description":..} (SSF, /missions, /admin) with the status of the errc,
// WWW-Authenticate on 401 and 403 insufficient_scope, Retry-After on 429. Input errors say what is
// wrong; everything else says a fixed sentence per code.
net::http_response error_answer(const error& e);
int http_status(errc code) noexcept;

// Body of a JSON endpoint: Content-Type absent or application/json (415 otherwise), strict parse.
result<json::document> json_body(const net::http_request& request);
// The same, and checked against the schema of that name (schemas/schemas.hpp): 400 with the place.
result<json::document> checked_body(const net::http_request& request, std::string_view schema);
// Content-Type absent or application/x-www-form-urlencoded.
bool form_content_type(const net::http_request& request);
// Query parameters; a name given twice, access_token: invalid_request.
result<std::vector<std::pair<std::string, std::string>>> query_of(const net::http_request& request);

}  // namespace mission::transmitter
