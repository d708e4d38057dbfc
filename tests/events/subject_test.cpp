#include "events/subject.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mission;
using namespace mission::events;

namespace {
result<subject> parsed(const std::string& text) {
    return parse_subject(*json::parse(text));
}
errc fault(const std::string& text) {
    const auto s = parsed(text);
    return s ? errc{} : s.error().code;
}
std::string key_of(const std::string& text) {
    return canonical_key(parsed(text).value());
}

const char* const good[] = {
    R"({"format":"account","uri":"acct:alice@example.com"})",
    R"({"format":"email","email":"alice@example.com"})",
    R"({"format":"iss_sub","iss":"https://idp.example.com","sub":"1"})",
    R"({"format":"opaque","id":"11112222333344445555"})",
    R"({"format":"phone_number","phone_number":"+12065550100"})",
    R"({"format":"did","url":"did:example:123456/did/url/path?versionId=1"})",
    R"({"format":"uri","uri":"spiffe://example.com/agent/7"})",
    R"({"format":"jwt_id","iss":"https://idp.example.com","jti":"B70B"})",
    R"({"format":"saml_assertion_id","assertion_id":"_8e8d","issuer":"https://idp.example.com"})",
    R"({"format":"ip-addresses","ip-addresses":["10.29.37.75","2001:db8::8a2e:370:7334"]})",
    R"({"format":"aliases","identifiers":[{"format":"email","email":"a@b.c"},{"format":"opaque","id":"1"}]})",
    R"({"format":"complex","application":{"format":"iss_sub","iss":"i","sub":"s"},"mission":{"format":"opaque","id":"m"}})",
    R"({"format":"acme-badge","colour":"red","number":"7"})",
};
}  // namespace

TEST_CASE("a subject of every format comes back as it went") {
    for (const char* text : good) {
        const auto s = parsed(text);
        REQUIRE_MESSAGE(s.has_value(), text);
        CHECK(to_json(*s) == text);
        CHECK(parsed(to_json(*s)).value() == *s);
    }
}

TEST_CASE("every required member of a known format is required, as a string with content") {
    for (const auto& [format, members] : std::map<std::string, std::vector<std::string>>{
             {"account", {"uri"}},
             {"email", {"email"}},
             {"iss_sub", {"iss", "sub"}},
             {"opaque", {"id"}},
             {"phone_number", {"phone_number"}},
             {"did", {"url"}},
             {"uri", {"uri"}},
             {"jwt_id", {"iss", "jti"}},
             {"saml_assertion_id", {"issuer", "assertion_id"}},
             {"ip-addresses", {"ip-addresses"}},
             {"aliases", {"identifiers"}}}) {
        for (const std::string& missing : members) {
            for (const char* bad : {"", "7", "\"\"", "null", "{}", "[]"}) {
                std::string text = "{\"format\":\"" + format + '"';
                for (const std::string& m : members) {
                    if (m != missing)
                        text += ",\"" + m + "\":\"acct:x@y\"";
                    else if (*bad)
                        text += ",\"" + m + "\":" + bad;
                }
                const auto s = parsed(text + '}');
                REQUIRE_MESSAGE(!s.has_value(), text);
                CHECK(s.error() == errc::invalid_request);
                CHECK(s.error().detail.find(missing) != std::string::npos);
            }
        }
    }
}

TEST_CASE("members a known format does not have are dropped") {
    const auto s = parsed(R"({"format":"opaque","id":"1","colour":"red","deep":{"a":[1]}})");
    CHECK(s.value() == subject::opaque("1"));
}

TEST_CASE("the shape of accounts, addresses, numbers and DIDs is checked") {
    CHECK(fault(R"({"format":"account","uri":"alice@example.com"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"account","uri":"acct:alice"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"email","email":"alice"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"email","email":"@b.c"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"email","email":"a@"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"phone_number","phone_number":"12065550100"})") ==
          errc::invalid_request);
    CHECK(fault(R"({"format":"phone_number","phone_number":"+1 206"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"phone_number","phone_number":"+"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"phone_number","phone_number":"+123456789012345"})") == errc{});
    CHECK(fault(R"({"format":"phone_number","phone_number":"+1234567890123456"})") ==
          errc::invalid_request);
    for (const char* url :
         {"https://x", "did:", "did:example", "did:example:", "did::1", "did:Example:1"})
        CHECK(fault(std::string(R"({"format":"did","url":")") + url + "\"}") ==
              errc::invalid_request);
}

TEST_CASE("a proprietary format has string members, at least one") {
    CHECK(fault(R"({"format":"acme","a":1})") == errc::invalid_request);
    CHECK(fault(R"({"format":"acme","a":{"b":"c"}})") == errc::invalid_request);
    CHECK(fault(R"({"format":"acme"})") == errc::invalid_request);
}

TEST_CASE("nothing nests but aliases in a complex subject, and those one level deep") {
    const std::string simple = R"({"format":"opaque","id":"1"})";
    const std::string aliases = R"({"format":"aliases","identifiers":[)" + simple + "]}";
    const std::string complex = R"({"format":"complex","user":)" + simple + '}';
    for (const std::string& inner : {aliases, complex})
        CHECK(fault(R"({"format":"aliases","identifiers":[)" + inner + "]}") ==
              errc::invalid_request);
    CHECK(fault(R"({"format":"complex","user":)" + complex + '}') == errc::invalid_request);
    const std::string named = R"({"format":"complex","user":)" + aliases + '}';
    CHECK(to_json(parsed(named).value()) == named);
    CHECK(fault(R"({"format":"complex","user":{"format":"aliases","identifiers":[)" + aliases +
                "]}}") == errc::invalid_request);
}

TEST_CASE("ip-addresses are textual IPv4 or IPv6 addresses") {
    const auto of = [](const std::string& one) {
        return fault(R"({"format":"ip-addresses","ip-addresses":[")" + one + "\"]}");
    };
    for (const char* good_one : {"10.29.37.75", "::1", "2001:db8::8a2e:370:7334", "::ffff:1.2.3.4"})
        CHECK(of(good_one) == errc{});
    for (const char* bad : {"localhost", "10.29.37", "10.0.0.256", "1.2.3.4/8", "::g",
                            "1.2.3.4\\u0000x", "[::1]", " ::1"})
        CHECK_MESSAGE(of(bad) == errc::invalid_request, bad);
}

TEST_CASE("a complex subject has members, each of them a subject") {
    CHECK(fault(R"({"format":"complex"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"complex","user":"alice"})") == errc::invalid_request);
    CHECK(fault(R"({"format":"complex","user":{"id":"1"}})") == errc::invalid_request);
}

TEST_CASE("what is no subject at all is refused") {
    for (const char* text :
         {"null", "7", "[]", "\"x\"", "{}", R"({"format":7})", R"({"format":""})", R"({"id":"1"})",
          R"({"format":"OPAQUE2","id":[]})"})
        CHECK(fault(text) == errc::invalid_request);
}

TEST_CASE("sizes are bounded: members, text, identifiers") {
    const auto id_of = [](std::size_t n) {
        return R"({"format":"opaque","id":")" + std::string(n, 'x') + "\"}";
    };
    CHECK(fault(id_of(2048)) == errc{});
    CHECK(fault(id_of(2049)) == errc::invalid_request);
    const auto members = [](int n) {
        std::string text = R"({"format":"acme")";
        for (int i = 1; i < n; ++i)
            text += ",\"m" + std::to_string(i) + "\":\"v\"";
        return text + '}';
    };
    CHECK(fault(members(64)) == errc{});
    CHECK(fault(members(65)) == errc::invalid_request);
    const auto list = [](const std::string& head, const std::string& one, int n) {
        std::string text = head + one;
        for (int i = 1; i < n; ++i)
            text += ',' + one;
        return text + "]}";
    };
    const std::string aliases = R"({"format":"aliases","identifiers":[)";
    CHECK(fault(list(aliases, R"({"format":"opaque","id":"1"})", 32)) == errc{});
    CHECK(fault(list(aliases, R"({"format":"opaque","id":"1"})", 33)) == errc::invalid_request);
    const std::string addresses = R"({"format":"ip-addresses","ip-addresses":[)";
    CHECK(fault(list(addresses, "\"::1\"", 32)) == errc{});
    CHECK(fault(list(addresses, "\"::1\"", 33)) == errc::invalid_request);
}

TEST_CASE("the key of a subject folds what its format folds, and nothing else") {
    CHECK(key_of(R"({"format":"email","email":"Alice@EXAMPLE.com"})") ==
          key_of(R"({"email":"Alice@example.COM","format":"email"})"));
    CHECK(key_of(R"({"format":"email","email":"alice@example.com"})") !=
          key_of(R"({"format":"email","email":"Alice@example.com"})"));
    CHECK(key_of(R"({"format":"uri","uri":"HTTPS://Example.com/Path"})") ==
          key_of(R"({"format":"uri","uri":"https://example.COM/Path"})"));
    CHECK(key_of(R"({"format":"uri","uri":"https://example.com/path"})") !=
          key_of(R"({"format":"uri","uri":"https://example.com/Path"})"));
    CHECK(key_of(R"({"format":"opaque","id":"A@B"})") !=
          key_of(R"({"format":"opaque","id":"A@b"})"));
    CHECK(key_of(R"({"format":"account","uri":"acct:a@B.c"})") ==
          key_of(R"({"format":"account","uri":"acct:a@b.c"})"));
}

TEST_CASE("the key does not depend on the order of members, aliases or addresses") {
    CHECK(key_of(R"({"format":"iss_sub","iss":"i","sub":"s"})") ==
          key_of(R"({"sub":"s","iss":"i","format":"iss_sub"})"));
    CHECK(
        key_of(
            R"({"format":"aliases","identifiers":[{"format":"opaque","id":"1"},{"format":"opaque","id":"2"}]})") ==
        key_of(
            R"({"format":"aliases","identifiers":[{"format":"opaque","id":"2"},{"format":"opaque","id":"1"}]})"));
    CHECK(key_of(R"({"format":"ip-addresses","ip-addresses":["::1","::2"]})") ==
          key_of(R"({"format":"ip-addresses","ip-addresses":["::2","::1"]})"));
}

TEST_CASE("subjects of different formats never share a key") {
    CHECK(key_of(R"({"format":"uri","uri":"x:y"})") != key_of(R"({"format":"acme","uri":"x:y"})"));
    // A quote in a value is escaped, so that no value can pass for two members.
    CHECK(key_of(R"({"format":"acme","a":"1\",\"b\":\"2"})") !=
          key_of(R"({"format":"acme","a":"1","b":"2"})"));
}
