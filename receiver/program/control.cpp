#include "receiver/program/control.hpp"

#include <algorithm>
#include <optional>

#include "base/json.hpp"
#include "base/time.hpp"
#include "receiver/program/metrics.hpp"
#include "receiver/program/views.hpp"
#include "receiver/sidecar/decision.hpp"

namespace mission::receiver::program {
namespace {

namespace ms = mission_signals;

// Both doors of the program answer alike.
using sidecar::error_response;
using sidecar::json_response;

class control_handler final : public net::http_handler {
  public:
    control_handler(ms::receiver& rx, net::runtime& rt) : rx_(rx), rt_(rt) {}

    void handle(net::http_request request, net::responder respond) override {
        auto query = net::parse_form(request.query);
        if (!query)
            return respond(error_response(400, "invalid_request", "the query cannot be read"));
        if (request.path.starts_with("/missions/") && request.method == "GET")
            return mission(request.path.substr(10), value(*query, "resolve") == "1", respond);
        // The rest may wait for the disk or for a lock.
        rt_.post_work([this, request = std::move(request), query = std::move(*query), respond] {
            respond(route(request, query));
        });
    }

  private:
    using fields = std::vector<std::pair<std::string, std::string>>;

    static std::string value(const fields& query, std::string_view name) {
        const auto it = std::find_if(query.begin(), query.end(),
                                     [&](const auto& field) { return field.first == name; });
        return it == query.end() ? std::string() : it->second;
    }

    void mission(const std::string& id, bool resolve, const net::responder& respond) {
        const auto tell = [this, id, respond](ms::answer a) {
            respond(json_response(200, to_json(id, a, rx_.missions().view(id))));
        };
        if (resolve) return rx_.missions().resolve(id, tell);
        tell(rx_.missions().check(id));
    }

    net::http_response route(const net::http_request& request, const fields& query) {
        const auto is = [&](std::string_view method, std::string_view path) {
            return request.method == method && request.path == path;
        };
        if (is("GET", "/status"))
            return json_response(
                200, to_json(rx_.current_status(), rx_.last_setup_problem(), rx_.handlers()));
        if (is("GET", "/missions")) return json_response(200, to_json(rx_.missions().list()));
        if (is("GET", "/tasks"))
            return json_response(
                200, to_json(some_tasks(value(query, "all") != "1", value(query, "mission_id"),
                                        value(query, "handler"))));
        if (is("GET", "/metrics")) {
            auto r = json_response(200, metrics_text(rx_));
            r.fields.set("content-type", metrics_type);
            return r;
        }
        if (is("POST", "/tasks/retry")) return retry(request);
        if (is("GET", "/holds"))
            return json_response(200, to_json(rx_.held(value(query, "mission_id"))));
        if (is("POST", "/holds")) return hold(request);
        if (is("DELETE", "/holds")) {
            const auto id = value(query, "mission_id"), name = value(query, "name");
            if (id.empty() || name.empty())
                return error_response(400, "invalid_request", "mission_id and name are needed");
            rx_.release(id, name);
            return json_response(204, {});
        }
        return error_response(404, "not_found", "no such thing here");
    }

    net::http_response retry(const net::http_request& request) {
        const auto body = json::parse(request.body);
        if (!body || !body->IsObject())
            return error_response(400, "invalid_request", "the body is no JSON object");
        if (const auto key = json::find_string(*body, "key")) {
            if (!rx_.retry_task(*key))
                return error_response(404, "not_found", "no open task has that key");
            return json_response(200, R"({"retried":true,"tasks":1})");
        }
        const auto mission_id = json::find_string(*body, "mission_id");
        const auto handler = json::find_string(*body, "handler");
        if (!mission_id && !handler && !json::find_bool(*body, "all").value_or(false))
            return error_response(400, "invalid_request",
                                  "key, mission_id, handler or all is needed");
        std::size_t count = 0;
        for (const auto& t : some_tasks(true, mission_id.value_or(""), handler.value_or("")))
            count += rx_.retry_task(t.what.idempotency_key) ? 1 : 0;
        return json_response(200, R"({"retried":true,"tasks":)" + std::to_string(count) + "}");
    }

    std::vector<ms::task_view> some_tasks(bool unfinished_only, std::string_view mission_id,
                                          std::string_view handler) const {
        auto out = rx_.tasks(unfinished_only);
        std::erase_if(out, [&](const ms::task_view& t) {
            return (!mission_id.empty() && t.what.mission_id != mission_id) ||
                   (!handler.empty() && t.handler != handler);
        });
        return out;
    }

    net::http_response hold(const net::http_request& request) {
        const auto body = json::parse(request.body);
        if (!body) return error_response(400, "invalid_request", "the body is no JSON");
        const auto id = json::find_string(*body, "mission_id");
        const auto name = json::find_string(*body, "name");
        const auto data = json::find_string(*body, "data");
        if (!id || !name || name->empty() || (json::find(*body, "data") && !data))
            return error_response(400, "invalid_request", "mission_id, name and data are texts");
        if (rx_.hold(*id, *name, data.value_or(std::string_view())))
            return json_response(201, R"({"held":true})");
        const auto now = rx_.missions().check(*id);
        return error_response(
            409, "not_permitted",
            now.permitted() ? "it could not be made durable" : std::string(now.reason()));
    }

    ms::receiver& rx_;
    net::runtime& rt_;
};

}  // namespace

std::unique_ptr<net::http_handler> make_control_handler(ms::receiver& rx, net::runtime& rt) {
    return std::make_unique<control_handler>(rx, rt);
}

}  // namespace mission::receiver::program
