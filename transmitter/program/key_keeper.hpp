// Looks after the key rings of a running transmitter: what `keys rotate|revoke` has changed and
// what time has made due is taken over within `interval`.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/runtime.hpp"
#include "transmitter/config.hpp"
#include "transmitter/keys/key_ring.hpp"

namespace mission::transmitter {

// Where an issuer's keys lie, and for how long.
std::string key_directory(const config& settings, std::string_view issuer_url);
key_ring_options key_options(const config& settings, const clock* time);

class key_keeper {
  public:
    virtual ~key_keeper() = default;
    // From now on, at once first. The JWKS is being served.
    virtual void start() = 0;
    // THREAD: any. A refresh under way ends by itself; the runtime's stop waits for it.
    virtual void stop() = 0;
};

// The rings and the runtime outlive every callback: the runtime is stopped before they go.
std::shared_ptr<key_keeper> make_key_keeper(
    net::runtime& runtime, std::vector<key_ring*> rings,
    std::chrono::milliseconds interval = std::chrono::seconds(1));

}  // namespace mission::transmitter
