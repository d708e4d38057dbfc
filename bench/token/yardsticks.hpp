// What our signing and verifying is held against: OpenSSL alone, and cpp-jwt.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "jose/key.hpp"

namespace mission::bench {

// Raw EVP at its best: the key parsed, the context prepared and used again, the algorithm fetched.
// The bytes are those of the token's signing input.
class raw_evp {
  public:
    virtual ~raw_evp() = default;
    // In OpenSSL's own form (DER for ECDSA); returns the octets written.
    virtual std::size_t sign(std::string_view input) = 0;
    virtual bool verify(std::string_view input) = 0;  // the signature made last by `sign`
};
std::unique_ptr<raw_evp> make_raw_evp(const jose::private_key& key);

// cpp-jwt 1.4: claims object to token; token to verified claims object.
class cpp_jwt {
  public:
    virtual ~cpp_jwt() = default;
    virtual std::string sign(const std::string& claims_json) = 0;
    virtual bool verify(const std::string& token) = 0;
};
std::unique_ptr<cpp_jwt> make_cpp_jwt(const jose::private_key& key);

}  // namespace mission::bench
