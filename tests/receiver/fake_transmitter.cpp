#include "tests/receiver/fake_transmitter.hpp"

#include <algorithm>
#include <fstream>
#include <future>

#include "base/json.hpp"
#include "base/time.hpp"
#include "jose/digest.hpp"

namespace mission::test {
namespace {

net::http_response json_response(int status, std::string body) {
    net::http_response r;
    r.status = status;
    r.fields.add("content-type", "application/json");
    r.body = std::move(body);
    return r;
}

std::string member(const std::string& body, std::string_view name) {
    auto doc = json::parse(body);
    return doc.has_value() ? std::string(json::find_string(*doc, name).value_or("")) : "";
}

std::int64_t now_s() {
    return to_numeric_date(system_clock().now());
}

}  // namespace

fake_transmitter::fake_transmitter(bool asks_certificates) : asks_certificates_(asks_certificates) {
    certificate = *net::make_dev_certificate({}, std::chrono::days(2));
    key = *jose::private_key::generate(jose::alg::es256);
    start();
}

fake_transmitter::~fake_transmitter() {
    stop();
}

void fake_transmitter::start() {
    rt_ = net::make_runtime(1, 1);
    net::server_options o;
    o.port = port_;
    o.certificate_pem = certificate.certificate_pem;
    o.private_key_pem = certificate.private_key_pem;
    o.accept_any_client_certificate = asks_certificates_;
    // A port that was just closed may need a moment.
    eventually([&] {
        auto s = net::make_http_server(*rt_, o, *this);
        if (s.has_value()) server_ = std::move(*s);
        return server_ != nullptr;
    });
    port_ = server_->port();
    issuer = "https://localhost:" + std::to_string(port_);
}

void fake_transmitter::stop() {
    if (!server_) return;
    {
        std::lock_guard lock(m_);
        waiting_.clear();
        held_.clear();
    }
    std::promise<void> closed;
    server_->stop(std::chrono::milliseconds(0), [&] { closed.set_value(); });
    closed.get_future().wait();
    rt_->stop();
    server_.reset();
    rt_.reset();
}

mission_signals::options fake_transmitter::options(const temp_dir& dir) const {
    std::ofstream(dir / "ca.pem") << certificate.ca_pem;
    std::ofstream(dir / "key.pem") << key.to_pem();
    mission_signals::options o;
    o.issuer = issuer;
    o.ca_file = dir / "ca.pem";
    o.client_id = client_id;
    o.private_key_file = dir / "key.pem";
    o.state_path = dir / "state.db";
    return o;
}

events::mission_change fake_transmitter::change(const std::string& id, std::int64_t version,
                                                const char* state) const {
    events::mission_change c;
    c.mission_id = id;
    c.issuer = issuer;
    c.authority_hash = "sha-256:x";
    c.log_epoch = "e1";
    c.state = state;
    if (version > 1) c.prior_state = "active";
    c.version = version;
    c.committed_at = system_clock().now();
    c.expires_at = system_clock().now() + std::chrono::hours(1);
    c.agent_client_id = "agent";
    return c;
}

std::string fake_transmitter::sign_event(const std::string& jti, const std::string& type,
                                         const std::string& event, const events::subject& sub,
                                         const std::string& iss, const std::string& aud,
                                         std::int64_t iat_ahead) const {
    events::set_claims c;
    c.iss = iss.empty() ? issuer : iss;
    c.aud = aud.empty() ? audience : aud;
    c.iat = now_s() + iat_ahead;
    c.jti = jti;
    c.sub_id = sub;
    c.type = type;
    c.event = event;
    return *jose::sign_compact(key, events::set_typ, events::encode(c));
}

std::string fake_transmitter::set_of(const events::mission_change& c,
                                     const std::string& jti) const {
    return sign_event(jti, events::event_type(c, events::form::ours),
                      events::event_body(c, events::form::ours),
                      events::event_subject(c, events::form::ours));
}

std::string fake_transmitter::send(const events::mission_change& c) {
    set_status(c.mission_id, {c.state, c.log_epoch, c.version, "[]"});
    const auto jti = jose::random_id(12);
    {
        std::lock_guard lock(m_);
        sent_at_[jti] = system_clock().now();
    }
    return send_raw(jti, set_of(c, jti));
}

// wire.md section 1: up to `as_of` everything is settled.
wall_time fake_transmitter::settled_until() const {
    std::lock_guard lock(m_);
    auto until = system_clock().now();
    for (const auto& [jti, at] : sent_at_) {
        if (unacked_.count(jti) != 0) until = std::min(until, at);
    }
    return until - std::chrono::milliseconds(1);
}

std::string fake_transmitter::heartbeat(std::int64_t continuity, const std::string& log_epoch) {
    events::verification v;
    v.as_of = settled_until();
    v.continuity = continuity;
    v.log_epoch = log_epoch;
    const auto jti = jose::random_id(12);
    return send_raw(jti, sign_event(jti, std::string(events::verification_type), events::to_json(v),
                                    events::stream_subject(stream_id())));
}

std::string fake_transmitter::send_raw(const std::string& jti, const std::string& token) {
    {
        std::lock_guard lock(m_);
        unacked_[jti] = token;
    }
    flush();
    return jti;
}

void fake_transmitter::flush() {
    std::vector<net::responder> waiting;
    net::http_response r;
    {
        std::lock_guard lock(m_);
        if (unacked_.empty()) return;
        waiting.swap(waiting_);
        r = sets_locked();
    }
    for (auto& w : waiting)
        w(r);
}

net::http_response fake_transmitter::sets_locked() const {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::key(w, "sets");
    w.StartObject();
    for (const auto& [jti, token] : unacked_)
        json::member(w, jti, token);
    w.EndObject();
    w.EndObject();
    return json_response(200, json::text(b));
}

void fake_transmitter::set_status(const std::string& id, fake_mission m) {
    std::lock_guard lock(m_);
    missions_[id] = std::move(m);
}

bool fake_transmitter::acknowledged(const std::string& jti) const {
    std::lock_guard lock(m_);
    return std::find(acked_.begin(), acked_.end(), jti) != acked_.end();
}

std::string fake_transmitter::error_of(const std::string& jti) const {
    std::lock_guard lock(m_);
    const auto it = errors_.find(jti);
    return it == errors_.end() ? "" : it->second;
}

std::string fake_transmitter::stream_id() const {
    std::lock_guard lock(m_);
    return stream_id_;
}

bool fake_transmitter::authorised(const net::http_request& r) const {
    std::lock_guard lock(m_);
    return std::any_of(tokens_.begin(), tokens_.end(), [&](const std::string& t) {
        return r.fields.get("authorization") == "Bearer " + t;
    });
}

void fake_transmitter::answer_with(script s) {
    std::lock_guard lock(script_m_);
    script_ = std::move(s);
}

void fake_transmitter::hold(const std::string& path) {
    std::lock_guard lock(m_);
    held_path_ = path;
}

void fake_transmitter::release_held() {
    decltype(held_) held;
    {
        std::lock_guard lock(m_);
        held_path_.clear();
        held.swap(held_);
    }
    for (auto& [request, respond] : held)
        handle(std::move(request), std::move(respond));
}

void fake_transmitter::forget_stream() {
    std::lock_guard lock(m_);
    stream_json_.clear();
}

std::vector<net::http_request> fake_transmitter::requests(const std::string& path) const {
    std::lock_guard lock(m_);
    std::vector<net::http_request> out;
    for (const auto& r : requests_) {
        if (r.path == path) out.push_back(r);
    }
    return out;
}

void fake_transmitter::expire_tokens() {
    std::lock_guard lock(m_);
    tokens_.clear();
}

void fake_transmitter::accept_token(const std::string& token) {
    std::lock_guard lock(m_);
    tokens_.push_back(token);
}

std::string fake_transmitter::stream_updated(const std::string& status,
                                             const std::string& subject) {
    const auto jti = jose::random_id(12);
    return send_raw(jti,
                    sign_event(jti, std::string(events::stream_updated_type),
                               events::to_json(events::stream_updated{status, "because"}),
                               events::stream_subject(subject.empty() ? stream_id() : subject)));
}

std::string fake_transmitter::caep(const std::string& session, const std::string& jti,
                                   const std::string& type) {
    const auto id = jti.empty() ? jose::random_id(12) : jti;
    return send_raw(
        id, sign_event(id, type.empty() ? std::string(events::caep_base) + "session-revoked" : type,
                       R"({"event_timestamp":1700000000})", events::subject::opaque(session)));
}

void fake_transmitter::set_stream_status(const std::string& status) {
    std::lock_guard lock(m_);
    status_text_ = status;
}

std::string fake_transmitter::stream_status() const {
    std::lock_guard lock(m_);
    return status_text_;
}

void fake_transmitter::handle(net::http_request request, net::responder respond) {
    // An issuer with a path has its endpoints under it.
    if (const auto path = issuer.find('/', 8); path != std::string::npos) {
        const auto prefix = issuer.substr(path) + '/';
        if (request.path.starts_with(prefix) && request.path != metadata_path) {
            request.path.erase(0, prefix.size() - 1);
        }
    }
    {
        std::lock_guard lock(m_);
        requests_.push_back(request);
        if (!held_path_.empty() && request.path == held_path_) {
            held_.emplace_back(std::move(request), std::move(respond));
            return;
        }
    }
    {
        std::lock_guard lock(script_m_);
        auto scripted = script_ ? script_(request) : std::nullopt;
        if (scripted) return respond(std::move(*scripted));
    }
    if (request.path.starts_with("/ssf/") && !authorised(request)) {
        return respond(json_response(401, R"({"error":"invalid_token"})"));
    }
    if (request.path.starts_with("/ssf/poll/")) {
        ++polls;
        if (html_polls) {
            auto r = json_response(200, "<html>it works</html>");
            return respond(r);
        }
        if (redirect_polls) {
            net::http_response r;
            r.status = 307;
            r.fields.add("location", issuer + "/elsewhere");
            return respond(r);
        }
        take_acks(request.body);
        {
            std::lock_guard lock(m_);
            if (unacked_.empty()) {
                waiting_.push_back(std::move(respond));
                return;
            }
        }
        net::http_response r;
        {
            std::lock_guard lock(m_);
            r = sets_locked();
        }
        return respond(r);
    }
    bool later = false;
    respond(answer(request, later));
}

void fake_transmitter::take_acks(const std::string& body) {
    auto doc = json::parse(body);
    if (doc.has_error()) return;
    std::lock_guard lock(m_);
    if (const auto* acks = json::find(*doc, "ack"); acks && acks->IsArray()) {
        for (const auto& a : acks->GetArray()) {
            acked_.emplace_back(json::view(a));
            unacked_.erase(std::string(json::view(a)));
        }
    }
    if (const auto* errs = json::find(*doc, "setErrs"); errs && errs->IsObject()) {
        for (const auto& e : errs->GetObject()) {
            const std::string jti(json::view(e.name));
            errors_[jti] = std::string(json::find_string(e.value, "err").value_or(""));
            unacked_.erase(jti);
        }
    }
}

net::http_response fake_transmitter::answer(const net::http_request& r, bool&) {
    if (r.path == "/elsewhere") {
        ++redirected;
        return json_response(200, R"({"sets":{}})");
    }
    if (r.path == metadata_path) {
        return json_response(
            200,
            R"({"spec_version":"1_0","issuer":")" +
                (metadata_issuer.empty() ? issuer : metadata_issuer) + R"(","jwks_uri":")" +
                issuer + R"(/jwks.json","configuration_endpoint":")" + issuer +
                R"(/ssf/streams","verification_endpoint":")" + issuer +
                R"(/ssf/verify","status_endpoint":")" + issuer +
                R"(/ssf/status","add_subject_endpoint":")" + issuer +
                R"(/ssf/subjects/add","remove_subject_endpoint":")" + issuer +
                R"(/ssf/subjects/remove","default_subjects":")" + default_subjects +
                R"(","mission_status_endpoint":")" + issuer +
                R"(/mission/status","mission_status_signing_alg_values_supported":["ES256"],)" +
                R"("mission_max_stale_seconds":)" + std::to_string(max_stale.count()) +
                metadata_extra + "}");
    }
    if (r.path.starts_with("/.well-known/oauth-authorization-server")) {
        return json_response(200, R"({"issuer":")" + issuer + R"(","token_endpoint":")" + issuer +
                                      R"(/oauth/token"})");
    }
    if (r.path == "/jwks.json") {
        ++jwks;
        jose::key_set keys;
        keys.add(key.to_public());
        return json_response(200, keys.to_json());
    }
    if (r.path == "/oauth/token") return token(r);
    if (r.path == "/ssf/streams") return streams(r);
    if (r.path == "/ssf/verify") return verify(r);
    if (r.path == "/ssf/status") return stream_state(r);
    if (r.path == "/ssf/subjects/add") return {200, {}, {}};
    if (r.path == "/ssf/subjects/remove") return {204, {}, {}};
    if (r.path == "/mission/status") return status(r);
    return json_response(404, R"({"error":"not_found"})");
}

net::http_response fake_transmitter::token(const net::http_request& r) {
    ++tokens;
    auto form = net::parse_form(r.body);
    if (form.has_error() || refuse_tokens) {
        return json_response(400, R"({"error":"invalid_client"})");
    }
    std::lock_guard lock(m_);
    std::string type = "Bearer";
    if (const auto proof = jose::parse_compact(r.fields.get("dpop")); proof.has_value()) {
        type = "DPoP";
        dpop_thumbprint_ = jose::public_key::from_jwk(*json::parse(proof->jwk))->thumbprint();
    }
    tokens_.push_back(jose::random_id(12));
    return json_response(200, R"({"access_token":")" + tokens_.back() + R"(","token_type":")" +
                                  type + R"(","expires_in":)" +
                                  std::to_string(token_seconds.load()) + "}");
}

net::http_response fake_transmitter::stream_state(const net::http_request& r) {
    std::lock_guard lock(m_);
    if (stream_json_.empty()) return json_response(404, R"({"error":"not_found"})");
    if (r.method == "POST") status_text_ = member(r.body, "status");
    return json_response(
        200, R"({"stream_id":")" + stream_id_ + R"(","status":")" + status_text_ + R"("})");
}

net::http_response fake_transmitter::streams(const net::http_request& r) {
    std::lock_guard lock(m_);
    if (r.method == "GET") {
        return json_response(200, stream_json_.empty() ? "[]" : "[" + stream_json_ + "]");
    }
    if (r.method == "DELETE") {
        ++streams_deleted;
        stream_json_.clear();
        net::http_response gone;
        gone.status = 204;
        return gone;
    }
    if (r.method == "PATCH") {
        if (!patch_supported) return json_response(405, R"({"error":"no"})");
        return stream_json(r.body);
    }
    ++streams_created;
    stream_id_ = "s" + std::to_string(streams_created.load());
    stream_json(r.body);
    return json_response(201, stream_json_);
}

net::http_response fake_transmitter::stream_json(const std::string& body) {
    auto doc = json::parse(body);
    const auto events = json::write(*json::find(*doc, "events_requested"));
    const auto& delivery = *json::find(*doc, "delivery");
    auto endpoint = std::string(json::find_string(delivery, "endpoint_url").value_or(""));
    if (endpoint.empty()) {
        endpoint = (poll_host.empty() ? issuer : poll_host) + "/ssf/poll/" + stream_id_;
    }
    stream_json_ = R"({"stream_id":")" + stream_id_ + R"(","iss":")" + issuer + R"(","aud":")" +
                   audience + R"(","events_supported":)" + events + R"(,"events_requested":)" +
                   events + R"(,"events_delivered":)" + events + R"(,"delivery":{"method":")" +
                   std::string(*json::find_string(delivery, "method")) + R"(","endpoint_url":")" +
                   endpoint + R"("},"description":")" +
                   std::string(json::find_string(*doc, "description").value_or("")) + '"' +
                   stream_extra + "}";
    return json_response(200, stream_json_);
}

net::http_response fake_transmitter::verify(const net::http_request& r) {
    events::verification v;
    v.state = member(r.body, "state");
    const auto jti = jose::random_id(12);
    send_raw(jti, sign_event(jti, std::string(events::verification_type), events::to_json(v),
                             events::stream_subject(stream_id())));
    net::http_response ok;
    ok.status = 204;
    return ok;
}

net::http_response fake_transmitter::status(const net::http_request& r) {
    ++statuses;
    if (status_down) return json_response(503, R"({"error":"unavailable"})");
    auto form = net::parse_form(r.body);
    if (form.has_error()) return json_response(400, "{}");
    std::map<std::string, std::string> f(form->begin(), form->end());
    // private_key_jwt, with the endpoint as audience; or a token and the proof of its key.
    auto assertion = jose::parse_compact(f["client_assertion"]);
    bool known =
        assertion.has_value() && member(assertion->payload, "aud") == issuer + "/mission/status";
    if (const auto proof = jose::parse_compact(r.fields.get("dpop")); proof.has_value()) {
        std::lock_guard lock(m_);
        const auto jwk = jose::public_key::from_jwk(*json::parse(proof->jwk));
        known = jwk.has_value() && jwk->thumbprint() == dpop_thumbprint_ &&
                jwk->verify(jose::alg::es256, proof->signing_input, proof->signature) &&
                member(proof->payload, "htu") == issuer + "/mission/status" &&
                member(proof->payload, "htm") == "POST" && !tokens_.empty() &&
                r.fields.get("authorization") == "DPoP " + tokens_.back();
    }
    if (!known) return json_response(401, R"({"error":"unauthorized"})");
    fake_mission m;
    {
        std::lock_guard lock(m_);
        const auto it = missions_.find(f["mission_id"]);
        if (it == missions_.end()) return json_response(404, R"({"error":"not_found"})");
        m = it->second;
    }
    const auto iat = now_s();
    const auto payload =
        R"({"iss":")" + issuer + R"(","aud":")" + f["audience"] + R"(","sub":")" + client_id +
        R"(","nonce":")" + f["nonce"] + R"(","iat":)" + std::to_string(iat) + R"(,"exp":)" +
        std::to_string(iat + 60) + R"(,"mission":{"id":")" + f["mission_id"] + R"(","issuer":")" +
        issuer + R"(","authority_hash":"sha-256:x","state":")" + m.state + R"(","version":)" +
        std::to_string(m.version) + R"(,"log_epoch":")" + m.log_epoch + R"(","fresh_until":")" +
        to_rfc3339(from_numeric_date(iat + max_stale.count())) + R"("},"authorization_details":)" +
        m.authorization_details + "}";
    net::http_response out;
    out.fields.add("content-type", "application/mission-status-response+jwt");
    out.body = *jose::sign_compact(key, "mission-status-response+jwt", payload);
    return out;
}

}  // namespace mission::test
