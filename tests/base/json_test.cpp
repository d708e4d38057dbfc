#include "base/json.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mission;

namespace {
errc code_of(std::string_view text) {
    return json::parse(text).error().code;
}
std::string canonical_of(std::string_view text) {
    return json::canonical(*json::parse(text)).value();
}
}  // namespace

TEST_CASE("a member name twice in one object is refused, at any depth") {
    CHECK(code_of(R"({"a":1,"a":2})") == errc::duplicate_member);
    CHECK(code_of(R"([{"x":{"a":1,"b":2,"a":3}}])") == errc::duplicate_member);
    CHECK(code_of(R"({"a":1,"\u0061":2})") == errc::duplicate_member);
    CHECK(json::parse(R"({"a":{"a":1},"b":{"a":1}})").has_value());
}

TEST_CASE("nesting and size are bounded before anything is built") {
    const std::string deep = std::string(200'000, '[');
    CHECK(code_of(deep) == errc::too_deep);
    CHECK(json::parse("\"" + std::string(100, '[') + "\"").has_value());
    CHECK(json::parse("[[1]]", 100, 1).error().code == errc::too_deep);
    CHECK(json::parse("[1,2,3]", 3).error().code == errc::too_large);
}

TEST_CASE("what is no JSON text is refused") {
    for (const char* bad :
         {"", " ", "{", "{}x", "{'a':1}", "nul", "[1,]", "\"\x80\"", "{\"a\":\"\xed\xa0\x80\"}"})
        CHECK(code_of(bad) == errc::not_json);
}

TEST_CASE("canonical form follows RFC 8785") {
    CHECK(canonical_of(R"({"b":1,"a":[true,null,"x"],"\u20ac":"\u000f\n"})") ==
          "{\"a\":[true,null,\"x\"],\"b\":1,\"\xe2\x82\xac\":\"\\u000f\\n\"}");
    CHECK(canonical_of("[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]") ==
          "[333333333.3333333,1e+30,4.5,0.002,1e-27]");
    CHECK(canonical_of("[1e21,1e20,0.000001,1e-7,-0.0]") ==
          "[1e+21,100000000000000000000,0.000001,1e-7,0]");
    // RFC 8785 section 3.2.3: by UTF-16 code units, so U+1F600 sorts before U+FB33.
    CHECK(canonical_of("{\"\xef\xac\xb3\":1,\"\xf0\x9f\x98\x80\":2}") ==
          "{\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
    CHECK(json::canonical(*json::parse("[9007199254740993]")).error().code ==
          errc::invalid_argument);
}
