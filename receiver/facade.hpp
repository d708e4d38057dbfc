// The facade's members; what wires them together is in receiver.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "events/mission_event.hpp"
#include "mission_signals/receiver.hpp"
#include "net/server.hpp"
#include "receiver/confirmation.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/host_calls.hpp"
#include "receiver/options.hpp"
#include "receiver/process_mark.hpp"
#include "receiver/subscribe/push.hpp"
#include "receiver/subscribe/status_desk.hpp"
#include "receiver/subscribe/stream_client.hpp"
#include "receiver/teardown/pool.hpp"
#include "receiver/teardown/report_desk.hpp"

namespace mission::receiver {

using std::chrono::milliseconds;

class facade final : public ms::receiver, public ms::mission_cache {
  public:
    explicit facade(ms::options o)
        : o_(std::move(o)),
          runner_(make_task_runner(system_random())),
          inbox_(make_inbox(system_random())) {}
    ~facade() override { stop(); }

    // ------------------------------------------------------------------------------- receiver
    void on_effect(ms::handler_options what, ms::handler run) override {
        if (started_) throw ms::setup_error("on_effect: has to come before start()");
        if (what.name.empty()) throw ms::setup_error("on_effect: the handler needs a name");
        for (const auto& h : runner_->handlers()) {
            if (h.name == what.name) {
                throw ms::setup_error("on_effect: there are two handlers named " + what.name);
            }
        }
        if (!run) throw ms::setup_error("on_effect: " + what.name + " has no function");
        if (what.timeout.count() <= 0)
            throw ms::setup_error("on_effect: " + what.name + " needs a timeout");
        what.concurrency = std::max(what.concurrency, 1u);
        runner_->add_handler(std::move(what), std::move(run));
    }

    void on_change(std::function<void(const ms::mission_view&, ms::effect)> fn) override {
        if (started_) throw ms::setup_error("on_change: has to come before start()");
        on_change_->push_back(std::move(fn));
    }

    void on_task(std::function<void(const ms::task_view&)> fn) override {
        if (started_) throw ms::setup_error("on_task: has to come before start()");
        on_task_->push_back(std::move(fn));
    }
    std::vector<ms::handler_status> handlers() const override {
        return forked() ? std::vector<ms::handler_status>() : runner_->status();
    }
    void on_event(std::string name, std::vector<std::string> types, ms::event_handler fn) override {
        if (started_) throw ms::setup_error("on_event: has to come before start()");
        inbox_->add_handler(std::move(name), std::move(types), std::move(fn));
    }

    void start() override;
    bool wait_live(milliseconds timeout) override;
    void stop() override;
    ms::mission_cache& missions() noexcept override { return *this; }

    bool hold(std::string_view mission_id, std::string_view name, std::string_view data) override {
        auto* e = engine_of();
        if (e == nullptr || name.empty() || !events::valid_mission_id(mission_id)) return false;
        return e->hold(key_of(mission_id), std::string(name), std::string(data));
    }

    void release(std::string_view mission_id, std::string_view name) override {
        if (auto* e = engine_of()) e->release(key_of(mission_id), std::string(name));
    }

    std::vector<held_thing> held(std::string_view mission_id) const override {
        std::vector<held_thing> out;
        if (auto* e = engine_of()) {
            for (auto& h : e->held(mission_id)) {
                out.push_back({h.mission.id, std::move(h.name), std::move(h.data)});
            }
        }
        return out;
    }

    std::vector<ms::task_view> tasks(bool unfinished_only) const override {
        return forked() ? std::vector<ms::task_view>() : runner_->views(unfinished_only);
    }

    bool retry_task(std::string_view key) override {
        return !forked() && runner_->retry_now(std::string(key));
    }

    void handle_push(ms::push_request request,
                     std::function<void(ms::push_response)> done) override {
        if (push_ == nullptr || forked()) return done({503, {{"Retry-After", "1"}}, {}});
        push_->handle(std::move(request), std::move(done));
    }
    std::uint16_t push_port() const noexcept override { return server_ ? server_->port() : 0; }

    ms::status current_status() const override;
    std::string last_setup_problem() const override {
        if (forked()) return "the receiver belongs to the process that this one was forked from";
        return stream_ ? stream_->look().problem : std::string();
    }

    // ------------------------------------------------------------------------------- missions
    ms::answer check(std::string_view id) const noexcept override {
        const auto* issuer = issuer_.load(std::memory_order_acquire);
        return issuer == nullptr ? ms::answer{} : check(*issuer, id);
    }
    ms::answer check(std::string_view issuer, std::string_view id) const noexcept override {
        auto* e = engine_of();
        return e == nullptr ? ms::answer{} : e->table().check(issuer, id, coarse_now());
    }

    void resolve(std::string_view id, std::function<void(ms::answer)> done, bool force) override {
        if (!needs_status(id, force)) {
            return run_on_host([this, id = std::string(id), done] { done(unasked(id)); });
        }
        desk_->ask(key_of(id), true,
                   [this, id = std::string(id), done = std::move(done)](ms::cause why) {
                       run_on_host([this, id, done, why] { done(check_with(id, why)); });
                   });
    }

    ms::answer resolve(std::string_view id, milliseconds timeout) override {
        if (!needs_status(id, false)) return unasked(id);
        // Not on the host executor: the caller may be one of its threads.
        auto answered = std::make_shared<std::promise<ms::cause>>();
        auto future = answered->get_future();
        desk_->ask(key_of(id), true, [answered](ms::cause why) { answered->set_value(why); });
        const bool in_time = future.wait_for(timeout) == std::future_status::ready;
        return check_with(id, in_time ? future.get() : ms::cause::timed_out);
    }

    void confirm(std::string_view id, std::function<void(ms::confirmation)> done) override;
    ms::confirmation confirm(std::string_view id, milliseconds timeout) override;

    std::shared_ptr<const ms::authority> authority_of(std::string_view id) const override {
        auto* e = engine_of();
        const auto* issuer = issuer_.load(std::memory_order_acquire);
        return e && issuer ? e->authorities().of(*issuer, id) : nullptr;
    }
    std::pair<ms::answer, std::shared_ptr<const ms::authority>> look(
        std::string_view id) const override {
        auto* e = engine_of();
        const auto* issuer = issuer_.load(std::memory_order_acquire);
        if (e == nullptr || issuer == nullptr) return {};
        return e->authorities().look(*issuer, id, coarse_now());
    }
    std::optional<ms::mission_view> view(std::string_view id) const override {
        auto* e = engine_of();
        return e ? e->view(key_of(id)) : std::nullopt;
    }
    std::vector<ms::mission_view> list(std::size_t limit) const override {
        auto* e = engine_of();
        return e ? e->list(limit) : std::vector<ms::mission_view>();
    }
    std::size_t size() const noexcept override {
        auto* e = engine_of();
        return e ? e->table().size() : 0;
    }

  private:
    engine* engine_of() const noexcept {
        auto* e = engine_ptr_.load(std::memory_order_acquire);
        return e != nullptr && home_.at_home() ? e : nullptr;
    }
    mission_key key_of(std::string_view id) const {
        const auto* issuer = issuer_.load(std::memory_order_acquire);
        return {issuer ? *issuer : std::string(), std::string(id)};
    }
    void log(ms::log_level level, std::string_view text,
             std::vector<ms::log_field> fields = {}) const {
        if (o_.log) o_.log(level, text, fields);
    }
    std::function<void()> guarded(std::function<void()> callback) const {
        return calls_.guarded(std::move(callback));
    }
    void run_on_host(std::function<void()> callback) {
        if (forked()) return guarded(std::move(callback))();  // nobody else would run it
        calls_.run(std::move(callback), pool_.get());
    }
    // In a child of the process that started this: its threads are not here, and its locks may be
    // held by one of them for ever.
    bool forked() const noexcept {
        return engine_ptr_.load(std::memory_order_acquire) != nullptr && !home_.at_home();
    }
    // The cache's word, with what kept Status from mending it.
    ms::answer check_with(std::string_view id, ms::cause why) const {
        auto a = check(id);
        if (!a.permitted()) a.why = why;
        return a;
    }
    // Nobody was asked: because nobody needs to be, or nobody can be.
    ms::answer unasked(std::string_view id) const {
        const bool can =
            engine_of() != nullptr && desk_ && issuer_.load(std::memory_order_acquire) != nullptr;
        const bool wanted = !can && events::valid_mission_id(id);
        return check_with(id, wanted ? ms::cause::status_unreachable : ms::cause::none);
    }
    bool needs_status(std::string_view id, bool force) const {
        auto* e = engine_of();
        if (e == nullptr || !desk_ || !events::valid_mission_id(id)) return false;
        if (issuer_.load(std::memory_order_acquire) == nullptr) return false;
        if (force) return true;
        const auto [a, authority] = look(id);
        switch (a.what) {
            case ms::standing::unknown:
            case ms::standing::stale:
            case ms::standing::gap:
                return true;
            case ms::standing::active:
                return authority == nullptr;
            default:
                // It may have been resumed, extended, or not have ended in the history that the
                // transmitter was put back to: nobody else would ask.
                return e->denial_aged(key_of(id));
        }
    }
    void note_issuer() {
        const auto now = engine_->transmitter();
        if (now.empty()) return;
        std::lock_guard lock(m_);
        const auto* before = issuer_.load(std::memory_order_relaxed);
        if (before != nullptr && *before == now) return;
        // Readers may still look at the old text: it is kept.
        issuer_texts_.push_back(std::make_unique<const std::string>(now));
        issuer_.store(issuer_texts_.back().get(), std::memory_order_release);
    }
    // The earliest asked for wins: waits are worked out under the engine's lock and arrive here in
    // any order. One look too many is harmless, one too late is not.
    void wake_after(milliseconds delay) {
        const auto at = std::chrono::steady_clock::now() + delay;
        std::unique_ptr<net::timer> replaced;
        std::lock_guard lock(m_);
        if (watch_timer_ && watch_at_ <= at) return;
        // First: memory may end, and the one before is still needed then.
        auto made = rt_->after(delay, [this, at] {
            std::unique_ptr<net::timer> fired;
            {
                std::lock_guard inner(m_);
                if (watch_at_ == at) fired = std::move(watch_timer_);
            }
            engine_->watch();
        });
        watch_at_ = at;
        replaced = std::exchange(watch_timer_, std::move(made));
    }
    // Nothing can be asked; why.
    std::optional<ms::confirmation> cannot_confirm(std::string_view id) const {
        if (engine_of() == nullptr || !desk_) return unconfirmed("the receiver is not started");
        if (!events::valid_mission_id(id)) return unconfirmed("not a mission id", ms::cause::none);
        if (issuer_.load(std::memory_order_acquire) == nullptr)
            return unconfirmed("the transmitter is not discovered yet");
        return std::nullopt;
    }
    void make_engine(credentials& who);
    void keep_dpop_key(credentials& who);
    void warn_of_plain_token();
    void make_reports(std::optional<report_author> author);
    void start_handlers();
    void start_inbox();
    void tell_task(const task_record& t);
    void record_outcome(const task_record& t);
    void task_cancelled(const task_record& t);
    void handlers_overdue(std::size_t calls);
    void make_network(credentials who);
    void listen();
    void abandon();

    const ms::options o_;
    host_calls calls_{o_};
    process_mark home_;  // of start()
    const std::shared_ptr<quirk_log> quirks_ = std::make_shared<quirk_log>(o_);
    // Shared with the jobs: one that never returns outlives us.
    template <class... A>
    using listeners = std::shared_ptr<std::vector<std::function<void(A...)>>>;
    const listeners<const ms::mission_view&, ms::effect> on_change_ =
        std::make_shared<std::vector<std::function<void(const ms::mission_view&, ms::effect)>>>();
    const listeners<const ms::task_view&> on_task_ =
        std::make_shared<std::vector<std::function<void(const ms::task_view&)>>>();
    bool started_ = false, stopped_ = false;
    bool plain_token_ = false;  // to be warned of; in start(), then on the stream's strand

    // Destroyed from the last to the first, after stop() has joined every thread.
    std::unique_ptr<net::runtime> rt_;
    std::unique_ptr<worker_pool> pool_;
    std::unique_ptr<worker_pool> background_;  // one thread, for what reads all missions
    std::shared_ptr<serial_queue> changes_, tasks_told_;
    std::unique_ptr<state> state_;
    std::unique_ptr<task_runner> runner_;
    std::unique_ptr<inbox> inbox_;
    std::unique_ptr<engine> engine_;
    std::unique_ptr<link> link_;
    std::shared_ptr<intake> intake_;
    std::shared_ptr<status_desk> desk_;
    // desk_ for the engine, which asks from the state's threads: they run before it is there. What
    // is not asked then is asked when the stream is ready (on_ready).
    std::atomic<status_desk*> desk_at_work_{nullptr};
    std::shared_ptr<report_desk> reports_;     // null: none are made
    std::vector<report_record> reports_left_;  // of the last run, until there is who sends them
    std::unique_ptr<push_endpoint> push_;
    std::unique_ptr<net::http_handler> push_handler_;
    std::unique_ptr<net::http_server> server_;
    std::shared_ptr<stream_client> stream_;

    std::atomic<bool> changes_lost_{false};  // said so; until they are taken again
    std::atomic<bool> tasks_lost_{false};
    std::atomic<std::size_t> overdue_{0};
    std::atomic<engine*> engine_ptr_{nullptr};
    std::atomic<const std::string*> issuer_{nullptr};
    std::mutex m_;
    std::vector<std::unique_ptr<const std::string>> issuer_texts_;
    std::unique_ptr<net::timer> watch_timer_;
    std::chrono::steady_clock::time_point watch_at_{};
};

}  // namespace mission::receiver
