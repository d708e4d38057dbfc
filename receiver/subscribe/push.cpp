#include "receiver/subscribe/push.hpp"

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/set.hpp"
#include "jose/digest.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

// RFC 8935 section 2.3: the error object, and the language its description is in.
ms::push_response refusal(int status, std::string_view err, std::string_view description) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "err", err);
    json::member(w, "description", description);
    w.EndObject();
    return {status,
            {{"Content-Type", "application/json"},
             {"Content-Language", "en"},
             {"Cache-Control", "no-store"}},
            json::text(b)};
}

ms::push_response response_of(const set_outcome& o) {
    switch (o.fate) {
        case set_fate::acknowledge:
            return {202, {{"Cache-Control", "no-store"}}, {}};
        case set_fate::retry: {
            auto r = refusal(503, "unavailable", "The SET cannot be taken now; send it again.");
            r.headers.emplace_back("Retry-After", "1");
            return r;
        }
        case set_fate::reject:
            break;
    }
    return refusal(o.why == errc::too_large ? 413 : 400, set_error_code(o.why.code),
                   set_error_description(o.why.code));
}

bool is_set(std::string_view content_type) {
    const auto type = content_type.substr(0, content_type.find(';'));
    std::string lower;
    for (const char c : type) {
        if (c != ' ') lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return lower.empty() || lower == events::set_content_type;
}

// Of a push that is not answered yet; free with the answer, or when nobody can give one any more.
struct push_place {
    explicit push_place(std::shared_ptr<std::atomic<int>> c) noexcept
        : count(std::move(c)), before(count->fetch_add(1)) {}
    ~push_place() { leave(); }
    push_place(const push_place&) = delete;
    push_place& operator=(const push_place&) = delete;
    void leave() noexcept {
        if (!left.exchange(true)) count->fetch_sub(1);
    }
    const std::shared_ptr<std::atomic<int>> count;
    const int before;
    std::atomic<bool> left{false};
};

class handler final : public net::http_handler {
  public:
    handler(const push_endpoint& endpoint, std::string path)
        : endpoint_(endpoint), path_(std::move(path)) {}

    void handle(net::http_request request, net::responder respond) override {
        auto answer = [respond = std::move(respond)](ms::push_response r) {
            respond(http(std::move(r)));
        };
        if (request.path != path_) return answer(refusal(404, "not_found", "Nothing is here."));
        if (request.method != "POST") {
            auto r = refusal(405, "invalid_request", "SETs are delivered with POST.");
            r.headers.emplace_back("Allow", "POST");
            return answer(std::move(r));
        }
        endpoint_.handle(
            {std::string(request.fields.get("content-type")),
             std::string(request.fields.get("authorization")), std::move(request.body)},
            std::move(answer));
    }

    // What the server itself refuses looks no different: RFC 8935 section 2.3.
    net::http_response refuse(const net::http_request&, int status, std::string_view err,
                              std::string_view description) override {
        return http(refusal(status, err, description));
    }

  private:
    static net::http_response http(ms::push_response r) {
        net::http_response out;
        out.status = r.status;
        for (auto& [name, value] : r.headers)
            out.fields.add(name, std::move(value));
        out.body = std::move(r.body);
        return out;
    }

    const push_endpoint& endpoint_;
    const std::string path_;
};

}  // namespace

void push_endpoint::handle(ms::push_request request,
                           std::function<void(ms::push_response)> done) const {
    if (!authorization_.empty() &&
        !jose::equal_constant_time(request.authorization, authorization_)) {
        auto r = refusal(401, "authentication_failed", "The Authorization header is not ours.");
        r.headers.emplace_back("WWW-Authenticate", "Bearer");
        return done(std::move(r));
    }
    if (!is_set(request.content_type)) {
        return done(
            refusal(415, "invalid_request", "The body has to be application/secevent+jwt."));
    }
    if (request.body.size() > limits::token_bytes) {
        return done(refusal(413, "invalid_request", "The SET is too large."));
    }
    // So many wait for the disk or for keys: one more would only wait behind them.
    const auto place = std::make_shared<push_place>(in_flight_);
    if (place->before >= limits::pushes_in_flight) {
        auto r = refusal(429, "too_many_requests", "Too many SETs wait; send it again.");
        r.headers.emplace_back("Retry-After", "1");
        return done(std::move(r));
    }
    sets_->accept(request.body, {}, [done = std::move(done), place](const set_outcome& o) {
        place->leave();
        done(response_of(o));
    });
}

std::unique_ptr<net::http_handler> make_push_handler(const push_endpoint& endpoint,
                                                     std::string path) {
    return std::make_unique<handler>(endpoint, std::move(path));
}

}  // namespace mission::receiver
