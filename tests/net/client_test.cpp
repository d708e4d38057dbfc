#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

namespace {

struct caller {
    explicit caller(client_options options = trusting())
        : client(make_http_client(*rt, std::move(options)).value()) {}
    ~caller() { client->stop(); }
    std::unique_ptr<runtime> rt = make_runtime(2, 1);
    std::unique_ptr<http_client> client;
};

}  // namespace

TEST_CASE("ten thousand requests one after the other use one connection") {
    served s(tls_options());
    caller c;
    int good = 0;
    for (int i = 0; i < 10'000; ++i) {
        client_request r;
        r.method = "POST";
        r.url = s.url("/n");
        r.body = std::to_string(i);
        const auto a = fetch(*c.client, std::move(r));
        if (a && a->status == 200 && a->body == "POST /n " + std::to_string(i)) ++good;
    }
    CHECK(good == 10'000);
    CHECK(s.server->counters().accepted == 1);
}

TEST_CASE("many requests at once each get their own answer") {
    served s(tls_options());
    caller c;
    constexpr int n = 200;
    std::atomic<int> good{0};
    std::atomic<int> done{0};
    std::vector<std::shared_ptr<pending_request>> pending;
    for (int i = 0; i < n; ++i) {
        client_request r;
        r.url = s.url("/" + std::to_string(i));
        pending.push_back(c.client->send(std::move(r), [&, i](result<http_response> a) {
            if (a && a->body == "GET /" + std::to_string(i) + " ") ++good;
            ++done;
        }));
    }
    CHECK(eventually([&] { return done == n; }));
    CHECK(good == n);
}

TEST_CASE("a large body goes both ways") {
    auto options = tls_options();
    served s(options, [](http_request r, responder respond) {
        http_response a;
        a.body = std::move(r.body);
        respond(std::move(a));
    });
    caller c;
    client_request r;
    r.method = "POST";
    r.url = s.url();
    r.body.assign(1'000'000, 'q');
    const auto a = fetch(*c.client, std::move(r));
    REQUIRE(a.has_value());
    CHECK(a->body.size() == 1'000'000);
}

TEST_CASE("a redirect is an answer, not a way to go") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd,
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                   "Content-Length: 0\r\n\r\n");
    });
    caller c;
    const auto a = fetch(*c.client, s.url());
    REQUIRE(a.has_value());
    CHECK(a->status == 302);
    CHECK(s.accepted() == 1);
}

TEST_CASE("answers in chunks, after 1xx, or up to the end of the connection are read") {
    raw_server s([](int fd, int number) {
        read_request(fd);
        if (number == 1) {
            write_text(fd,
                       "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        } else {
            write_text(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end");
        }
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).value().body == "abc");
    CHECK(fetch(*c.client, s.url()).value().body == "to the end");
}

TEST_CASE("HEAD does not wait for a body") {
    served s(plain_options());
    caller c;
    client_request r;
    r.method = "HEAD";
    r.url = s.url("/h");
    const auto a = fetch(*c.client, std::move(r));
    REQUIRE(a.has_value());
    CHECK(a->fields.get("content-length") == "8");
    CHECK(a->body.empty());
}

TEST_CASE("a server that never answers is a time-out") {
    raw_server s([](int fd, int) {
        char o = 0;
        while (::recv(fd, &o, 1, 0) > 0) {
        }
    });
    caller c;
    client_request r;
    r.url = s.url();
    r.timeout = 80ms;
    CHECK(fetch(*c.client, std::move(r)).error() == errc::timed_out);
}

TEST_CASE("a server that drips its answer is a time-out all the same") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        for (;;) {
            if (::send(fd, "x", 1, MSG_NOSIGNAL) <= 0) return;
            ::poll(nullptr, 0, 2);  // the drip, not a wait for anything
        }
    });
    caller c;
    client_request r;
    r.url = s.url();
    r.timeout = 120ms;
    CHECK(fetch(*c.client, std::move(r)).error() == errc::timed_out);
}

TEST_CASE("a server that closes within its answer is told apart from a good end") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::connection_closed);
    CHECK(s.accepted() == 1);  // an octet of the answer came: not sent again
}

TEST_CASE("a server that closes behind a 1xx has not answered") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::connection_closed);
}

TEST_CASE("a fresh connection that closes without an answer is not tried again") {
    raw_server s([](int fd, int) { read_request(fd); });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::connection_closed);
    CHECK(s.accepted() == 1);
}

TEST_CASE("a request that meets a dead kept-alive connection is sent once more on a fresh one") {
    // The first connection answers once and closes on the next request, without a word.
    raw_server s([](int fd, int number) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number));
        read_request(fd);
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).value().body == "1");
    CHECK(fetch(*c.client, s.url()).value().body == "2");
    CHECK(s.accepted() == 2);
}

TEST_CASE("a connection that the server closed while idle is not used at all") {
    promised<int> closed;
    raw_server s([&](int fd, int number) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number));
        if (number == 1) {
            ::shutdown(fd, SHUT_RDWR);
            closed.set(1);
        }
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).value().body == "1");
    closed.get();
    CHECK(fetch(*c.client, s.url()).value().body == "2");
}

TEST_CASE("octets nobody asked for make a connection unusable") {
    raw_server s([&](int fd, int number) {
        while (!read_request(fd).empty()) {
            write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number) +
                               "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).value().body == "1");
    CHECK(fetch(*c.client, s.url()).value().body == "2");
}

TEST_CASE("an answer that came before the question was asked is not taken for the answer") {
    promised<int> idle;
    promised<int> planted;
    raw_server s([&](int fd, int number) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(number));
        if (number != 1) return;
        idle.get();
        write_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        planted.set(1);
        read_request(fd);
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).value().body == "1");
    idle.set(1);
    planted.get();
    CHECK(fetch(*c.client, s.url()).value().body == "2");
}

TEST_CASE("what is not HTTP is a bad response") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd, "SSH-2.0-nonsense\r\n\r\n");
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::bad_response);
}

TEST_CASE("a response over the limit is refused, announced or not") {
    for (const bool announced : {true, false}) {
        raw_server s([&](int fd, int) {
            read_request(fd);
            write_text(fd, announced ? "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"
                                     : "HTTP/1.1 200 OK\r\n\r\n");
            write_text(fd, std::string(1001, 'x'));
        });
        auto options = trusting();
        options.max_response = 1000;
        caller c(options);
        CHECK(fetch(*c.client, s.url()).error() == errc::response_too_large);
    }
}

TEST_CASE("an endless head is refused") {
    raw_server s([](int fd, int) {
        read_request(fd);
        write_text(fd, "HTTP/1.1 200 OK\r\nX: ");
        for (int i = 0; i < 1000; ++i)
            write_text(fd, std::string(1000, 'x'));
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::bad_response);
}

TEST_CASE("endless 1xx answers are refused") {
    raw_server s([](int fd, int) {
        read_request(fd);
        for (int i = 0; i < 100; ++i)
            write_text(fd, "HTTP/1.1 102 Processing\r\n\r\n");
    });
    caller c;
    CHECK(fetch(*c.client, s.url()).error() == errc::bad_response);
}

TEST_CASE("an early refusal is read although the request was not taken whole") {
    auto options = plain_options();
    options.max_body = 100;
    served s(options);
    caller c;
    client_request r;
    r.method = "POST";
    r.url = s.url();
    r.body.assign(300'000, 'x');
    CHECK(fetch(*c.client, std::move(r)).value().status == 413);
}

TEST_CASE("nobody listening is a failed connect") {
    std::uint16_t port = 0;
    {
        raw_server s([](int, int) {});
        port = s.port();
    }
    caller c;
    CHECK(fetch(*c.client, "http://127.0.0.1:" + std::to_string(port)).error() ==
          errc::connect_failed);
}

TEST_CASE("cancel completes with cancelled, once") {
    raw_server s([](int fd, int) { read_request(fd), read_request(fd); });
    caller c;
    promised<result<http_response>> answer;
    client_request r;
    r.url = s.url();
    auto pending = c.client->send(r, [&](result<http_response> a) { answer.set(std::move(a)); });
    SUBCASE("told to") {
        pending->cancel();
    }
    SUBCASE("by letting go") {
        pending.reset();
    }
    SUBCASE("by stopping the client") {
        c.client->stop();
    }
    CHECK(answer.get().error() == errc::cancelled);
    pending.reset();
    CHECK(answer.extra() == 0);
}

TEST_CASE("a stopped client takes no more requests") {
    served s(plain_options());
    caller c;
    c.client->stop();
    CHECK(fetch(*c.client, s.url()).error() == errc::cancelled);
}

TEST_CASE("every request in flight completes when the client goes, even after the threads") {
    raw_server s([](int fd, int) { read_request(fd), read_request(fd); });
    auto rt = make_runtime(1, 1);
    auto client = make_http_client(*rt, trusting()).value();
    promised<result<http_response>> answer;
    client_request r;
    r.url = s.url();
    const auto pending =
        client->send(r, [&](result<http_response> a) { answer.set(std::move(a)); });
    CHECK(eventually([&] { return s.accepted() == 1; }));
    rt->stop();
    client.reset();
    CHECK(answer.get().error() == errc::cancelled);
}

TEST_CASE("plain http needs to be allowed") {
    served s(plain_options());
    auto options = trusting();
    options.allow_plain_http = false;
    caller c(options);
    CHECK(fetch(*c.client, s.url()).error() == errc::address_refused);
    CHECK(s.server->counters().accepted == 0);
}

TEST_CASE("a header field cannot carry a line of its own") {
    served s(plain_options());
    caller c;
    client_request r;
    r.url = s.url();
    r.fields.add("authorization", "Bearer x\r\nX-Evil: 1");
    CHECK(fetch(*c.client, r).error() == errc::invalid_argument);
    CHECK(s.server->counters().accepted == 0);
}

TEST_CASE("Host and Content-Length are the client's own") {
    promised<http_request> seen;
    served s(plain_options(), [&](http_request r, responder respond) {
        seen.set(std::move(r));
        respond(http_response{});
    });
    caller c;
    client_request r;
    r.method = "POST";
    r.url = s.url("/x?y=1");
    r.fields.add("Host", "evil");
    r.fields.add("Content-Length", "7");
    r.fields.add("Accept", "application/json");
    r.body = "ab";
    CHECK(fetch(*c.client, r).value().status == 200);
    const auto got = seen.get();
    CHECK(got.fields.get("host") == "127.0.0.1:" + std::to_string(s.server->port()));
    CHECK(got.fields.count("host") == 1);
    CHECK(got.fields.get("content-length") == "2");
    CHECK(got.fields.get("accept") == "application/json");
    CHECK(got.query == "y=1");
    CHECK(got.peer.address == "127.0.0.1");
    CHECK(!got.peer.tls);
}
