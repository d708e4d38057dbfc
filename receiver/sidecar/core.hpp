// What every request of the sidecar shares: the settings in force, the receiver, the counters.
// Private to the sidecar.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "mission_signals/receiver.hpp"
#include "net/runtime.hpp"
#include "receiver/sidecar/decision.hpp"
#include "receiver/sidecar/settings.hpp"
#include "receiver/sidecar/token_desk.hpp"

namespace mission::receiver::sidecar {

// The settings in force and what was made of them. Requests hold on to the one they began with.
struct policy {
    settings s;
    std::shared_ptr<token_desk> tokens;  // null: none are read
};

enum class door : std::uint8_t { auth_request, ext_authz, authzen, mission };
inline constexpr std::size_t doors = 4;
std::string_view name(door d) noexcept;

// THREAD: any.
class counters {
  public:
    void count(door d, reason r) noexcept {
        cells_[static_cast<std::size_t>(d)][static_cast<std::size_t>(r)].fetch_add(
            1, std::memory_order_relaxed);
    }
    void count_reload(bool good) noexcept { (good ? reloads_ : bad_reloads_).fetch_add(1); }
    std::string text() const;  // Prometheus

  private:
    std::array<std::array<std::atomic<std::uint64_t>, reasons>, doors> cells_{};
    std::atomic<std::uint64_t> reloads_{0}, bad_reloads_{0};
};

// Owned by the server and by whatever waits; the runtime goes with the last of them.
class core : public std::enable_shared_from_this<core> {
  public:
    core(ms::receiver& receiver, std::shared_ptr<net::runtime> runtime)
        : rx(receiver), missions(receiver.missions()), rt(std::move(runtime)) {}

    std::shared_ptr<const policy> current() const {
        const std::lock_guard lock(m_);
        return policy_;
    }
    void replace(std::shared_ptr<const policy> p) {
        const std::lock_guard lock(m_);
        policy_.swap(p);
    }

    // What Mission Status said of each mission that was asked for, by id: why it is still in doubt.
    using causes = std::vector<std::pair<std::string, ms::cause>>;
    // Asks for these missions, waits at most `s.resolve_wait`, and calls `then` once: on a thread
    // of the receiver or of the network, or right here when there is no room to wait.
    void settle(std::vector<std::string> ids, const settings& s, std::function<void(causes)> then);

    ms::receiver& rx;
    ms::mission_cache& missions;
    const std::shared_ptr<net::runtime> rt;
    counters counted;

  private:
    mutable std::mutex m_;
    std::shared_ptr<const policy> policy_;
    std::atomic<std::size_t> waiting_{0};

    struct wait;
};

// The cause that is told of a mission; `none` when it was not asked for.
ms::cause cause_of(const core::causes& all, std::string_view mission_id) noexcept;

}  // namespace mission::receiver::sidecar
