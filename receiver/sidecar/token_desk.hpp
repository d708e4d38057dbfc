// Tokens of requests, verified: keys are fetched when they are needed, verdicts are remembered.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "net/client.hpp"
#include "net/runtime.hpp"
#include "receiver/sidecar/settings.hpp"
#include "receiver/sidecar/token.hpp"
#include "receiver/sidecar/verdict_cache.hpp"
#include "receiver/subscribe/key_store.hpp"

namespace mission::receiver::sidecar {

// The key sets of all token issuers. It outlives every change of the settings, so that a reload
// asks nobody for keys that are at hand. THREAD: any.
class key_shelf {
  public:
    explicit key_shelf(net::runtime& rt) : rt_(rt) {}
    // bad_configuration: the CA cannot be used.
    result<std::shared_ptr<key_store>> of(const std::string& jwks_uri, const std::string& ca_pem);
    // Fetches what is missing or has grown old, and lets go what nobody uses any more: a key that
    // was withdrawn while nobody asked is not good for the first one who does.
    void refresh();
    // Ends what is being fetched.
    void stop();
    std::size_t clients() const;  // one for each CA that is in use

  private:
    net::runtime& rt_;
    mutable std::mutex m_;
    std::map<std::string, std::shared_ptr<net::http_client>> clients_;  // by CA
    std::map<std::pair<std::string, std::string>, std::shared_ptr<key_store>> stores_;
};

// For one reading of the settings. THREAD: any.
class token_desk : public std::enable_shared_from_this<token_desk> {
  public:
    using answer = result<std::shared_ptr<const token_claims>>;
    using callback = std::function<void(answer)>;

    // bad_configuration: a CA cannot be used.
    static result<std::shared_ptr<token_desk>> make(std::vector<token_issuer> issuers,
                                                    key_shelf& shelf);

    // Calls `done` once: before it returns, unless keys have to be fetched first; then on a network
    // thread. keys_unavailable: nobody can tell now; any other error: the token is not good here.
    void judge(std::string_view token, callback done);

  private:
    struct known_issuer {
        token_issuer rules;
        std::shared_ptr<key_store> store;  // of jwks_uri; null: rules.keys
    };

    answer verify(const std::string& text, const jose::digest256& hash, bool& other_keys);
    answer verify_with(const unverified_token& token, const jose::digest256& hash,
                       const known_issuer& by, const jose::key_set& keys);
    const known_issuer* issuer_of(std::string_view iss) const;

    std::vector<known_issuer> issuers_;
    verdict_cache verdicts_;
};

}  // namespace mission::receiver::sidecar
