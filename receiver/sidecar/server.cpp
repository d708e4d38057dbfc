// The listener, the settings in force, and how both are exchanged while requests come.
#include <condition_variable>
#include <mutex>
#include <utility>

#include "net/server.hpp"
#include "receiver/sidecar/core.hpp"
#include "receiver/sidecar/handler.hpp"
#include "receiver/sidecar/limits.hpp"
#include "receiver/sidecar/sidecar.hpp"
#include "receiver/sidecar/token_desk.hpp"

namespace mission::receiver::sidecar {
namespace {

// Two steps: what is in flight ends by itself, then is cut off.
void close(std::unique_ptr<net::http_server> http) {
    if (!http) return;
    std::mutex m;
    std::condition_variable wake;
    bool closed = false;
    http->stop(limits::stop_grace, [&] {
        const std::lock_guard lock(m);
        closed = true;
        wake.notify_all();
    });
    std::unique_lock lock(m);
    wake.wait(lock, [&] { return closed; });
}

class server_impl final : public server {
  public:
    server_impl(ms::receiver& rx, unsigned threads, ms::log_function log,
                std::function<std::string()> more_metrics)
        : log_(std::move(log)),
          core_(std::make_shared<core>(
              rx, std::shared_ptr<net::runtime>(net::make_runtime(threads, 1)))),
          keys_(*core_->rt),
          handler_(make_handler(core_, std::move(more_metrics))) {}
    ~server_impl() override { stop(); }

    result<void> open(settings s) {
        auto made = policy_of(std::move(s));
        if (!made) return made.error();
        auto http = listen((*made)->s);
        if (!http) return http.error();
        put_in_force(std::move(*made), std::move(*http));
        tend();
        return {};
    }

    std::uint16_t port() const noexcept override { return http_ ? http_->port() : 0; }

    result<void> apply(settings s) override {
        auto r = exchange(std::move(s));
        core_->counted.count_reload(r.has_value());
        keys_.refresh();
        return r;
    }

    void stop() override {
        if (stopped_) return;
        stopped_ = true;
        {
            const std::lock_guard lock(tending_);
            tended_ = true;
            timer_.reset();
        }
        close(std::move(http_));
        keys_.stop();
        core_->rt->stop();
    }

    std::string metrics_text() const override { return core_->counted.text(); }

  private:
    using policy_ptr = std::shared_ptr<const policy>;

    result<policy_ptr> policy_of(settings s) {
        auto p = std::make_shared<policy>();
        if (s.has(source::token)) {
            auto desk = token_desk::make(s.tokens, keys_);
            if (!desk) return desk.error();
            p->tokens = std::move(*desk);
        }
        p->s = std::move(s);
        return policy_ptr(std::move(p));
    }

    // Now, and again and again.
    void tend() {
        keys_.refresh();
        const std::lock_guard lock(tending_);
        if (!tended_) timer_ = core_->rt->after(limits::keys_tended, [this] { tend(); });
    }

    result<std::unique_ptr<net::http_server>> listen(const settings& s) {
        net::server_options o;
        o.address = s.listen->address;
        o.port = s.listen->port;
        o.mode = s.certificate_pem.empty() ? net::transport::plain : net::transport::tls;
        o.certificate_pem = s.certificate_pem;
        o.private_key_pem = s.private_key_pem;
        o.max_body = limits::body_bytes;
        // A proxy is one address, and all that there is.
        o.max_connections = o.max_connections_per_address = limits::connections;
        return net::make_http_server(*core_->rt, std::move(o), *handler_);
    }

    result<void> exchange(settings s) {
        const auto before = core_->current();
        auto made = policy_of(std::move(s));
        if (!made) return made.error();
        const auto& now = (*made)->s;
        const bool same_place = *now.listen == *before->s.listen;
        const bool tls = !now.certificate_pem.empty();
        if (!same_place) {
            auto http = listen(now);
            if (!http) return http.error();
            auto old = put_in_force(std::move(*made), std::move(*http));
            close(std::move(old));
            return {};
        }
        if (tls != !before->s.certificate_pem.empty())
            return error{errc::bad_configuration,
                         "check.certificate: TLS is turned on or off on the same address by a "
                         "restart alone"};
        const bool other_certificate = now.certificate_pem != before->s.certificate_pem ||
                                       now.private_key_pem != before->s.private_key_pem;
        if (tls && other_certificate) {
            if (auto r = http_->reload(now.certificate_pem, now.private_key_pem); !r) return r;
        }
        core_->replace(std::move(*made));
        return {};
    }

    // The settings first: nobody comes in by the new door under the old rules.
    std::unique_ptr<net::http_server> put_in_force(policy_ptr p,
                                                   std::unique_ptr<net::http_server> http) {
        const auto where = p->s.listen->address;
        core_->replace(std::move(p));
        auto old = std::exchange(http_, std::move(http));
        std::vector<ms::log_field> fields{{"address", where}};
        if (http_->port() != 0) fields.push_back({"port", std::to_string(http_->port())});
        if (log_) log_(ms::log_level::info, "sidecar listening", fields);
        return old;
    }

    const ms::log_function log_;
    const std::shared_ptr<core> core_;
    key_shelf keys_;
    const std::shared_ptr<net::http_handler> handler_;
    std::unique_ptr<net::http_server> http_;
    bool stopped_ = false;
    std::mutex tending_;
    bool tended_ = false;  // for the last time
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

result<std::unique_ptr<server>> make_server(ms::receiver& rx, settings s, ms::log_function log,
                                            std::function<std::string()> more_metrics) {
    auto made =
        std::make_unique<server_impl>(rx, s.threads, std::move(log), std::move(more_metrics));
    if (auto r = made->open(std::move(s)); !r) return r.error();
    return std::unique_ptr<server>(std::move(made));
}

}  // namespace mission::receiver::sidecar
