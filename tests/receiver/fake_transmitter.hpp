// A small transmitter over TLS on loopback, which a test can make misbehave.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"
#include "mission_signals/receiver.hpp"
#include "net/client.hpp"
#include "net/dev_certificate.hpp"
#include "net/server.hpp"
#include "tests/receiver/wait.hpp"

namespace mission::test {

struct fake_mission {
    std::string state = "active", log_epoch = "e1";
    std::int64_t version = 1;
    std::string authorization_details = "[]";
};

class fake_transmitter final : public net::http_handler {
  public:
    // With `asks_certificates` it asks clients for one, and takes any.
    explicit fake_transmitter(bool asks_certificates = false);
    ~fake_transmitter() override;

    std::string issuer;  // https://localhost:PORT
    std::string audience = "https://rs.example", client_id = "rs";
    std::chrono::seconds max_stale{60};
    net::dev_certificate certificate;
    jose::private_key key;

    mission_signals::options options(const temp_dir& dir) const;
    // Kills every connection and takes requests no more; start() again on the same port.
    void stop();
    void start();
    bool is_stopped() const { return server_ == nullptr; }

    // Queues a SET; the poll hands it out until it is acknowledged. Returns its jti.
    std::string send(const events::mission_change& c);
    std::string send_raw(const std::string& jti, const std::string& token);
    std::string heartbeat(std::int64_t continuity = 1, const std::string& log_epoch = "e1");
    std::string sign_event(const std::string& jti, const std::string& type,
                           const std::string& event, const events::subject& sub,
                           const std::string& iss = {}, const std::string& aud = {},
                           std::int64_t iat_ahead = 0) const;
    events::mission_change change(const std::string& id, std::int64_t version,
                                  const char* state) const;
    std::string set_of(const events::mission_change& c, const std::string& jti) const;
    void set_status(const std::string& id, fake_mission m);

    bool acknowledged(const std::string& jti) const;
    std::string error_of(const std::string& jti) const;  // RFC 8936 setErrs: `err`
    std::string stream_id() const;
    // What a request is answered instead of the usual, until told otherwise; nullopt: the usual.
    // Once this returns the script before does not run any more.
    using script = std::function<std::optional<net::http_response>(const net::http_request&)>;
    void answer_with(script s);
    // Requests to this path get no answer until they are released.
    void hold(const std::string& path);
    void release_held();
    // As if nobody had ever made it.
    void forget_stream();
    // All requests to this path so far.
    std::vector<net::http_request> requests(const std::string& path) const;
    void expire_tokens();
    void accept_token(const std::string& token);
    // SSF's own event about the stream.
    std::string stream_updated(const std::string& status, const std::string& subject = {});
    // A CAEP event about a session; its jti.
    std::string caep(const std::string& session, const std::string& jti = {},
                     const std::string& type = {});
    void set_stream_status(const std::string& status);
    std::string stream_status() const;

    std::atomic<int> tokens{0}, streams_created{0}, streams_deleted{0}, statuses{0}, polls{0},
        jwks{0};
    std::string default_subjects = "ALL";
    std::string metadata_path = "/.well-known/ssf-configuration";
    std::string metadata_issuer;  // what the metadata says; empty: the issuer
    std::string poll_host;        // where the stream's endpoint_url points; empty: to us
    std::atomic<int> token_seconds{3600};
    std::string metadata_extra;  // further members, with a comma before each
    std::string stream_extra;    // of the stream's configuration
    std::atomic<bool> patch_supported{false};
    std::atomic<bool> html_polls{false}, redirect_polls{false}, refuse_tokens{false},
        status_down{false};
    std::atomic<int> redirected{0};

    void handle(net::http_request request, net::responder respond) override;

  private:
    net::http_response answer(const net::http_request& r, bool& later);
    net::http_response token(const net::http_request& r);
    net::http_response streams(const net::http_request& r);
    net::http_response stream_json(const std::string& body);
    net::http_response stream_state(const net::http_request& r);
    net::http_response verify(const net::http_request& r);
    net::http_response status(const net::http_request& r);
    void take_acks(const std::string& body);
    net::http_response sets_locked() const;
    std::string config() const;
    bool authorised(const net::http_request& r) const;
    void flush();

    const bool asks_certificates_;
    std::unique_ptr<net::runtime> rt_;
    std::unique_ptr<net::http_server> server_;
    std::uint16_t port_ = 0;
    mutable std::mutex m_;
    std::mutex script_m_;  // held while a script runs; never taken under m_
    std::string stream_json_, stream_id_, status_text_ = "enabled", dpop_thumbprint_;
    std::vector<std::string> tokens_;
    std::vector<net::http_request> requests_;
    script script_;
    wall_time settled_until() const;
    std::map<std::string, std::string> unacked_, errors_;
    std::map<std::string, wall_time> sent_at_;  // of missions
    std::vector<std::string> acked_;
    std::map<std::string, fake_mission> missions_;
    std::vector<net::responder> waiting_;
    std::string held_path_;
    std::vector<std::pair<net::http_request, net::responder>> held_;
};

}  // namespace mission::test
