// A push receiver that answers as it is told, and commits straight into the running store.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "net/server.hpp"
#include "tests/transmitter/fixture.hpp"

namespace mission::transmitter::testing {

// The claims of a SET, after checking typ and signature against the transmitter's JWKS.
struct read_set {
    std::string jti, type, claims;  // claims: the payload as text
    std::string mission_id;         // empty for the stream's own events
    std::int64_t version = 0;
    std::string committed_at, as_of, state;
    std::int64_t continuity = -1;
    bool heartbeat() const { return !as_of.empty(); }
};
read_set read(const std::string& token, const jose::key_set* keys = nullptr);

class push_receiver final : public net::http_handler {
  public:
    // What to do with one SET: an answer, or nothing at all (the request hangs).
    using script = std::function<std::optional<net::http_response>(const read_set&)>;

    push_receiver();
    ~push_receiver() override;
    std::string url() const;
    // To be set before the transmitter starts: it trusts this receiver.
    void trusted_by(config& c, const std::string& folder) const;
    void answer_with(script s);

    void handle(net::http_request request, net::responder respond) override;
    // Waits until `enough` holds of what was received so far; false after 20 s.
    bool wait(const std::function<bool(const std::vector<read_set>&)>& enough);
    std::vector<read_set> received() const;
    std::string last_authorization() const;

    static net::http_response reply(int status, std::string body = {});

  private:
    mutable std::mutex mutex_;
    std::condition_variable arrived_;
    std::vector<read_set> received_;
    std::vector<net::responder> hanging_;
    std::string authorization_;
    script script_;
    std::string ca_pem_;
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<net::http_server> server_;
};

// Commits version `version` of mission number `n` and waits for it; version 1 is an activation,
// even ones suspend, odd ones resume. erp and crm may know them.
void commit(transmitter_fixture& f, int n, std::int64_t version);
std::string committed_mission(int n);

// POST /ssf/streams; the stream_id.
std::string make_poll_stream(transmitter_fixture& f, const std::string& client);
std::string make_push_stream(transmitter_fixture& f, const std::string& client,
                             const push_receiver& to, std::string_view authorization = {});
// One poll; its SETs.
std::vector<read_set> poll(transmitter_fixture& f, const std::string& client,
                           const std::string& stream, std::string body);
// Long polls with `body` until one brings more than heartbeats, which end a wait of their own, or
// brings nothing; without the heartbeats.
std::vector<read_set> heard(transmitter_fixture& f, const std::string& client,
                            const std::string& stream, const std::string& body = "{}");
std::string ack_of(const std::vector<read_set>& sets, std::string_view rest = {});

}  // namespace mission::transmitter::testing
