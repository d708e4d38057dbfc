#include "receiver/subscribe/intake.hpp"

#include <atomic>
#include <mutex>

#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

constexpr int waiting_for_keys_max = 1000;

class intake_impl final : public intake, public std::enable_shared_from_this<intake_impl> {
  public:
    intake_impl(link& l, engine& e, std::function<instant()> now)
        : link_(l), engine_(e), now_(std::move(now)) {}

    void accept(std::string token, std::string expected_jti,
                std::function<void(set_outcome)> done) override {
        run(std::move(token), std::move(expected_jti), std::move(done), true);
    }

    void set_audience(std::string audience) override {
        std::lock_guard lock(m_);
        audience_ = std::move(audience);
    }
    std::string audience() const override {
        std::lock_guard lock(m_);
        return audience_;
    }

  private:
    void fail(error e, const std::function<void(set_outcome)>& done) {
        const bool retry = disposal_of(e.code) == disposal::retry;
        if (!retry) engine_.counts().sets_rejected.fetch_add(1, std::memory_order_relaxed);
        done({retry ? set_fate::retry : set_fate::reject, std::move(e)});
    }

    void run(std::string token, std::string expected_jti, std::function<void(set_outcome)> done,
             bool may_refetch) {
        auto parsed = parse_set(token);
        if (parsed.has_error()) return fail(parsed.error(), done);
        const auto keys = link_.keys();
        if (!keys || (!parsed->kid.empty() && !keys->has(parsed->kid))) {
            if (!may_refetch) return fail(errc::unknown_kid, done);
            return wait_for_keys(std::move(token), std::move(expected_jti), std::move(done));
        }
        if (auto r = verify_set(*parsed, *keys); r.has_error()) return fail(r.error(), done);
        const auto issuer = engine_.transmitter();
        const auto aud = audience();
        if (issuer.empty() || aud.empty()) {
            // Pushed before our create call was answered: it comes again.
            return fail({errc::unavailable, "the stream is not set up yet"}, done);
        }
        auto set = read_set(*parsed, issuer, aud, now_());
        if (set.has_error()) return fail(set.error(), done);
        if (!expected_jti.empty() && set->jti != expected_jti) {
            return fail({errc::bad_claims, "jti is not the poll answer's key"}, done);
        }
        engine_.receive(
            std::move(*set), [self = shared_from_this(), done = std::move(done)](set_outcome o) {
                if (o.fate == set_fate::reject) {
                    self->engine_.counts().sets_rejected.fetch_add(1, std::memory_order_relaxed);
                }
                done(std::move(o));
            });
    }

    void wait_for_keys(std::string token, std::string expected_jti,
                       std::function<void(set_outcome)> done) {
        if (waiting_.fetch_add(1) >= waiting_for_keys_max) {
            waiting_.fetch_sub(1);
            return fail({errc::keys_unavailable, "too many SETs wait for keys"}, done);
        }
        link_.refetch_keys([self = shared_from_this(), token = std::move(token),
                            expected_jti = std::move(expected_jti),
                            done = std::move(done)](const result<void>& r) mutable {
            self->waiting_.fetch_sub(1);
            if (r.has_error()) {
                // Given up on only after one more try: the endpoint may be back long since, and
                // nobody else would have asked it.
                if (self->link_.keys_given_up()) return self->fail(errc::unknown_kid, done);
                return self->fail({errc::keys_unavailable, r.error().detail}, done);
            }
            self->run(std::move(token), std::move(expected_jti), std::move(done), false);
        });
    }

    link& link_;
    engine& engine_;
    const std::function<instant()> now_;
    std::atomic<int> waiting_{0};
    mutable std::mutex m_;
    std::string audience_;
};

}  // namespace

std::shared_ptr<intake> make_intake(link& l, engine& e, std::function<instant()> now) {
    return std::make_shared<intake_impl>(l, e, std::move(now));
}

}  // namespace mission::receiver
