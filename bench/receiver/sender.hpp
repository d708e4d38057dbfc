// A transmitter that does nothing but send: stream set-up, then prepared SETs, polled or pushed.
// It lives in the measuring process, so that the receiver's process does its own work alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "bench/receiver/child.hpp"
#include "events/subject.hpp"
#include "jose/jws.hpp"
#include "net/client.hpp"
#include "net/dev_certificate.hpp"
#include "net/server.hpp"

namespace mission::bench {

struct prepared_set {
    std::string jti, token, mission;
};

class sender final : public net::http_handler {
  public:
    // Files of the receiver's are left in `folder`.
    sender(std::string folder, jose::alg alg);
    ~sender() override;

    const jose::private_key& key() const noexcept { return key_; }
    child_setup setup_of(bool push, const std::string& state_path) const;
    // The next `versions` versions of `missions` new missions: first all first ones, and so on.
    std::vector<prepared_set> make_sets(int missions, int versions) const;

    // Forgets the stream of the receiver before.
    void expect_receiver(bool push);
    // Its stream is there, and it has acknowledged the verification that it asked for.
    void wait_verified();
    void send_heartbeat();
    // Sends them and returns once all are acknowledged; ends the program if one is refused.
    void deliver(const std::vector<prepared_set>& sets);

    void handle(net::http_request request, net::responder respond) override;

  private:
    net::http_response answer(const net::http_request& r);
    net::http_response streams(const net::http_request& r);
    void poll(const net::http_request& r, net::responder respond);
    net::http_response next_sets_locked();
    void enqueue(std::vector<prepared_set> sets);
    void push_next();
    void pushed(const prepared_set& set, const result<net::http_response>& answer);
    void settled(std::size_t count);
    std::string sign(const std::string& type, const std::string& event,
                     const events::subject& about, const std::string& jti) const;

    const wall_time began_ = system_clock().now();
    const std::string folder_;
    net::dev_certificate certificate_;
    jose::private_key key_;
    jose::signer signer_;
    std::unique_ptr<net::runtime> rt_;
    std::unique_ptr<net::http_server> server_;
    std::unique_ptr<net::http_client> client_;
    std::string issuer_;

    std::mutex m_;
    std::condition_variable all_settled_;
    std::string stream_json_, push_url_, push_authorization_;
    std::deque<prepared_set> queue_;
    std::unordered_map<std::string, prepared_set> offered_;
    std::optional<net::responder> waiting_;
    std::size_t unsettled_ = 0, asked_for_ = 0;
    int streams_ = 0, pushes_ = 0;
    bool pushing_ = false, verification_asked_ = false;
    std::atomic<bool> verified_{false};
    std::unique_ptr<net::timer> later_;
};

}  // namespace mission::bench
