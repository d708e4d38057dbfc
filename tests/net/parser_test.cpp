#include <doctest/doctest.h>

#include "base/limits.hpp"
#include "net/detail/parser.hpp"

using namespace mission::net;
using namespace mission::net::detail;

namespace {

// Feeds a text cut into pieces of `step` octets, as a connection would.
parse_status feed_in_steps(request_parser& p, const std::string& text, std::size_t step) {
    std::string input;
    std::size_t at = 0;
    auto status = parse_status::more;
    while (at < text.size() || status == parse_status::head) {
        if (status != parse_status::head || input.empty()) {
            if (at >= text.size()) break;
            input.append(text.substr(at, step));
            at += step;
        }
        std::size_t used = 0;
        status = p.feed(input, used);
        input.erase(0, used);
        if (status == parse_status::done || status == parse_status::failed) return status;
    }
    return status;
}

}  // namespace

TEST_CASE("a request is the same however it is cut") {
    const std::string text =
        "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n";
    for (std::size_t step = 1; step <= text.size(); ++step) {
        CAPTURE(step);
        request_parser p;
        p.reset(1000);
        REQUIRE(feed_in_steps(p, text, step) == parse_status::done);
        CHECK(p.request().method == "POST");
        CHECK(p.request().path == "/a/b");
        CHECK(p.request().query == "c=d");
        CHECK(p.request().body == "hello world");
        CHECK(p.request().fields.get("x-one") == "1");
        CHECK(p.request().fields.count("trailer") == 0);
        CHECK(p.keep_alive());
    }
}

TEST_CASE("what follows a request is left for the next one") {
    request_parser p;
    p.reset(1000);
    const std::string text = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2";
    std::size_t used = 0;
    CHECK(p.feed(text, used) == parse_status::done);
    CHECK(text.substr(used) == "GET /2");
}

TEST_CASE("empty lines before a request are skipped") {
    request_parser p;
    p.reset(1000);
    std::size_t used = 0;
    CHECK(p.feed("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", used) == parse_status::done);
    // Also when one comes in two halves.
    p.reset(1000);
    CHECK(p.feed("\r\n\r", used) == parse_status::more);
    CHECK(used == 2);
    CHECK(p.feed("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", used) == parse_status::done);
    // What begins with half of one and goes on otherwise is no request.
    p.reset(1000);
    CHECK(p.feed("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", used) == parse_status::failed);
}

TEST_CASE("a chunked message may come octet by octet") {
    // `feed` as a session does it: what is not consumed comes again, with one octet more.
    auto drip = [](auto& p, std::string_view text) {
        std::size_t from = 0;
        auto status = parse_status::more;
        for (std::size_t until = 1; until <= text.size(); ++until) {
            do {
                std::size_t used = 0;
                status = p.feed(text.substr(from, until - from), used);
                from += used;
            } while (status == parse_status::head);
            if (status != parse_status::more) CHECK(until == text.size());
        }
        return status;
    };
    for (const std::string body : {"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "0;a=b\r\nx: y\r\n\r\n",
                                   "1\r\nx\r\n000\r\n\r\n"}) {
        CAPTURE(body);
        request_parser request;
        request.reset(1000);
        CHECK(drip(request, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                body) == parse_status::done);
        response_parser response(false, 1000);
        CHECK(drip(response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body) ==
              parse_status::done);
        CHECK(response.response().body == request.request().body);
    }
}

TEST_CASE("a response without a length ends with the connection, one with a length must be whole") {
    std::size_t used = 0;
    response_parser open(false, 100);
    CHECK(open.feed("HTTP/1.1 200 OK\r\n\r\nabc", used) == parse_status::more);
    CHECK(open.feed_end() == parse_status::done);
    CHECK(open.response().body == "abc");
    CHECK(!open.keep_alive());
    response_parser nothing(false, 100);
    CHECK(nothing.feed_end() == parse_status::failed);
    CHECK(nothing.reason() == "connection closed before the answer");
    response_parser fixed(false, 100);
    CHECK(fixed.feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", used) ==
          parse_status::more);
    CHECK(fixed.feed_end() == parse_status::failed);
}
