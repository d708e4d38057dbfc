#include "bench/receiver/sender.hpp"

#include <algorithm>
#include <fstream>
#include <future>

#include "base/json.hpp"
#include "base/time.hpp"
#include "bench/receiver/fail.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "jose/digest.hpp"

namespace mission::bench {
namespace {

constexpr const char* audience = "https://rs.example";
constexpr std::size_t sets_an_answer_max = 1000;
constexpr int push_window = 16;  // wire.md section 6: `[push] window`
constexpr auto settle_patience = std::chrono::seconds(120);

net::http_response json_response(int status, std::string body) {
    net::http_response r;
    r.status = status;
    r.fields.add("content-type", "application/json");
    r.body = std::move(body);
    return r;
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream f(path);
    f << text;
    if (!f.flush()) fail("cannot write " + path);
}

// The states of a mission's first versions.
constexpr const char* life[] = {"active", "suspended", "active", "revoked"};

}  // namespace

sender::sender(std::string folder, jose::alg alg)
    : folder_(std::move(folder)),
      certificate_(must(net::make_dev_certificate({}, std::chrono::days(2)), "certificate")),
      key_(must(jose::private_key::generate(alg), "key")),
      signer_(key_, events::set_typ),
      rt_(net::make_runtime(1, 1)) {
    net::server_options o;
    o.certificate_pem = certificate_.certificate_pem;
    o.private_key_pem = certificate_.private_key_pem;
    server_ = must(net::make_http_server(*rt_, o, *this), "server");
    net::client_options c;
    c.ca_pem = certificate_.ca_pem;
    client_ = must(net::make_http_client(*rt_, c), "client");
    issuer_ = "https://localhost:" + std::to_string(server_->port());
    write_file(folder_ + "/ca.pem", certificate_.ca_pem);
    write_file(folder_ + "/tls.pem", certificate_.certificate_pem);
    write_file(folder_ + "/tls-key.pem", certificate_.private_key_pem);
    write_file(folder_ + "/key.pem",
               must(jose::private_key::generate(jose::alg::es256), "key").to_pem());
}

sender::~sender() {
    client_->stop();
    {
        const std::lock_guard lock(m_);
        waiting_.reset();
    }
    std::promise<void> closed;
    server_->stop(std::chrono::milliseconds(0), [&] { closed.set_value(); });
    closed.get_future().wait();
    rt_->stop();
}

child_setup sender::setup_of(bool push, const std::string& state_path) const {
    child_setup out;
    out.issuer = issuer_;
    out.ca_file = folder_ + "/ca.pem";
    out.client_id = "rs";
    out.key_file = folder_ + "/key.pem";
    out.state_path = state_path;
    out.push = push;
    out.certificate_file = folder_ + "/tls.pem";
    out.certificate_key_file = folder_ + "/tls-key.pem";
    return out;
}

std::string sender::sign(const std::string& type, const std::string& event,
                         const events::subject& about, const std::string& jti) const {
    events::set_claims c;
    c.iss = issuer_;
    c.aud = audience;
    c.iat = to_numeric_date(system_clock().now());
    c.jti = jti;
    c.txn = jose::random_id(12);
    c.sub_id = about;
    c.type = type;
    c.event = event;
    return must(signer_.sign(events::encode(c)), "signing");
}

std::vector<prepared_set> sender::make_sets(int missions, int versions) const {
    std::vector<std::string> ids;
    for (int n = 0; n < missions; ++n)
        ids.push_back("msn_" + jose::random_id(21));
    std::vector<prepared_set> out;
    const auto now = system_clock().now();
    for (int v = 1; v <= versions; ++v) {
        for (const auto& id : ids) {
            events::mission_change c;
            c.mission_id = id;
            c.issuer = issuer_;
            c.authority_hash = "sha-256:" + std::string(43, 'x');
            c.log_epoch = "epoch-of-the-benchmark";
            c.state = life[v - 1];
            if (v > 1) {
                c.prior_state = life[v - 2];
                c.reason = "asked for by the operator on duty";
                c.initiating_entity = "admin";
            }
            c.version = v;
            c.committed_at = now;
            c.expires_at = now + std::chrono::hours(8);
            c.agent_client_id = "agent-of-accounts-payable";
            const auto jti = jose::random_id(24);
            out.push_back({jti,
                           sign(events::event_type(c, events::form::ours),
                                events::event_body(c, events::form::ours),
                                events::event_subject(c, events::form::ours), jti),
                           id});
        }
    }
    return out;
}

void sender::expect_receiver(bool push) {
    const std::lock_guard lock(m_);
    pushing_ = push;
    stream_json_.clear();
    push_url_.clear();
    queue_.clear();
    offered_.clear();
    waiting_.reset();
    unsettled_ = 0;
    pushes_ = 0;
    verification_asked_ = verified_ = false;
}

void sender::enqueue(std::vector<prepared_set> sets) {
    bool push = false;
    {
        const std::lock_guard lock(m_);
        unsettled_ += sets.size();
        std::move(sets.begin(), sets.end(), std::back_inserter(queue_));
        push = pushing_;
        if (!push && waiting_) {
            auto respond = std::move(*waiting_);
            waiting_.reset();
            respond(next_sets_locked());
        }
    }
    if (!push) return;
    for (int n = 0; n < push_window; ++n)
        push_next();
}

void sender::wait_verified() {
    std::unique_lock lock(m_);
    if (!all_settled_.wait_for(lock, settle_patience,
                               [&] { return verification_asked_ && unsettled_ == 0; }))
        fail("the receiver does not set its stream up");
    verified_ = true;
}

void sender::send_heartbeat() {
    events::verification v;
    // Before the second in which any of the SETs was made: what is older was settled before.
    v.as_of = began_ - std::chrono::seconds(2);
    v.continuity = 1;
    v.log_epoch = "epoch-of-the-benchmark";
    const auto jti = jose::random_id(24);
    std::string stream;
    {
        const std::lock_guard lock(m_);
        stream = "s" + std::to_string(streams_);
    }
    deliver({{jti,
              sign(std::string(events::verification_type), events::to_json(v),
                   events::stream_subject(stream), jti),
              {}}});
}

void sender::deliver(const std::vector<prepared_set>& sets) {
    enqueue(sets);
    std::unique_lock lock(m_);
    if (!all_settled_.wait_for(lock, settle_patience, [&] { return unsettled_ == 0; }))
        fail(std::to_string(unsettled_) + " SETs are not acknowledged");
}

void sender::settled(std::size_t count) {
    const std::lock_guard lock(m_);
    unsettled_ -= count;
    if (unsettled_ == 0) all_settled_.notify_all();
}

// ------------------------------------------------------------------------------------------ poll

net::http_response sender::next_sets_locked() {
    const auto count = std::min(asked_for_, queue_.size());
    json::buffer b(nullptr, 64 + count * 2048);
    json::writer w(b);
    w.StartObject();
    json::key(w, "sets");
    w.StartObject();
    for (std::size_t n = 0; n < count; ++n) {
        auto set = std::move(queue_.front());
        queue_.pop_front();
        json::member(w, set.jti, set.token);
        auto jti = set.jti;
        offered_.emplace(std::move(jti), std::move(set));
    }
    w.EndObject();
    if (!queue_.empty()) {
        json::key(w, "moreAvailable");
        w.Bool(true);
    }
    w.EndObject();
    return json_response(200, json::text(b));
}

void sender::poll(const net::http_request& r, net::responder respond) {
    const auto body = must(json::parse(r.body), "a poll");
    if (const auto* errors = json::find(body, "setErrs"); errors && !errors->ObjectEmpty())
        fail("the receiver refuses a SET: " + json::write(*errors));
    std::size_t acknowledged = 0;
    std::optional<net::responder> older;
    {
        const std::lock_guard lock(m_);
        const auto most = json::find_int(body, "maxEvents").value_or(sets_an_answer_max);
        asked_for_ =
            std::min(static_cast<std::size_t>(std::max<std::int64_t>(most, 0)), sets_an_answer_max);
        if (const auto* acks = json::find(body, "ack"); acks && acks->IsArray())
            for (const auto& jti : acks->GetArray())
                acknowledged += offered_.erase(std::string(json::view(jti)));
    }
    if (acknowledged != 0) settled(acknowledged);
    const std::lock_guard lock(m_);
    if (!queue_.empty()) return respond(next_sets_locked());
    waiting_.swap(older);
    waiting_.emplace(std::move(respond));
    if (older) (*older)(json_response(200, R"({"sets":{}})"));
}

// ------------------------------------------------------------------------------------------ push

void sender::push_next() {
    net::client_request r;
    prepared_set set;
    {
        const std::lock_guard lock(m_);
        if (queue_.empty() || pushes_ >= push_window || push_url_.empty()) return;
        ++pushes_;
        set = std::move(queue_.front());
        queue_.pop_front();
        r.url = push_url_;
        r.body = set.token;
    }
    r.method = "POST";
    r.fields.add("content-type", std::string(events::set_content_type));
    r.fields.add("accept", "application/json");
    r.fields.add("authorization", push_authorization_);
    auto alive = std::make_shared<std::shared_ptr<net::pending_request>>();
    *alive = client_->send(std::move(r), [this, alive, set = std::move(set)](
                                             const result<net::http_response>& answer) {
        pushed(set, answer);
        alive->reset();
    });
}

void sender::pushed(const prepared_set& set, const result<net::http_response>& answer) {
    if (answer.has_error()) {
        if (answer.error() == errc::cancelled) return;
        fail("a push: " + answer.error().message());
    }
    // The verification may come before the answer that tells of the stream; it comes again.
    const bool again = answer->status == 503 && !verified_;
    if (answer->status != 202 && !again)
        fail("a push: " + std::to_string(answer->status) + " " + answer->body);
    {
        const std::lock_guard lock(m_);
        --pushes_;
        if (again) queue_.push_front(set);
    }
    if (again) {
        later_ = rt_->after(std::chrono::milliseconds(50), [this] { push_next(); });
        return;
    }
    push_next();
    settled(1);
}

// ---------------------------------------------------------------------------------- everything
// else

void sender::handle(net::http_request request, net::responder respond) {
    if (request.path.starts_with("/ssf/poll/")) return poll(request, std::move(respond));
    respond(answer(request));
}

net::http_response sender::answer(const net::http_request& r) {
    if (r.path == "/.well-known/ssf-configuration") {
        const auto at = [&](std::string_view name, std::string_view path) {
            return ",\"" + std::string(name) + "\":\"" + issuer_ + std::string(path) + '"';
        };
        return json_response(
            200, R"({"spec_version":"1_0","issuer":")" + issuer_ + '"' +
                     at("jwks_uri", "/jwks.json") + at("configuration_endpoint", "/ssf/streams") +
                     at("verification_endpoint", "/ssf/verify") +
                     at("status_endpoint", "/ssf/status") +
                     at("mission_status_endpoint", "/mission/status") +
                     R"(,"default_subjects":"ALL","mission_max_stale_seconds":3600})");
    }
    if (r.path == "/.well-known/oauth-authorization-server")
        return json_response(200, R"({"issuer":")" + issuer_ + R"(","token_endpoint":")" + issuer_ +
                                      R"(/oauth/token"})");
    if (r.path == "/jwks.json") {
        jose::key_set keys;
        keys.add(key_.to_public());
        return json_response(200, keys.to_json());
    }
    if (r.path == "/oauth/token")
        return json_response(
            200, R"({"access_token":"of-the-benchmark","token_type":"Bearer","expires_in":3600})");
    if (r.path == "/ssf/streams") return streams(r);
    if (r.path == "/ssf/status") {
        const std::lock_guard lock(m_);
        return json_response(
            200, R"({"stream_id":"s)" + std::to_string(streams_) + R"(","status":"enabled"})");
    }
    if (r.path == "/ssf/verify") {
        events::verification v;
        const auto body = must(json::parse(r.body), "a verification request");
        v.state = json::find_string(body, "state");
        const auto jti = jose::random_id(24);
        std::string stream;
        {
            const std::lock_guard lock(m_);
            stream = "s" + std::to_string(streams_);
            verification_asked_ = true;
            ++unsettled_;  // until it is in the queue
        }
        enqueue({{jti,
                  sign(std::string(events::verification_type), events::to_json(v),
                       events::stream_subject(stream), jti),
                  {}}});
        settled(1);
        return {204, {}, {}};
    }
    return json_response(404, R"({"error":"not_found"})");
}

net::http_response sender::streams(const net::http_request& r) {
    const std::lock_guard lock(m_);
    if (r.method == "GET")
        return json_response(200, stream_json_.empty() ? "[]" : "[" + stream_json_ + "]");
    const auto body = must(json::parse(r.body), "a stream");
    const auto* delivery = json::find(body, "delivery");
    if (r.method != "POST" || delivery == nullptr) return json_response(405, "{}");
    const auto id = "s" + std::to_string(++streams_);
    auto url = std::string(json::find_string(*delivery, "endpoint_url").value_or(""));
    push_authorization_ = json::find_string(*delivery, "authorization_header").value_or("");
    push_url_ = url;
    if (url.empty()) url = issuer_ + "/ssf/poll/" + id;
    const auto events = json::write(*json::find(body, "events_requested"));
    stream_json_ = R"({"stream_id":")" + id + R"(","iss":")" + issuer_ + R"(","aud":")" + audience +
                   R"(","events_supported":)" + events + R"(,"events_requested":)" + events +
                   R"(,"events_delivered":)" + events + R"(,"delivery":{"method":")" +
                   std::string(json::find_string(*delivery, "method").value_or("")) +
                   R"(","endpoint_url":")" + url + R"("},"description":")" +
                   std::string(json::find_string(body, "description").value_or("")) + "\"}";
    return json_response(201, stream_json_);
}

}  // namespace mission::bench
