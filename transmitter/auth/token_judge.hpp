// From a token to a verdict, and from a verdict and a request to a principal: for one issuer of
// ours. What has to be asked elsewhere comes in as foreign_claims.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "jose/digest.hpp"
#include "transmitter/auth/access_token.hpp"
#include "transmitter/auth/foreign_token.hpp"
#include "transmitter/auth/jti_guard.hpp"
#include "transmitter/auth/presented.hpp"
#include "transmitter/auth/verdict_cache.hpp"

namespace mission::transmitter {

// THREAD: any.
class token_judge {
  public:
    explicit token_judge(issuer_service& issuer);

    // What is known without asking: the cache, static tokens, our own. Null: nothing.
    std::shared_ptr<const verdict> known(std::string_view token, const jose::digest256& hash,
                                         wall_time now) const;
    // Of a token of somebody else's: its client here, the scopes that client has here, and the
    // resources of ours that it names. Kept. unauthenticated when nothing is left.
    result<std::shared_ptr<const verdict>> accept(const foreign_claims& claims,
                                                  const jose::digest256& hash) const;
    // The request proves what its token is bound to: the scheme, the proof, the certificate, the
    // time. unauthenticated, invalid_dpop_proof, rate_limited. A proof is used up by this.
    result<principal> prove(const net::http_request& request, const presented_token& token,
                            const verdict& v) const;
    // A proof that comes with a token request: its key's thumbprint; "" without one.
    result<std::string> proof_key(const net::http_request& request, std::string_view url) const;

    std::string seal(const token_content& content) const;
    // The resource of ours that `name` is: "" for the issuer as a whole; nullptr: none of ours.
    std::optional<std::string> own_resource(std::string_view name) const;

  private:
    result<std::string> check_proof(const net::http_request& request, const std::string& url,
                                    std::string_view access_token) const;
    std::shared_ptr<const verdict> static_token(const jose::digest256& hash, wall_time now) const;
    std::shared_ptr<const verdict> own_token(std::string_view token, wall_time now) const;

    issuer_service& issuer_;
    token_sealer sealer_;
    mutable jti_guard proofs_;
    mutable verdict_cache verdicts_;
    std::vector<std::pair<jose::digest256, const client_config*>> static_tokens_;
    std::vector<std::string> endpoints_;  // resources beside the issuer itself
    std::string origin_;                  // of the issuer, for `htu`
};

}  // namespace mission::transmitter
