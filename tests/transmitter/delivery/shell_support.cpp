#include "shell_support.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <future>

#include "events/mission_event.hpp"
#include "net/dev_certificate.hpp"

namespace mission::transmitter::testing {

read_set read(const std::string& token, const jose::key_set* keys) {
    read_set out;
    const auto parsed = jose::parse_compact(token);
    if (!parsed || parsed->typ != "secevent+jwt") return out;
    if (keys != nullptr) {
        const jose::alg allowed[] = {jose::alg::es256};
        CHECK(jose::verify(*parsed, *keys, allowed).has_value());
    }
    out.claims = parsed->payload;
    const auto claims = json::parse(parsed->payload);
    out.jti = json::find_string(*claims, "jti").value_or("");
    const auto& event = *json::find(*claims, "events")->MemberBegin();
    out.type = json::view(event.name);
    const auto text = [&](std::string_view name) {
        return std::string(json::find_string(event.value, name).value_or(""));
    };
    if (const auto* mission = json::find(event.value, "mission")) {
        out.mission_id = json::find_string(*mission, "id").value_or("");
    }
    out.version = json::find_int(event.value, "version").value_or(0);
    out.continuity = json::find_int(event.value, "continuity").value_or(-1);
    out.committed_at = text("committed_at");
    out.as_of = text("as_of");
    out.state = text("state");
    return out;
}

push_receiver::push_receiver() : runtime_(net::make_runtime(1, 1)) {
    auto certificate = net::make_dev_certificate({}, std::chrono::days(1)).value();
    ca_pem_ = certificate.ca_pem;
    net::server_options options;
    options.certificate_pem = certificate.certificate_pem;
    options.private_key_pem = certificate.private_key_pem;
    server_ = net::make_http_server(*runtime_, options, *this).value();
}

push_receiver::~push_receiver() {
    std::promise<void> stopped;
    {
        const std::lock_guard lock(mutex_);
        hanging_.clear();
    }
    server_->stop(std::chrono::milliseconds{50}, [&] { stopped.set_value(); });
    stopped.get_future().wait();
    runtime_->stop();
}

std::string push_receiver::url() const {
    return "https://localhost:" + std::to_string(server_->port()) + "/push";
}

void push_receiver::trusted_by(config& c, const std::string& folder) const {
    c.push.ca_file = folder + "/receivers.pem";
    std::ofstream(c.push.ca_file, std::ios::app) << ca_pem_;
}

void push_receiver::answer_with(script s) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(s);
}

void push_receiver::handle(net::http_request request, net::responder respond) {
    std::optional<net::http_response> answer;
    {
        const std::lock_guard lock(mutex_);
        read_set set = read(request.body);
        authorization_ = request.fields.get("authorization");
        answer = script_ ? script_(set) : std::optional(reply(202));
        if (!answer) hanging_.push_back(respond);
        received_.push_back(std::move(set));
    }
    arrived_.notify_all();
    if (answer) respond(std::move(*answer));
}

bool push_receiver::wait(const std::function<bool(const std::vector<read_set>&)>& enough) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return enough(received_); });
}

std::vector<read_set> push_receiver::received() const {
    const std::lock_guard lock(mutex_);
    return received_;
}

std::string push_receiver::last_authorization() const {
    const std::lock_guard lock(mutex_);
    return authorization_;
}

net::http_response push_receiver::reply(int status, std::string body) {
    net::http_response r;
    r.status = status;
    r.body = std::move(body);
    return r;
}

std::string committed_mission(int n) {
    std::string id = std::to_string(n);
    return std::string(24 - id.size(), 'm') + id;
}

void commit(transmitter_fixture& f, int n, std::int64_t version) {
    store::store& db = f.running().db();
    const auto issuer = db.add_issuer(f.issuer()).value();
    auto done = std::make_shared<std::promise<result<store::receipt>>>();
    auto future = done->get_future();
    db.submit(
        [n, version, issuer, url = f.issuer()](const store::rows& rows,
                                               wall_time now) -> result<store::changes> {
            store::mission_commit c;
            events::mission_change change;
            change.mission_id = committed_mission(n);
            change.issuer = url;
            change.log_epoch = rows.log_epoch();
            change.version = version;
            change.committed_at = now;
            change.expires_at = now + std::chrono::hours(24);
            change.agent_client_id = "agent-7";
            change.state = version % 2 == 1 ? "active" : "suspended";
            if (version > 1) change.prior_state = version % 2 == 1 ? "suspended" : "active";
            c.keys.mission_id = change.mission_id;
            c.keys.agent_client_id = change.agent_client_id;
            c.keys.resources = {"https://crm.example", "https://erp.example"};
            c.resources = c.keys.resources;
            if (version == 1) {
                store::mission_record record;
                record.issuer = issuer;
                record.mission_id = change.mission_id;
                record.agent_client_id = change.agent_client_id;
                record.approved_at = now;
                c.approval = std::move(record);
                c.authorization_details = "[]";
                c.state.authority_revision = 1;
            } else {
                const auto present = rows.find_mission(issuer, change.mission_id);
                if (!present) return error{errc::mission_not_found};
                c.state = present->state;
            }
            c.state.state = *events::parse_state(change.state);
            c.state.version = version;
            c.state.expires_at = change.expires_at;
            c.txn = "txn";
            c.body = events::to_record(change);
            store::changes out;
            out.missions.push_back(std::move(c));
            return out;
        },
        [done](result<store::receipt> r) { done->set_value(std::move(r)); });
    REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    const auto receipt = future.get();
    if (!receipt) MESSAGE(receipt.error().message());
    REQUIRE(receipt.has_value());
}

namespace {

std::string all_ours() {
    std::string out = R"("events_requested":[)";
    for (const auto name : events::mission_event_names) {
        if (out.back() != '[') out += ',';
        out.append("\"").append(events::event_type_base).append(name).append("\"");
    }
    return out + "]";
}

std::string created(const answer& a) {
    if (a.status != 201) MESSAGE(a.body);
    REQUIRE(a.status == 201);
    return a.text("stream_id");
}

}  // namespace

std::string make_poll_stream(transmitter_fixture& f, const std::string& client) {
    return created(f.post_json("/ssf/streams", "{" + all_ours() + "}", f.token(client)));
}

std::string make_push_stream(transmitter_fixture& f, const std::string& client,
                             const push_receiver& to, std::string_view authorization) {
    std::string body = "{" + all_ours() +
                       R"(,"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":")" + to.url() +
                       "\"";
    if (!authorization.empty()) {
        body.append(R"(,"authorization_header":")").append(authorization).append("\"");
    }
    return created(f.post_json("/ssf/streams", body + "}}", f.token(client)));
}

std::vector<read_set> poll(transmitter_fixture& f, const std::string& client,
                           const std::string& stream, std::string body) {
    const auto a = f.post_json("/ssf/poll/" + stream, std::move(body), f.token(client));
    if (a.status != 200) MESSAGE(a.body);
    REQUIRE(a.status == 200);
    std::vector<read_set> out;
    REQUIRE(a.json.IsObject());
    for (const auto& [jti, token] : json::find(a.json, "sets")->GetObject()) {
        out.push_back(read(std::string(json::view(token))));
        CHECK(out.back().jti == json::view(jti));
    }
    return out;
}

std::vector<read_set> heard(transmitter_fixture& f, const std::string& client,
                            const std::string& stream, const std::string& body) {
    for (int polls = 0;; ++polls) {
        auto sets = poll(f, client, stream, body);
        const bool nothing = sets.empty();
        std::erase_if(sets, [](const auto& s) { return s.heartbeat(); });
        if (!sets.empty() || nothing || polls == 3) return sets;
    }
}

std::string ack_of(const std::vector<read_set>& sets, std::string_view rest) {
    std::string out = R"({"ack":[)";
    for (const auto& s : sets) {
        if (out.back() != '[') out += ',';
        out.append("\"").append(s.jti).append("\"");
    }
    out += "]";
    if (!rest.empty()) out.append(",").append(rest);
    return out + "}";
}

}  // namespace mission::transmitter::testing
