// What the folder of an issuer's keys says about them, and the rules of their lives. Pure: no
// files, no clock.
//
//   next ---(in the JWKS for at least `lead`)---> current ---> retained ---(until)---> gone
//
// and from each of them, at once and for good: revoked.
//
// Exactly one current and at most one next per algorithm, in every state that is ever written.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "jose/key.hpp"
#include "transmitter/keys/key_ring.hpp"

namespace mission::transmitter {

enum class key_role { current, next, retained };
std::string_view name(key_role r) noexcept;

struct key_entry {
    std::string kid;
    jose::alg algorithm{};
    key_role role{};
    std::string file;  // of the private key, in the folder; empty once retained
    std::string jwk;   // public members
    wall_time created_at{};
    // When a transmitter first served it in its JWKS; unset until then.
    std::optional<wall_time> published_at;
    bool rotate = false;  // of a next key: becomes current as soon as its lead is over
    std::optional<wall_time> current_at, retired_at;
};

struct revoked_key {
    std::string kid;
    jose::alg algorithm{};
    wall_time revoked_at{};
};

// One line of the audit. Those of the last change are kept in the state as well, so that a crash
// between the change and its line loses neither.
struct key_operation {
    std::int64_t number = 0;  // ascending; 0: changed nothing (refused)
    wall_time at{};
    std::string operation;  // create, adopt, publish, schedule, rotate, retire, drop, revoke
    std::string kid, alg;
    std::string outcome = "done";  // or why not
    std::string who;               // filled in by the folder
};

struct key_state {
    std::vector<key_entry> keys;
    std::vector<revoked_key> revoked;
    // Files of private keys that no longer sign: removed after the state that says so is durable.
    std::vector<std::string> doomed;
    std::int64_t last_number = 0;
    std::vector<key_operation> last_operations;

    key_entry* find(std::string_view kid) noexcept;
    const key_entry* find(jose::alg a, key_role r) const noexcept;
    key_entry* find(jose::alg a, key_role r) noexcept {
        return const_cast<key_entry*>(static_cast<const key_state*>(this)->find(a, r));
    }
};

// key_malformed, with a sentence.
result<key_state> parse_key_state(std::string_view text);
std::string print_key_state(const key_state& s);
std::string print_operation(const key_operation& o);

// How long a key stays published after its last use; none: for ever. ES256 keys sign Status answers
// too.
std::optional<std::chrono::seconds> retention(jose::alg a, const key_ring_options& o) noexcept;

// Changes one state into the next. `make` provides a fresh key that is already on the disk.
class key_rules {
  public:
    using key_maker = std::function<result<key_entry>(jose::alg)>;
    key_rules(key_state& s, const key_ring_options& o, wall_time now, key_maker make);

    // Whether tend() would change anything; `served` as there.
    bool due(const std::vector<std::string>* served) const;
    // What time has made due: scheduled rotations, retained keys that are over, missing keys. The
    // kids of `served` are in the JWKS that the transmitter answers with; null: asked by a command.
    result<void> tend(const std::vector<std::string>* served);
    // The next key becomes current now, or as soon as its lead is over.
    result<key_change> rotate(jose::alg a);
    // not_found. A current key's place is taken at once.
    result<key_change> revoke(const std::string& kid);

    // Since construction; empty: nothing has changed.
    const std::vector<key_operation>& operations() const noexcept { return done_; }

  private:
    bool publication_known(const key_entry& k) const;
    std::optional<wall_time> usable_from(const key_entry& next) const;
    bool over(const key_entry& retained) const;
    result<void> ensure(jose::alg a, key_role r);
    void promote(key_entry& next);
    void retire(key_entry& current);
    void note(std::string operation, const key_entry& k);

    key_state& s_;
    const key_ring_options& o_;
    wall_time now_;
    key_maker make_;
    std::vector<key_operation> done_;
};

}  // namespace mission::transmitter
