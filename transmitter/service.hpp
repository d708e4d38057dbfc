// What the parts of the transmitter share. One `issuer_service` per issuer, nothing between them.
//
//   api/        routes -> decisions (missions/, streams/) -> store
//   delivery/   commit listener -> streams that match -> build, sign -> push or poll
//
// Lifetimes: main owns `service`; everything below refers to it and is destroyed before it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "net/client.hpp"
#include "net/runtime.hpp"
#include "store/store.hpp"
#include "transmitter/config.hpp"
#include "transmitter/keys/key_ring.hpp"
#include "transmitter/log.hpp"

namespace mission::transmitter {

class clock_guard;
class status_lists;

struct service {
    config settings;
    const clock* time = nullptr;
    random_source* random = nullptr;
    net::runtime* runtime = nullptr;
    store::store* db = nullptr;
    std::string log_epoch;
    // May deadlines be acted on (clock/clock_guard.hpp)? Null: yes.
    std::shared_ptr<const clock_guard> guard;
};

bool clock_trusted(const service& s) noexcept;

struct issuer_service {
    service* common = nullptr;
    issuer_config settings;
    store::issuer_id id{};
    std::unique_ptr<key_ring> keys;
    std::shared_ptr<status_lists> lists;  // null: there are none

    // Absolute URL of a path below the issuer ("/ssf/poll/x").
    std::string url(std::string_view path) const { return settings.base() + std::string(path); }
    const client_config* find_client(std::string_view client_id) const noexcept {
        return common->settings.find_client(settings.url, client_id);
    }
};

}  // namespace mission::transmitter
