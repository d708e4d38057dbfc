// The facade: wires engine, teardown, state and the network together, and takes them down in order.
#include "receiver/facade.hpp"

#include <thread>

#include "receiver/words.hpp"

namespace mission::receiver {
namespace {

constexpr std::size_t doubtful_at_start_max = 10'000;
constexpr std::size_t changes_waiting_max = 100'000;
constexpr auto live_look = milliseconds(5);
// What runs there works with us: it ends at the next step, of some milliseconds.
constexpr auto background_patience = milliseconds::max();
// For callbacks that are no handlers, when we stop.
constexpr auto callback_patience = milliseconds(5000);

}  // namespace

void facade::confirm(std::string_view id, std::function<void(ms::confirmation)> done) {
    if (auto why = cannot_confirm(id)) {
        return run_on_host([why = std::move(*why), done = std::move(done)] { done(why); });
    }
    desk_->ask_alone(key_of(id), [this, id = std::string(id),
                                  done = std::move(done)](const status_desk::reply& come) {
        run_on_host([this, id, done, told = confirmation_of(come)]() mutable {
            told.now = check_with(id, told.now.why);
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
                    : unconfirmed("Mission Status did not answer in time", ms::cause::timed_out);
    told.now = check_with(id, told.now.why);
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
        if (auto* d = desk_at_work_.load(std::memory_order_acquire)) d->ask(key, urgent, nullptr);
    };
    h.confirm = [this](std::vector<mission_key> keys) {
        if (auto* d = desk_at_work_.load(std::memory_order_acquire)) d->confirm(std::move(keys));
    };
    h.wake_after = [this](milliseconds delay) { wake_after(delay); };
    if (!on_change_->empty()) {
        h.on_change = [this](const ms::mission_view& v, ms::effect e) {
            bool taken = true;
            for (std::size_t n = 0; n < on_change_->size(); ++n) {
                auto job = [fns = on_change_, n, v, e] { (*fns)[n](v, e); };
                taken = changes_->post(guarded(std::move(job))) && taken;
            }
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
    h.background = [this](std::function<void()> job) { background_->post(std::move(job)); };
    engine_ = std::make_unique<engine>(*state_, *runner_, o_.max_missions, std::move(h));
    auto reports = std::move(rows->reports);
    engine_->load(std::move(*rows));

    auto issuer = o_.issuer.empty() ? engine_->setting("issuer") : o_.issuer;
    if (!issuer.empty()) engine_->set_issuers(std::move(issuer), o_.mission_issuers);
    note_issuer();
    keep_dpop_key(who);
    plain_token_ = who.token_only();
    if (missions_wanted(o_)) warn_of_plain_token();
    reports_left_ = std::move(reports);
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
    std::optional<report_author> author;
    if (who.key) author = report_author{who.client_id, *who.key};
    l.who = std::move(who);  // with the key of our own making, if there is one
    link_ = make_link(std::move(*http), std::move(l));
    intake_ = make_intake(*link_, *engine_, coarse_now, quirks_);
    desk_ = make_status_desk(*rt_, *link_, *engine_, o_.log);
    desk_at_work_.store(desk_.get(), std::memory_order_release);
    make_reports(std::move(author));
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
    home_ = process_mark::of_this_process();
    auto who = read_credentials(o_);
    rt_ = net::make_runtime(1, 1);
    pool_ = make_worker_pool(o_.worker_threads);
    background_ = make_worker_pool(1);
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
        if (reports_) reports_->kick();
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
    s.missions = e->table().size();
    s.missions_evicted = c.missions_evicted.load(std::memory_order_relaxed);
    s.missions_refused = c.missions_refused.load(std::memory_order_relaxed);
    s.tasks_pending = runner_->open_count() + inbox_->open_count();
    s.last_error = v.problem;
    if (reports_) {
        const auto r = reports_->look();
        s.reports_sent = r.sent;
        s.reports_pending = r.pending;
        s.reports_refused = r.refused;
    }
    return s;
}

void facade::stop() {
    if (stopped_) return;
    stopped_ = true;
    if (!home_.at_home()) return abandon();
    // What is unacknowledged comes again; what is in the queue is written.
    if (stream_) stream_->stop();
    if (server_) {
        std::promise<void> closed;
        server_->stop(milliseconds(500), [&] { closed.set_value(); });
        closed.get_future().wait();
    }
    if (engine_) engine_->stop_background();
    if (background_) (void)background_->stop(background_patience);
    if (desk_) desk_->stop();
    if (const auto left = runner_->stop(); left > 0)
        log(ms::log_level::error,
            "handlers that have outlived their timeout are left behind: their tasks are tried "
            "again "
            "at the next start",
            {{"handlers", std::to_string(left)}});
    inbox_->stop();
    if (reports_) reports_->stop();
    if (link_) link_->stop();
    if (state_) state_->stop();
    {
        std::lock_guard lock(m_);
        watch_timer_.reset();
    }
    if (rt_) rt_->stop();
    if (changes_) changes_->close();
    if (tasks_told_) tasks_told_->close();
    // Whoever is in a callback that does not return is left behind there.
    bool all = calls_.close(callback_patience);
    if (pool_) all = pool_->stop(callback_patience) && all;
    if (!all)
        log(ms::log_level::warning, "a callback of the host does not return: it is left behind");
}

// Nothing is destroyed: that would join threads which are not here, and close files and connections
// that are in use. Kept where it can be found, for whoever looks for leaks.
void facade::abandon() {
    static auto& kept = *new std::vector<std::shared_ptr<void>>;
    auto keep = [](auto& owner) {
        if (owner) kept.emplace_back(owner.release(), [](void*) {});
    };
    keep(rt_);
    keep(pool_);
    keep(background_);
    keep(state_);
    keep(runner_);
    keep(inbox_);
    keep(engine_);
    keep(link_);
    keep(push_);
    keep(push_handler_);
    keep(server_);
    keep(watch_timer_);
    kept.insert(kept.end(), {changes_, tasks_told_, intake_, desk_, reports_, stream_});
}

}  // namespace mission::receiver

namespace mission_signals {

std::unique_ptr<receiver> make_receiver(options o) {
    mission::receiver::check_options(o);
    return std::make_unique<mission::receiver::facade>(std::move(o));
}

}  // namespace mission_signals
