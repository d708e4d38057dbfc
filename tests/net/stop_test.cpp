#include <doctest/doctest.h>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

TEST_CASE("the first step of a stop lets a request in flight finish and closes idle connections") {
    promised<responder> waiting;
    served s(plain_options(), [&](http_request r, responder respond) {
        if (r.path == "/idle") return respond(http_response{});
        waiting.set(respond);
    });
    raw_client idle(s.server->port());
    idle.send("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(idle.read_until("\r\n\r\n").find("200 OK") != std::string::npos);
    raw_client busy(s.server->port());
    busy.send("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto respond = waiting.get();

    promised<int> stopped;
    s.server->stop(20s, [&] { stopped.set(1); });
    CHECK(idle.read_all().empty());
    CHECK(!stopped.wait(0ms));
    http_response a;
    a.body = "finished";
    respond(std::move(a));
    const auto got = busy.read_all();
    CHECK(got.ends_with("finished"));
    CHECK(got.find("Connection: close") != std::string::npos);
    CHECK(stopped.get() == 1);
    CHECK(s.server->counters().open == 0);
}

TEST_CASE("a request that has come before the stop is answered, though nobody has read it yet") {
    // Both network threads are kept from everything until the stop is on its way.
    promised<int> one, two, go_on;
    served s(plain_options(), [&](http_request r, responder respond) {
        if (r.path == "/one") one.set(1);
        if (r.path == "/two") two.set(1);
        if (r.path == "/one" || r.path == "/two") (void)go_on.wait();
        respond(http_response{});
    });
    raw_client known(s.server->port());
    known.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(known.read_until("\r\n\r\n").find("200 OK") != std::string::npos);
    raw_client held_one(s.server->port()), held_two(s.server->port());
    held_one.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
    held_two.send("GET /two HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(one.wait());
    REQUIRE(two.wait());
    raw_client fresh(s.server->port());
    fresh.send("GET /fresh HTTP/1.1\r\nHost: x\r\n\r\n");
    known.send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n");
    promised<int> stopped;
    s.server->stop(20s, [&] { stopped.set(1); });
    go_on.set(1);
    CHECK(fresh.read_all().find("200 OK") != std::string::npos);
    CHECK(known.read_all().find("200 OK") != std::string::npos);
    CHECK(held_one.read_all().find("200 OK") != std::string::npos);
    CHECK(held_two.read_all().find("200 OK") != std::string::npos);
    CHECK(stopped.get() == 1);
}

TEST_CASE("the second step of a stop cancels what did not finish") {
    promised<responder> waiting;
    served s(plain_options(),
             [&](http_request, responder respond) { waiting.set(std::move(respond)); });
    raw_client busy(s.server->port());
    busy.send("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto respond = waiting.get();
    promised<int> stopped;
    s.server->stop(50ms, [&] { stopped.set(1); });
    CHECK(stopped.get() == 1);
    CHECK(busy.read_all().empty());
    CHECK(respond.gone());
    CHECK(stopped.extra() == 0);
}

TEST_CASE("a stopping server accepts nothing more") {
    served s(plain_options());
    const auto port = s.server->port();
    promised<int> stopped;
    s.server->stop(1s, [&] { stopped.set(1); });
    stopped.get();
    function_handler handler;
    auto options = plain_options();
    options.port = port;
    CHECK(make_http_server(*s.rt, options, handler).has_value());  // the port is free again
}

TEST_CASE("a second stop is told when it is over, too") {
    served s(plain_options());
    promised<int> first;
    promised<int> second;
    s.server->stop(1s, [&] { first.set(1); });
    s.server->stop(0ms, [&] { second.set(1); });
    CHECK(first.get() == 1);
    CHECK(second.get() == 1);
}

TEST_CASE("destroying a server ends its connections before it returns") {
    promised<responder> waiting;
    served s(plain_options(),
             [&](http_request, responder respond) { waiting.set(std::move(respond)); });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto respond = waiting.get();
    s.server.reset();
    CHECK(respond.gone());
    CHECK(c.read_all().empty());
    respond(http_response{});
}

TEST_CASE("a server may be destroyed after the threads have ended") {
    served s(plain_options());
    raw_client c(s.server->port());
    CHECK(eventually([&] { return s.server->counters().open == 1; }));
    s.rt->stop();
    s.server.reset();
    s.rt.reset();
    CHECK(c.read_all().empty());
}
