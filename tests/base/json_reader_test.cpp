// The reader behind json::parse: its edges, and that it never accepts what RapidJSON refuses.
#include <doctest/doctest.h>

#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/json_members.hpp"
#include "base/json_scratch.hpp"

using namespace mission;

namespace {
errc code_of(std::string_view text) {
    return json::parse(text).error().code;
}
}  // namespace

TEST_CASE("escapes become what they stand for, wherever they stand in a string") {
    for (std::size_t before = 0; before < 40; ++before) {
        const std::string plain(before, 'p');
        const auto doc = json::parse(
            "[\"" + plain + R"(\"\\\/\b\f\n\r\t\u0041\u00e4\u20ac\ud83d\ude00)" + plain + "\"]");
        REQUIRE(doc.has_value());
        CHECK(json::view((*doc)[0]) ==
              plain + "\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" + plain);
    }
    const auto nul = json::parse(R"(["a\u0000b"])");
    CHECK(json::view((*nul)[0]) == std::string_view("a\0b", 3));
}

TEST_CASE("lone surrogates, unknown escapes and raw control characters are refused") {
    for (const char* bad :
         {R"("\ud83d")", R"("\ude00")", R"("\ud83d\ud83d")", R"("\ud83dx")", R"("\x41")",
          R"("\u12g4")", R"("\u12)", R"("\)", "\"a\nb\"", "\"tab\t\"", "\"\x1f\"", "\"open"})
        CHECK(code_of(bad) == errc::not_json);
    CHECK(code_of(std::string_view("\"a\0b\"", 5)) == errc::not_json);
    CHECK(code_of(std::string_view("{}\0", 3)) == errc::not_json);
    CHECK(code_of(std::string_view("7\0", 2)) == errc::not_json);
}

TEST_CASE("UTF-8 is checked wherever it stands") {
    for (std::size_t before = 0; before < 20; ++before) {
        const std::string plain(before, 'p');
        const auto with = [&](std::string_view octets) {
            return json::parse("[\"" + plain + std::string(octets) + plain + "\"]");
        };
        for (const std::string_view good :
             {"\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
            CHECK(with(good).has_value());
        for (const std::string_view bad :
             {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
              "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
            CHECK(with(bad).error() == errc::not_json);
    }
    CHECK(code_of("[\xc3\xa4]") == errc::not_json);
}

TEST_CASE("numbers follow RFC 8259, whole ones of 64 bits exactly") {
    for (const char* bad : {"01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN", "Infinity",
                            "-Infinity", "1e400", "--1", "1..2"})
        CHECK(code_of(bad) == errc::not_json);
    CHECK(json::parse("-9223372036854775808")->GetInt64() ==
          std::int64_t{-9223372036854775807} - 1);
    CHECK(json::parse("18446744073709551615")->GetUint64() == 18446744073709551615u);
    CHECK(json::parse("18446744073709551616")->IsDouble());
    CHECK(json::parse("-0.5e1")->GetDouble() == -5.0);
    CHECK(json::parse("0.1")->GetDouble() == 0.1);
    CHECK(json::parse("7")->IsInt());
    CHECK_FALSE(json::parse("7.0")->IsInt64());
}

TEST_CASE("the depth is that of the values, not of brackets in strings") {
    CHECK(json::parse(std::string(32, '[') + std::string(32, ']')).has_value());
    CHECK(code_of(std::string(33, '[') + std::string(33, ']')) == errc::too_deep);
    CHECK(json::parse("{\"" + std::string(64, '{') + "\":[\"" + std::string(64, '[') + "\"]}")
              .has_value());
}

TEST_CASE("duplicates are found in small and in large objects") {
    for (const int n : {2, 5, 24, 25, 60}) {
        std::string text = "{";
        for (int i = 0; i < n; ++i)
            text += "\"member" + std::to_string(i) + "\":0,";
        CHECK(json::parse(text + "\"x\":0}").has_value());
        for (int i = 0; i < n; ++i)
            CHECK(code_of(text + "\"member" + std::to_string(i) + "\":0}") ==
                  errc::duplicate_member);
        CHECK(code_of(text + "\"\":0,\"\":1}") == errc::duplicate_member);
    }
}

TEST_CASE("nothing is accepted that RapidJSON refuses, and what both accept is the same") {
    namespace rj = RAPIDJSON_NAMESPACE;
    const std::string seeds[] = {
        R"({"iss":"https://mas","aud":["x","y"],"iat":1793610400,"f":-1.5e3,"z":0,"n":null,"t":true,"s":"a\"b\\c\u00e4\ud83d\ude00\n"})",
        "{\"deep\":[[{\"a\":[]}]],\"u\":\"\xc3\xa4\xe2\x82\xac\",\"neg\":-9223372036854775808}",
        "[1,2,3]", " 7 "};
    constexpr std::string_view octets(
        "{}[]\",:\\u0123456789eE+-. \n\ttfnrl\x00\x1f\x80\xc3\xa4\xed\xf0", 40);
    std::mt19937 random(7);
    for (int i = 0; i < 60'000; ++i) {
        std::string text = seeds[random() % std::size(seeds)];
        for (auto edits = random() % 4; edits > 0; --edits) {
            const std::size_t at = random() % (text.size() + 1);
            const char c = octets[random() % octets.size()];
            if (random() % 2 == 0)
                text.insert(at, 1, c);
            else if (at < text.size())
                text[at] = c;
        }
        const auto ours = json::parse(text);
        if (!ours) continue;
        rj::Document theirs;
        theirs.Parse<rj::kParseIterativeFlag | rj::kParseValidateEncodingFlag |
                     rj::kParseFullPrecisionFlag>(text.data(), text.size());
        REQUIRE_MESSAGE(!theirs.HasParseError(), text);
        // 20 digits and more are rounded by the two in ways that differ in the last bit.
        if (text.find("-9223372036854775808") == std::string::npos &&
            text.find("92233720368547758") != std::string::npos)
            continue;
        CHECK_MESSAGE(json::write(*ours) == json::write(theirs), text);
    }
}

TEST_CASE("a value copied into another document outlives the one it was read into") {
    json::document kept;
    kept.SetArray();
    const std::string longer(300, 'v');
    for (int i = 0; i < 20; ++i) {
        const auto read =
            json::parse("{\"a name that is not short\":\"" + longer + std::to_string(i) + "\"}");
        kept.PushBack(json::value(*read, kept.GetAllocator()), kept.GetAllocator());
    }
    for (int i = 0; i < 20; ++i) {
        const auto& one = kept[static_cast<unsigned>(i)];
        CHECK(json::find_string(one, "a name that is not short") == longer + std::to_string(i));
    }
}

TEST_CASE("the members of one object are read in place, held to the rules of every JSON text") {
    const auto read = [](std::string text) {
        struct copied {
            bool ok = false, found = false;
            errc code{};
            std::vector<std::pair<std::string, std::optional<std::string>>> members;
        } out;
        const auto r = json::read_members(text, "sets", 4096, 6);
        out.ok = r.has_value();
        if (!out.ok) out.code = r.error().code;
        if (!out.ok || !*r) return out;
        out.found = true;
        for (const auto& m : **r)
            out.members.emplace_back(m.name,
                                     m.text ? std::optional<std::string>(*m.text) : std::nullopt);
        return out;
    };
    const auto some =
        read(R"( {"a":[{"sets":{"no":"x"}}],"sets":{"j\u0031":"e\n1","b":7,"c":{"d":"e"},)"
             R"("f":["g"],"h":"é"},"z":null} )");
    REQUIRE(some.found);
    REQUIRE(some.members.size() == 5);
    CHECK(some.members[0] == std::pair{std::string("j1"), std::optional<std::string>("e\n1")});
    CHECK(some.members[1].first == "b");
    CHECK_FALSE(some.members[1].second);
    CHECK_FALSE(some.members[2].second);
    CHECK_FALSE(some.members[3].second);
    CHECK(some.members[4].second == "é");
    CHECK(read(R"({"sets":{}})").found);
    CHECK(read(R"({"sets":{}})").members.empty());
    for (const char* none :
         {R"({"sets":[]})", R"({"sets":"x"})", R"({})", R"([{"sets":{}}])", R"("sets")"}) {
        CAPTURE(none);
        CHECK(read(none).ok);
        CHECK_FALSE(read(none).found);
    }
    CHECK(read(R"({"sets":{"a":"1","a":"2"}})").code == errc::duplicate_member);
    CHECK(read(R"({"sets":{},"sets":{}})").code == errc::duplicate_member);
    CHECK(read(R"({"x":{"a":{"b":1,"b":2}}})").code == errc::duplicate_member);
    CHECK(read(R"({"sets":{"a":"1"})").code == errc::not_json);
    CHECK(read(R"({"sets":{}} x)").code == errc::not_json);
    CHECK(read("{\"sets\":{\"a\":\"\xff\"}}").code == errc::not_json);
    CHECK(read(R"({"a":[[[[[[[[1]]]]]]]]})").code == errc::too_deep);
    CHECK(read("{\"a\":\"" + std::string(5000, 'x') + "\"}").code == errc::too_large);
}

TEST_CASE("one document after another is read in the same memory, whatever its size") {
    json::scratch memory;
    for (const std::size_t size : {10u, 100'000u, 20u, 40'000u}) {
        const std::string text =
            "{\"a\":\"" + std::string(size, 'x') + "\",\"b\":[1,2,{\"c\":true}]}";
        const auto doc = memory.parse(text);
        REQUIRE(doc.has_value());
        CHECK(json::write(*doc) == text);
    }
    CHECK(memory.parse(R"({"a":1,"a":2})").error() == errc::duplicate_member);
    CHECK(memory.parse("{").error() == errc::not_json);
    CHECK(memory.parse("[]", 1).error() == errc::too_large);
}
