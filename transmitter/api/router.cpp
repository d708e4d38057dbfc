#include "transmitter/api/router.hpp"

#include <algorithm>
#include <optional>

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

// Passes an answer on and tells the observer.
class observed final : public net::responder::state {
  public:
    observed(net::responder to, router::observer const& tell, std::string_view route)
        : to_(std::move(to)), tell_(tell), route_(route) {}
    void respond(net::http_response r) override {
        tell_(route_, r.status);
        to_(std::move(r));
    }
    bool gone() const noexcept override { return to_.gone(); }

  private:
    net::responder to_;
    const router::observer& tell_;  // both live in the router, which outlives its requests
    std::string_view route_;
};

}  // namespace

void router::add(std::string method, std::string path, route_handler h) {
    routes_.push_back({std::move(method), prefix_ + path, std::move(h)});
}

void router::add_absolute(std::string method, std::string path, route_handler h) {
    routes_.push_back({std::move(method), std::move(path), std::move(h)});
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
            respond(error_answer({errc::invalid_request, "the path is wrongly encoded"}));
            return true;
        }
        r.handler(std::move(request), std::move(*tail),
                  observer_ ? net::responder(std::make_shared<observed>(respond, observer_, r.path))
                            : respond);
        return true;
    }
    if (allow.empty()) return false;
    auto answer = json_answer(
        405, R"({"err":"method_not_allowed","description":"this path takes other methods"})");
    answer.fields.set("allow", std::move(allow));
    respond(std::move(answer));
    return true;
}

}  // namespace mission::transmitter
