#include "net/client.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "net/detail/exchange.hpp"
#include "net/detail/tls.hpp"

namespace mission::net {
namespace detail {

namespace {
// Below the keep-alive time of common servers (75 s), so that reuse seldom meets a closed one.
constexpr std::int64_t idle_limit_ms = 50'000;
}  // namespace

std::unique_ptr<client_connection> client_shared::take(const std::string& origin) {
    std::vector<std::unique_ptr<client_connection>> dead;  // closed after the lock
    const std::lock_guard lock(mutex_);
    const auto it = idle_.find(origin);
    if (it == idle_.end()) return nullptr;
    auto& pool = it->second;
    std::unique_ptr<client_connection> found;
    while (!pool.empty() && !found) {
        auto c = std::move(pool.back());
        pool.pop_back();
        if (coarse_now() - c->idle_since < idle_limit_ms && c->io.silent()) {
            found = std::move(c);
        } else {
            dead.push_back(std::move(c));
        }
    }
    if (pool.empty()) idle_.erase(it);
    return found;
}

void client_shared::give_back(const std::string& origin, std::unique_ptr<client_connection> c) {
    const std::lock_guard lock(mutex_);
    if (stopped.load()) return;
    auto& pool = idle_[origin];
    if (pool.size() < options.max_idle_per_host) pool.push_back(std::move(c));
}

std::size_t client_shared::trim(bool everything) {
    std::vector<std::unique_ptr<client_connection>> dead;
    const std::lock_guard lock(mutex_);
    const auto oldest = coarse_now() - idle_limit_ms;
    std::size_t left = 0;
    for (auto it = idle_.begin(); it != idle_.end();) {
        std::erase_if(it->second, [&](auto& c) {
            if (!everything && c->idle_since > oldest) return false;
            dead.push_back(std::move(c));
            return true;
        });
        left += it->second.size();
        it = it->second.empty() ? idle_.erase(it) : std::next(it);
    }
    return left;
}

}  // namespace detail

namespace {

namespace asio = boost::asio;
using detail::client_shared;

// Sweeps deadlines while anything is in flight, and idle connections while there are any.
class sweeper final : public std::enable_shared_from_this<sweeper> {
  public:
    explicit sweeper(std::shared_ptr<client_shared> shared)
        : shared_(std::move(shared)),
          strand_(asio::make_strand(shared_->context)),
          timer_(strand_) {}

    // THREAD: any.
    void wake() {
        if (running_.exchange(true)) return;
        asio::post(strand_, [self = shared_from_this()] { self->again(); });
    }

  private:
    static constexpr std::chrono::milliseconds every_{20};

    void again() {
        timer_.expires_after(every_);
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (ec) return;
            self->shared_->exchanges.sweep();
            const auto idle = self->shared_->trim(false);
            if (idle == 0 && self->shared_->exchanges.size() == 0) {
                self->running_.store(false);
                // One may have been added between the look and the store.
                if (self->shared_->exchanges.size() != 0) self->wake();
                return;
            }
            self->again();
        });
    }

    std::shared_ptr<client_shared> shared_;
    detail::strand_type strand_;
    asio::steady_timer timer_;
    std::atomic<bool> running_{false};
};

// What the caller holds; letting it go cancels.
class handle final : public pending_request {
  public:
    explicit handle(std::weak_ptr<detail::exchange> e) : exchange_(std::move(e)) {}
    ~handle() override { cancel(); }
    void cancel() noexcept override {
        if (const auto e = exchange_.lock()) e->cancel();
    }

  private:
    std::weak_ptr<detail::exchange> exchange_;
};

class http_client_impl final : public http_client {
  public:
    explicit http_client_impl(std::shared_ptr<client_shared> shared) : shared_(std::move(shared)) {
        auto s = std::make_shared<sweeper>(shared_);
        shared_->on_busy = [weak = std::weak_ptr(s)] {
            if (const auto alive = weak.lock()) alive->wake();
        };
        sweeper_ = std::move(s);
    }
    ~http_client_impl() override {
        stop();
        shared_->names.stop();
    }

    std::shared_ptr<pending_request> send(
        client_request request, std::function<void(result<http_response>)> done) override {
        auto e = std::make_shared<detail::exchange>(shared_, std::move(request), std::move(done));
        auto h = std::make_shared<handle>(e);
        shared_->exchanges.add(e);
        shared_->on_busy();
        e->start();
        return h;
    }

    void stop() override {
        shared_->stopped.store(true);
        for (const auto& w : shared_->exchanges.all()) {
            auto& e = static_cast<detail::exchange&>(*w);
            if (shared_->context.stopped()) {
                e.abandon();
            } else {
                e.cancel();
            }
        }
        shared_->trim(true);
    }

  private:
    std::shared_ptr<client_shared> shared_;
    std::shared_ptr<sweeper> sweeper_;
};

}  // namespace

result<std::unique_ptr<http_client>> make_http_client(runtime& rt, client_options options) {
    auto tls = detail::make_client_context(options.ca_pem, options.certificate_pem,
                                           options.private_key_pem);
    if (!tls) return tls.error();
    auto shared = std::make_shared<client_shared>(rt, std::move(options));
    shared->tls = std::move(*tls);
    return std::unique_ptr<http_client>(std::make_unique<http_client_impl>(std::move(shared)));
}

}  // namespace mission::net
