// What a listener hands its requests to: the router that knows the path, after the authenticator of
// its issuer has looked the token up. Tokens of one issuer are never shown to another's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transmitter/api/metrics.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/auth/authenticator.hpp"

namespace mission::transmitter {

// Filled before the listener opens, then only read.
class front final : public net::http_handler {
  public:
    explicit front(request_counters& counters) : counters_(counters) {}

    // `auth` null: nothing here takes tokens.
    router& add_issuer(std::string path, const authenticator* auth) {
        places_.push_back({std::make_unique<router>(std::move(path)), auth});
        auto& added = *places_.back().routes;
        added.set_observer(
            [this](std::string_view route, int status) { counters_.count(route, status); });
        return added;
    }

    void handle(net::http_request request, net::responder respond) override {
        for (const auto& p : places_) {
            if (!p.routes->knows(request.path)) continue;
            if (!p.auth) {
                (void)p.routes->dispatch(request, respond);
                return;
            }
            // Routers outlive their requests.
            return p.auth->prepare(std::move(request),
                                   [routes = p.routes.get(), respond](net::http_request r) {
                                       (void)routes->dispatch(r, respond);
                                   });
        }
        counters_.count("", 404);
        respond(shaped_error(request.path, 404,
                             speaks_oauth(request.path) ? "invalid_request" : "not_found",
                             "there is no such thing"));
    }

    net::http_response refuse(const net::http_request& head, int status, std::string_view err,
                              std::string_view description) override {
        return shaped_error(head.path, status, speaks_oauth(head.path) ? "invalid_request" : err,
                            description);
    }

  private:
    struct place {
        std::unique_ptr<router> routes;
        const authenticator* auth;
    };
    request_counters& counters_;
    std::vector<place> places_;
};

}  // namespace mission::transmitter
