#include "receiver/subscribe/token_source.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "receiver/subscribe/dpop.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission::receiver {
namespace {

constexpr std::int64_t assertion_seconds = 60;
// What we need, of what a resource says there is; and what is asked for when it does not say.
constexpr std::string_view stream_scopes[] = {"ssf.read", "ssf.manage"};
constexpr std::string_view status_scope = "mission_status";
// Enough to speak of a mission that one may know (POST /missions/{id}/reports).
constexpr std::string_view report_scope = "mission.read";

using token_done = std::function<void(result<token_source::usable>)>;
using form = std::vector<std::pair<std::string, std::string>>;

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& w : words)
        out += (out.empty() ? "" : " ") + w;
    return out;
}

std::string scope_of(const std::vector<std::string>& supported, bool with_status) {
    std::vector<std::string> out;
    auto take = [&](std::string_view scope) {
        if (supported.empty() ||
            std::find(supported.begin(), supported.end(), scope) != supported.end()) {
            out.emplace_back(scope);
        }
    };
    for (const auto scope : stream_scopes)
        take(scope);
    if (with_status) take(status_scope);
    // A transmitter with names of its own: everything it lists.
    return joined(out.empty() ? supported : out);
}

std::string error_code(const net::http_response& r) {
    const auto doc = json::parse(r.body, limits::json_bytes);
    return doc.has_value() ? std::string(json::find_string(*doc, "error").value_or("")) : "";
}

// Where to ask, and for what.
struct place {
    std::string endpoint, scope;
};

class source final : public token_source, public std::enable_shared_from_this<source> {
  public:
    source(std::shared_ptr<net::http_client> http, token_options o)
        : http_(std::move(http)), o_(std::move(o)) {}

    void get(purpose p, const transmitter_metadata& m, token_done done) override {
        if (!o_.who.token.empty()) return done(usable{o_.who.token, false});
        // Without a key of its own there is one kind of token alone.
        if (p == purpose::status && (!o_.who.dpop_key || m.mission_status_endpoint.empty()))
            p = purpose::streams;
        // The host has said what its tokens are for.
        if (p == purpose::reports && !o_.scope.empty()) p = purpose::streams;
        usable ready;
        std::optional<error> told;
        {
            std::lock_guard lock(m_);
            auto& s = slots_[p];
            if (s.ready(o_.now())) {
                ready = s.token;
            } else if (told = pause_.still(o_.now()); !told) {
                s.waiters.push_back(std::move(done));
                if (s.waiters.size() > 1) return;
            }
        }
        if (told) return done(*told);
        if (!ready.value.empty()) return done(ready);
        find_place(m, [self = shared_from_this(), p, m](result<place> at) {
            if (at.has_error()) return self->settle(p, at.error());
            self->request(p, m, std::move(*at), 0);
        });
    }

    void forget(purpose p, const std::string& value) override {
        std::lock_guard lock(m_);
        for (auto& [kind, s] : slots_) {
            if (s.token.value == value) s.token = {};
        }
        (void)p;
    }

    std::chrono::milliseconds asked_to_wait(purpose p) const override {
        std::lock_guard lock(m_);
        const auto it = slots_.find(p);
        const bool at_hand = it != slots_.end() && it->second.ready(o_.now());
        return at_hand ? std::chrono::milliseconds(0) : pause_.left(o_.now());
    }

    bool is_static() const noexcept override { return !o_.who.token.empty(); }

    result<std::string> assertion(std::string_view audience) const override {
        if (!o_.who.key) return error{errc::bad_configuration, "there is no private key"};
        return client_assertion(*o_.who.key, o_.who.client_id, audience, o_.now().wall / 1000);
    }

    result<void> authorize(net::client_request& request, const usable& token) const override {
        if (!token.dpop) {
            request.fields.add("authorization", "Bearer " + token.value);
            return {};
        }
        request.fields.add("authorization", "DPoP " + token.value);
        return add_proof(request, token.value);
    }

    bool take_nonce(const std::string& url, const net::http_response& r) override {
        const auto nonce = r.fields.get("dpop-nonce");
        const auto at = net::parse_url(url);
        if (nonce.empty() || nonce.size() > limits::nonce_max || at.has_error()) return false;
        std::lock_guard lock(m_);
        auto& kept = nonces_[at->origin()];
        if (kept == nonce) return false;
        kept = nonce;
        return true;
    }

  private:
    struct slot {
        usable token;
        std::int64_t until = 0;
        std::vector<token_done> waiters;
        bool ready(instant now) const { return !token.value.empty() && now.mono < until; }
    };

    // Of the token endpoint or the server's metadata: Retry-After, for all kinds of tokens.
    error refused(const net::http_response& r, std::string_view what) {
        auto why = unexpected(r, what, o_.known);
        if (const auto wait = retry_after_of(r); wait.count() > 0) {
            pause_.begin(o_.now(), wait, why);
        }
        return why;
    }

    result<void> add_proof(net::client_request& request, const std::string& token) const {
        std::string nonce;
        if (const auto at = net::parse_url(request.url); at.has_value()) {
            std::lock_guard lock(m_);
            if (const auto it = nonces_.find(at->origin()); it != nonces_.end()) nonce = it->second;
        }
        const auto jti = jose::random_id(16);
        auto proof = make_dpop_proof(*o_.who.dpop_key, {request.method, request.url, token, nonce,
                                                        o_.now().wall / 1000, jti});
        if (proof.has_error()) return proof.error();
        request.fields.add("dpop", std::move(*proof));
        return {};
    }

    // --- where

    void find_place(const transmitter_metadata& m, std::function<void(result<place>)> done) {
        {
            std::unique_lock lock(m_);
            if (place_) {
                auto known = *place_;
                lock.unlock();
                return done(std::move(known));
            }
        }
        auto keep = [self = shared_from_this(), done = std::move(done)](result<place> p) {
            if (p.has_value()) {
                std::lock_guard lock(self->m_);
                self->place_ = *p;
            }
            done(std::move(p));
        };
        const bool with_status = !m.mission_status_endpoint.empty();
        if (!o_.endpoint.empty() && !o_.scope.empty()) return keep(place{o_.endpoint, o_.scope});
        const auto url = well_known_url(m.issuer, "oauth-protected-resource");
        if (url.has_error()) return keep(url.error());
        // CAEP interoperability profile section 2.7.2: the scopes are those of the resource's
        // metadata, where there are any.
        fetch(*url, [self = shared_from_this(), keep, m,
                     with_status](const result<net::http_response>& r) {
            protected_resource found;
            if (r.has_value() && r->status == 200) {
                auto parsed = parse_protected_resource(r->body, m.issuer, self->o_.quirks.get());
                if (parsed.has_value()) found = std::move(*parsed);
            }
            place p{self->o_.endpoint, self->o_.scope};
            if (p.scope.empty()) p.scope = scope_of(found.scopes_supported, with_status);
            if (!p.endpoint.empty()) return keep(std::move(p));
            auto server = self->choose_server(found, m.issuer);
            if (server.has_error()) return keep(server.error());
            auto urls = authorization_server_urls(*server);
            if (urls.has_error()) return keep(urls.error());
            self->ask_servers(*server, std::move(*urls), 0, std::move(p), keep);
        });
    }

    result<std::string> choose_server(const protected_resource& found,
                                      const std::string& issuer) const {
        const auto& all = found.authorization_servers;
        if (all.empty() || std::find(all.begin(), all.end(), issuer) != all.end()) return issuer;
        result<void> refused;
        for (const auto& one : all) {
            refused = o_.reach.check(one, issuer, "the authorization server");
            if (refused.has_value()) return one;
        }
        return refused.error();
    }

    void ask_servers(std::string server, std::vector<std::string> urls, std::size_t at, place p,
                     std::function<void(result<place>)> done) {
        const auto url = urls[at];
        fetch(url, [self = shared_from_this(), server = std::move(server), urls = std::move(urls),
                    at, p = std::move(p), done](const result<net::http_response>& r) mutable {
            if (r.has_error()) return done(r.error());
            result<std::string> found;
            if (r->status != 200) {
                found = self->refused(*r, "the authorization server's metadata");
            } else {
                found = parse_token_endpoint(r->body, server, self->o_.reach, self->o_.quirks.get(),
                                             self->o_.who.has_certificate());
            }
            if (found.has_value()) {
                p.endpoint = std::move(*found);
                return done(std::move(p));
            }
            const bool down = r->status >= 500 || self->pause_.still(self->o_.now());
            if (at + 1 >= urls.size() || down) return done(found.error());
            // The first refusal is the one that tells most, when it is more than "not here".
            self->ask_servers(
                server, urls, at + 1, std::move(p),
                [done, first = found.error(), r404 = r->status == 404](result<place> next) {
                    if (next.has_error() && !r404) return done(first);
                    done(std::move(next));
                });
        });
    }

    void fetch(const std::string& url, http_done done) {
        net::client_request r;
        r.url = url;
        r.fields.add("accept", "application/json");
        exchange(*http_, std::move(r), std::move(done));
    }

    // --- the request

    void request(purpose p, const transmitter_metadata& m, place at, unsigned tries) {
        net::client_request r;
        r.method = "POST";
        r.url = at.endpoint;
        r.fields.add("accept", "application/json");
        r.fields.add("content-type", "application/x-www-form-urlencoded");
        form f = {{"grant_type", "client_credentials"}};
        const auto scope = p == purpose::reports ? std::string(report_scope) : at.scope;
        if (!scope.empty()) f.emplace_back("scope", scope);
        if (p == purpose::status) {
            f.emplace_back("resource", m.mission_status_endpoint);  // RFC 8707
            if (auto proved = add_proof(r, {}); proved.has_error()) {
                return settle(p, proved.error());
            }
        }
        if (auto known = authenticate(r, f, at.endpoint); known.has_error()) {
            return settle(p, known.error());
        }
        r.body = net::encode_form(f);
        const auto url = r.url;
        exchange(*http_, std::move(r),
                 [self = shared_from_this(), p, m, at = std::move(at), tries,
                  url](result<net::http_response> answer) mutable {
                     self->requested(p, m, std::move(at), tries, url, std::move(answer));
                 });
    }

    result<void> authenticate(net::client_request& r, form& f, const std::string& endpoint) const {
        const auto& who = o_.who;
        if (who.key) {
            auto signed_ = assertion(endpoint);
            if (signed_.has_error()) return signed_.error();
            f.emplace_back("client_id", who.client_id);
            f.emplace_back("client_assertion_type", client_assertion_type);
            f.emplace_back("client_assertion", std::move(*signed_));
        } else if (!who.client_secret.empty() && !who.secret_in_form) {
            r.fields.add("authorization",
                         "Basic " + basic_credentials(who.client_id, who.client_secret));
        } else {
            // In the form; or RFC 8705 section 2: the connection's certificate proves it.
            f.emplace_back("client_id", who.client_id);
            if (!who.client_secret.empty()) f.emplace_back("client_secret", who.client_secret);
        }
        return {};
    }

    void requested(purpose p, const transmitter_metadata& m, place at, unsigned tries,
                   const std::string& url, result<net::http_response> r) {
        if (r.has_error()) return settle(p, r.error());
        const bool new_nonce = take_nonce(url, *r);
        if (r->status != 200) {
            const auto code = error_code(*r);
            constexpr unsigned tries_max = 2;
            if (tries < tries_max && code == "use_dpop_nonce" && new_nonce) {
                return request(p, m, std::move(at), tries + 1);
            }
            if (p == purpose::reports && code == "invalid_scope")
                return settle(p, error{errc::insufficient_scope,
                                       "the token endpoint gives no token for teardown reports: " +
                                           words_of(*r, o_.known)});
            // A server that knows none of our names may still have a default for us.
            if (tries < tries_max && code == "invalid_scope" && o_.scope.empty() &&
                !at.scope.empty()) {
                at.scope.clear();
                {
                    std::lock_guard lock(m_);
                    if (place_) place_->scope.clear();
                }
                return request(p, m, std::move(at), tries + 1);
            }
            {
                // It may have moved.
                std::lock_guard lock(m_);
                place_.reset();
            }
            return settle(p, refused(*r, "the token endpoint"));
        }
        auto t = parse_token_response(r->body);
        if (t.has_error()) return settle(p, t.error());
        if (p == purpose::status && !t->dpop && o_.log) {
            o_.log(ms::log_level::warning,
                   "the token endpoint binds no token to our key: Mission Status answers only "
                   "where plain tokens are allowed",
                   {});
        }
        const usable got{t->value, t->dpop};
        {
            std::lock_guard lock(m_);
            // A tenth earlier than it ends, so that none is sent that ends on the way.
            const auto ms = std::chrono::milliseconds(t->lifetime).count();
            slots_[p].token = got;
            slots_[p].until = o_.now().mono + ms - ms / 10;
        }
        settle(p, got);
    }

    void settle(purpose p, result<usable> t) {
        std::vector<token_done> waiters;
        {
            std::lock_guard lock(m_);
            waiters.swap(slots_[p].waiters);
        }
        for (auto& w : waiters)
            w(t);
    }

    const std::shared_ptr<net::http_client> http_;
    const token_options o_;
    mutable std::mutex m_;
    std::map<purpose, slot> slots_;
    std::optional<place> place_;
    std::map<std::string, std::string> nonces_;  // by origin
    peer_pause pause_;
};

}  // namespace

result<std::string> client_assertion(const jose::private_key& key, std::string_view client_id,
                                     std::string_view audience, std::int64_t now) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "iss", client_id);
    json::member(w, "sub", client_id);
    json::member(w, "aud", audience);
    json::member(w, "jti", jose::random_id(16));
    json::key(w, "iat");
    w.Int64(now);
    json::key(w, "exp");
    w.Int64(now + assertion_seconds);
    w.EndObject();
    return jose::sign_compact(key, "JWT", json::text(b));
}

std::string basic_credentials(std::string_view client_id, std::string_view client_secret) {
    return jose::base64_encode(net::percent_encode(client_id) + ":" +
                               net::percent_encode(client_secret));
}

std::shared_ptr<token_source> make_token_source(std::shared_ptr<net::http_client> http,
                                                token_options o) {
    return std::make_shared<source>(std::move(http), std::move(o));
}

}  // namespace mission::receiver
