#include "receiver/subscribe/link.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "net/http.hpp"
#include "receiver/subscribe/key_store.hpp"
#include "receiver/verify/status_answer.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

using purpose = token_source::purpose;

bool is_json(const net::http_response& r) {
    const auto type = r.fields.get("content-type");
    return type.starts_with("application/json") || type.empty();
}

// RFC 9449 section 7.1, 9: the resource wants a proof with its nonce.
bool wants_nonce(const net::http_response& r) {
    return r.fields.get("www-authenticate").find("use_dpop_nonce") != std::string_view::npos;
}

class link_impl final : public link, public std::enable_shared_from_this<link_impl> {
  public:
    link_impl(std::shared_ptr<net::http_client> http, link_options o)
        : http_(std::move(http)),
          o_(std::move(o)),
          reach_(o_.token_hosts),
          keys_(std::make_shared<key_store>(http_, o_.now)),
          tokens_(make_token_source(http_, {o_.who, o_.token_endpoint, o_.token_scope, reach_,
                                            o_.known, o_.quirks, o_.log, o_.now})) {}

    // --- discovery

    void discover(std::function<void(result<transmitter_metadata>)> done) override {
        if (auto told = metadata_pause_.still(o_.now())) return done(*told);
        if (!o_.metadata_json.empty()) {
            return discovered(parse_metadata(o_.metadata_json, o_.issuer, reach_, o_.quirks.get()),
                              std::move(done));
        }
        std::vector<std::string> urls = {o_.metadata_url};
        if (o_.metadata_url.empty()) {
            auto made = metadata_urls(o_.issuer);
            if (made.has_error()) return done(made.error());
            urls = std::move(*made);
        }
        look_at(std::move(urls), 0, {}, std::move(done));
    }

    std::optional<transmitter_metadata> metadata() const override {
        std::lock_guard lock(m_);
        return metadata_;
    }

    // --- calls

    void send(call c, http_done done) override {
        // The metadata was checked, but a stream's endpoint_url comes from the stream.
        const auto m = metadata();
        if (!m) return done(error{errc::unavailable, "the transmitter is not discovered yet"});
        if (auto r = reach_.check(c.url, m->issuer, "refusing to send a token: the URL");
            r.has_error()) {
            return done(r.error());
        }
        const auto p = c.what_for;
        send_with_token(std::move(c), p, *m, 0, std::move(done));
    }

    error unexpected_answer(const net::http_response& r, std::string_view what) const override {
        return unexpected(r, what, not_shown());
    }

    std::chrono::milliseconds asked_to_wait() const override {
        return std::max(metadata_pause_.left(o_.now()), tokens_->asked_to_wait(purpose::streams));
    }

    std::shared_ptr<const jose::key_set> keys() const override { return keys_->keys(); }
    void refetch_keys(std::function<void(result<void>)> done) override {
        keys_->refetch(std::move(done));
    }
    bool keys_aged() const override { return keys_->aged(); }
    bool keys_given_up() const override { return keys_->given_up(); }

    // --- Mission Status

    void ask_status(const mission_key& key, const std::string& audience,
                    std::function<void(result<status_word>)> done) override {
        const auto m = metadata();
        if (!m || m->mission_status_endpoint.empty()) {
            return done(error{errc::unavailable, "no mission_status_endpoint is known"});
        }
        if (auto told = status_pause_.still(o_.now())) return done(*told);
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
        const auto how = status_method(*m);
        if (how == "access_token") {
            c.body = net::encode_form(form);
            return send_with_token(std::move(c), purpose::status, *m, 0, std::move(answered));
        }
        form.emplace_back("client_id", o_.who.client_id);
        if (how == "private_key_jwt") {
            auto assertion = tokens_->assertion(m->mission_status_endpoint);
            if (assertion.has_error()) return done(assertion.error());
            form.emplace_back("client_assertion_type", client_assertion_type);
            form.emplace_back("client_assertion", *assertion);
        }
        c.body = net::encode_form(form);
        exchange(*http_, request_of(c), std::move(answered));
    }

    void stop() override { http_->stop(); }

  private:
    // --- discovery

    // The next place is looked at unless this one is down: then the whole discovery is.
    void look_at(std::vector<std::string> urls, std::size_t at, std::optional<error> first,
                 std::function<void(result<transmitter_metadata>)> done) {
        net::client_request r;
        r.url = urls[at];
        r.fields.add("accept", "application/json");
        exchange(*http_, std::move(r),
                 [self = shared_from_this(), urls = std::move(urls), at, first = std::move(first),
                  done = std::move(done)](result<net::http_response> x) mutable {
                     if (x.has_error()) return done(x.error());
                     auto m = self->read(*x, urls[at]);
                     if (m.has_value()) return self->discovered(std::move(m), std::move(done));
                     if (const auto wait = retry_after_of(*x); wait.count() > 0) {
                         self->metadata_pause_.begin(self->o_.now(), wait, m.error());
                         return done(m.error());
                     }
                     // What is told is the first word that is more than "not here".
                     if (!first || first->code == errc::not_found) first = m.error();
                     if (x->status >= 500 || at + 1 >= urls.size()) return done(*first);
                     self->look_at(std::move(urls), at + 1, std::move(first), std::move(done));
                 });
    }

    result<transmitter_metadata> read(const net::http_response& r, const std::string& url) {
        if (r.status == 404) return error{errc::not_found, "there is no metadata at " + url};
        if (r.status != 200) return unexpected(r, "the metadata endpoint", not_shown());
        auto m = parse_metadata(r.body, o_.issuer, reach_, o_.quirks.get());
        // SSF 1.0 section 7.2.4: the issuer has to be the one that the URL was made of.
        if (m.has_value() && o_.issuer.empty() && !issuer_fits_url(m->issuer, url)) {
            return error{errc::wrong_issuer,
                         "the metadata names an issuer that does not fit metadata_url (set issuer "
                         "as well, if it is meant)"};
        }
        return m;
    }

    void discovered(result<transmitter_metadata> m,
                    std::function<void(result<transmitter_metadata>)> done) {
        if (m.has_error()) return done(std::move(m));
        {
            std::lock_guard lock(m_);
            metadata_ = *m;
        }
        keys_->set_url(m->jwks_uri);
        // Their failure is not the discovery's: a SET that needs them asks again.
        keys_->refetch([done = std::move(done), m = *m](const result<void>&) { done(m); });
    }

    // --- calls

    secrets not_shown() const {
        auto out = o_.known;
        std::lock_guard lock(m_);
        for (const auto& [p, token] : last_tokens_)
            out.push_back(token);
        return out;
    }

    net::client_request request_of(const call& c) const {
        net::client_request r;
        r.method = c.method;
        r.url = c.url;
        r.body = c.body;
        r.timeout = c.timeout;
        r.fields.add("accept", "application/json");
        if (!c.content_type.empty()) r.fields.add("content-type", c.content_type);
        if (!c.content_language.empty()) r.fields.add("content-language", c.content_language);
        if (!c.idempotency_key.empty()) r.fields.add("idempotency-key", c.idempotency_key);
        return r;
    }

    void send_with_token(call c, purpose p, transmitter_metadata m, unsigned tries,
                         http_done done) {
        tokens_->get(
            p, m,
            [self = shared_from_this(), c = std::move(c), p, m, tries,
             done = std::move(done)](result<token_source::usable> t) mutable {
                if (t.has_error()) return done(t.error());
                auto request = self->request_of(c);
                if (auto r = self->tokens_->authorize(request, *t); r.has_error()) {
                    return done(r.error());
                }
                {
                    std::lock_guard lock(self->m_);
                    self->last_tokens_[p] = t->value;
                }
                exchange(*self->http_, std::move(request),
                         [self, c = std::move(c), p, m = std::move(m), tries,
                          done = std::move(done), used = *t](result<net::http_response> r) mutable {
                             self->answered(std::move(c), p, std::move(m), tries, std::move(done),
                                            used, std::move(r));
                         });
            });
    }

    void answered(call c, purpose p, transmitter_metadata m, unsigned tries, http_done done,
                  const token_source::usable& used, result<net::http_response> r) {
        constexpr unsigned tries_max = 2;
        if (r.has_error() || r->status != 401) return done(std::move(r));
        const bool new_nonce = used.dpop && tokens_->take_nonce(c.url, *r) && wants_nonce(*r);
        if (!new_nonce) tokens_->forget(p, used.value);
        // A new token once; and once more where it is the nonce that was wanted.
        const bool again = new_nonce ? tries < tries_max : tries == 0 && !tokens_->is_static();
        if (!again) {
            auto known = not_shown();
            known.push_back(used.value);
            return done(error{errc::unauthenticated,
                              "the access token is refused: " + words_of(*r, known)});
        }
        send_with_token(std::move(c), p, std::move(m), tries + 1, std::move(done));
    }

    // --- Mission Status

    // The strongest that both sides have; what the metadata does not say is tried.
    std::string_view status_method(const transmitter_metadata& m) const {
        auto offered = [&](std::string_view name) {
            return m.status_methods.empty() ||
                   std::find(m.status_methods.begin(), m.status_methods.end(), name) !=
                       m.status_methods.end();
        };
        if (o_.who.key && offered("private_key_jwt")) return "private_key_jwt";
        if (o_.who.has_certificate() && offered("mtls_client_auth")) return "mtls_client_auth";
        return "access_token";
    }

    void status_answered(result<net::http_response> r, status_expectation expected,
                         bool may_refetch, std::function<void(result<status_word>)> done) {
        if (r.has_error()) return done(r.error());
        switch (r->status) {
            case 200:
                break;
            case 401:
                return done(error{errc::unauthenticated,
                                  "Mission Status refuses us: " + words_of(*r, not_shown())});
            case 404: {
                // Only its own not_found counts: a proxy's 404 says nothing about a mission.
                auto body = json::parse(r->body);
                if (body.has_value() && is_json(*r) &&
                    json::find_string(*body, "error") == std::string_view("not_found")) {
                    return done(errc::mission_not_found);
                }
                return done(unexpected(*r, "Mission Status", not_shown()));
            }
            case 429:
            case 503: {
                const error why = r->status == 429 ? errc::rate_limited : errc::unavailable;
                // One client's requests are counted together: none is sent meanwhile.
                if (const auto wait = retry_after_of(*r); wait.count() > 0) {
                    status_pause_.begin(o_.now(), wait, why);
                }
                return done(why);
            }
            default:
                return done(unexpected(*r, "Mission Status", not_shown()));
        }
        auto parsed = parse_status(r->body, expected);
        if (parsed.has_error()) return done(parsed.error());
        const auto set = keys();
        const bool known = set && set->has(parsed->kid);
        const auto verified = known ? jose::verify(*parsed, *set, allowed_algs, true)
                                    : result<void>(errc::unknown_kid);
        if (verified.has_value()) return done(read_status(*parsed, expected, o_.now()));
        if (!may_refetch) return done(verified.error());
        // A key that we have not seen yet, or another one under a known kid. The body is moved
        // along: the parsed token's views die with this call.
        refetch_keys([self = shared_from_this(), r = std::move(r), expected = std::move(expected),
                      done, known, why = verified.error()](const result<void>& fetched) mutable {
            if (fetched.has_error()) return done(known ? why : fetched.error());
            self->status_answered(std::move(r), std::move(expected), false, std::move(done));
        });
    }

    const std::shared_ptr<net::http_client> http_;
    const link_options o_;
    const token_reach reach_;
    const std::shared_ptr<key_store> keys_;
    const std::shared_ptr<token_source> tokens_;
    mutable std::mutex m_;
    std::optional<transmitter_metadata> metadata_;
    std::map<purpose, std::string> last_tokens_;
    peer_pause metadata_pause_, status_pause_;
};

// Completions keep the implementation alive; the owner's handle stops it.
class link_handle final : public link {
  public:
    explicit link_handle(std::shared_ptr<link_impl> p) : p_(std::move(p)) {}
    void discover(std::function<void(result<transmitter_metadata>)> done) override {
        p_->discover(std::move(done));
    }
    std::optional<transmitter_metadata> metadata() const override { return p_->metadata(); }
    void send(call c, http_done done) override { p_->send(std::move(c), std::move(done)); }
    error unexpected_answer(const net::http_response& r, std::string_view what) const override {
        return p_->unexpected_answer(r, what);
    }
    std::chrono::milliseconds asked_to_wait() const override { return p_->asked_to_wait(); }
    std::shared_ptr<const jose::key_set> keys() const override { return p_->keys(); }
    void refetch_keys(std::function<void(result<void>)> done) override {
        p_->refetch_keys(std::move(done));
    }
    bool keys_aged() const override { return p_->keys_aged(); }
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
