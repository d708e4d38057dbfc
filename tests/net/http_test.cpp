#include <doctest/doctest.h>

#include "net/http.hpp"

using namespace mission;
using namespace mission::net;

TEST_CASE("header names are compared in lower case, values kept in order") {
    headers h;
    h.add("X-A", "1");
    h.add("x-a", "2");
    CHECK(h.get("x-a") == "1");
    CHECK(h.count("x-a") == 2);
    h.set("X-A", "3");
    CHECK(h.get("x-a") == "3");
    CHECK(h.count("x-a") == 1);
    CHECK(h.get("none").empty());
}

TEST_CASE("a form is read back as it was written") {
    const std::vector<std::pair<std::string, std::string>> fields{
        {"a", "1 2"}, {"b", "x&y=z"}, {"c", ""}, {"d", "\xc3\xa4+%"}};
    CHECK(parse_form(encode_form(fields)).value() == fields);
    CHECK(parse_form("a=1+2&b=%26").value()[0].second == "1 2");
    CHECK(parse_form("").value().empty());
    CHECK(parse_form("a&b=").value().size() == 2);
}

TEST_CASE("a form with a name given twice or broken encoding is refused") {
    CHECK(parse_form("a=1&a=2").error() == errc::invalid_argument);
    CHECK(parse_form("a=1&%61=2").error() == errc::invalid_argument);
    CHECK(parse_form("a=%").error() == errc::invalid_argument);
    CHECK(parse_form("a=%4").error() == errc::invalid_argument);
    CHECK(parse_form("a=%zz").error() == errc::invalid_argument);
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += "n" + std::to_string(i) + "=&";
    CHECK(parse_form(many).error() == errc::too_large);
}

TEST_CASE("percent-encoding leaves the unreserved characters alone") {
    CHECK(percent_encode("aZ09-._~") == "aZ09-._~");
    CHECK(percent_encode("/ \xff") == "%2F%20%FF");
    CHECK(percent_decode("%2F+%41").value() == "/+A");
    CHECK(percent_decode("a%41").value() == "aA");
    CHECK(percent_decode("a+b", true).value() == "a b");
}

TEST_CASE("a URL is taken apart") {
    const auto u = parse_url("HTTPS://Host.Example:8443/a/b?c=d").value();
    CHECK(u.scheme == "https");
    CHECK(u.host == "host.example");
    CHECK(u.port == 8443);
    CHECK(u.target == "/a/b?c=d");
    CHECK(u.origin() == "https://host.example:8443");
    CHECK(parse_url("https://h:443").value().origin() == "https://h");
    CHECK(parse_url("http://h").value().target == "/");
    CHECK(parse_url("https://h?x").value().target == "/?x");
    const auto v6 = parse_url("https://[::1]:8443/x").value();
    CHECK(v6.host == "::1");
    CHECK(v6.origin() == "https://[::1]:8443");
}

TEST_CASE("what is no plain http or https URL is refused") {
    for (const char* text : {"",
                             "h",
                             "//h/",
                             "ftp://h/",
                             "file:///etc/passwd",
                             "https://",
                             "https:///p",
                             "https://user@h/",
                             "https://user:pw@h/",
                             "https://h/#f",
                             "https://h:0/",
                             "https://h:65536/",
                             "https://h:x/",
                             "https://h:/",
                             "https://h:80:80/",
                             "https://[::1",
                             "https://[::1]x/",
                             "https://[nonsense]/",
                             "https://[fe80::1%25eth0]/",
                             "https://h\r\nX: y/",
                             "https://h/a b",
                             "https://h/a\r\nX: y",
                             "https://h/\xc3\xa4",
                             "https://h%2eexample/",
                             "https://h\\@evil/",
                             "https://h/\\x"}) {
        CAPTURE(text);
        CHECK(parse_url(text).error() == errc::invalid_argument);
    }
}
