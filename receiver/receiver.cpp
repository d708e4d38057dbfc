// The facade: wires engine, teardown, state and the network together, and takes them down in order.
#include "mission_signals/receiver.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "events/mission_event.hpp"
#include "net/server.hpp"
#include "receiver/confirmation.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/options.hpp"
#include "receiver/subscribe/push.hpp"
#include "receiver/subscribe/status_desk.hpp"
#include "receiver/subscribe/stream_client.hpp"
#include "receiver/teardown/pool.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t doubtful_at_start_max = 10'000;
constexpr std::size_t changes_waiting_max = 100'000;
constexpr auto live_look = milliseconds(5);

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
        what.concurrency = std::max(what.concurrency, 1u);
        runner_->add_handler(std::move(what), std::move(run));
    }

    void on_change(std::function<void(const ms::mission_view&, ms::effect)> fn) override {
        if (started_) throw ms::setup_error("on_change: has to come before start()");
        on_change_.push_back(std::move(fn));
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
        std::vector<ms::task_view> out;
        for (const auto& t : runner_->list(unfinished_only))
            out.push_back(view_of(t));
        return out;
    }

    bool retry_task(std::string_view key) override { return runner_->retry_now(std::string(key)); }

    void handle_push(ms::push_request request,
                     std::function<void(ms::push_response)> done) override {
        if (push_ == nullptr) return done({503, {{"Retry-After", "1"}}, {}});
        push_->handle(std::move(request), std::move(done));
    }
    std::uint16_t push_port() const noexcept override { return server_ ? server_->port() : 0; }

    ms::status current_status() const override;
    std::string last_setup_problem() const override {
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
        if (!needs_status(id, force))
            return run_on_host([this, id = std::string(id), done] { done(check(id)); });
        desk_->ask(key_of(id), true, [this, id = std::string(id), done = std::move(done)] {
            run_on_host([this, id, done] { done(check(id)); });
        });
    }

    ms::answer resolve(std::string_view id, milliseconds timeout) override {
        if (!needs_status(id, false)) return check(id);
        // Not on the host executor: the caller may be one of its threads.
        auto answered = std::make_shared<std::promise<void>>();
        auto future = answered->get_future();
        desk_->ask(key_of(id), true, [answered] { answered->set_value(); });
        (void)future.wait_for(timeout);
        return check(id);
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
    engine* engine_of() const noexcept { return engine_ptr_.load(std::memory_order_acquire); }
    mission_key key_of(std::string_view id) const {
        const auto* issuer = issuer_.load(std::memory_order_acquire);
        return {issuer ? *issuer : std::string(), std::string(id)};
    }
    void log(ms::log_level level, std::string_view text,
             std::vector<ms::log_field> fields = {}) const {
        if (o_.log) o_.log(level, text, fields);
    }
    // A host's executor may run a job after stop(), when there is nobody left for it to look at:
    // such a job is dropped.
    // What a callback of the host throws ends with it, and is logged.
    std::function<void()> guarded(std::function<void()> callback) const {
        return [this, callback = std::move(callback)] {
            try {
                callback();
            } catch (const std::exception& e) {
                log(ms::log_level::error, "a callback of the host has thrown",
                    {{"error", e.what()}});
            } catch (...) {
                log(ms::log_level::error, "a callback of the host has thrown");
            }
        };
    }
    void run_on_host(std::function<void()> callback) {
        auto job = guarded(std::move(callback));
        if (o_.run) {
            o_.run([gate = gate_, job = std::move(job)] {
                const std::shared_lock inside(gate->mutex);
                if (gate->open) job();
            });
        } else if (pool_) {
            pool_->post(std::move(job));
        } else {
            job();  // not started: there is no thread of ours yet
        }
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
                return false;
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
        watch_at_ = at;
        replaced = std::exchange(watch_timer_, rt_->after(delay, [this, at] {
            std::unique_ptr<net::timer> fired;
            {
                std::lock_guard inner(m_);
                if (watch_at_ == at) fired = std::move(watch_timer_);
            }
            engine_->watch();
        }));
    }
    // Nothing can be asked; why.
    std::optional<ms::confirmation> cannot_confirm(std::string_view id) const {
        if (engine_of() == nullptr || !desk_) return unconfirmed("the receiver is not started");
        if (!events::valid_mission_id(id)) return unconfirmed("not a mission id");
        if (issuer_.load(std::memory_order_acquire) == nullptr)
            return unconfirmed("the transmitter is not discovered yet");
        return std::nullopt;
    }
    void make_engine(credentials& who);
    void keep_dpop_key(credentials& who);
    void warn_of_plain_token();
    void start_handlers();
    void make_network(credentials who);
    void listen();

    const ms::options o_;
    const std::shared_ptr<quirk_log> quirks_ = std::make_shared<quirk_log>(o_);
    std::vector<std::function<void(const ms::mission_view&, ms::effect)>> on_change_;
    bool started_ = false, stopped_ = false;
    bool plain_token_ = false;  // to be warned of; in start(), then on the stream's strand

    // Destroyed from the last to the first, after stop() has joined every thread.
    std::unique_ptr<net::runtime> rt_;
    std::unique_ptr<worker_pool> pool_;
    std::shared_ptr<serial_queue> changes_;
    std::unique_ptr<state> state_;
    std::unique_ptr<task_runner> runner_;
    std::unique_ptr<inbox> inbox_;
    std::unique_ptr<engine> engine_;
    std::unique_ptr<link> link_;
    std::shared_ptr<intake> intake_;
    std::shared_ptr<status_desk> desk_;
    std::unique_ptr<push_endpoint> push_;
    std::unique_ptr<net::http_handler> push_handler_;
    std::unique_ptr<net::http_server> server_;
    std::shared_ptr<stream_client> stream_;

    std::atomic<bool> changes_lost_{false};  // said so; until they are taken again
    std::atomic<engine*> engine_ptr_{nullptr};
    std::atomic<const std::string*> issuer_{nullptr};
    std::mutex m_;
    std::vector<std::unique_ptr<const std::string>> issuer_texts_;
    std::unique_ptr<net::timer> watch_timer_;
    std::chrono::steady_clock::time_point watch_at_{};
    struct host_gate {
        std::shared_mutex mutex;
        bool open = true;
    };
    const std::shared_ptr<host_gate> gate_ = std::make_shared<host_gate>();
};

void facade::confirm(std::string_view id, std::function<void(ms::confirmation)> done) {
    if (auto why = cannot_confirm(id)) {
        return run_on_host([why = std::move(*why), done = std::move(done)] { done(why); });
    }
    desk_->ask_alone(key_of(id), [this, id = std::string(id),
                                  done = std::move(done)](const status_desk::reply& come) {
        run_on_host([this, id, done, told = confirmation_of(come)]() mutable {
            told.now = check(id);
            done(std::move(told));
        });
    });
}

ms::confirmation facade::confirm(std::string_view id, milliseconds timeout) {
    if (auto why = cannot_confirm(id)) return std::move(*why);
    // Not on the host executor: the caller may be one of its threads.
    auto answered = std::make_shared<std::promise<ms::confirmation>>();
    auto future = answered->get_future();
    desk_->ask_alone(key_of(id), [answered](const status_desk::reply& come) {
        answered->set_value(confirmation_of(come));
    });
    auto told = future.wait_for(timeout) == std::future_status::ready
                    ? future.get()
                    : unconfirmed("Mission Status did not answer in time");
    told.now = check(id);
    return told;
}

// A client that has a secret alone proves itself to Mission Status with a key of its own making,
// the same in each run (wire.md section 4).
void facade::keep_dpop_key(credentials& who) {
    if (who.key || who.client_secret.empty() || who.has_certificate()) return;
    if (const auto kept = engine_->setting("dpop_key"); !kept.empty()) {
        if (auto key = jose::private_key::from_pem(kept); key.has_value()) {
            who.dpop_key = std::move(*key);
            return;
        }
    }
    auto made = jose::private_key::generate(jose::alg::es256);
    if (made.has_error()) throw ms::setup_error("client_secret: " + made.error().message());
    engine_->set_setting("dpop_key", made->to_pem());
    who.dpop_key = std::move(*made);
}

void facade::make_engine(credentials& who) {
    auto opened = open_state(o_.state_path,
                             [this](const std::string& text) { log(ms::log_level::error, text); });
    if (opened.has_error()) throw ms::setup_error("state_path: " + opened.error().message());
    state_ = std::move(*opened);
    auto rows = state_->load();
    if (rows.has_error()) throw ms::setup_error("state_path: " + rows.error().message());

    engine::hooks h;
    h.log = o_.log;
    h.ask_status = [this](const mission_key& key, bool urgent) {
        if (desk_) desk_->ask(key, urgent, nullptr);
    };
    h.confirm = [this](std::vector<mission_key> keys) {
        if (desk_) desk_->confirm(std::move(keys));
    };
    h.wake_after = [this](milliseconds delay) { wake_after(delay); };
    if (!on_change_.empty()) {
        h.on_change = [this](const ms::mission_view& v, ms::effect e) {
            bool taken = true;
            for (const auto& fn : on_change_)
                taken = changes_->post(guarded([&fn, v, e] { fn(v, e); })) && taken;
            // A host that hangs in its callback does not fill the memory.
            if (changes_lost_.exchange(!taken) || taken) return;
            log(ms::log_level::error, "on_change is too slow: changes are not told to it");
        };
    }
    h.on_verified = [this] {
        if (stream_) stream_->verified();
    };
    h.on_updated = [this](const std::string& status, const std::string& reason) {
        if (stream_) stream_->updated(status, reason);
    };
    h.events = inbox_.get();
    engine_ = std::make_unique<engine>(*state_, *runner_, o_.max_missions, std::move(h));
    engine_->load(std::move(*rows));

    auto issuer = o_.issuer.empty() ? engine_->setting("issuer") : o_.issuer;
    if (!issuer.empty()) engine_->set_issuers(std::move(issuer), o_.mission_issuers);
    note_issuer();
    keep_dpop_key(who);
    plain_token_ = who.token_only();
    if (missions_wanted(o_)) warn_of_plain_token();
}

// wire.md section 4: a plain token is not taken there.
void facade::warn_of_plain_token() {
    if (!std::exchange(plain_token_, false)) return;
    log(ms::log_level::warning,
        "Mission Status is out of reach: it wants a private key, a certificate or a client secret, "
        "and there is a plain token alone (unless the transmitter has allow_bearer on). What is "
        "unknown, missed or stale stays denied until the stream tells it");
}

void facade::make_network(credentials who) {
    auto http = net::make_http_client(*rt_, client_options_of(o_));
    if (http.has_error()) {
        throw ms::setup_error("ca_file, certificate_file: " + http.error().message());
    }
    auto l = link_options_of(o_, quirks_);
    l.who = std::move(who);  // with the key of our own making, if there is one
    link_ = make_link(std::move(*http), std::move(l));
    intake_ = make_intake(*link_, *engine_, coarse_now, quirks_);
    desk_ = make_status_desk(*rt_, *link_, *engine_, o_.log);
    push_ = std::make_unique<push_endpoint>(intake_, o_.push_authorization_header);
}

void facade::listen() {
    if (o_.delivery != ms::delivery::push || o_.push_listen.empty()) return;
    const auto at = parse_listen(o_.push_listen);
    net::server_options s;
    s.address = at.address;
    s.port = at.port;
    s.certificate_pem = read_option_file(o_.push_certificate_file, "push_certificate_file");
    s.private_key_pem = read_option_file(o_.push_private_key_file, "push_private_key_file");
    auto url = net::parse_url(make_wanted(o_, 1).endpoint_url);
    const auto path = url->target.substr(0, url->target.find('?'));
    push_handler_ = make_push_handler(*push_, path);
    auto server = net::make_http_server(*rt_, std::move(s), *push_handler_);
    if (server.has_error()) throw ms::setup_error("push_listen: " + server.error().message());
    server_ = std::move(*server);
}

void facade::start() {
    if (started_) throw ms::setup_error("start: called twice");
    started_ = true;
    auto who = read_credentials(o_);
    rt_ = net::make_runtime(1, 1);
    pool_ = make_worker_pool(o_.worker_threads);
    changes_ = std::make_shared<serial_queue>(
        [this](std::function<void()> job) { run_on_host(std::move(job)); }, changes_waiting_max);
    make_engine(who);
    make_network(std::move(who));
    listen();

    stream_client::options s;
    s.wanted = make_wanted(o_, push_port());
    s.poll = o_.delivery == ms::delivery::poll;
    s.poll_timeout = o_.poll_timeout;
    s.missions_wanted = missions_wanted(o_);
    s.audience = o_.audience;
    s.mission_issuers = o_.mission_issuers;
    s.subjects = o_.subjects;
    s.stream_id = o_.stream_id;
    s.quirks = quirks_;
    s.log = o_.log;
    s.on_audience = [this](const std::string& audience) { desk_->set_audience(audience); };
    s.on_ready = [this](bool missions) {
        if (missions) warn_of_plain_token();
        note_issuer();
        // I10, wire.md section 5: each held mission is confirmed, whatever was missed.
        for (const auto& key : engine_->held_missions())
            desk_->ask(key, true, nullptr);
        desk_->confirm(engine_->doubtful(doubtful_at_start_max));
    };
    stream_ = make_stream_client(*rt_, *link_, *engine_, intake_, std::move(s));

    start_handlers();
    stream_->start();
    engine_->watch();
}

void facade::start_handlers() {
    task_runner::hooks h;
    h.execute = [this](std::function<void()> job) { run_on_host(std::move(job)); };
    h.record = [this](const task_record& t) {
        state_write w;
        w.tasks.push_back(t);
        state_->submit(std::move(w), nullptr);
    };
    h.may_run = [this](const task_record& t) { return engine_->may_run(t); };
    h.acknowledged = [this](const task_record& t) { engine_->task_done(t); };
    h.log = [this](const task_record& t) {
        log(t.finished ? ms::log_level::info : ms::log_level::warning, "teardown",
            {{"handler", t.handler},
             {"mission", t.mission.id},
             {"effect", std::string(ms::name(t.why))},
             {"name", t.name},
             {"attempt", std::to_string(t.attempts)},
             {"outcome", std::string(ms::name(t.last))},
             {"evidence", t.evidence}});
    };
    engine_ptr_.store(engine_.get(), std::memory_order_release);
    runner_->start(std::move(h));

    inbox::hooks i;
    i.execute = [this](std::function<void()> job) { run_on_host(std::move(job)); };
    i.record = [this](const event_record& e, bool done) {
        state_write w;
        (done ? w.settled_events : w.events).push_back(e);
        state_->submit(std::move(w), nullptr);
    };
    i.log = [this](const event_record& e, bool done, const std::string& handler) {
        // Who, what and which: never the body, which may hold what logs must not.
        log(done ? ms::log_level::info : ms::log_level::warning, "event",
            {{"type", peer_words(e.type)},
             {"iss", e.iss},
             {"jti", peer_words(e.jti)},
             {"txn", peer_words(e.txn)},
             {"handler", handler},
             {"attempt", std::to_string(e.attempts)},
             {"outcome", std::string(ms::name(e.last))},
             {"evidence", e.evidence}});
    };
    inbox_->start(*rt_, std::move(i));
}

bool facade::wait_live(milliseconds timeout) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        if (current_status().streaming) return true;
        if (std::chrono::steady_clock::now() >= end) return false;
        std::this_thread::sleep_for(live_look);
    }
}

ms::status facade::current_status() const {
    ms::status s;
    auto* e = engine_of();
    if (e == nullptr || !stream_) return s;
    const auto v = stream_->look();
    const auto fresh = e->freshness();
    const auto word = fresh.word();
    // A stream that cannot vouch for missions is as live as it will be once it is verified.
    s.streaming = v.verified && (!fresh.covers() || !word.live_until.passed(coarse_now()));
    s.stream_id = v.stream_id;
    s.iss = v.iss;
    s.aud = v.aud;
    s.log_epoch = fresh.kept().log_epoch;
    s.continuity = fresh.kept().continuity.value_or(0);
    if (word.live_until.wall != 0) s.live_until = from_milliseconds(word.live_until.wall);
    auto& c = e->counts();
    s.sets_received = c.sets_received.load(std::memory_order_relaxed);
    s.sets_rejected = c.sets_rejected.load(std::memory_order_relaxed);
    s.sets_duplicate = c.sets_duplicate.load(std::memory_order_relaxed);
    s.status_requests = c.status_requests.load(std::memory_order_relaxed);
    s.gaps = c.gaps.load(std::memory_order_relaxed);
    s.heartbeats = c.heartbeats.load(std::memory_order_relaxed);
    s.unknown_events = c.unknown_events.load(std::memory_order_relaxed);
    s.tasks_pending = runner_->open_count() + inbox_->open_count();
    s.last_error = v.problem;
    return s;
}

void facade::stop() {
    if (stopped_) return;
    stopped_ = true;
    // What is unacknowledged comes again; what is in the queue is written.
    if (stream_) stream_->stop();
    if (server_) {
        std::promise<void> closed;
        server_->stop(milliseconds(500), [&] { closed.set_value(); });
        closed.get_future().wait();
    }
    if (desk_) desk_->stop();
    if (link_) link_->stop();
    runner_->stop();
    inbox_->stop();
    if (state_) state_->stop();
    {
        std::lock_guard lock(m_);
        watch_timer_.reset();
    }
    if (rt_) rt_->stop();
    if (pool_) pool_->stop();
    const std::unique_lock alone(gate_->mutex);
    gate_->open = false;
}

}  // namespace
}  // namespace mission::receiver

namespace mission_signals {

std::unique_ptr<receiver> make_receiver(options o) {
    mission::receiver::check_options(o);
    return std::make_unique<mission::receiver::facade>(std::move(o));
}

}  // namespace mission_signals
