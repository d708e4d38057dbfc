// The signing keys of one issuer: files of mode 0600, made at first start, parsed once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "jose/jws.hpp"
#include "jose/key.hpp"

namespace mission::transmitter {

// THREAD: const methods from any thread.
class key_ring {
  public:
    virtual ~key_ring() = default;
    // The current key's signer for SETs / for Status answers ("mission-status-response+jwt").
    virtual const jose::signer& set_signer(jose::alg a) const = 0;
    virtual const jose::signer& status_signer() const = 0;  // ES256
    virtual const std::string& jwks_json() const = 0;  // public members: current, next, retained
};

// Makes the folder (0700) and keys (0600) that are missing. Errors name the file: key_unreadable,
// key_malformed, key_permissions (readable by others).
result<std::unique_ptr<key_ring>> open_key_ring(const std::string& directory);

// The folder of an issuer below the signing directory: safe characters of its URL for people, and
// some of its hash, so that no two issuers share one.
std::string issuer_folder(std::string_view issuer_url);

// The 32 octets that seal stored secrets and access tokens; the file (base64url text, 0600) is made
// when it is missing. Errors name the file.
result<std::string> load_secret_key(const std::string& file);

// For `keys list`.
struct key_listing {
    std::string kid, alg, role, file;
};
result<std::vector<key_listing>> list_keys(const std::string& directory);

}  // namespace mission::transmitter
