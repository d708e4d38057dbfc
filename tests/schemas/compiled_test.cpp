// Schemas whose text comes at run time.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "schemas/schemas.hpp"

using namespace mission;

namespace {

std::string fault_of(const std::string& schema) {
    const auto made = schemas::compiled::from(schema);
    if (made) return {};
    CHECK(made.error() == errc::invalid_argument);
    return made.error().detail;
}
bool takes(const schemas::compiled& rules, const std::string& text) {
    return rules.validate(json::parse(text).value()).has_value();
}
bool says(const std::string& text, std::string_view what) {
    return text.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("a schema given at run time decides as its text says, and names the place") {
    const auto rules = schemas::compiled::from(R"({"type":"object","required":["workload"],
        "properties":{"workload":{"type":"string","pattern":"^spiffe://"}}})")
                           .value();
    CHECK(takes(rules, R"({"workload":"spiffe://a/b","more":1})"));
    CHECK(!takes(rules, R"({"workload":"a"})"));
    CHECK(!takes(rules, "[]"));
    const auto missing = rules.validate(json::parse("{}").value());
    REQUIRE(!missing);
    CHECK(missing.error() == errc::schema_violation);
    CHECK(missing.error().detail == "/: required workload");
}

TEST_CASE("every schema of this project is one that could be configured") {
    for (const std::string_view name : schemas::names()) {
        // Ours say {"not":{}} where a configured one says false.
        std::string text(schemas::text(name));
        constexpr std::string_view never = R"("additionalProperties": {
        "not": {}
      })";
        if (const auto at = text.find(never); at != std::string::npos)
            text.replace(at, never.size(), R"("additionalProperties": false)");
        CHECK_MESSAGE(fault_of(text).empty(), name << ": " << fault_of(text));
    }
}

TEST_CASE("a keyword that the validator would pass over is refused, with its place") {
    CHECK(says(fault_of(R"({"properties":{"a":{"const":1}}})"), "#/properties/a/const"));
    for (const char* later : {"if", "then", "contains", "propertyNames", "$defs", "prefixItems",
                              "unevaluatedProperties", "dependentRequired", "requried"})
        CHECK(says(fault_of(std::string("{\"") + later + "\":{}}"), later));
    CHECK(says(fault_of(R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})"),
               "draft-04"));
    CHECK(says(fault_of(R"({"exclusiveMinimum":3})"), "exclusiveMinimum"));
    CHECK(says(fault_of(R"({"required":true})"), "required"));
    CHECK(says(fault_of(R"({"type":"text"})"), "type"));
    CHECK(says(fault_of(R"({"maxLength":"7"})"), "maxLength"));
    CHECK(says(fault_of(R"({"enum":[]})"), "enum"));
}

TEST_CASE("names of members are no keywords, and data is no schema") {
    CHECK(
        fault_of(R"({"properties":{"const":{"type":"string"}},"definitions":{"if":{}}})").empty());
    CHECK(fault_of(R"({"default":{"const":1},"enum":[{"if":1}],"examples":[{"then":1}]})").empty());
}

TEST_CASE("a pattern that the validator does not understand is refused") {
    CHECK(says(fault_of(R"~({"pattern":"^(?=x)"})~"), "pattern"));
    CHECK(says(fault_of(R"({"patternProperties":{"[":{}}})"), "pattern"));
    CHECK(fault_of(R"({"pattern":"^[a-z]{1,8}(-[0-9]+)*$"})").empty());
}

TEST_CASE("a reference leads to a place in the document and to a rule") {
    CHECK(fault_of(R"({"$ref":"#/definitions/a","definitions":{"a":{"type":"string"}}})").empty());
    CHECK(says(fault_of(R"({"$ref":"#/definitions/b","definitions":{"a":{}}})"), "nowhere"));
    CHECK(says(fault_of(R"({"$ref":"https://example.com/schema"})"), "in this document"));
    CHECK(says(
        fault_of(
            R"({"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}})"),
        "circle"));
}

TEST_CASE("what is no schema is refused: no JSON, no object, a member twice") {
    for (const char* text :
         {"", "{", "[]", "7", R"({"type":"object","type":"string"})", R"({"properties":[]})",
          R"({"properties":{"a":true}})", R"({"allOf":{}})"})
        CHECK(!fault_of(text).empty());
    CHECK(!fault_of("{\"title\":\"" + std::string(300'000, 'x') + "\"}").empty());
}

TEST_CASE("a member that matches a pattern property is judged by it, and by nothing else") {
    for (const char* rest : {"", R"(,"additionalProperties":false)"}) {
        const auto rules =
            schemas::compiled::from(R"({"patternProperties":{"^x-":{"type":"integer"}})" +
                                    std::string(rest) + '}')
                .value();
        CHECK(takes(rules, R"({"x-a":1})"));
        CHECK(!takes(rules, R"({"x-a":"1"})"));
        CHECK(takes(rules, R"({"other":1})") == (*rest == '\0'));
    }
}

TEST_CASE("a schema for the rest beside patterns is refused: the validator would take either") {
    CHECK(
        says(fault_of(R"({"patternProperties":{"^x-":{}},"additionalProperties":{"type":"null"}})"),
             "additionalProperties"));
}

TEST_CASE("several threads share one schema given at run time") {
    const auto rules = schemas::compiled::from(R"({"type":"string","pattern":"^a+b$"})").value();
    std::vector<std::thread> threads;
    std::vector<int> right(4, 0);
    for (std::size_t t = 0; t < right.size(); ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i)
                right[t] += takes(rules, "\"aaab\"") && !takes(rules, "\"aaa\"") ? 1 : 0;
        });
    for (auto& one : threads)
        one.join();
    CHECK(right == std::vector<int>(4, 50));
}
