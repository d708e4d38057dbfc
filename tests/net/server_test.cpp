#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

namespace {

// What a server answers to these octets, up to the end of the connection.
std::string answer_to(std::string_view text, server_options options = plain_options()) {
    served s(std::move(options));
    raw_client c(s.server->port());
    c.send(text);
    c.end_sending();
    return c.read_all();
}

bool is_refusal(const std::string& answer, const char* status) {
    return answer.starts_with("HTTP/1.1 " + std::string(status) + " ") &&
           answer.find("Connection: close") != std::string::npos &&
           answer.find("{\"err\":") != std::string::npos;
}

}  // namespace

TEST_CASE("one connection carries many requests") {
    served s(plain_options());
    raw_client c(s.server->port());
    for (int i = 0; i < 3; ++i) {
        c.send("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
        const auto got = c.read_until("POST /a?b=c hi");
        CHECK(got.starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(got.find("Content-Length: 14\r\n") != std::string::npos);
        CHECK(got.find("\r\nDate: ") != std::string::npos);
    }
    CHECK(s.server->counters().accepted == 1);
    CHECK(s.server->counters().requests == 3);
}

TEST_CASE("pipelined requests are answered in order, one at a time") {
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    served* outer = nullptr;
    served s(plain_options(), [&](http_request r, responder respond) {
        const int now = ++running;
        if (now > most) most = now;
        outer->rt->post_work([&, respond, path = r.path] {
            --running;
            http_response a;
            a.body = path;
            respond(std::move(a));
        });
    });
    outer = &s;
    raw_client c(s.server->port());
    c.send(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(c.read_until("/1").ends_with("/1"));
    CHECK(c.read_until("/2").ends_with("/2"));
    CHECK(c.read_until("/3").ends_with("/3"));
    CHECK(most == 1);
}

TEST_CASE("a request in single octets is understood") {
    served s(plain_options());
    raw_client c(s.server->port());
    for (const char o :
         std::string("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")) {
        c.send(std::string_view(&o, 1));
    }
    CHECK(c.read_until("abc").find("POST /slow abc") != std::string::npos);
}

TEST_CASE("a chunked body arrives whole and its trailer does not pass for a header") {
    served s(plain_options(), [](http_request r, responder respond) {
        http_response a;
        a.body = r.body + "|" + std::string(r.fields.get("authorization"));
        respond(std::move(a));
    });
    raw_client c(s.server->port());
    c.send(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nAuthorization: stolen\r\n\r\n");
    CHECK(c.read_until("|").ends_with("abcde|"));
    c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(c.read_all().find("stolen") == std::string::npos);
}

TEST_CASE("bodies that do not end are bounded together; small ones and later ones are taken") {
    auto options = plain_options();
    options.max_unfinished = 200'000;
    served s(options, [](http_request r, responder respond) {
        http_response a;
        a.body = "took " + std::to_string(r.body.size());
        respond(std::move(a));
    });
    const auto head = [](std::size_t size) {
        return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
    };
    std::vector<std::unique_ptr<raw_client>> stalled;
    for (int i = 0; i < 10; ++i) {
        stalled.push_back(std::make_unique<raw_client>(s.server->port()));
        stalled.back()->send(head(300'000) + std::string(90'000, 'x'));
    }
    // Two of 90,000 octets fit.
    CHECK(eventually([&] { return s.server->counters().bad_requests >= 8; }));
    CHECK(s.server->counters().requests == 0);
    raw_client small(s.server->port());
    small.send(head(2000) + std::string(1000, 'x'));
    small.send(std::string(1000, 'x'));
    CHECK(small.read_until("took 2000").starts_with("HTTP/1.1 200 "));
    stalled.clear();
    CHECK(eventually([&] {
        raw_client whole(s.server->port());
        whole.send(head(150'000) + std::string(150'000, 'x'));
        whole.end_sending();
        return whole.read_all().find("took 150000") != std::string::npos;
    }));
}

TEST_CASE("HEAD is answered with the length and without the body") {
    const auto got = answer_to("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(got.find("Content-Length: 8\r\n") != std::string::npos);
    CHECK(got.ends_with("\r\n\r\n"));
}

TEST_CASE("204 has neither body nor length") {
    served s(plain_options(), [](http_request, responder respond) {
        http_response a;
        a.status = 204;
        respond(std::move(a));
    });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto got = c.read_all();
    CHECK(got.starts_with("HTTP/1.1 204 "));
    CHECK(got.find("Content-Length") == std::string::npos);
}

TEST_CASE("HTTP/1.0 ends with the answer unless keep-alive is asked for") {
    const auto got = answer_to("GET /old HTTP/1.0\r\n\r\n");
    CHECK(got.find("Connection: close") != std::string::npos);
    CHECK(got.ends_with("GET /old "));
    served s(plain_options());
    raw_client c(s.server->port());
    c.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(c.read_until("GET /1 ").find("Connection: keep-alive") != std::string::npos);
    c.send("GET /2 HTTP/1.0\r\n\r\n");
    CHECK(c.read_all().ends_with("GET /2 "));
}

TEST_CASE("Expect: 100-continue is answered before the body comes, another one with 417") {
    served s(plain_options());
    raw_client c(s.server->port());
    c.send("POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK(c.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    c.send("abc");
    CHECK(c.read_until("abc").find("200 OK") != std::string::npos);
    CHECK(is_refusal(answer_to("POST / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n"), "417"));
}

TEST_CASE("what is not HTTP is answered 400") {
    for (const char* text : {
             "nonsense\r\n\r\n",
             "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
             "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
             "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
             "GET / HTTP/1.1\nHost: x\n\n",
             "GET / HTTP/1.1\r\nHost: x\r\nBad\x01Name: y\r\n\r\n",
             "GET relative HTTP/1.1\r\nHost: x\r\n\r\n",
             "GET /#f HTTP/1.1\r\nHost: x\r\n\r\n",
             "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         }) {
        CAPTURE(text);
        CHECK(is_refusal(answer_to(text), "400"));
    }
}

TEST_CASE("HTTP/1.1 needs exactly one Host") {
    CHECK(is_refusal(answer_to("GET / HTTP/1.1\r\n\r\n"), "400"));
    CHECK(is_refusal(answer_to("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), "400"));
}

TEST_CASE("a length that can be read in two ways is refused") {
    for (const char* fields : {
             "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
             "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
             "Content-Length: 3\r\nContent-Length: 3\r\n",
             "Content-Length: 3\r\nContent-Length: 4\r\n",
             "Content-Length: 3, 3\r\n",
             "Content-Length: +3\r\n",
             "Content-Length: -1\r\n",
             "Content-Length: 99999999999999999999999\r\n",
             "Transfer-Encoding: gzip\r\n",
             "Transfer-Encoding: gzip, chunked\r\n",
             "Transfer-Encoding: chunked, gzip\r\n",
             "Transfer-Encoding: xchunked\r\n",
             "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
         }) {
        CAPTURE(fields);
        const auto got =
            answer_to("POST / HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n0\r\n\r\n");
        CHECK(is_refusal(got, "400"));
        CHECK(got.find("200 OK") == std::string::npos);
    }
    CHECK(is_refusal(answer_to("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                     "400"));
}

TEST_CASE("an absolute target is read like its path") {
    CHECK(answer_to("GET http://x/p?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
              .ends_with("GET /p?q "));
}

TEST_CASE("a body over the limit is refused before and after it was announced") {
    auto options = plain_options();
    options.max_body = 10;
    CHECK(is_refusal(
        answer_to("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", options),
        "413"));
    CHECK(is_refusal(answer_to("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "b\r\nhello world\r\n0\r\n\r\n",
                               options),
                     "413"));
    CHECK(answer_to("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhelloworld", options)
              .find("200 OK") != std::string::npos);
}

TEST_CASE("after the refusal of a large body the peer may go on sending without a reset") {
    auto options = plain_options();
    options.max_body = 1000;
    served s(options);
    raw_client c(s.server->port());
    c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    CHECK(c.read_until("}").starts_with("HTTP/1.1 413 "));
    // A closed socket would answer the first of these with a reset and fail the second.
    for (int i = 0; i < 4; ++i)
        CHECK(c.send(std::string(5000, 'x')));
    CHECK(c.read_all().empty());
}

TEST_CASE("a head over the limit is refused") {
    CHECK(
        is_refusal(answer_to("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(20000, 'y')), "431"));
    CHECK(is_refusal(answer_to("GET /" + std::string(9000, 'y') + " HTTP/1.1\r\nHost: x\r\n\r\n"),
                     "414"));
}

TEST_CASE("an endless chunk header does not grow without bound") {
    const auto got =
        answer_to("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                  std::string(200000, 'e'));
    CHECK(got.starts_with("HTTP/1.1 4"));
}

TEST_CASE("a head that comes too slowly is cut off with 408") {
    auto options = plain_options();
    options.header_timeout = 60ms;
    served s(options);
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\nX-");
    CHECK(is_refusal(c.read_all(), "408"));
    CHECK(s.server->counters().timeouts == 1);
}

TEST_CASE("octets that trickle in do not move the head's deadline") {
    auto options = plain_options();
    options.header_timeout = 150ms;
    served s(options);
    raw_client c(s.server->port());
    std::atomic<bool> over{false};
    std::thread drip([&] {
        c.send("GET / HTTP/1.1\r\nHost: x\r\n");
        while (!over && c.send("X: y\r\n"))
            ::poll(nullptr, 0, 5);  // the drip, not a wait for anything
    });
    const auto got = c.read_all();
    over = true;
    drip.join();
    CHECK(got.starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a connection that says nothing is closed") {
    auto options = plain_options();
    options.header_timeout = 60ms;
    served s(options);
    raw_client c(s.server->port());
    CHECK(c.read_all().empty());
    CHECK(eventually([&] { return s.server->counters().open == 0; }));
}

TEST_CASE("a body that does not come is cut off with 408") {
    auto options = plain_options();
    options.body_timeout = 60ms;
    served s(options);
    raw_client c(s.server->port());
    c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    CHECK(is_refusal(c.read_all(), "408"));
}

TEST_CASE("an idle connection is closed after the keep-alive time") {
    auto options = plain_options();
    options.keep_alive_timeout = 60ms;
    served s(options);
    raw_client c(s.server->port());
    c.send("GET /k HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(c.read_all().ends_with("GET /k "));
    CHECK(s.server->counters().timeouts == 0);
}

TEST_CASE("a peer that does not read its answer is cut off") {
    auto options = plain_options();
    options.write_timeout = 60ms;
    served s(options, [](http_request, responder respond) {
        http_response a;
        a.body.assign(64u << 20, 'x');
        respond(std::move(a));
    });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(eventually([&] { return s.server->counters().timeouts == 1; }));
    CHECK(eventually([&] { return s.server->counters().open == 0; }));
}

TEST_CASE("no deadline runs while the handler works") {
    auto options = plain_options();
    options.header_timeout = options.body_timeout = options.write_timeout =
        options.keep_alive_timeout = 50ms;
    promised<responder> waiting;
    served s(options, [&](http_request, responder respond) { waiting.set(respond); });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto respond = waiting.get();
    promised<int> later;
    const auto t = s.rt->after(300ms, [&] { later.set(1); });
    later.get();
    CHECK(!respond.gone());
    http_response a;
    a.body = "late";
    respond(std::move(a));
    CHECK(c.read_until("late").ends_with("late"));
}

TEST_CASE("a handler learns that the peer has gone") {
    for (const bool hard : {false, true}) {
        promised<responder> waiting;
        served s(plain_options(), [&](http_request, responder respond) { waiting.set(respond); });
        raw_client c(s.server->port());
        c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        const auto respond = waiting.get();
        CHECK(!respond.gone());
        if (hard) {
            c.reset();
        } else {
            c.end_sending();
        }
        CHECK(eventually([&] { return respond.gone(); }));
        respond(http_response{});  // harmless
        CHECK(eventually([&] { return s.server->counters().open == 0; }));
    }
}

TEST_CASE("a dropped responder answers 500") {
    served s(plain_options(), [](http_request, responder) {});
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(c.read_all().starts_with("HTTP/1.1 500 "));
}

TEST_CASE("a handler that throws is answered 500") {
    served s(plain_options(), [](http_request, responder) { throw std::runtime_error("a bug"); });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto got = c.read_all();
    CHECK(got.starts_with("HTTP/1.1 500 "));
    CHECK(got.find("a bug") == std::string::npos);
}

TEST_CASE("only the first of two answers counts, and one after the end is harmless") {
    promised<responder> kept;
    {
        served s(plain_options(), [&](http_request, responder respond) {
            http_response a;
            a.body = "first";
            respond(a);
            a.body = "second";
            respond(a);
            kept.set(respond);
        });
        raw_client c(s.server->port());
        c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        const auto got = c.read_all();
        CHECK(got.ends_with("first"));
        CHECK(got.find("second") == std::string::npos);
    }
    kept.get()(http_response{});
    CHECK(kept.get().gone());
}

TEST_CASE("a header value cannot start a new line") {
    served s(plain_options(), [](http_request, responder respond) {
        http_response a;
        a.fields.add("x-a", "1\r\nSet-Cookie: evil");
        respond(std::move(a));
    });
    raw_client c(s.server->port());
    c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(c.read_all().find("\r\nSet-Cookie") == std::string::npos);
}

TEST_CASE("connections over the limit per address are refused, and room comes back") {
    auto options = plain_options();
    options.max_connections_per_address = 2;
    served s(options);
    raw_client a(s.server->port());
    auto b = std::make_unique<raw_client>(s.server->port());
    CHECK(eventually([&] { return s.server->counters().open == 2; }));
    raw_client c(s.server->port());
    CHECK(c.read_all().empty());
    CHECK(s.server->counters().refused == 1);
    b.reset();
    CHECK(eventually([&] { return s.server->counters().open == 1; }));
    raw_client d(s.server->port());
    d.send("GET /d HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(d.read_until("GET /d ").find("200 OK") != std::string::npos);
}

TEST_CASE("connections over the server's limit are refused") {
    auto options = plain_options();
    options.max_connections = 1;
    served s(options);
    raw_client a(s.server->port());
    CHECK(eventually([&] { return s.server->counters().open == 1; }));
    raw_client b(s.server->port());
    CHECK(b.read_all().empty());
}

TEST_CASE("a port that is taken is told apart from other failures") {
    served s(plain_options());
    auto options = plain_options();
    options.port = s.server->port();
    function_handler handler;
    CHECK(make_http_server(*s.rt, options, handler).error() == errc::address_in_use);
    options.address = "not an address";
    CHECK(make_http_server(*s.rt, options, handler).error() == errc::bad_configuration);
}

TEST_CASE("a Unix socket serves too, keeps others off, and removes itself") {
    char directory[] = "/tmp/mission-net-XXXXXX";
    REQUIRE(mkdtemp(directory) != nullptr);
    const std::string path = std::string(directory) + "/s";
    auto options = plain_options();
    options.address = "unix:" + path;
    for (int round = 0; round < 2; ++round) {
        served s(options);
        CHECK(::access(path.c_str(), F_OK) == 0);
        function_handler handler;
        CHECK(make_http_server(*s.rt, options, handler).error() == errc::address_in_use);
    }
    CHECK(::access(path.c_str(), F_OK) != 0);
    ::rmdir(directory);
}
