#include "receiver/sidecar/token_desk.hpp"

#include <algorithm>
#include <vector>

namespace mission::receiver::sidecar {

result<std::shared_ptr<key_store>> key_shelf::of(const std::string& jwks_uri,
                                                 const std::string& ca_pem) {
    const std::lock_guard lock(m_);
    auto& store = stores_[{jwks_uri, ca_pem}];
    if (store) return store;
    auto& client = clients_[ca_pem];
    if (!client) {
        net::client_options o;
        o.ca_pem = ca_pem;
        o.max_response = mission::limits::jwks_bytes;
        auto made = net::make_http_client(rt_, std::move(o));
        if (!made) {
            clients_.erase(ca_pem);
            stores_.erase({jwks_uri, ca_pem});
            return error{errc::bad_configuration, made.error().message()};
        }
        client = std::move(*made);
    }
    store = std::make_shared<key_store>(client, coarse_now);
    store->set_url(jwks_uri);
    return store;
}

void key_shelf::refresh() {
    std::vector<std::shared_ptr<key_store>> due;
    std::vector<std::shared_ptr<net::http_client>> left;
    {
        const std::lock_guard lock(m_);
        std::erase_if(stores_, [](const auto& one) { return one.second.use_count() == 1; });
        // A CA that no issuer's settings name any more.
        for (auto at = clients_.begin(); at != clients_.end();) {
            const bool used = std::any_of(stores_.begin(), stores_.end(), [&](const auto& one) {
                return one.first.second == at->first;
            });
            if (used) {
                ++at;
            } else {
                left.push_back(std::move(at->second));
                at = clients_.erase(at);
            }
        }
        for (const auto& [where, store] : stores_)
            if (!store->keys() || store->aged()) due.push_back(store);
    }
    for (const auto& client : left)
        client->stop();
    for (const auto& store : due)
        store->refetch([](const result<void>&) {});
}

std::size_t key_shelf::clients() const {
    const std::lock_guard lock(m_);
    return clients_.size();
}

void key_shelf::stop() {
    const std::lock_guard lock(m_);
    for (auto& [ca, client] : clients_)
        client->stop();
}

result<std::shared_ptr<token_desk>> token_desk::make(std::vector<token_issuer> issuers,
                                                     key_shelf& shelf) {
    auto desk = std::make_shared<token_desk>();
    for (auto& i : issuers) {
        known_issuer one{std::move(i), nullptr};
        if (!one.rules.keys) {
            auto store = shelf.of(one.rules.jwks_uri, one.rules.ca_pem);
            if (!store) return store.error();
            one.store = std::move(*store);
        }
        desk->issuers_.push_back(std::move(one));
    }
    return desk;
}

const token_desk::known_issuer* token_desk::issuer_of(std::string_view iss) const {
    const auto it = std::find_if(issuers_.begin(), issuers_.end(),
                                 [&](const known_issuer& i) { return i.rules.issuer == iss; });
    return it == issuers_.end() ? nullptr : &*it;
}

token_desk::answer token_desk::verify_with(const unverified_token& token,
                                           const jose::digest256& hash, const known_issuer& by,
                                           const jose::key_set& keys) {
    const auto now = system_clock().now();
    auto claims = verify_token(token, by.rules, keys, now);
    if (!claims) return claims.error();
    auto kept = std::make_shared<const token_claims>(std::move(*claims));
    verdicts_.put(hash, kept, now);
    return kept;
}

// `other_keys`: newer keys than those at hand may change the answer.
token_desk::answer token_desk::verify(const std::string& text, const jose::digest256& hash,
                                      bool& other_keys) {
    auto token = peek_token(text);
    if (!token) return token.error();
    const auto* by = issuer_of(token->issuer);
    if (!by) return error{errc::wrong_issuer, "iss"};
    if (!by->store) return verify_with(*token, hash, *by, *by->rules.keys);
    const auto keys = by->store->keys();
    if (!keys || by->store->given_up()) {
        other_keys = true;
        return error{errc::keys_unavailable, by->rules.issuer};
    }
    if (by->store->aged()) by->store->refetch([](const result<void>&) {});  // for the next one
    auto verdict = verify_with(*token, hash, *by, *keys);
    other_keys = !verdict && verdict.error() == errc::unknown_kid;
    return verdict;
}

void token_desk::judge(std::string_view token, callback done) {
    if (token.size() > mission::limits::access_token_bytes)
        return done(error{errc::too_large, "the token"});
    const auto hash = jose::sha256(token);
    if (auto known = verdicts_.find(hash, system_clock().now())) return done(std::move(known));
    std::string text(token);
    bool other_keys = false;
    auto verdict = verify(text, hash, other_keys);
    if (!other_keys) return done(std::move(verdict));
    const auto peeked = peek_token(text);
    const auto* by = peeked ? issuer_of(peeked->issuer) : nullptr;
    if (!by) return done(std::move(verdict));
    by->store->refetch([self = shared_from_this(), text = std::move(text), hash,
                        before = std::move(verdict),
                        done = std::move(done)](const result<void>& r) {
        // Not fetched, or too early to ask again: what was said before stands.
        if (!r) return done(before);
        bool ignored = false;
        done(self->verify(text, hash, ignored));
    });
}

}  // namespace mission::receiver::sidecar
