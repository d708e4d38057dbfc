// The listener: sockets, and settings that change while requests come.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "../program/scratch.hpp"
#include "known_missions.hpp"
#include "net/dev_certificate.hpp"
#include "receiver/program/control.hpp"
#include "receiver/sidecar/sidecar.hpp"

using namespace mission;
using namespace mission::receiver::sidecar;
using namespace sidecar_test;
using receiver::program::ask_control;

namespace {

struct listening {
    scratch dir;
    known_missions rx;
    std::string path = dir.at("check.sock");
    std::unique_ptr<server> s;

    listening() {
        auto made = make_server(rx, plain(), nullptr, nullptr);
        if (!made) FAIL(made.error().message());
        s = std::move(*made);
    }
    settings plain() const { return at("unix:" + path); }
    settings at(const std::string& place) const {
        settings out;
        out.listen = *parse_listen_place(place);
        out.trusted_proxies = *peer_list::parse({"unix"});
        return out;
    }
    int status(const std::string& target) const {
        const auto r = ask_control(path, "GET", target);
        return r ? r->status : -1;
    }
};

}  // namespace

TEST_CASE("a Unix socket answers its owner and its group, and goes with the server") {
    listening w;
    CHECK(w.status("/missions/" + active_mission) == 200);
    CHECK(w.status("/auth") == 401);
    const auto mode = std::filesystem::status(w.path).permissions();
    CHECK((mode & std::filesystem::perms::others_all) == std::filesystem::perms::none);
    CHECK(w.s->port() == 0);
    w.s->stop();
    CHECK(w.status("/auth") == -1);
    w.s.reset();
    CHECK_FALSE(std::filesystem::exists(w.path));
}

TEST_CASE("a socket that somebody listens on is not taken away, one that is left over is") {
    listening w;
    const auto second = make_server(w.rx, w.plain(), nullptr, nullptr);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == errc::address_in_use);
    CHECK(w.status("/auth") == 401);
    const auto left = w.dir.at("left.sock");
    {
        // Bound, and gone without a word, as after a kill.
        const listening gone;
        std::filesystem::rename(gone.path, left);
    }
    auto again = make_server(w.rx, w.at("unix:" + left), nullptr, nullptr);
    CHECK(again.has_value());
}

TEST_CASE("who takes over the place of a server that stops keeps it") {
    listening w;
    w.s->stop();
    CHECK_FALSE(std::filesystem::exists(w.path));
    auto next = make_server(w.rx, w.plain(), nullptr, nullptr);
    REQUIRE(next.has_value());
    w.s.reset();  // its last act is not to remove what is not its own any more
    CHECK(w.status("/auth") == 401);
    next->reset();
    CHECK_FALSE(std::filesystem::exists(w.path));
    // The same where the first one never came to stop.
    const auto other = w.dir.at("other.sock");
    auto first = make_server(w.rx, w.at("unix:" + other), nullptr, nullptr);
    REQUIRE(first.has_value());
    std::filesystem::remove(other);
    next = make_server(w.rx, w.at("unix:" + other), nullptr, nullptr);
    REQUIRE(next.has_value());
    first->reset();
    CHECK(ask_control(other, "GET", "/auth")->status == 401);
}

TEST_CASE("other settings are in force at once, on the same socket") {
    listening w;
    CHECK(w.status("/.well-known/authzen-configuration") == 404);
    auto other = w.plain();
    other.public_url = "https://pdp.example";
    REQUIRE(w.s->apply(other).has_value());
    CHECK(w.status("/.well-known/authzen-configuration") == 200);
    CHECK(w.s->metrics_text().find("{outcome=\"applied\"} 1\n") != std::string::npos);
}

TEST_CASE("no request is dropped while settings change") {
    listening w;
    std::atomic<bool> over{false};
    std::atomic<int> good{0}, bad{0};
    std::vector<std::thread> askers;
    for (int i = 0; i < 2; ++i)
        askers.emplace_back([&] {
            while (!over)
                ++(w.status("/missions/" + active_mission) == 200 ? good : bad);
        });
    for (int i = 0; i < 200 || good < 200; ++i) {
        auto other = w.plain();
        other.public_url = i % 2 == 0 ? "https://pdp.example" : "";
        if (!w.s->apply(std::move(other))) ++bad;
    }
    over = true;
    for (auto& a : askers)
        a.join();
    CHECK(bad == 0);
    CHECK(good >= 200);
}

TEST_CASE("another place is opened before the old one is closed, and one that cannot be is not") {
    listening w;
    const auto other = w.dir.at("other.sock");
    const listening neighbour;
    const auto taken = w.s->apply(w.at("unix:" + neighbour.path));
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error().code == errc::address_in_use);
    CHECK(w.status("/auth") == 401);
    CHECK(neighbour.status("/auth") == 401);
    CHECK(w.s->metrics_text().find("{outcome=\"refused\"} 1\n") != std::string::npos);

    REQUIRE(w.s->apply(w.at("unix:" + other)).has_value());
    CHECK(w.status("/auth") == -1);
    CHECK(ask_control(other, "GET", "/auth")->status == 401);
    REQUIRE(w.s->apply(w.at("127.0.0.1:0")).has_value());
    CHECK(w.s->port() != 0);
    CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("TLS is not turned on beneath connections that are open without") {
    listening w;
    const auto made = net::make_dev_certificate({}, std::chrono::days(1));
    REQUIRE(made.has_value());
    auto secure = w.plain();
    secure.certificate_pem = made->certificate_pem;
    secure.private_key_pem = made->private_key_pem;
    const auto r = w.s->apply(secure);
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().code == errc::bad_configuration);
    CHECK(w.status("/auth") == 401);
    // Elsewhere it is; and its certificate is exchanged there.
    secure.listen = *parse_listen_place("127.0.0.1:0");
    REQUIRE(w.s->apply(secure).has_value());
    const auto port = w.s->port();
    const auto next = net::make_dev_certificate({}, std::chrono::days(1));
    secure.certificate_pem = next->certificate_pem;
    secure.private_key_pem = next->private_key_pem;
    CHECK(w.s->apply(secure).has_value());
    CHECK(w.s->port() == port);
    secure.certificate_pem = "x";
    CHECK_FALSE(w.s->apply(secure).has_value());
}

TEST_CASE("stop ends with what waits for Status, whose late answer harms nobody") {
    listening w;
    auto slow = w.plain();
    slow.resolve = true;
    slow.resolve_wait = std::chrono::milliseconds(30'000);
    w.rx.silent = true;
    REQUIRE(w.s->apply(slow).has_value());
    std::thread asker([&] { (void)w.status("/missions/" + stale_mission); });
    while (w.rx.asked == 0)
        std::this_thread::yield();
    w.s->stop();
    w.s.reset();
    asker.join();
    for (auto& late : w.rx.held_back)
        late({ms::standing::active, 9});
}
