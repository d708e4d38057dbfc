#include "receiver/sidecar/mapping.hpp"

#include <doctest/doctest.h>

#include "receiver/sidecar/settings.hpp"

using namespace mission;
using namespace mission::receiver::sidecar;

TEST_CASE("a star stays within its segment, two stars at the end do not") {
    CHECK(path_fits("/invoices", "/invoices"));
    CHECK_FALSE(path_fits("/invoices", "/invoices/"));
    CHECK_FALSE(path_fits("/invoices", "/invoice"));
    CHECK(path_fits("/invoices/*", "/invoices/7"));
    CHECK(path_fits("/invoices/*", "/invoices/"));
    CHECK_FALSE(path_fits("/invoices/*", "/invoices/7/lines"));
    CHECK(path_fits("/invoices/*/lines", "/invoices/7/lines"));
    CHECK_FALSE(path_fits("/invoices/*/lines", "/invoices/7/8/lines"));
    CHECK(path_fits("/invoices/**", "/invoices/7/8/lines"));
    CHECK_FALSE(path_fits("/invoices/**", "/invoices"));
    CHECK(path_fits("/**", "/"));
    CHECK(path_fits("/*.json", "/a.b.json"));
    CHECK(path_fits("/*a*b", "/xaaxab"));
    CHECK_FALSE(path_fits("/*a*b", "/xa/b"));
    CHECK(path_fits("/v*/x*/**", "/v1/xy/z/z"));
}

TEST_CASE("a long path against many stars takes no longer than its length allows") {
    const std::string path = "/" + std::string(8000, 'a');
    CHECK_FALSE(path_fits("/*a*a*a*a*a*a*a*a*b", path));
    CHECK(path_fits("/*a*a*a*a*a*a*a*a*a", path));
}

TEST_CASE("a path that two servers could read differently has no rule") {
    const auto plain = [](std::string_view target) {
        auto r = plain_path(target);
        return r ? *r : std::string("unclear");
    };
    CHECK(plain("/a/b?x=/../c") == "/a/b");
    CHECK(plain("/a%20b/%C3%A4") == "/a b/\xc3\xa4");
    CHECK(plain("/") == "/");
    CHECK(plain("/a/") == "/a/");
    CHECK(plain("/%61dmin") == "/admin");
    CHECK(plain("/...") == "/...");
    for (const std::string target :
         {"",       "a",      "*",        "/a/../b", "/a/..", "/a/./b",      "/%2e%2E/b", "/.%2e",
          "/a%2fb", "/a%2Fb", "/a%5cb",   "/a\\b",   "//a",   "/a//b",       "/a%",       "/a%zz",
          "/a%00b", "/a%0ab", "/a;x=1/b", "/a%3bx",  "/a#b",  "/%252e%252e/"})
        CHECK_MESSAGE(plain(target) == "unclear", target);
}

TEST_CASE("the first rule that fits method and path decides") {
    const std::vector<rule> rules{{{"GET", "HEAD"}, "/invoices/**", "", "invoices.read"},
                                  {{}, "/invoices/**", "", "invoices.write"},
                                  {{"GET"}, "/health", "", ""}};
    const auto action = [&](const char* method, const char* path) {
        const auto* r = find_rule(rules, method, path);
        return r ? r->action : std::string("none");
    };
    CHECK(action("GET", "/invoices/7") == "invoices.read");
    CHECK(action("POST", "/invoices/7") == "invoices.write");
    CHECK(action("get", "/invoices/7") == "invoices.write");  // methods have case (RFC 9110 9.1)
    CHECK(action("GET", "/health").empty());
    CHECK(action("GET", "/other") == "none");
}

TEST_CASE("a trusted proxy is one of a list of addresses, networks and Unix sockets") {
    const auto list =
        peer_list::parse({"unix", "127.0.0.1", "10.1.0.0/16", "2001:db8::/33", "::1"});
    REQUIRE(list.has_value());
    for (const char* yes : {"unix", "127.0.0.1", "10.1.255.1", "2001:db8:7fff::1", "::1"})
        CHECK_MESSAGE(list->has(yes), yes);
    for (const char* no : {"127.0.0.2", "10.2.0.1", "2001:db8:8000::1", "::2", "", "x", "UNIX"})
        CHECK_MESSAGE(!list->has(no), no);
    CHECK_FALSE(peer_list{}.has("unix"));
    for (const std::string bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "host"})
        CHECK_MESSAGE(!peer_list::parse({bad}).has_value(), bad);
}

TEST_CASE("a place to listen is an address and a port, or a Unix socket") {
    const auto at = [](std::string_view text) {
        const auto r = parse_listen_place(text);
        return r ? r->address + " " + std::to_string(r->port) : std::string("none");
    };
    CHECK(at("127.0.0.1:9000") == "127.0.0.1 9000");
    CHECK(at("[::1]:0") == "::1 0");
    CHECK(at("unix:/run/x") == "unix:/run/x 0");
    for (const char* bad : {"", "9000", "localhost:9000", "127.0.0.1", "127.0.0.1:", "::1:9000",
                            "[127.0.0.1]:9", "127.0.0.1:65536", "unix:", "unix:/", "unix:x"})
        CHECK_MESSAGE(at(bad) == "none", bad);
    CHECK(parse_listen_place("127.8.0.1:1")->loopback());
    CHECK(parse_listen_place("unix:/x/y")->loopback());
    CHECK_FALSE(parse_listen_place("0.0.0.0:1")->loopback());
    CHECK_FALSE(parse_listen_place("[::]:1")->loopback());
}
