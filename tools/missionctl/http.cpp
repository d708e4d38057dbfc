#include "tools/missionctl/http.hpp"

#include <future>

namespace mission::tools {
namespace {

class blocking_http_impl final : public blocking_http {
  public:
    explicit blocking_http_impl(std::unique_ptr<net::runtime> rt) : runtime_(std::move(rt)) {}
    ~blocking_http_impl() override {
        if (client_) client_->stop();
        client_.reset();
        runtime_->stop();
    }

    result<void> open(const std::string& ca_pem) {
        net::client_options options;
        options.ca_pem = ca_pem;
        auto made = net::make_http_client(*runtime_, std::move(options));
        if (!made) return made.error();
        client_ = std::move(*made);
        return {};
    }

    result<net::http_response> send(net::client_request request) override {
        std::promise<result<net::http_response>> promise;
        auto answer = promise.get_future();
        // The request has its own deadline, so the completion always comes.
        const auto pending = client_->send(
            std::move(request),
            [&promise](result<net::http_response> r) { promise.set_value(std::move(r)); });
        return answer.get();
    }

  private:
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<net::http_client> client_;
};

}  // namespace

result<std::unique_ptr<blocking_http>> make_blocking_http(const std::string& ca_pem) {
    auto made = std::make_unique<blocking_http_impl>(net::make_runtime(1, 1));
    if (auto opened = made->open(ca_pem); !opened) return opened.error();
    return std::unique_ptr<blocking_http>(std::move(made));
}

}  // namespace mission::tools
