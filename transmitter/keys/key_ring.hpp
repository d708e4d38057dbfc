// The signing keys of one issuer: private files of mode 0600 and a state file that says which is
// what, made at first start, parsed once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "jose/jws.hpp"
#include "jose/key.hpp"

namespace mission::transmitter {

//
//   next ---(in the JWKS for at least `lead`)---> current ---> retained ---(until)---> gone
//                                                    \--- revoked: out of the JWKS at once
//
// THREAD: const methods from any thread. What a method returns stays valid as long as it is held:
// a rotation replaces it, and never changes it.
class key_ring {
  public:
    virtual ~key_ring() = default;
    // The current key's signer for SETs / for Status answers ("mission-status-response+jwt").
    virtual std::shared_ptr<const jose::signer> set_signer(jose::alg a) const = 0;
    virtual std::shared_ptr<const jose::signer> status_signer() const = 0;  // ES256
    // The same key's, for answers of /mission/manage ("mission-management-response+jwt").
    virtual std::shared_ptr<const jose::signer> management_signer() const = 0;
    // Public members: current, next, retained.
    virtual std::shared_ptr<const std::string> jwks_json() const = 0;
    // Takes what another process (`keys rotate|revoke`) has changed in the folder, and what time
    // has made due (a next key's lead is over). Blocking: a timer on a worker calls it. True when
    // anything changed. From the first call on the JWKS counts as served.
    virtual result<bool> refresh() = 0;
};

struct key_ring_options {
    // A key is in the JWKS for at least so long before its first use: longer than receivers cache
    // the set (max-age 300 s).
    std::chrono::seconds lead{600};
    // A key that signed SETs alone stays for so long after its last use.
    std::chrono::seconds retain{std::chrono::days(8)};
    // One that signed Status answers (ES256): the same for its; none: for ever, as long as mission
    // records are kept (draft-mcguinness-oauth-mission-status, Signing-Key Retention for Audit).
    std::optional<std::chrono::seconds> status_retain;
    const clock* time = nullptr;  // null: system clock
};

// Makes the folder (0700) and keys (0600) that are missing. Errors name the file: key_unreadable,
// key_malformed, key_permissions (readable by others).
result<std::unique_ptr<key_ring>> open_key_ring(const std::string& directory,
                                                key_ring_options options = {});

// The folder of an issuer below the signing directory: safe characters of its URL for people, and
// some of its hash, so that no two issuers share one.
std::string issuer_folder(std::string_view issuer_url);

// The 32 octets that seal stored secrets and access tokens; the file (base64url text, 0600) is made
// when it is missing. Errors name the file.
result<std::string> load_secret_key(const std::string& file);

// ---- `keys list|rotate|revoke`: on the folder, whether a transmitter runs on it or not. Each
// change is one rename: a crash leaves the state before or the state after.

struct key_listing {
    std::string kid, alg, role;  // current, next, retained, revoked
    std::string file;            // full path; empty for a key without private part
    std::optional<wall_time> published_at;
    std::optional<wall_time> since;  // current, retained, revoked: since then
    // next: when it may become current; retained: when it goes.
    std::optional<wall_time> until;
    bool scheduled = false;  // a next key that will become current at `until` by itself
};
result<std::vector<key_listing>> list_keys(const std::string& directory,
                                           const key_ring_options& options = {});

struct key_change {
    std::string kid;      // what is current, or will be; of a revocation: what has taken over, if
                          // the revoked one was current
    std::string old_kid;  // what was current; of a revocation: the revoked one
    jose::alg algorithm{};
    bool done = false;  // false: scheduled
    // When it will be; unset while no transmitter has published the key yet.
    std::optional<wall_time> at;
};
// not_found (no keys yet), and whatever reading and writing the folder may say.
result<key_change> rotate_key(const std::string& directory, jose::alg a,
                              const key_ring_options& options);
// not_found: no such key, or one that is revoked already.
result<key_change> revoke_key(const std::string& directory, const std::string& kid,
                              const key_ring_options& options);

}  // namespace mission::transmitter
