#include "receiver/subscribe/key_store.hpp"

#include "base/limits.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission::receiver {
namespace {

constexpr std::int64_t retry_ms = 1000;  // after a failed fetch, sooner than after a good one

std::int64_t ms_of(std::chrono::milliseconds d) {
    return d.count();
}

}  // namespace

void key_store::set_url(std::string jwks_uri) {
    std::lock_guard lock(m_);
    if (url_ == jwks_uri) return;
    url_ = std::move(jwks_uri);
    asked_at_ = 0;
}

std::shared_ptr<const jose::key_set> key_store::keys() const {
    std::lock_guard lock(m_);
    return keys_;
}

void key_store::refetch(std::function<void(result<void>)> done) {
    net::client_request r;
    {
        std::unique_lock lock(m_);
        const auto now = now_().mono;
        if (fetching_) {
            waiters_.push_back(std::move(done));
            return;
        }
        const auto pause = failed_ ? retry_ms : ms_of(limits::jwks_refetch_min);
        if (url_.empty() || (asked_at_ != 0 && now - asked_at_ < pause)) {
            lock.unlock();
            return done(errc::keys_unavailable);
        }
        fetching_ = true;
        asked_at_ = now;
        waiters_.push_back(std::move(done));
        r.url = url_;
    }
    r.fields.add("accept", "application/json");
    exchange(*http_, std::move(r),
             [self = shared_from_this()](result<net::http_response> x) { self->fetched(x); });
}

void key_store::fetched(result<net::http_response> r) {
    auto parsed = [&]() -> result<jose::key_set> {
        if (r.has_error()) return r.error();
        if (r->status != 200) return unexpected(*r, "jwks_uri");
        if (r->body.size() > limits::jwks_bytes) return error{errc::too_large, "the JWK Set"};
        auto set = jose::key_set::parse(r->body);
        // An empty set verifies nothing: an accident on their side, not a revocation.
        if (set.has_value() && set->keys().empty()) {
            return error{errc::bad_response, "the JWK Set has no usable key"};
        }
        return set;
    }();
    result<void> answer;
    std::vector<std::function<void(result<void>)>> waiters;
    {
        std::lock_guard lock(m_);
        failed_ = parsed.has_error();
        if (failed_) {
            if (failed_since_ == 0) failed_since_ = now_().mono;
            answer = error{errc::keys_unavailable, parsed.error().message()};
        } else {
            failed_since_ = 0;
            fetched_at_ = now_().mono;
            keys_ = std::make_shared<const jose::key_set>(std::move(*parsed));
        }
        fetching_ = false;
        waiters.swap(waiters_);
    }
    for (auto& w : waiters)
        w(answer);
}

bool key_store::aged() const {
    std::lock_guard lock(m_);
    return keys_ && !fetching_ && now_().mono - fetched_at_ > ms_of(limits::jwks_fresh);
}

bool key_store::given_up() const {
    std::lock_guard lock(m_);
    return failed_since_ != 0 && now_().mono - failed_since_ > ms_of(limits::jwks_unavailable_max);
}

}  // namespace mission::receiver
