#include "transmitter/api/router.hpp"

#include <algorithm>
#include <optional>

#include "transmitter/api/even_refusal.hpp"

namespace mission::transmitter {
namespace {

// The text that stands for '*' in `pattern`, "" when there is none in it; nullopt: no match.
// A '*' is one segment that is not empty. Compared as sent: a percent-encoded '/' stays inside its
// segment.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
    const auto star = pattern.find('*');
    if (star == std::string_view::npos)
        return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
    const auto before = pattern.substr(0, star);
    const auto after = pattern.substr(star + 1);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
        !path.ends_with(after))
        return std::nullopt;
    const auto segment = path.substr(before.size(), path.size() - before.size() - after.size());
    if (segment.find('/') != std::string_view::npos) return std::nullopt;
    return segment;
}

// Adds the parameter to each challenge of a token scheme; a client password's has no metadata.
void add_resource_metadata(net::http_response& r, const std::string& url) {
    net::headers out;
    for (const auto& [name, value] : r.fields) {
        const bool bearer = name == "www-authenticate" && value.starts_with("Bearer");
        const bool dpop = name == "www-authenticate" && value.starts_with("DPoP");
        if (!bearer && !dpop) {
            out.add(name, value);
            continue;
        }
        const bool bare = value.find('=') == std::string::npos;
        out.add(name, value + (bare ? " " : ", ") + "resource_metadata=\"" + url + "\"");
    }
    r.fields = std::move(out);
}

// Passes an answer on, with what belongs into a challenge, and tells the observer.
class observed final : public net::responder::state {
  public:
    observed(net::responder to, const router::observer& tell,
             const router::resource_place& resource, std::string_view route,
             std::string_view relative)
        : to_(std::move(to)),
          tell_(tell),
          resource_(resource),
          route_(route),
          relative_(relative) {}
    void respond(net::http_response r) override {
        if (tell_) tell_(route_, r.status);
        if (r.status == 401 && resource_) add_resource_metadata(r, resource_(relative_));
        to_(std::move(r));
    }
    bool gone() const noexcept override { return to_.gone(); }

  private:
    net::responder to_;
    const router::observer& tell_;  // all live in the router, which outlives its requests
    const router::resource_place& resource_;
    std::string_view route_, relative_;
};

}  // namespace

void router::add(std::string method, std::string path, route_handler h) {
    routes_.push_back({std::move(method), prefix_ + path, std::move(h)});
}

void router::add_absolute(std::string method, std::string path, route_handler h) {
    routes_.push_back({std::move(method), std::move(path), std::move(h)});
}

bool router::knows(std::string_view path) const noexcept {
    return std::any_of(routes_.begin(), routes_.end(),
                       [&](const route& r) { return match(r.path, path).has_value(); });
}

bool router::dispatch(net::http_request& request, const net::responder& respond) const {
    std::string allow;
    for (const auto& r : routes_) {
        const auto segment = match(r.path, request.path);
        if (!segment) continue;
        // RFC 9110 section 9.3.2: HEAD is GET without the body, which the server leaves out.
        if (r.method != request.method && !(r.method == "GET" && request.method == "HEAD")) {
            if (allow.find(r.method) == std::string::npos)
                allow += (allow.empty() ? "" : ", ") + r.method;
            continue;
        }
        auto tail = net::percent_decode(*segment);
        if (!tail) {
            respond(
                shaped_error(request.path, 400, "invalid_request", "the path is wrongly encoded"));
            return true;
        }
        const std::string_view path = r.path;
        const auto relative = path.starts_with(prefix_) ? path.substr(prefix_.size()) : path;
        r.handler(std::move(request), std::move(*tail),
                  net::responder(std::make_shared<observed>(
                      runtime_ ? even_refusal(*runtime_, respond) : respond, observer_, resource_,
                      path, relative)));
        return true;
    }
    if (allow.empty()) return false;
    auto answer = shaped_error(
        request.path, 405, speaks_oauth(request.path) ? "invalid_request" : "method_not_allowed",
        "this path takes other methods");
    answer.fields.set("allow", std::move(allow));
    respond(std::move(answer));
    return true;
}

}  // namespace mission::transmitter
