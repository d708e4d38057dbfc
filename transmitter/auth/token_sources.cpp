#include "transmitter/auth/token_sources.hpp"

#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <vector>

#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "net/client.hpp"
#include "transmitter/auth/issuer_keys.hpp"

namespace mission::transmitter {
namespace {

const error not_good{errc::unauthenticated, "the access token is not valid"};
const error cannot_say{errc::unavailable, "the token's issuer cannot be asked now"};

// RFC 6749 section 2.3.1: both halves are form-encoded before base64.
std::string basic_credentials(const token_issuer_config& c) {
    return "Basic " + jose::base64_encode(net::percent_encode(c.client_id) + ":" +
                                          net::percent_encode(c.client_secret));
}

// What an issuer's server answered, as far as it is an answer at all: no redirect is followed, and
// an error page is none.
result<std::string> body_of(result<net::http_response> got) {
    if (!got) return got.error();
    if (got->status >= 300 && got->status < 400)
        return error{errc::redirect_refused, "status " + std::to_string(got->status)};
    if (got->status != 200)
        return error{errc::http_status, "status " + std::to_string(got->status)};
    return std::move(got->body);
}

// Look-ups that wait for the same issuer. Each has its own bound, or tokens that anybody can make
// up, said to be of an issuer that does not answer, would keep out those of all others.
struct lane {
    std::size_t flights = 0, passengers = 0;
};

struct source {
    const token_issuer_config* config = nullptr;
    lane asked;
    std::unique_ptr<net::http_client> client;
    issuer_keys keys;
    std::vector<std::function<void()>> waiting;  // for the keys
    std::string last_failure;                    // logged once until something else happens
};

class sources final : public token_sources, public std::enable_shared_from_this<sources> {
  public:
    explicit sources(service& common) : common_(common) {}

    result<void> open() {
        for (const auto& c : common_.settings.auth.issuers) {
            net::client_options options;
            options.max_response =
                c.jwks_uri.empty() ? limits::introspection_bytes : limits::jwks_bytes;
            if (!c.ca_file.empty()) {
                std::ifstream in(c.ca_file, std::ios::binary);
                options.ca_pem.assign(std::istreambuf_iterator<char>(in), {});
                if (options.ca_pem.empty())
                    return error{errc::bad_configuration, c.issuer + ": cannot read " + c.ca_file};
            }
            auto client = net::make_http_client(*common_.runtime, std::move(options));
            if (!client) return error{client.error().code, c.issuer + ": " + client.error().detail};
            auto s = std::make_unique<source>();
            s->config = &c;
            s->client = std::move(*client);
            sources_.push_back(std::move(s));
        }
        return {};
    }

    ~sources() override { stop(); }

    void stop() override {
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
        }
        // Cancelled exchanges complete, and whoever waits for them is told.
        for (const auto& s : sources_)
            s->client->stop();
    }

    result<foreign_claims> find_at_hand(std::string_view token) override {
        const auto jwt = peek_jwt(token);
        auto* s = jwt ? of_issuer(jwt->issuer) : nullptr;
        if (!s || s->config->jwks_uri.empty()) return not_good;
        std::shared_ptr<const jose::key_set> known;
        {
            const std::lock_guard lock(mutex_);
            known = s->keys.at_hand(common_.time->steady_now());
        }
        return known ? judge(*s, jwt->token, *known) : result<foreign_claims>(not_good);
    }

    void find(std::string_view token, const jose::digest256& hash, done then) override {
        if (token.size() > limits::access_token_bytes) return then(not_good);
        const auto jwt = peek_jwt(token);
        if (jwt) {
            auto* s = of_issuer(jwt->issuer);
            // A JWT of somebody we do not know is nobody's business, also not of those we do.
            if (!s) return then(not_good);
            if (!s->config->jwks_uri.empty()) {
                if (auto found = try_keys(*s, jwt->token)) return then(std::move(*found));
                if (!take_off(s->asked, hash, std::move(then))) return;
                return wait_for_keys(*s, std::string(token), hash);
            }
            if (take_off(s->asked, hash, std::move(then)))
                introspect({s}, std::string(token), hash);
            return;
        }
        std::vector<source*> asked;
        for (const auto& s : sources_)
            if (!s->config->introspection.empty()) asked.push_back(s.get());
        if (asked.empty()) return then(not_good);
        if (take_off(opaque_, hash, std::move(then)))
            introspect(std::move(asked), std::string(token), hash);
    }

  private:
    source* of_issuer(std::string_view issuer) const {
        for (const auto& s : sources_)
            if (s->config->issuer == issuer) return s.get();
        return nullptr;
    }

    // ---- Flights: one look-up per token, whoever brings it.

    // True: the caller is the first and has to land(); else `then` waits or has been refused.
    bool take_off(lane& on, const jose::digest256& hash, done then) {
        {
            const std::lock_guard lock(mutex_);
            const auto it = flights_.find(hash);
            const bool first = it == flights_.end();
            const bool room = !first || on.flights < limits::token_lookups;
            if (!stopped_ && room && on.passengers < limits::token_lookup_waiters) {
                if (first) ++on.flights;
                ++on.passengers;
                auto& taken = first ? flights_[hash] : it->second;
                taken.on = &on;
                taken.passengers.push_back(std::move(then));
                return first;
            }
        }
        then(cannot_say);
        return false;
    }

    void land(const jose::digest256& hash, const result<foreign_claims>& found) {
        std::vector<done> passengers;
        {
            const std::lock_guard lock(mutex_);
            const auto it = flights_.find(hash);
            if (it == flights_.end()) return;
            passengers = std::move(it->second.passengers);
            --it->second.on->flights;
            it->second.on->passengers -= passengers.size();
            flights_.erase(it);
        }
        for (auto& then : passengers)
            then(found);
    }

    // ---- JWTs.

    result<foreign_claims> judge(const source& s, const jose::compact& token,
                                 const jose::key_set& keys) const {
        auto claims = verify_jwt(token, *s.config, keys, common_.time->now());
        if (claims) return claims;
        log(level::debug, "a JWT was refused",
            {{"token_issuer", s.config->issuer}, {"why", claims.error().message()}});
        return not_good;
    }

    // The verdict, when keys to judge by are at hand (or known not to be).
    std::optional<result<foreign_claims>> try_keys(source& s, const jose::compact& token) {
        issuer_keys::answer known;
        {
            const std::lock_guard lock(mutex_);
            known = s.keys.look(token.kid, common_.time->steady_now());
        }
        switch (known.what) {
            case issuer_keys::advice::use:
                break;
            case issuer_keys::advice::refresh:
                fetch_keys(s);
                break;
            case issuer_keys::advice::fetch:
                fetch_keys(s);
                return std::nullopt;
            case issuer_keys::advice::wait:
                return std::nullopt;
            case issuer_keys::advice::unavailable:
                return result<foreign_claims>(cannot_say);
        }
        return judge(s, token, *known.keys);
    }

    void wait_for_keys(source& s, std::string token, const jose::digest256& hash) {
        auto again = [this, &s, token = std::move(token), hash] {
            const auto jwt = peek_jwt(token);
            // Once, whatever came of it: who brings the token again may ask again.
            issuer_keys::answer known;
            {
                const std::lock_guard lock(mutex_);
                known.keys = s.keys.at_hand(common_.time->steady_now());
                if (s.keys.failed() && known.keys && !known.keys->has(jwt->token.kid))
                    known.keys = nullptr;
            }
            land(hash, known.keys ? judge(s, jwt->token, *known.keys)
                                  : result<foreign_claims>(cannot_say));
        };
        {
            const std::lock_guard lock(mutex_);
            if (s.keys.fetching()) {
                s.waiting.push_back(std::move(again));
                return;
            }
        }
        again();  // it has come meanwhile
    }

    void fetch_keys(source& s) {
        net::client_request request;
        request.url = s.config->jwks_uri;
        request.fields.set("accept", "application/jwk-set+json, application/json");
        request.timeout = limits::token_lookup_timeout;
        send(s, std::move(request), [this, &s](result<std::string> body) {
            auto keys = body ? jose::key_set::parse(*body) : result<jose::key_set>(body.error());
            if (keys && keys->keys().empty())
                keys = error{errc::key_malformed, "the key set holds no usable key"};
            keys_came(s, keys);
        });
    }

    void keys_came(source& s, const result<jose::key_set>& keys) {
        std::vector<std::function<void()>> waiting;
        std::optional<std::string> changed;
        {
            const std::lock_guard lock(mutex_);
            changed = s.keys.fetched(keys, common_.time->steady_now());
            waiting.swap(s.waiting);
        }
        if (changed)
            log(level::warning, "a token issuer has put another key under a kid that was in use",
                {{"token_issuer", s.config->issuer}, {"kid", *changed}});
        tell_failure(s, keys ? std::string() : keys.error().message(), "its keys");
        for (auto& again : waiting)
            again();
    }

    // ---- Opaque tokens: the issuers in turn, until one says that it is active.

    void introspect(std::vector<source*> asked, std::string token, const jose::digest256& hash,
                    bool doubtful = false) {
        if (asked.empty()) return land(hash, doubtful ? cannot_say : not_good);
        source& s = *asked.front();
        asked.erase(asked.begin());
        net::client_request request;
        request.method = "POST";
        request.url = s.config->introspection;
        request.fields.set("content-type", "application/x-www-form-urlencoded");
        request.fields.set("accept", "application/json");
        request.fields.set("authorization", basic_credentials(*s.config));
        request.body = net::encode_form({{"token", token}, {"token_type_hint", "access_token"}});
        request.timeout = limits::token_lookup_timeout;
        send(s, std::move(request),
             [this, &s, asked = std::move(asked), token, hash,
              doubtful](result<std::string> body) mutable {
                 auto claims = body ? read_introspection(*body, *s.config, common_.time->now())
                                    : result<foreign_claims>(body.error());
                 if (claims) return land(hash, claims);
                 const auto& why = claims.error();
                 const bool failed = !body || why == errc::bad_response;
                 tell_failure(s, failed ? why.message() : std::string(), "introspection");
                 introspect(std::move(asked), std::move(token), hash, doubtful || failed);
             });
    }

    // ---- What both have in common.

    void send(source& s, net::client_request request,
              std::function<void(result<std::string>)> then) {
        // Owned until it has completed: letting the handle go would cancel it.
        struct exchange {
            std::mutex mutex;
            std::shared_ptr<net::pending_request> handle;
            bool over = false;
        };
        auto e = std::make_shared<exchange>();
        auto self = weak_from_this();
        auto handle = s.client->send(
            std::move(request), [e, self, then = std::move(then)](result<net::http_response> got) {
                std::shared_ptr<net::pending_request> mine;  // let go of without the lock
                {
                    const std::lock_guard lock(e->mutex);
                    e->over = true;
                    mine.swap(e->handle);
                }
                if (const auto alive = self.lock()) then(body_of(std::move(got)));
            });
        const std::lock_guard lock(e->mutex);
        if (!e->over) e->handle = std::move(handle);
    }

    void tell_failure(source& s, std::string why, std::string_view what) {
        {
            const std::lock_guard lock(mutex_);
            if (s.last_failure == why) return;
            s.last_failure = why;
        }
        if (why.empty())
            log(level::info, "a token issuer answers again", {{"token_issuer", s.config->issuer}});
        else
            log(level::warning, "a token issuer does not answer as it should",
                {{"token_issuer", s.config->issuer}, {"what", std::string(what)}, {"why", why}});
    }

    service& common_;
    std::vector<std::unique_ptr<source>> sources_;
    std::mutex mutex_;  // of everything below, and of what the sources remember
    struct flight {
        lane* on = nullptr;
        std::vector<done> passengers;
    };
    std::map<jose::digest256, flight> flights_;
    lane opaque_;  // tokens that do not say whose they are
    bool stopped_ = false;
};

}  // namespace

result<std::shared_ptr<token_sources>> make_token_sources(service& common) {
    if (common.settings.auth.issuers.empty()) return std::shared_ptr<token_sources>();
    auto made = std::make_shared<sources>(common);
    if (auto r = made->open(); !r) return r.error();
    return std::shared_ptr<token_sources>(std::move(made));
}

}  // namespace mission::transmitter
