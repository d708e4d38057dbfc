#include "receiver/subscribe/management.hpp"

#include <future>

#include "net/client.hpp"
#include "net/runtime.hpp"
#include "receiver/options.hpp"
#include "receiver/subscribe/link.hpp"
#include "receiver/subscribe/stream_plan.hpp"

namespace mission::receiver {
namespace {

class management_impl final : public management {
  public:
    explicit management_impl(const ms::options& o) : rt_(net::make_runtime(1, 1)) {
        auto http = net::make_http_client(*rt_, client_options_of(o));
        if (http.has_error()) throw ms::setup_error("ca_file: " + http.error().message());
        link_ = make_link(std::move(*http), link_options_of(o));
    }
    ~management_impl() override {
        link_->stop();
        rt_->stop();
    }

    result<transmitter_metadata> metadata() override {
        if (auto known = link_->metadata()) return *known;
        std::promise<result<transmitter_metadata>> found;
        link_->discover([&](result<transmitter_metadata> m) { found.set_value(std::move(m)); });
        return found.get_future().get();
    }

    result<net::http_response> call(std::string_view method, endpoint where, std::string_view query,
                                    std::string_view body,
                                    std::chrono::milliseconds timeout) override {
        const auto m = metadata();
        if (m.has_error()) return m.error();
        auto url = url_of(*m, where);
        if (url.empty()) {
            return error{errc::not_found, "the transmitter's metadata names no such endpoint"};
        }
        if (!query.empty())
            url.append(url.find('?') == std::string::npos ? "?" : "&").append(query);
        return send(method, std::move(url), body, timeout);
    }

    result<net::http_response> poll(std::string_view stream_id, std::string_view body,
                                    std::chrono::milliseconds timeout) override {
        auto found = call("GET", endpoint::configuration,
                          "stream_id=" + net::percent_encode(stream_id), {}, timeout);
        if (found.has_error() || found->status != 200) return found;
        const auto stream = parse_stream(found->body);
        if (stream.has_error()) return stream.error();
        if (stream->method != poll_method || stream->endpoint_url.empty()) {
            return error{errc::stream_invalid, "it is no poll stream"};
        }
        return send("POST", stream->endpoint_url, body.empty() ? "{}" : body, timeout);
    }

    result<std::shared_ptr<const jose::key_set>> keys() override {
        const auto m = metadata();
        if (m.has_error()) return m.error();
        if (auto set = link_->keys()) return set;
        std::promise<result<void>> fetched;
        link_->refetch_keys([&](result<void> r) { fetched.set_value(std::move(r)); });
        const auto r = fetched.get_future().get();
        if (r.has_error()) return r.error();
        return link_->keys();
    }

  private:
    static std::string url_of(const transmitter_metadata& m, endpoint where) {
        switch (where) {
            case endpoint::configuration:
                return m.configuration_endpoint;
            case endpoint::status:
                return m.status_endpoint;
            case endpoint::add_subject:
                return m.add_subject_endpoint;
            case endpoint::remove_subject:
                return m.remove_subject_endpoint;
            case endpoint::verification:
                return m.verification_endpoint;
        }
        return {};
    }

    result<net::http_response> send(std::string_view method, std::string url, std::string_view body,
                                    std::chrono::milliseconds timeout) {
        link::call c;
        c.method = method;
        c.url = std::move(url);
        c.body = body;
        if (!body.empty()) c.content_type = "application/json";
        c.timeout = timeout;
        std::promise<result<net::http_response>> answer;
        link_->send(std::move(c),
                    [&](result<net::http_response> r) { answer.set_value(std::move(r)); });
        return answer.get_future().get();
    }

    const std::unique_ptr<net::runtime> rt_;
    std::unique_ptr<link> link_;
};

}  // namespace

std::unique_ptr<management> make_management(const ms::options& o) {
    check_peer_options(o);
    return std::make_unique<management_impl>(o);
}

}  // namespace mission::receiver
