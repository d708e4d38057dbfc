#include "bench/lifecycle/world.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "events/mission_event.hpp"
#include "jose/digest.hpp"
#include "transmitter/auth/certificate.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::bench {
namespace {

using namespace mission::transmitter;

constexpr std::string_view authority =
    R"([{"type":"mission_resource_access","resource":"https://erp.example",)"
    R"("actions":["invoices.read"]}])";
constexpr std::size_t missions_a_decision = 500;
constexpr const char* stream_token = "token of rs";

store::mission_commit approval(int n, const planned_mission& plan, store::issuer_id issuer,
                               const std::string& hash, const commit_context& context) {
    store::mission_record r;
    r.issuer = issuer;
    r.mission_id = mission_id(n);
    r.purpose = "Pay the invoices of the quarter";
    r.approver = {"https://idp.example", "alice"};
    r.subject = {"https://idp.example", "bob"};
    r.agent_client_id = "agent-7";
    r.authority_hash = hash;
    r.approved_at = context.now;
    r.created_by = "console";
    if (plan.parent >= 0) {
        r.parent = mission_id(plan.parent);
        r.parent_row = world::row(plan.parent);
    }
    store::mission_state first;
    first.version = 1;
    first.authority_revision = 1;
    first.expires_at = plan.expires_at;
    first.changed_at = context.now;
    first.children = plan.children;
    auto c =
        to_approval(std::move(r), first, std::string(authority), {"https://erp.example"}, context);
    c.audit.actor = "console";
    c.audit.origin = "bench";
    c.audit.action = "mission.create";
    return c;
}

}  // namespace

void fail(const std::string& what) {
    std::fprintf(stderr, "bench lifecycle: %s\n", what.c_str());
    std::exit(1);
}

double quantile(std::vector<double>& values, double share) {
    if (values.empty()) fail("nothing was measured");
    std::sort(values.begin(), values.end());
    const auto at = std::ceil(share * static_cast<double>(values.size())) - 1;
    return values[static_cast<std::size_t>(std::max(at, 0.0))];
}

// Spread like random ones: what is next to one another in the file is not so in an index.
std::string mission_id(int n) {
    auto spread = static_cast<std::uint64_t>(n + 1) * 0x9e3779b97f4a7c15u;
    std::string id = std::to_string(spread);
    id.insert(0, 22 - std::min<std::size_t>(id.size(), 22), 'm');
    return id + "_" + std::to_string(n);
}

world::world(const std::string& folder, const std::vector<planned_mission>& missions, bool stream,
             moved_clock* time)
    : folder_(folder), time_(time) {
    std::filesystem::create_directories(folder_);
    server_ = must(net::make_dev_certificate({}, std::chrono::days(2)), "certificate");
    console_ = must(net::make_dev_certificate({"console"}, std::chrono::days(2)), "certificate");
    settings_.event_type_base = std::string(events::event_type_base);
    settings_.listen_port = 0;
    settings_.issuers.push_back({"https://localhost", "", false, false});
    settings_.store_url = "sqlite:" + folder_ + "/bench.db";
    settings_.signing_directory = folder_ + "/keys";
    settings_.secrets_key_file = folder_ + "/secret.key";
    // Nobody here is one of many clients.
    settings_.missions.status_rate = 0;
    settings_.missions.lifecycle_rate = 0;
    client_config c;
    c.issuer = settings_.issuers.front().url;
    c.missions.what = mission_visibility::kind::all;
    c.id = "console";
    c.scopes = {"mission_status", "mission_lifecycle"};
    c.lifecycle = {"revoke", "suspend", "resume", "complete"};
    c.certificate = console_.certificate_pem;
    const auto der = must(certificate_der(console_.certificate_pem), "certificate");
    c.certificate_sha256 = std::string(jose::view(jose::sha256(der)));
    settings_.clients.push_back(c);
    c = {};
    c.issuer = settings_.issuers.front().url;
    c.missions.what = mission_visibility::kind::all;
    c.id = "rs";
    c.audience = "https://erp.example";
    c.scopes = {"ssf.read", "ssf.manage"};
    c.token = stream_token;
    c.alg = jose::alg::es256;
    settings_.clients.push_back(c);
    fill(missions, stream);
}

world::~world() {
    for (auto* client : {as_console_.get(), as_rs_.get()})
        if (client) client->stop();
    app_.reset();
    if (runtime_) runtime_->stop();
}

void world::fill(const std::vector<planned_mission>& missions, bool stream) {
    store::store_options options;
    options.time = time_;
    auto db = must(store::open_store(settings_.store_url, options), "store");
    const auto issuer = must(db->add_issuer(settings_.issuers.front().url), "issuer");
    std::string epoch;
    if (auto r = db->read_now([&](const store::rows& rows) { epoch = rows.log_epoch(); }); !r)
        fail(r.error().message());
    const auto set = must(json::parse(authority), "authority");
    const auto hash =
        must(events::authority_hash(settings_.issuers.front().url, set), "authority hash");
    const auto run = [&](store::decision d) {
        auto done = std::make_shared<std::promise<void>>();
        auto future = done->get_future();
        db->submit(std::move(d), [done](const result<store::receipt>& r) {
            if (!r) fail("writing: " + r.error().message());
            done->set_value();
        });
        return future;
    };
    std::vector<std::future<void>> under_way;
    for (std::size_t at = 0; at < missions.size();) {
        // A parent must be there before its children: a decision ends where a new family begins.
        const std::size_t from = at;
        while (at < missions.size() && at - from < missions_a_decision &&
               missions[at].parent < static_cast<int>(from))
            ++at;
        if (at == from) fail("a mission stands before its parent");
        under_way.push_back(
            run([&, from, at](const store::rows&, wall_time now) -> result<store::changes> {
                const commit_context context{settings_.issuers.front().url, epoch,
                                             "txn-of-the-fill", now, nullptr};
                store::changes out;
                for (std::size_t n = from; n < at; ++n)
                    out.missions.push_back(
                        approval(static_cast<int>(n), missions[n], issuer, hash, context));
                return out;
            }));
        if (under_way.size() == 8) {
            under_way.front().wait();
            under_way.erase(under_way.begin());
        }
    }
    for (auto& f : under_way)
        f.wait();
    if (!stream) return;
    service common;
    common.settings = settings_;
    issuer_service of;
    of.common = &common;
    of.settings = settings_.issuers.front();
    of.id = issuer;
    create_request wanted;
    for (const auto name : events::mission_event_names)
        wanted.events_requested.push_back(std::string(events::event_type_base) + std::string(name));
    const auto s =
        make_stream(wanted, settings_.clients.back(), of, "stream", "", system_clock().now());
    run([s](const store::rows& r, wall_time) { return create_decision(s, 16, r); }).wait();
}

void world::start() {
    // What was filled in is on disk before anything is measured: hundreds of megabytes on their way
    // there would be waited for by each commit.
    const int fd = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ::syncfs(fd) != 0) fail("the filled store cannot be synced");
    ::close(fd);
    app_options options;
    options.time = time_;
    options.certificate_pem = server_.certificate_pem;
    options.private_key_pem = server_.private_key_pem;
    app_ = must(start_app(settings_, options), "start");
    runtime_ = net::make_runtime(1, 1);
    net::client_options o;
    o.ca_pem = server_.ca_pem;
    as_rs_ = must(net::make_http_client(*runtime_, o), "client");
    o.certificate_pem = console_.certificate_pem;
    o.private_key_pem = console_.private_key_pem;
    as_console_ = must(net::make_http_client(*runtime_, o), "client");
}

std::string world::url(std::string_view path) const {
    return "https://127.0.0.1:" + std::to_string(app_->port()) + std::string(path);
}

caller_identity world::console() const {
    return {server_.ca_pem, console_.certificate_pem, console_.private_key_pem};
}

void world::send(net::client_request request, net::http_client& by, answered done) {
    request.timeout = std::chrono::seconds(60);
    auto kept = std::make_shared<std::shared_ptr<net::pending_request>>();
    *kept = by.send(std::move(request),
                    [kept, done = std::move(done)](const result<net::http_response>& answer) {
                        if (!answer) fail("a request: " + answer.error().message());
                        done(*answer);
                    });
}

void world::post(std::string_view path, const form& fields, answered done) {
    net::client_request request;
    request.method = "POST";
    request.url = url(path);
    request.fields.set("content-type", "application/x-www-form-urlencoded");
    request.body = net::encode_form(fields);
    send(std::move(request), *as_console_, std::move(done));
}

net::http_response world::post(std::string_view path, const form& fields) {
    auto got = std::make_shared<std::promise<net::http_response>>();
    auto future = got->get_future();
    post(path, fields, [got](const net::http_response& r) { got->set_value(r); });
    return future.get();
}

void world::lifecycle(int mission, std::string_view operation, answered done) {
    post("/mission/lifecycle",
         {{"mission_id", mission_id(mission)},
          {"operation", std::string(operation)},
          {"nonce", jose::random_id(12)}},
         [done = std::move(done)](const net::http_response& r) {
             if (r.status != 200) fail("an operation: " + std::to_string(r.status) + " " + r.body);
             done(r);
         });
}

net::http_response world::poll(std::string body) {
    net::client_request request;
    request.method = "POST";
    request.url = url("/ssf/poll/stream");
    request.fields.set("content-type", "application/json");
    request.fields.set("authorization", std::string("Bearer ") + stream_token);
    request.body = std::move(body);
    auto got = std::make_shared<std::promise<net::http_response>>();
    auto future = got->get_future();
    send(std::move(request), *as_rs_, [got](const net::http_response& r) { got->set_value(r); });
    auto answer = future.get();
    if (answer.status != 200) fail("a poll: " + std::to_string(answer.status) + " " + answer.body);
    return answer;
}

jose::key_set world::keys() {
    net::client_request request;
    request.url = url("/jwks.json");
    auto got = std::make_shared<std::promise<net::http_response>>();
    auto future = got->get_future();
    send(std::move(request), *as_rs_, [got](const net::http_response& r) { got->set_value(r); });
    return must(jose::key_set::parse(future.get().body), "keys");
}

}  // namespace mission::bench
