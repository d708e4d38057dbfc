// Access tokens of the built-in token endpoint: self-contained and sealed (AES-256-GCM), so that
// they survive a restart and cost no write. Pure, but for the randomness handed in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/time.hpp"

namespace mission::transmitter {

struct token_content {
    std::string client_id;
    std::vector<std::string> scopes;
    wall_time expires{};
    std::string audience = {};       // one of our resources; empty: the issuer as a whole
    std::string jkt = {}, x5t = {};  // what it is bound to; empty: nothing
};

class token_sealer {
  public:
    // `secrets_key`: the 32 octets of [secrets] key; a key of its own is derived from it. A token
    // of one issuer is none at another.
    token_sealer(std::string_view secrets_key, std::string_view issuer);
    std::string seal(const token_content& content, random_source& random) const;
    // malformed_token, token_expired.
    result<token_content> open(std::string_view token, wall_time now) const;

  private:
    std::string key_, context_;
};

// "a b" <-> {"a", "b"}; RFC 6749 section 3.3.
std::vector<std::string> split_scopes(std::string_view text);
std::string join_scopes(const std::vector<std::string>& scopes);

}  // namespace mission::transmitter
