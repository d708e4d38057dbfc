#include "receiver/subscribe/dpop.hpp"

#include "base/json.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"

namespace mission::receiver {

result<std::string> make_dpop_proof(const jose::private_key& key, const dpop_request& r) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "jti", r.jti);
    json::member(w, "htm", r.method);
    json::member(w, "htu", r.url.substr(0, r.url.find_first_of("?#")));
    json::key(w, "iat");
    w.Int64(r.now);
    if (!r.access_token.empty()) {
        // RFC 9449 section 4.2: the hash of the token that goes with it.
        const auto digest = jose::sha256(r.access_token);
        json::member(w, "ath", jose::base64url_encode(jose::view(digest)));
    }
    if (!r.nonce.empty()) json::member(w, "nonce", r.nonce);
    w.EndObject();
    // The key travels in the header: a `kid` beside it would name nothing.
    auto anonymous = key;
    anonymous.set_kid({});
    return jose::sign_compact(anonymous, "dpop+jwt", json::text(b),
                              "\"jwk\":" + anonymous.to_public().to_jwk());
}

}  // namespace mission::receiver
