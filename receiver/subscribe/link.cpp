#include "receiver/subscribe/link.hpp"

#include <mutex>
#include <vector>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "net/http.hpp"
#include "receiver/verify/status_answer.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

constexpr std::string_view assertion_type =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr std::string_view token_scope = "ssf.read ssf.manage mission_status";
constexpr std::int64_t assertion_seconds = 60;
constexpr std::int64_t keys_retry_ms = 1000;  // after a failed fetch, sooner than after a good one

using token_done = std::function<void(result<std::string>)>;

bool is_json(const net::http_response& r) {
    const auto type = r.fields.get("content-type");
    return type.starts_with("application/json") || type.empty();
}

error status_error(int status, const char* what) {
    return {errc::http_status, std::string(what) + " answered " + std::to_string(status)};
}

class link_impl final : public link, public std::enable_shared_from_this<link_impl> {
  public:
    link_impl(std::shared_ptr<net::http_client> http, link_options o)
        : http_(std::move(http)), o_(std::move(o)) {}

    void discover(std::function<void(result<transmitter_metadata>)> done) override {
        std::string url = o_.metadata_url;
        if (url.empty()) {
            auto made = well_known_url(o_.issuer, "ssf-configuration");
            if (made.has_error()) return done(made.error());
            url = *made;
        }
        get(url, [self = shared_from_this(), done](result<net::http_response> r) {
            if (r.has_error()) return done(r.error());
            if (r->status != 200) return done(status_error(r->status, "the metadata endpoint"));
            auto m = parse_metadata(r->body, self->o_.issuer);
            if (m.has_error()) return done(m.error());
            {
                std::lock_guard lock(self->m_);
                self->metadata_ = *m;
            }
            // Their failure is not the discovery's: a SET that needs them asks again.
            self->refetch_keys([done, m = *m](const result<void>&) { done(m); });
        });
    }

    std::optional<transmitter_metadata> metadata() const override {
        std::lock_guard lock(m_);
        return metadata_;
    }

    void send(call c, std::function<void(result<net::http_response>)> done) override {
        send_with_token(std::move(c), false, std::move(done));
    }

    std::shared_ptr<const jose::key_set> keys() const override {
        std::lock_guard lock(m_);
        return keys_;
    }

    void refetch_keys(std::function<void(result<void>)> done) override {
        std::string url;
        {
            std::unique_lock lock(m_);
            const auto now = o_.now().mono;
            if (fetching_keys_) {
                keys_waiters_.push_back(std::move(done));
                return;
            }
            const auto pause = keys_failed_
                                   ? keys_retry_ms
                                   : std::chrono::milliseconds(limits::jwks_refetch_min).count();
            if (!metadata_ || (keys_asked_at_ != 0 && now - keys_asked_at_ < pause)) {
                lock.unlock();
                return done(errc::keys_unavailable);
            }
            fetching_keys_ = true;
            keys_asked_at_ = now;
            keys_waiters_.push_back(std::move(done));
            url = metadata_->jwks_uri;
        }
        get(url, [self = shared_from_this()](result<net::http_response> r) {
            result<void> answer;
            std::vector<std::function<void(result<void>)>> waiters;
            {
                std::lock_guard lock(self->m_);
                auto parsed = [&]() -> result<jose::key_set> {
                    if (r.has_error()) return r.error();
                    if (r->status != 200) return status_error(r->status, "jwks_uri");
                    if (r->body.size() > limits::jwks_bytes) return errc::too_large;
                    return jose::key_set::parse(r->body);
                }();
                self->keys_failed_ = parsed.has_error();
                if (parsed.has_error()) {
                    if (self->keys_failed_since_ == 0) {
                        self->keys_failed_since_ = self->o_.now().mono;
                    }
                    answer = error{errc::keys_unavailable, parsed.error().message()};
                } else {
                    self->keys_failed_since_ = 0;
                    self->keys_ = std::make_shared<const jose::key_set>(std::move(*parsed));
                }
                self->fetching_keys_ = false;
                waiters.swap(self->keys_waiters_);
            }
            for (auto& w : waiters)
                w(answer);
        });
    }

    bool keys_given_up() const override {
        std::lock_guard lock(m_);
        const auto bound = std::chrono::milliseconds(limits::jwks_unavailable_max).count();
        return keys_failed_since_ != 0 && o_.now().mono - keys_failed_since_ > bound;
    }

    void ask_status(const mission_key& key, const std::string& audience,
                    std::function<void(result<status_word>)> done) override {
        const auto m = metadata();
        if (!m || m->mission_status_endpoint.empty()) {
            return done(error{errc::unavailable, "no mission_status_endpoint is known"});
        }
        status_expectation expected;
        expected.issuer = m->issuer;
        expected.audience = audience;
        expected.client_id = o_.who.client_id;
        expected.nonce = jose::random_id(18);
        expected.mission_id = key.id;
        expected.mission_issuer = key.issuer;
        expected.algs = m->status_algs;
        expected.max_stale = m->max_stale;

        std::vector<std::pair<std::string, std::string>> form = {{"mission_id", key.id},
                                                                 {"nonce", expected.nonce}};
        if (!audience.empty()) form.emplace_back("audience", audience);
        auto answered = [self = shared_from_this(), expected,
                         done](result<net::http_response> r) mutable {
            self->status_answered(std::move(r), std::move(expected), true, std::move(done));
        };
        call c{"POST", m->mission_status_endpoint, {}, "application/x-www-form-urlencoded"};
        if (!o_.who.key) {
            // Only a transmitter with allow_bearer takes it (wire.md section 4).
            c.body = net::encode_form(form);
            return send(std::move(c), std::move(answered));
        }
        auto assertion = make_assertion(m->mission_status_endpoint);
        if (assertion.has_error()) return done(assertion.error());
        form.emplace_back("client_assertion_type", assertion_type);
        form.emplace_back("client_assertion", *assertion);
        c.body = net::encode_form(form);
        exchange(request_of(c, {}), std::move(answered));
    }

    void stop() override { http_->stop(); }

  private:
    net::client_request request_of(const call& c, const std::string& token) const {
        net::client_request r;
        r.method = c.method;
        r.url = c.url;
        r.body = c.body;
        r.timeout = c.timeout;
        r.fields.add("accept", "application/json");
        if (!c.content_type.empty()) r.fields.add("content-type", c.content_type);
        if (!token.empty()) r.fields.add("authorization", "Bearer " + token);
        return r;
    }

    // The request lasts as long as its completion: dropping the handle would cancel it. stop() ends
    // all of them.
    void exchange(net::client_request request,
                  std::function<void(result<net::http_response>)> done) {
        auto handle = std::make_shared<std::shared_ptr<net::pending_request>>();
        *handle = http_->send(
            std::move(request),
            [handle, done = std::move(done)](result<net::http_response> r) { done(std::move(r)); });
    }

    void get(const std::string& url, std::function<void(result<net::http_response>)> done) {
        exchange(request_of({"GET", url, {}, {}}, {}), std::move(done));
    }

    void send_with_token(call c, bool again, std::function<void(result<net::http_response>)> done) {
        // The metadata was checked, but a stream's endpoint_url comes from the stream.
        const auto target = net::parse_url(c.url);
        const auto m = metadata();
        const auto issuer = net::parse_url(m ? m->issuer : o_.issuer);
        if (target.has_error() || issuer.has_error() || target->scheme != "https" ||
            target->origin() != issuer->origin()) {
            return done(error{errc::bad_configuration,
                              "refusing to send a token outside the issuer's origin"});
        }
        with_token(again, [self = shared_from_this(), c, again, done](result<std::string> t) {
            if (t.has_error()) return done(t.error());
            self->exchange(self->request_of(c, *t), [self, c, again, done,
                                                     used = *t](result<net::http_response> r) {
                if (r.has_error() || r->status != 401) return done(std::move(r));
                self->forget_token(used);
                if (again || !self->o_.who.token.empty()) {
                    return done(error{errc::unauthenticated, "the access token is refused"});
                }
                self->send_with_token(c, true, done);
            });
        });
    }

    void forget_token(const std::string& used) {
        std::lock_guard lock(m_);
        if (token_ == used) token_.clear();
    }

    // One token request per lifetime, whoever asks meanwhile waits for it.
    void with_token(bool, token_done done) {
        if (!o_.who.token.empty()) return done(o_.who.token);
        std::string ready;
        {
            std::lock_guard lock(m_);
            if (!token_.empty() && o_.now().mono < token_until_) {
                ready = token_;
            } else {
                token_waiters_.push_back(std::move(done));
                if (token_waiters_.size() > 1) return;
            }
        }
        if (!ready.empty()) return done(ready);
        find_token_endpoint([self = shared_from_this()](result<std::string> endpoint) {
            if (endpoint.has_error()) return self->token_settled(endpoint.error());
            self->request_token(*endpoint);
        });
    }

    void find_token_endpoint(token_done done) {
        std::string issuer, known;
        {
            std::lock_guard lock(m_);
            issuer = metadata_ ? metadata_->issuer : o_.issuer;
            known = token_endpoint_;
        }
        if (!known.empty()) return done(known);
        auto url = well_known_url(issuer, "oauth-authorization-server");
        if (url.has_error()) return done(url.error());
        get(*url, [self = shared_from_this(), issuer, done](result<net::http_response> r) {
            if (r.has_error()) return done(r.error());
            if (r->status != 200) {
                return done(status_error(r->status, "the authorization server's metadata"));
            }
            auto found = parse_token_endpoint(r->body, issuer);
            if (found.has_value()) {
                std::lock_guard lock(self->m_);
                self->token_endpoint_ = *found;
            }
            done(std::move(found));
        });
    }

    void request_token(const std::string& endpoint) {
        std::vector<std::pair<std::string, std::string>> form = {
            {"grant_type", "client_credentials"}, {"scope", std::string(token_scope)}};
        call c{"POST", endpoint, {}, "application/x-www-form-urlencoded"};
        std::string basic;
        if (o_.who.key) {
            auto assertion = make_assertion(endpoint);
            if (assertion.has_error()) return token_settled(assertion.error());
            form.emplace_back("client_id", o_.who.client_id);
            form.emplace_back("client_assertion_type", assertion_type);
            form.emplace_back("client_assertion", *assertion);
        } else {
            // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
            basic = "Basic " + jose::base64_encode(net::percent_encode(o_.who.client_id) + ":" +
                                                   net::percent_encode(o_.who.client_secret));
        }
        c.body = net::encode_form(form);
        auto request = request_of(c, {});
        if (!basic.empty()) request.fields.add("authorization", basic);
        exchange(std::move(request), [self = shared_from_this()](result<net::http_response> r) {
            if (r.has_error()) return self->token_settled(r.error());
            if (r->status != 200) {
                return self->token_settled(status_error(r->status, "the token endpoint"));
            }
            auto t = parse_token_response(r->body);
            if (t.has_error()) return self->token_settled(t.error());
            {
                std::lock_guard lock(self->m_);
                // A tenth earlier than it ends, so that none is sent that ends on the way.
                const auto ms = std::chrono::milliseconds(t->lifetime).count();
                self->token_ = t->value;
                self->token_until_ = self->o_.now().mono + ms - ms / 10;
            }
            self->token_settled(t->value);
        });
    }

    void token_settled(result<std::string> t) {
        std::vector<token_done> waiters;
        {
            std::lock_guard lock(m_);
            waiters.swap(token_waiters_);
        }
        for (auto& w : waiters)
            w(t);
    }

    // RFC 7523 section 3.
    result<std::string> make_assertion(const std::string& audience) const {
        const auto now = o_.now().wall / 1000;
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::member(w, "iss", o_.who.client_id);
        json::member(w, "sub", o_.who.client_id);
        json::member(w, "aud", audience);
        json::member(w, "jti", jose::random_id(16));
        json::key(w, "iat");
        w.Int64(now);
        json::key(w, "exp");
        w.Int64(now + assertion_seconds);
        w.EndObject();
        return jose::sign_compact(*o_.who.key, "JWT", json::text(b));
    }

    void status_answered(result<net::http_response> r, status_expectation expected,
                         bool may_refetch, std::function<void(result<status_word>)> done) {
        if (r.has_error()) return done(r.error());
        switch (r->status) {
            case 200:
                break;
            case 401:
                return done(error{errc::unauthenticated, "Mission Status refuses us"});
            case 404: {
                // Only its own not_found counts: a proxy's 404 says nothing about a mission.
                auto body = json::parse(r->body);
                if (body.has_value() && is_json(*r) &&
                    json::find_string(*body, "error") == std::string_view("not_found")) {
                    return done(errc::mission_not_found);
                }
                return done(status_error(404, "Mission Status"));
            }
            case 429:
                return done(errc::rate_limited);
            case 503:
                return done(errc::unavailable);
            default:
                return done(status_error(r->status, "Mission Status"));
        }
        auto parsed = parse_status(r->body, expected);
        if (parsed.has_error()) return done(parsed.error());
        const auto set = keys();
        if (!set || !set->has(parsed->kid)) {
            if (!may_refetch) return done(errc::unknown_kid);
            // The body is moved along: the parsed token's views die with this call.
            return refetch_keys([self = shared_from_this(), r = std::move(r),
                                 expected = std::move(expected),
                                 done](const result<void>& fetched) mutable {
                if (fetched.has_error()) return done(fetched.error());
                self->status_answered(std::move(r), std::move(expected), false, std::move(done));
            });
        }
        if (auto v = jose::verify(*parsed, *set, allowed_algs, true); v.has_error()) {
            return done(v.error());
        }
        done(read_status(*parsed, expected, o_.now()));
    }

    const std::shared_ptr<net::http_client> http_;
    const link_options o_;
    mutable std::mutex m_;
    std::optional<transmitter_metadata> metadata_;
    std::shared_ptr<const jose::key_set> keys_;
    bool fetching_keys_ = false, keys_failed_ = false;
    std::int64_t keys_asked_at_ = 0, keys_failed_since_ = 0;
    std::vector<std::function<void(result<void>)>> keys_waiters_;
    std::string token_, token_endpoint_;
    std::int64_t token_until_ = 0;
    std::vector<token_done> token_waiters_;
};

// Completions keep the implementation alive; the owner's handle stops it.
class link_handle final : public link {
  public:
    explicit link_handle(std::shared_ptr<link_impl> p) : p_(std::move(p)) {}
    void discover(std::function<void(result<transmitter_metadata>)> done) override {
        p_->discover(std::move(done));
    }
    std::optional<transmitter_metadata> metadata() const override { return p_->metadata(); }
    void send(call c, std::function<void(result<net::http_response>)> done) override {
        p_->send(std::move(c), std::move(done));
    }
    std::shared_ptr<const jose::key_set> keys() const override { return p_->keys(); }
    void refetch_keys(std::function<void(result<void>)> done) override {
        p_->refetch_keys(std::move(done));
    }
    bool keys_given_up() const override { return p_->keys_given_up(); }
    void ask_status(const mission_key& key, const std::string& audience,
                    std::function<void(result<status_word>)> done) override {
        p_->ask_status(key, audience, std::move(done));
    }
    void stop() override { p_->stop(); }

  private:
    std::shared_ptr<link_impl> p_;
};

}  // namespace

std::unique_ptr<link> make_link(std::shared_ptr<net::http_client> http, link_options o) {
    return std::make_unique<link_handle>(
        std::make_shared<link_impl>(std::move(http), std::move(o)));
}

}  // namespace mission::receiver
