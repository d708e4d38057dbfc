// The routes of the sidecar without a socket: a request in, its answer out.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "known_missions.hpp"
#include "net/runtime.hpp"
#include "receiver/sidecar/handler.hpp"

namespace sidecar_test {

using namespace mission;
using namespace mission::receiver::sidecar;

class kept_answer final : public net::responder::state {
  public:
    void respond(net::http_response r) override {
        const std::lock_guard lock(m_);
        if (!answer_) answer_ = std::move(r);
        come_.notify_all();
    }
    bool gone() const noexcept override { return false; }
    net::http_response wait() {
        std::unique_lock lock(m_);
        if (!come_.wait_for(lock, std::chrono::seconds(20), [&] { return answer_.has_value(); }))
            throw std::runtime_error("no answer");
        return *answer_;
    }
    bool here() {
        const std::lock_guard lock(m_);
        return answer_.has_value();
    }

  private:
    std::mutex m_;
    std::condition_variable come_;
    std::optional<net::http_response> answer_;
};

using fields = std::vector<std::pair<std::string, std::string>>;

struct desk {
    known_missions rx;
    std::shared_ptr<net::runtime> rt{net::make_runtime(1, 1)};
    key_shelf shelf{*rt};
    std::shared_ptr<core> shared = std::make_shared<core>(rx, rt);
    std::shared_ptr<net::http_handler> routes = make_handler(shared, [] { return "more 1\n"; });
    settings s;

    desk() {
        s.trusted_proxies = *peer_list::parse({"unix", "127.0.0.1"});
        s.mission_issuer = "https://missions.example";
    }
    ~desk() {
        shelf.stop();
        rt->stop();
    }

    // Puts `s` in force.
    void apply() {
        auto p = std::make_shared<policy>();
        if (s.has(source::token)) {
            auto made = token_desk::make(s.tokens, shelf);
            REQUIRE(made.has_value());
            p->tokens = *made;
        }
        p->s = s;
        shared->replace(p);
    }

    std::shared_ptr<kept_answer> send(const std::string& method, const std::string& target,
                                      const fields& head = {}, const std::string& body = {},
                                      const std::string& peer = "unix") {
        net::http_request r;
        r.method = method;
        const auto question = target.find('?');
        r.path = target.substr(0, question);
        if (question != std::string::npos) r.query = target.substr(question + 1);
        for (const auto& [name, value] : head)
            r.fields.add(name, value);
        r.body = body;
        r.peer.address = peer;
        auto answer = std::make_shared<kept_answer>();
        routes->handle(std::move(r), net::responder(answer));
        return answer;
    }
    net::http_response ask(const std::string& method, const std::string& target,
                           const fields& head = {}, const std::string& body = {},
                           const std::string& peer = "unix") {
        if (!shared->current()) apply();
        return send(method, target, head, body, peer)->wait();
    }
    // What /auth says to these fields: the status and the reason, which are in body and head alike.
    std::string verdict(const fields& head, const std::string& peer = "unix",
                        const std::string& target = "/auth", const std::string& method = "GET") {
        const auto r = ask(method, target, head, {}, peer);
        const auto body = json::parse(r.body);
        REQUIRE(body.has_value());
        const auto why = json::find_string(*body, "reason");
        CHECK(r.fields.get("x-mission-reason") == why.value_or("none"));
        CHECK(json::find_string(*body, "decision") == (r.status == 200 ? "permit" : "deny"));
        return std::to_string(r.status) + " " + std::string(why.value_or("none"));
    }
};

}  // namespace sidecar_test
