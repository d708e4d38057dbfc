#include "transmitter/program/app.hpp"

#include <algorithm>
#include <atomic>
#include <future>

#include "transmitter/api/manage.hpp"
#include "transmitter/api/metrics.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/api/status_lists.hpp"
#include "transmitter/clock/family_drain.hpp"
#include "transmitter/clock/mission_clock.hpp"
#include "transmitter/config/read_config.hpp"
#include "transmitter/program/front.hpp"
#include "transmitter/program/key_keeper.hpp"
#include "transmitter/program/prepare.hpp"

namespace mission::transmitter {
namespace {

// One issuer with everything of its own.
struct tenant {
    issuer_service service;
    std::unique_ptr<authenticator> auth;
    std::unique_ptr<delivery> out;
    std::shared_ptr<bulk_runner> bulk;
};

class running_app final : public app {
  public:
    running_app(config settings, app_options options) : options_(std::move(options)) {
        common_.settings = std::move(settings);
        common_.time = options_.time ? options_.time : &system_clock();
        common_.random = options_.random ? options_.random : &system_random();
    }
    ~running_app() override { stop(std::chrono::milliseconds(0)); }

    result<void> start() {
        // Signing is most of the work and the least urgent: what commits and what answers goes
        // first when a cascade has more to sign than there are processors for.
        runtime_ = net::make_runtime(options_.network_threads, options_.worker_threads, 10);
        common_.runtime = runtime_.get();
        if (auto r = open_everything(); !r) return r;
        if (auto r = start_delivery(); !r) return r;
        if (auto r = listen(); !r) return r;
        keep_keys();
        return {};
    }

    std::uint16_t port() const noexcept override { return server_ ? server_->port() : 0; }
    std::uint16_t admin_port() const noexcept override { return admin_ ? admin_->port() : 0; }
    net::runtime& runtime() noexcept override { return *runtime_; }
    store::store& db() noexcept override { return *store_; }
    delivery& delivery_of(std::size_t issuer) noexcept override { return *tenants_[issuer]->out; }

    void stop(std::chrono::milliseconds grace) override {
        if (stopped_.exchange(true)) return;
        // Long polls are answered and pushes ended before the listeners wait for requests.
        for (auto& t : tenants_)
            if (t->out && started_) t->out->stop();
        // What waits for a bulk operation is answered; the operation goes on at the next start.
        for (auto& t : tenants_)
            if (t->bulk) t->bulk->stop();
        for (auto* server : {server_.get(), admin_.get()})
            stop_server(server, grace);
        for (auto& t : tenants_)
            if (t->auth) t->auth->stop();
        if (clock_) clock_->stop();
        if (drain_) drain_->stop();
        if (pacer_) pacer_->stop();
        if (keeper_) keeper_->stop();
        // Handlers are on their way through the store: it drains before the threads go.
        if (runtime_) runtime_->stop();
        server_.reset();
        admin_.reset();
        store_.reset();
    }

  private:
    result<void> open_everything() {
        warn_of(common_.settings, common_.time->now());
        if (auto r = prepare_secrets(common_.settings); !r) return r;
        store::store_options options;
        options.time = common_.time;
        options.on_new_history = [](const store::new_history& h) {
            log(level::warning,
                "the store is a copy of an older state: the log goes on under another log_epoch, "
                "and every receiver asks Status anew",
                {{"why", h.why}, {"log_epoch", h.log_epoch}, {"head", std::to_string(h.head)}});
        };
        auto opened = store::open_store(common_.settings.store_url, options);
        if (!opened) return opened.error();
        store_ = std::move(*opened);
        common_.db = store_.get();
        wall_time last_commit{};
        if (auto r = store_->read_now([&](const store::rows& rows) {
                common_.log_epoch = rows.log_epoch();
                last_commit = rows.last_commit();
            });
            !r)
            return r;
        guard_ = std::make_shared<clock_guard>(read_clocks(*common_.time), last_commit);
        common_.guard = guard_;
        // Asked by what starts when all tenants are there.
        pacer_ = make_pacer(*runtime_,
                            {[this] { return healthy_lag(); }, common_.settings.ssf.max_stale / 3});
        for (const auto& settings : common_.settings.issuers)
            if (auto r = add_tenant(settings); !r) return r;
        return {};
    }

    result<void> add_tenant(const issuer_config& settings) {
        auto t = std::make_unique<tenant>();
        t->service.common = &common_;
        t->service.settings = settings;
        auto keys = open_key_ring(key_directory(common_.settings, settings.url),
                                  key_options(common_.settings, common_.time));
        if (!keys) return keys.error();
        t->service.keys = std::move(*keys);
        const auto id = store_->add_issuer(settings.url);
        if (!id) return id.error();
        t->service.id = *id;
        auto auth = make_authenticator(t->service);
        if (!auth) return auth.error();
        t->auth = std::move(*auth);
        t->out = make_delivery(t->service);
        t->service.lists = make_status_lists(t->service);
        t->bulk = make_bulk_runner(t->service, pacer_);
        tenants_.push_back(std::move(t));
        return {};
    }

    result<void> start_delivery() {
        std::vector<delivery*> outs;
        std::vector<issuer_service*> services;
        for (auto& t : tenants_) {
            outs.push_back(t->out.get());
            services.push_back(&t->service);
        }
        std::vector<std::shared_ptr<status_lists>> lists;
        for (auto* s : services)
            if (s->lists) lists.push_back(s->lists);
        store_->set_commit_listener(
            [outs, lists](std::shared_ptr<const std::vector<store::signal>> batch) {
                for (auto* out : outs)
                    out->committed(batch);
                for (const auto& l : lists)
                    l->committed(*batch);
            });
        drain_ = make_family_drain(common_, services, pacer_);
        store_->set_mark_listener([drain = drain_] { drain->wake(); });
        started_ = true;
        for (auto* out : outs)
            if (auto r = out->start(); !r) return r;
        clock_ = make_mission_clock(common_, services, guard_, pacer_);
        clock_->start();
        drain_->start();
        for (auto& t : tenants_)
            t->bulk->start();
        return {};
    }

    std::chrono::milliseconds healthy_lag() const {
        auto lag = std::chrono::milliseconds(0);
        for (const auto& t : tenants_)
            lag = std::max(lag, t->out->healthy_lag());
        return lag;
    }

    void keep_keys() {
        std::vector<key_ring*> rings;
        for (auto& t : tenants_)
            rings.push_back(t->service.keys.get());
        keeper_ = make_key_keeper(*runtime_, std::move(rings));
        keeper_->start();
    }

    result<void> listen() {
        front_ = std::make_unique<front>(requests_);
        admin_front_ = std::make_unique<front>(requests_);
        for (auto& t : tenants_) {
            auto& routes = front_->add_issuer(t->service.settings.path, t->auth.get());
            routes.even_refusals(*runtime_);
            add_metadata_routes(routes, t->service);
            add_token_routes(routes, t->service, *t->auth);
            add_stream_routes(routes, t->service, *t->auth, *t->out);
            add_mission_routes(routes, t->service, *t->auth, *t->out);
            add_status_list_route(routes, t->service);
            add_manage_route(routes, t->service, *t->auth, t->bulk);
            add_admin_stream_routes(routes, t->service, *t->auth, *t->out);
            auto& of_admin = admin_front_->add_issuer(t->service.settings.path, t->auth.get());
            name_resource_metadata(of_admin, t->service);
            add_admin_stream_routes(of_admin, t->service, *t->auth, *t->out);
        }
        add_health_routes(admin_front_->add_issuer("", nullptr));
        auto certificate =
            load_certificate(common_.settings, options_.certificate_pem, options_.private_key_pem);
        if (!certificate) return certificate.error();
        net::server_options o;
        o.hand_over_too_large = true;  // wire.md: the token is judged before the body
        o.certificate_pem = certificate->first;
        o.private_key_pem = certificate->second;
        if (auto r = client_certificates(common_.settings, o); !r) return r;
        o.address = common_.settings.listen_address;
        o.port = common_.settings.listen_port;
        auto server = net::make_http_server(*runtime_, o, *front_);
        if (!server) return server.error();
        server_ = std::move(*server);
        if (common_.settings.admin.address.empty()) return {};
        o.address = common_.settings.admin.address;
        o.port = common_.settings.admin.port;
        // Probes and scrapers speak plain HTTP, and only from this machine.
        o.mode = net::transport::tls_or_loopback_plain;
        auto admin = net::make_http_server(*runtime_, o, *admin_front_);
        if (!admin) return admin.error();
        admin_ = std::move(*admin);
        return {};
    }

    void add_health_routes(router& r) {
        r.add("GET", "/healthz", [](net::http_request, std::string, net::responder respond) {
            respond(json_answer(200, R"({"status":"alive"})"));
        });
        r.add("GET", "/readyz", [this](net::http_request, std::string, net::responder respond) {
            const auto health = store_->health();
            if (health) return respond(json_answer(200, R"({"status":"ready"})"));
            json::buffer buffer;
            json::writer w(buffer);
            w.StartObject();
            json::member(w, "status", "not ready");
            json::member(w, "reason", name(health.error().code));
            w.EndObject();
            respond(json_answer(503, json::text(buffer)));
        });
        r.add("GET", "/metrics", [this](net::http_request, std::string, net::responder respond) {
            auto in = std::make_shared<metrics_input>();
            common_.db->read([this, in](const store::rows& rows) { read_metrics(rows, *in); },
                             [this, in, respond](result<void>) { respond(metrics_answer(*in)); });
        });
    }

    // THREAD: a reader's.
    void read_metrics(const store::rows& rows, metrics_input& in) const {
        in.head = rows.head();
        in.tail = rows.tail();
        in.oldest_cascade = rows.oldest_cascade();
        in.next_deadline = rows.next_deadline();
        in.now = common_.time->now();
        for (const auto& t : tenants_) {
            const auto id = t->service.id;
            in.work.push_back(
                {t->service.settings.url,
                 rows.reports(id, store::report_status::open, 0, limits::list_page).size(),
                 rows.waiting_transition_count(id),
                 rows.bulk_jobs(id, store::bulk_status::running).size()});
        }
    }

    net::http_response metrics_answer(metrics_input& in) {
        for (const auto& t : tenants_)
            in.deliveries.emplace_back(t->service.settings.url, t->out->counters());
        if (server_) in.servers.emplace_back("public", server_->counters());
        if (admin_) in.servers.emplace_back("admin", admin_->counters());
        in.requests = requests_.snapshot();
        in.store_healthy = store_->health().has_value();
        in.clock_trusted = guard_->trusted();
        net::http_response r;
        r.fields.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
        r.fields.set("cache-control", "no-store");
        r.body = render_metrics(in);
        return r;
    }

    static void stop_server(net::http_server* server, std::chrono::milliseconds grace) {
        if (!server) return;
        auto done = std::make_shared<std::promise<void>>();
        auto future = done->get_future();
        server->stop(grace, [done] { done->set_value(); });
        // The server keeps its own grace; this bound is for its bugs alone.
        future.wait_for(grace + std::chrono::seconds(2));
    }

    app_options options_;
    service common_;
    request_counters requests_;
    std::shared_ptr<clock_guard> guard_;
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<store::store> store_;
    std::vector<std::unique_ptr<tenant>> tenants_;
    std::shared_ptr<pacer> pacer_;
    std::shared_ptr<mission_clock> clock_;
    std::shared_ptr<family_drain> drain_;
    std::shared_ptr<key_keeper> keeper_;
    std::unique_ptr<front> front_, admin_front_;
    std::unique_ptr<net::http_server> server_, admin_;
    bool started_ = false;
    std::atomic<bool> stopped_{false};
};

}  // namespace

result<std::unique_ptr<app>> start_app(config settings, app_options options) {
    auto made = std::make_unique<running_app>(std::move(settings), std::move(options));
    if (auto started = made->start(); !started) return started.error();
    return std::unique_ptr<app>(std::move(made));
}

}  // namespace mission::transmitter
