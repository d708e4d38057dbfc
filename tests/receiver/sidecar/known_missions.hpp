// A mission cache that knows a handful of missions, and a receiver around it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "mission_signals/receiver.hpp"

namespace sidecar_test {

namespace ms = mission_signals;

inline const std::string active_mission = "mis_active_0123456789012";
inline const std::string revoked_mission = "mis_revoked_012345678901";
inline const std::string stale_mission = "mis_stale_01234567890123";
inline const std::string doubtful_mission = "mis_doubtful_01234567890";  // active, once asked for
inline const std::string elsewhere = "https://other-missions.example";
inline const std::string resource = "https://erp.example";

class known_missions : public ms::receiver, public ms::mission_cache {
  public:
    std::atomic<bool> live{true};
    std::atomic<int> asked{0};
    ms::cause refusal = ms::cause::none;         // what Status says of what stays unknown
    std::atomic<bool> teaches_authority{false};  // an answer of Status brings it
    std::atomic<bool> silent{false};  // Status never answers; what was asked waits in `held_back`
    std::vector<std::function<void(ms::answer)>> held_back;

    void set(const std::string& id, ms::answer a) {
        const std::lock_guard lock(m_);
        known_[id] = a;
    }

    ms::answer check(std::string_view id) const noexcept override {
        const std::lock_guard lock(m_);
        const auto it = known_.find(std::string(id));
        return it == known_.end() ? ms::answer{} : it->second;
    }
    ms::answer check(std::string_view issuer, std::string_view id) const noexcept override {
        return issuer == elsewhere ? check(id) : ms::answer{};
    }
    void resolve(std::string_view id, std::function<void(ms::answer)> done, bool) override {
        ++asked;
        if (silent) {
            const std::lock_guard lock(m_);
            held_back.push_back(std::move(done));
            return;
        }
        if (id == doubtful_mission) {
            set(doubtful_mission, {ms::standing::active, 1});
            if (teaches_authority) taught_ = true;
        }
        auto a = check(id);
        if (!a.permitted()) a.why = refusal;
        done(a);
    }
    ms::answer resolve(std::string_view id, std::chrono::milliseconds) override {
        return check(id);
    }
    std::shared_ptr<const ms::authority> authority_of(std::string_view id) const override {
        if (id != active_mission && !(taught_ && id == doubtful_mission)) return nullptr;
        auto a = std::make_shared<ms::authority>();
        a->entries.push_back({.type = "mission_resource_access",
                              .resource = resource,
                              .actions = {"invoices.read"},
                              .json = "{}"});
        return a;
    }
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> look(
        std::string_view id) const override {
        return {check(id), authority_of(id)};
    }
    std::optional<ms::mission_view> view(std::string_view id) const override {
        const auto a = check(id);
        if (a.version == 0) return std::nullopt;
        ms::mission_view v;
        v.id = std::string(id);
        v.issuer = "https://missions.example";
        v.now = a;
        v.state = a.what == ms::standing::stale ? "active" : std::string(ms::name(a.what));
        return v;
    }
    std::vector<ms::mission_view> list(std::size_t) const override { return {}; }
    std::size_t size() const noexcept override { return 4; }

    void on_effect(ms::handler_options, ms::handler) override {}
    void on_change(std::function<void(const ms::mission_view&, ms::effect)>) override {}
    void on_task(std::function<void(const ms::task_view&)>) override {}
    void on_event(std::string, std::vector<std::string>, ms::event_handler) override {}
    void start() override {}
    bool wait_live(std::chrono::milliseconds) override { return live; }
    void stop() override {}
    ms::mission_cache& missions() noexcept override { return *this; }
    bool hold(std::string_view, std::string_view, std::string_view) override { return false; }
    void release(std::string_view, std::string_view) override {}
    std::vector<held_thing> held(std::string_view) const override { return {}; }
    std::vector<ms::task_view> tasks(bool) const override { return {}; }
    bool retry_task(std::string_view) override { return false; }
    std::vector<ms::handler_status> handlers() const override { return {}; }
    void handle_push(ms::push_request, std::function<void(ms::push_response)>) override {}
    std::uint16_t push_port() const noexcept override { return 0; }
    ms::status current_status() const override {
        ms::status s;
        s.streaming = live;
        return s;
    }
    std::string last_setup_problem() const override { return "nobody answers"; }

  private:
    std::atomic<bool> taught_{false};
    mutable std::mutex m_;
    std::map<std::string, ms::answer> known_{
        {active_mission, {ms::standing::active, 3}},
        {revoked_mission, {ms::standing::revoked, 4}},
        {stale_mission, {ms::standing::stale, 2}},
    };
};

}  // namespace sidecar_test
