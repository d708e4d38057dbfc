// Asks the configured issuers ([[auth.issuer]]) what a token is worth: keys for JWTs, introspection
// for opaque ones. One object per issuer of ours; nothing is shared between two.
//
//   find(token) -> keys at hand: answered at once
//               -> else a flight per token; whoever brings the same token meanwhile waits with it
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/error.hpp"
#include "jose/digest.hpp"
#include "transmitter/auth/foreign_token.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

// THREAD: any.
class token_sources {
  public:
    using done = std::function<void(result<foreign_claims>)>;

    virtual ~token_sources() = default;
    // Calls `then` once, at once or on a network thread. Errors: unauthenticated for a token that
    // is none of theirs or no good; unavailable when that cannot be found out now, or too many are
    // asking. `hash` is the token's.
    virtual void find(std::string_view token, const jose::digest256& hash, done then) = 0;
    // What can be said without asking anybody: JWTs of issuers whose keys are at hand.
    virtual result<foreign_claims> find_at_hand(std::string_view token) = 0;
    // Ends what is under way: unavailable.
    virtual void stop() = 0;
};

// Null when no [[auth.issuer]] is configured. bad_configuration when a ca_file cannot be used.
result<std::shared_ptr<token_sources>> make_token_sources(service& common);

}  // namespace mission::transmitter
