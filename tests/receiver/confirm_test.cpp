// confirm(): Mission Status for one asker alone, before what cannot be taken back.
#include <doctest/doctest.h>

#include <future>
#include <set>

#include "base/limits.hpp"
#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

constexpr auto path = "/mission/status";

std::size_t asked(const poll_bench& b) {
    return b.tx.requests(path).size();
}

std::set<std::string> nonces(const poll_bench& b) {
    std::set<std::string> seen;
    for (const auto& r : b.tx.requests(path)) {
        const auto form = net::parse_form(r.body);
        REQUIRE(form.has_value());
        for (const auto& [name, value] : *form) {
            if (name == "nonce") seen.insert(value);
        }
    }
    return seen;
}

// What a confirm() that does not block was told; waits for it.
class told {
  public:
    void ask(receiver& rx, const std::string& id) {
        rx.missions().confirm(id, [this](confirmation c) {
            ++times_;
            promise_.set_value(std::move(c));
        });
    }
    confirmation get() { return future_.get(); }
    bool there() const { return future_.wait_for(0s) == std::future_status::ready; }
    int times() const { return times_; }

  private:
    std::atomic<int> times_{0};
    std::promise<confirmation> promise_;
    std::future<confirmation> future_ = promise_.get_future();
};

}  // namespace

TEST_CASE("confirm asks although the mission is known and fresh, each call with its own nonce") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.set_status(id, {"active", "e1", 1,
                         R"([{"type":"mission_resource_access","resource":"r","actions":["a"]}])"});
    const auto before = asked(b);
    const auto called_at = std::chrono::steady_clock::now();
    for (int n = 0; n < 3; ++n) {
        const auto c = b.rx->missions().confirm(id);
        CHECK(c.permitted());
        CHECK(c.state == "active");
        CHECK(c.version == 1);
        CHECK(c.sent_at >= called_at);
        CHECK(c.received_at >= c.sent_at);
        CHECK(c.received_at <= std::chrono::steady_clock::now());
        CHECK(c.issued_at > std::chrono::system_clock::now() - 60s);
        REQUIRE(c.fresh_until);
        CHECK(*c.fresh_until > c.issued_at);
        REQUIRE(c.authority);
        CHECK(c.authority->permits("r", "a"));
    }
    CHECK(asked(b) == before + 3);
    CHECK(nonces(b).size() == asked(b));
}

TEST_CASE("confirm shares no request that was begun before it, of resolve or of another confirm") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    b.tx.hold(path);
    std::atomic<int> resolved{0};
    told first, second;
    last_word done(b);
    b.rx->missions().resolve(id, [&](answer) { ++resolved; });
    REQUIRE(eventually([&] { return asked(b) == 1; }));
    first.ask(*b.rx, id);
    REQUIRE(eventually([&] { return asked(b) == 2; }));
    second.ask(*b.rx, id);
    REQUIRE(eventually([&] { return asked(b) == 3; }));
    CHECK_FALSE(first.there());
    CHECK(nonces(b).size() == 3);
    b.tx.release_held();
    CHECK(first.get().permitted());
    CHECK(second.get().permitted());
    CHECK(eventually([&] { return resolved == 1; }));
}

TEST_CASE("confirm tells of an ended mission what Status says, and the cache learns it") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.set_status(id, {"revoked", "e1", 2, "[]"});
    const auto c = b.rx->missions().confirm(id);
    CHECK(c.answered());
    CHECK_FALSE(c.permitted());
    CHECK(c.state == "revoked");
    CHECK(c.version == 2);
    CHECK(c.now.what == standing::revoked);
    CHECK(b.rx->missions().check(id).what == standing::revoked);
}

TEST_CASE("what a signal has ended while the answer was under way is not permitted by the answer") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.hold(path);
    told t;
    last_word done(b);
    const auto before = asked(b);
    t.ask(*b.rx, id);
    REQUIRE(eventually([&] { return asked(b) == before + 1; }));
    b.tx.send(b.tx.change(id, 2, "revoked"));
    REQUIRE(b.becomes(id, standing::revoked));
    b.tx.set_status(id, {"active", "e1", 1, "[]"});  // as it was when the question came
    b.tx.release_held();
    const auto c = t.get();
    CHECK(c.state == "active");
    CHECK(c.now.what == standing::revoked);
    CHECK_FALSE(c.permitted());
}

TEST_CASE("an answer that fails a check is none: replayed, signed by a stranger, none at all") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    last_word done(b);
    SUBCASE("replayed") {
        const auto asked_before = b.rx->missions().confirm(id);
        REQUIRE(asked_before.permitted());
        // The same octets again, good but for the nonce.
        const auto old =
            R"({"iss":")" + b.tx.issuer + R"(","aud":")" + b.tx.audience + R"(","sub":")" +
            b.tx.client_id + R"(","nonce":"another","iat":)" +
            std::to_string(to_numeric_date(system_clock().now())) + R"(,"exp":4000000000,)" +
            R"("mission":{"id":")" + id + R"(","issuer":")" + b.tx.issuer +
            R"(","state":"active","version":1,"log_epoch":"e1"},"authorization_details":[]})";
        b.tx.answer_with([&, old](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != path) return std::nullopt;
            return text_response(200,
                                 *jose::sign_compact(b.tx.key, "mission-status-response+jwt", old),
                                 "application/mission-status-response+jwt");
        });
    }
    SUBCASE("signed by a stranger under the key's name") {
        auto stranger = *jose::private_key::generate(jose::alg::es256);
        stranger.set_kid(b.tx.key.kid());
        b.tx.answer_with([&, stranger](
                             const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != path) return std::nullopt;
            std::string nonce;
            const auto form = net::parse_form(r.body);
            for (const auto& [name, value] : *form) {
                if (name == "nonce") nonce = value;
            }
            const auto now = to_numeric_date(system_clock().now());
            return text_response(
                200,
                *jose::sign_compact(stranger, "mission-status-response+jwt",
                                    R"({"iss":")" + b.tx.issuer + R"(","aud":")" + b.tx.audience +
                                        R"(","sub":")" + b.tx.client_id + R"(","nonce":")" + nonce +
                                        R"(","iat":)" + std::to_string(now) + R"(,"exp":)" +
                                        std::to_string(now + 60) + R"(,"mission":{"id":")" + id +
                                        R"(","issuer":")" + b.tx.issuer +
                                        R"(","state":"active","version":1,"log_epoch":"e1"},)" +
                                        R"("authorization_details":[]})"),
                "application/mission-status-response+jwt");
        });
    }
    SUBCASE("the service is down") {
        b.tx.status_down = true;
    }
    SUBCASE("no such mission") {
        b.tx.answer_with([](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != path) return std::nullopt;
            return text_response(404, R"({"error":"not_found"})");
        });
    }
    const auto c = b.rx->missions().confirm(id);
    CHECK_FALSE(c.answered());
    CHECK_FALSE(c.error.empty());
    CHECK_FALSE(c.permitted());
    CHECK(c.state.empty());
}

TEST_CASE("confirm ends in time, and what comes after that is not lost on the cache") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    b.tx.hold(path);
    const auto c = b.rx->missions().confirm(id, 50ms);
    CHECK_FALSE(c.permitted());
    CHECK(c.error == "Mission Status did not answer in time");
    b.tx.release_held();
    CHECK(b.becomes(id, standing::active));
}

TEST_CASE("confirm denies at once what cannot be asked") {
    poll_bench b;
    auto rx = make_receiver(b.options());
    CHECK_FALSE(rx->missions().confirm(new_id()).permitted());
    b.start(b.options());
    b.live();
    const auto before = asked(b);
    for (const char* id : {"", "../../etc/passwd", "short"}) {
        const auto c = b.rx->missions().confirm(id);
        CHECK(c.error == "not a mission id");
        CHECK_FALSE(c.permitted());
    }
    CHECK(asked(b) == before);
}

TEST_CASE("questions under way are bounded, and stop answers each of them, once") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    b.tx.hold(path);
    constexpr auto bound = limits::status_confirms_in_flight;
    std::vector<told> waiting(bound);
    told one_too_many;
    last_word done(b);
    for (auto& t : waiting)
        t.ask(*b.rx, id);
    one_too_many.ask(*b.rx, id);
    CHECK(one_too_many.get().error == "rate_limited");
    CHECK(std::none_of(waiting.begin(), waiting.end(), [](auto& t) { return t.there(); }));
    b.tx.release_held();
    for (auto& t : waiting)
        CHECK(t.get().answered());
    b.tx.hold(path);
    told last;
    last.ask(*b.rx, id);
    REQUIRE(eventually([&] { return asked(b) > 0; }));
    b.rx->stop();
    CHECK_FALSE(last.get().permitted());
    CHECK(last.times() == 1);
}
