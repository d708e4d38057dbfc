#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/missions/subset.hpp"
#include "transmitter/missions/uri.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

bool subset(std::string_view candidate, std::string_view held) {
    const auto c = json::parse(candidate), h = json::parse(held);
    REQUIRE(c);
    REQUIRE(h);
    return check_subset(*c, *h).has_value();
}

bool constraint(std::string_view key, std::string_view candidate, std::string_view held) {
    const auto c = json::parse("[" + std::string(candidate) + "]");
    const auto h = json::parse("[" + std::string(held) + "]");
    REQUIRE(c);
    REQUIRE(h);
    return constraint_within(key, (*c)[0], (*h)[0]);
}

std::string entry(std::string_view actions, std::string_view more = "") {
    return R"([{"type":"mission_resource_access","resource":"https://erp.example","actions":)" +
           std::string(actions) + std::string(more) + "}]";
}

}  // namespace

TEST_CASE("fewer actions, fewer entries and the same set are within") {
    CHECK(subset(entry(R"(["a"])"), entry(R"(["a","b"])")));
    CHECK(subset(entry(R"(["b","a"])"), entry(R"(["a","b"])")));
    CHECK(subset("[]", entry(R"(["a"])")));
}

TEST_CASE("a new action, resource or type is not within") {
    CHECK_FALSE(subset(entry(R"(["a","c"])"), entry(R"(["a","b"])")));
    CHECK_FALSE(
        subset(R"([{"type":"mission_resource_access","resource":"https://x","actions":["a"]}])",
               entry(R"(["a"])")));
    CHECK_FALSE(subset(R"([{"type":"other","a":1}])", entry(R"(["a"])")));
    CHECK_FALSE(subset(entry(R"(["a"])"), "[]"));
}

TEST_CASE("an entry of another type is within an equal one alone") {
    CHECK(subset(R"([{"type":"other","a":1}])", R"([{"a":1,"type":"other"}])"));
    CHECK_FALSE(subset(R"([{"type":"other","a":0}])", R"([{"type":"other","a":1}])"));
}

TEST_CASE("a member the rule does not know must be equal") {
    CHECK(subset(entry(R"(["a"])", R"(,"x":1)"), entry(R"(["a","b"])", R"(,"x":1)")));
    CHECK_FALSE(subset(entry(R"(["a"])", R"(,"x":2)"), entry(R"(["a","b"])", R"(,"x":1)")));
    CHECK_FALSE(subset(entry(R"(["a"])"), entry(R"(["a","b"])", R"(,"x":1)")));
    CHECK_FALSE(subset(entry(R"(["a"])", R"(,"x":1)"), entry(R"(["a","b"])")));
}

TEST_CASE("action families hold what extends their name at a segment boundary") {
    CHECK(action_within("invoices.read", "invoices.*"));
    CHECK(action_within("invoices.q3.*", "invoices.*"));
    CHECK(action_within("invoices.*", "invoices.*"));
    CHECK(action_within("a", "a"));
    CHECK_FALSE(action_within("invoices", "invoices.*"));
    CHECK_FALSE(action_within("invoices.", "invoices.*"));
    CHECK_FALSE(action_within("invoicesx.read", "invoices.*"));
    CHECK_FALSE(action_within("invoices.*", "invoices.read"));
    CHECK_FALSE(action_within("invoices.*", "invoices.q3.*"));
    CHECK_FALSE(action_within("anything", "*"));
    CHECK_FALSE(action_within("anything", ".*"));
}

TEST_CASE("prefix resources hold paths at a segment boundary after normalisation") {
    CHECK(resource_within("https://a/b/c", false, "https://a/b", true));
    CHECK(resource_within("https://a/b/c", true, "https://a/b", true));
    CHECK(resource_within("https://A:443/b/./c", false, "https://a/b", true));
    CHECK(resource_within("https://a/x", false, "https://a", true));
    CHECK(resource_within("https://a/", false, "https://a", true));
    CHECK_FALSE(resource_within("https://a/bc", false, "https://a/b", true));
    CHECK_FALSE(resource_within("https://a/b/../c", false, "https://a/b", true));
    CHECK_FALSE(resource_within("https://a/b/%2e%2e/c", false, "https://a/b", true));
    CHECK_FALSE(resource_within("https://ab/", false, "https://a", true));
    CHECK_FALSE(resource_within("https://a/b/c", false, "https://a/b", false));
    CHECK_FALSE(resource_within("https://a/b", true, "https://a/b", false));
    CHECK_FALSE(resource_within("https://A/b", false, "https://a/b", false));
}

TEST_CASE("an unknown resource_match is never within") {
    const std::string odd = R"([{"type":"mission_resource_access","resource":"r","actions":["a"],)"
                            R"("resource_match":"glob"}])";
    CHECK_FALSE(subset(entry(R"(["a"])"), odd));
    CHECK_FALSE(subset(odd, entry(R"(["a"])")));
}

TEST_CASE("URIs are normalised for comparison") {
    CHECK(normalize_uri("HTTPS://Ex.Example:443/%7Ea/%2f/./b/../c") ==
          "https://ex.example/~a/%2F/c");
    CHECK(normalize_uri("https://a") == "https://a/");
    CHECK(normalize_uri("https://a/b/..") == "https://a/");
    CHECK(normalize_uri("https://a?x=/../") == "https://a/?x=/../");
    CHECK(normalize_uri("urn:a:%7e") == "urn:a:~");
}

TEST_CASE("a constraint that stands may be tightened, not dropped") {
    const auto with = [](const char* c) {
        return entry(R"(["a"])", std::string(R"(,"constraints":)") + c);
    };
    CHECK(subset(with(R"({"tenant":"t"})"), with(R"({"tenant":"t"})")));
    CHECK(subset(with(R"({"tenant":"t"})"), entry(R"(["a"])")));
    CHECK(subset(with(R"({"tenant":"t","x":1})"), with(R"({"tenant":"t"})")));
    CHECK_FALSE(subset(entry(R"(["a"])"), with(R"({"tenant":"t"})")));
    CHECK_FALSE(subset(with(R"({"x":1})"), with(R"({"tenant":"t"})")));
    CHECK(subset(entry(R"(["a"])"), with(R"({"requires_action_approval":false})")));
}

TEST_CASE("amounts are compared as decimal numbers of one currency") {
    const auto amount = [](const char* n, const char* cur) {
        return std::string(R"({"amount":")") + n + R"(","currency":")" + cur + R"("})";
    };
    CHECK(constraint("max_amount", amount("500.00", "EUR"), amount("500", "EUR")));
    CHECK(constraint("max_amount", amount("0500", "EUR"), amount("500.0", "EUR")));
    CHECK(constraint("max_amount", amount("99.99", "EUR"), amount("100", "EUR")));
    CHECK(constraint("max_amount", amount("-1", "EUR"), amount("0", "EUR")));
    CHECK(constraint("max_amount", amount("9007199254740992.1", "EUR"),
                     amount("9007199254740992.2", "EUR")));
    CHECK_FALSE(constraint("max_amount", amount("9007199254740992.2", "EUR"),
                           amount("9007199254740992.1", "EUR")));
    CHECK_FALSE(constraint("max_amount", amount("100", "EUR"), amount("99.99", "EUR")));
    CHECK_FALSE(constraint("max_amount", amount("1", "USD"), amount("2", "EUR")));
    CHECK_FALSE(constraint("max_amount", amount("1e1", "EUR"), amount("100", "EUR")));
    CHECK_FALSE(constraint("max_amount", amount("", "EUR"), amount("100", "EUR")));
}

TEST_CASE("each common constraint has its own order") {
    CHECK(constraint("resource_issued_after", R"("2026-01-01T01:00:00+01:00")",
                     R"("2026-01-01T00:00:00Z")"));
    CHECK(constraint("resource_issued_after", R"("2026-01-02T00:00:00Z")",
                     R"("2026-01-01T00:00:00Z")"));
    CHECK_FALSE(constraint("resource_issued_after", R"("2025-01-02T00:00:00Z")",
                           R"("2026-01-01T00:00:00Z")"));
    CHECK(constraint("resource_issued_before", R"("2025-01-02T00:00:00Z")",
                     R"("2026-01-01T00:00:00Z")"));
    CHECK_FALSE(constraint("resource_issued_before", R"("2027-01-02T00:00:00Z")",
                           R"("2026-01-01T00:00:00Z")"));
    CHECK(constraint("recipient_domain", R"("Mail.Example.com")", R"("example.com")"));
    CHECK_FALSE(constraint("recipient_domain", R"("notexample.com")", R"("example.com")"));
    CHECK_FALSE(constraint("recipient_domain", R"("example.com")", R"("mail.example.com")"));
    CHECK(constraint("data_classification", R"(["a"])", R"(["a","b"])"));
    CHECK_FALSE(constraint("allowed_tools", R"(["c"])", R"(["a","b"])"));
    CHECK(constraint("requires_action_approval", "true", "false"));
    CHECK_FALSE(constraint("requires_action_approval", "false", "true"));
    CHECK_FALSE(constraint("tenant", R"("b")", R"("a")"));
    CHECK_FALSE(constraint("something_else", "1", "2"));
    const char* held =
        R"({"not_before":"2026-01-01T00:00:00Z","not_after":"2026-02-01T00:00:00Z"})";
    CHECK(constraint("time_window",
                     R"({"not_before":"2026-01-02T00:00:00Z","not_after":"2026-01-03T00:00:00Z"})",
                     held));
    CHECK_FALSE(constraint("time_window", R"({"not_before":"2026-01-02T00:00:00Z"})", held));
    CHECK_FALSE(constraint(
        "time_window",
        R"({"not_before":"2025-01-02T00:00:00Z","not_after":"2026-01-03T00:00:00Z"})", held));
}

TEST_CASE("delegation may shrink, not appear or grow") {
    const auto with = [](const char* d) {
        return entry(R"(["a"])", std::string(R"(,"delegation":)") + d);
    };
    CHECK(subset(entry(R"(["a"])"), with(R"({"max_depth":2})")));
    CHECK(subset(with(R"({"max_depth":1})"), with(R"({"max_depth":2})")));
    CHECK_FALSE(subset(with(R"({"max_depth":3})"), with(R"({"max_depth":2})")));
    CHECK_FALSE(subset(with(R"({"max_depth":1})"), entry(R"(["a"])")));
    CHECK_FALSE(subset(with(R"({"max_depth":1,"allowed_delegates":["x"]})"),
                       with(R"({"max_depth":2,"allowed_delegates":["y"]})")));
}

TEST_CASE("the entry at fault is named") {
    const auto c = json::parse(
        R"([{"type":"t"},{"type":"mission_resource_access","resource":"r","actions":["b"]}])");
    const auto h = json::parse(R"([{"type":"t"}])");
    const auto r = check_subset(*c, *h);
    REQUIRE_FALSE(r);
    CHECK(r.error().code == errc::exceeds_authority);
    CHECK(r.error().detail.starts_with("/authorization_details/1"));
}

TEST_CASE("a refusal names the member that exceeds, of the entry that comes closest") {
    const std::string held =
        R"([{"type":"mission_resource_access","resource":"https://crm.example","actions":["x"]},)"
        R"({"type":"mission_resource_access","resource":"https://erp.example","actions":["a","b"],)"
        R"("constraints":{"max_amount":{"amount":"100","currency":"EUR"},"tenant":"t"},)"
        R"("delegation":{"max_depth":1,"children":{"max_children":2}}}])";
    const auto fault = [&](std::string_view more, std::string_view resource = "https://erp.example",
                           std::string_view actions = R"(["a"])") {
        const auto c = json::parse(R"([{"type":"mission_resource_access","resource":")" +
                                   std::string(resource) + R"(","actions":)" +
                                   std::string(actions) + std::string(more) + "}]");
        const auto h = json::parse(held);
        REQUIRE(c);
        REQUIRE(h);
        const auto r = check_subset(*c, *h);
        return r ? std::string("within") : r.error().detail.substr(0, r.error().detail.find(':'));
    };
    const std::string at = "/authorization_details/0";
    const std::string all = R"(,"constraints":{"max_amount":{"amount":"9","currency":"EUR"},)"
                            R"("tenant":"t"})";
    CHECK(fault(all) == "within");
    CHECK(fault(all, "https://new.example") == at + "/resource");
    CHECK(fault(all, "https://erp.example", R"(["c"])") == at + "/actions");
    CHECK(fault("") == at + "/constraints/max_amount");
    CHECK(fault(R"(,"constraints":{"max_amount":{"amount":"9","currency":"EUR"}})") ==
          at + "/constraints/tenant");
    CHECK(
        fault(R"(,"constraints":{"max_amount":{"amount":"101","currency":"EUR"},"tenant":"t"})") ==
        at + "/constraints/max_amount");
    CHECK(fault(all + R"(,"delegation":{"max_depth":2})") == at + "/delegation/max_depth");
    CHECK(fault(all + R"(,"delegation":{"max_depth":1,"children":{"max_children":3}})") ==
          at + "/delegation/children");
    CHECK(fault(all + R"(,"x":1)") == at + "/x");
    CHECK(fault(all + R"(,"resource_match":"glob")") == at + "/resource_match");
}

TEST_CASE("delegation.children may shrink, not appear or grow") {
    const auto with = [](const char* c) {
        return entry(R"(["a"])",
                     std::string(R"(,"delegation":{"max_depth":1,"children":)") + c + "}");
    };
    const auto without = entry(R"(["a"])", R"(,"delegation":{"max_depth":1})");
    CHECK(subset(without, with("{}")));
    CHECK_FALSE(subset(with("{}"), without));
    CHECK(subset(with(R"({"max_children":2})"), with(R"({"max_children":2})")));
    CHECK(subset(with(R"({"max_children":1})"), with("{}")));
    CHECK_FALSE(subset(with("{}"), with(R"({"max_children":2})")));
    CHECK_FALSE(subset(with(R"({"max_children":3})"), with(R"({"max_children":2})")));
    // Without a number it is one generation.
    CHECK_FALSE(subset(with(R"({"max_child_depth":2})"), with("{}")));
    CHECK(subset(with("{}"), with(R"({"max_child_depth":2})")));
    CHECK_FALSE(subset(with(R"({"max_child_depth":3})"), with(R"({"max_child_depth":2})")));
    CHECK(subset(with(R"({"allowed_child_actors":[{"sub":"a"}]})"),
                 with(R"({"allowed_child_actors":[{"sub":"b"},{"sub":"a"}]})")));
    CHECK_FALSE(subset(with(R"({"allowed_child_actors":[{"sub":"c"}]})"),
                       with(R"({"allowed_child_actors":[{"sub":"a"}]})")));
    // What the rule does not know is carried unchanged.
    CHECK(
        subset(with(R"({"child_creation_policy":"p"})"), with(R"({"child_creation_policy":"p"})")));
    CHECK_FALSE(
        subset(with(R"({"child_creation_policy":"q"})"), with(R"({"child_creation_policy":"p"})")));
    CHECK_FALSE(subset(with("{}"), with(R"({"child_creation_policy":"p"})")));
}
