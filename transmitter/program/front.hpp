// What a listener hands its requests to: the routers of all issuers, in turn.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transmitter/api/metrics.hpp"
#include "transmitter/api/router.hpp"

namespace mission::transmitter {

// Filled before the listener opens, then only read.
class front final : public net::http_handler {
  public:
    explicit front(request_counters& counters) : counters_(counters) {}

    router& add_issuer(std::string path) {
        routers_.push_back(std::make_unique<router>(std::move(path)));
        routers_.back()->set_observer(
            [this](std::string_view route, int status) { counters_.count(route, status); });
        return *routers_.back();
    }

    void handle(net::http_request request, net::responder respond) override {
        for (const auto& r : routers_)
            if (r->dispatch(request, respond)) return;
        counters_.count("", 404);
        respond(error_answer(errc::not_found));
    }

  private:
    request_counters& counters_;
    std::vector<std::unique_ptr<router>> routers_;
};

}  // namespace mission::transmitter
