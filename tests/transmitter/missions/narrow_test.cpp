#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <chrono>
#include <random>

#include "base/limits.hpp"
#include "transmitter/missions/entries.hpp"
#include "transmitter/missions/subset.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

json::document parsed(std::string_view text) {
    auto d = json::parse(text);
    REQUIRE_MESSAGE(d, std::string(text));
    return std::move(*d);
}

// What remains, after it was checked to lie within the bound and within the set.
json::document narrowed(std::string_view set, std::string_view bound) {
    const auto s = parsed(set), b = parsed(bound);
    auto out = parsed(narrow_to(s, b));
    CHECK(check_subset(out, b));
    return out;
}

std::string entry(std::string_view resource, std::string_view actions, std::string_view more = "") {
    return R"({"type":"mission_resource_access","resource":")" + std::string(resource) +
           R"(","actions":)" + std::string(actions) + std::string(more) + "}";
}

std::string set_of(const std::string& one, const std::string& two = "") {
    return "[" + one + (two.empty() ? "" : "," + two) + "]";
}

const std::string erp = "https://erp.example", crm = "https://crm.example";

}  // namespace

TEST_CASE("what lies within the bound is kept as it is") {
    const auto set = set_of(entry(erp, R"(["a"])"), R"({"type":"other","x":1})");
    const auto bound = set_of(R"({"x":1,"type":"other"})", entry(erp, R"(["a","b"])"));
    CHECK(narrowed(set, bound) == parsed(set));
}

TEST_CASE("actions that are left are kept, entries without any are dropped") {
    const auto out = narrowed(set_of(entry(erp, R"(["a","b"])"), entry(crm, R"(["a"])")),
                              set_of(entry(erp, R"(["b","c"])")));
    CHECK(out == parsed(set_of(entry(erp, R"(["b"])"))));
    CHECK(narrowed(set_of(entry(erp, R"(["a"])")), "[]") == parsed("[]"));
    // A family is reduced to what of it the bound still has.
    CHECK(narrowed(set_of(entry(erp, R"(["invoices.*"])")),
                   set_of(entry(erp, R"(["invoices.read","x"])"))) ==
          parsed(set_of(entry(erp, R"(["invoices.read"])"))));
}

TEST_CASE("an entry that two of the bound share is cut in two") {
    const auto out = narrowed(set_of(entry(erp, R"(["a","b"])")),
                              set_of(entry(erp, R"(["a"])"), entry(erp, R"(["b"])")));
    CHECK(out == parsed(set_of(entry(erp, R"(["a"])"), entry(erp, R"(["b"])"))));
}

TEST_CASE("a wide resource is reduced to what the bound still reaches") {
    const std::string prefix = R"(,"resource_match":"prefix")";
    const auto out = narrowed(set_of(entry(erp, R"(["a"])", prefix)),
                              set_of(entry(erp + "/invoices", R"(["a"])", prefix)));
    CHECK(out == parsed(set_of(entry(erp + "/invoices", R"(["a"])", prefix))));
    const auto exact = narrowed(set_of(entry(erp, R"(["a"])", prefix)),
                                set_of(entry(erp + "/invoices", R"(["a"])")));
    CHECK(exact == parsed(set_of(entry(erp + "/invoices", R"(["a"])"))));
    CHECK(narrowed(set_of(entry(erp, R"(["a"])")),
                   set_of(entry(erp + "/invoices", R"(["a"])", prefix)))
              .Empty());
}

TEST_CASE("constraints become the tighter of both") {
    const auto with = [](std::string_view c) {
        return set_of(entry(erp, R"(["a"])", R"(,"constraints":)" + std::string(c)));
    };
    const std::string eur100 = R"({"max_amount":{"amount":"100","currency":"EUR"}})";
    const std::string eur500 = R"({"max_amount":{"amount":"500","currency":"EUR"}})";
    CHECK(narrowed(set_of(entry(erp, R"(["a"])")), with(eur100)) == parsed(with(eur100)));
    CHECK(narrowed(with(eur500), with(eur100)) == parsed(with(eur100)));
    CHECK(narrowed(with(R"({"tenant":"t"})"), with(eur100)) ==
          parsed(with(R"({"tenant":"t","max_amount":{"amount":"100","currency":"EUR"}})")));
    // Nothing in common, or nobody knows: nothing is left.
    CHECK(narrowed(with(R"({"tenant":"t"})"), with(R"({"tenant":"u"})")).Empty());
    CHECK(narrowed(with(R"({"mine":1})"), with(R"({"mine":2})")).Empty());
    // Lists and windows overlap.
    CHECK(
        narrowed(with(R"({"allowed_tools":["a","b"]})"), with(R"({"allowed_tools":["b","c"]})")) ==
        parsed(with(R"({"allowed_tools":["b"]})")));
    CHECK(narrowed(with(R"({"time_window":{"not_before":"2026-01-01T00:00:00Z"}})"),
                   with(R"({"time_window":{"not_after":"2026-02-01T00:00:00Z"}})")) ==
          parsed(with(R"({"time_window":{"not_before":"2026-01-01T00:00:00Z",)"
                      R"("not_after":"2026-02-01T00:00:00Z"}})")));
    CHECK(narrowed(with(R"({"time_window":{"not_before":"2026-03-01T00:00:00Z"}})"),
                   with(R"({"time_window":{"not_after":"2026-02-01T00:00:00Z"}})"))
              .Empty());
}

TEST_CASE("what no rule compares is dropped, not carried on") {
    CHECK(narrowed(R"([{"type":"other","a":1}])", R"([{"type":"other","a":2}])").Empty());
    CHECK(narrowed(set_of(entry(erp, R"(["a","b"])", R"(,"x":1)")),
                   set_of(entry(erp, R"(["a"])", R"(,"x":2)")))
              .Empty());
    // delegation that would grow goes; the entry stays.
    CHECK(narrowed(set_of(entry(erp, R"(["a"])", R"(,"delegation":{"max_depth":2})")),
                   set_of(entry(erp, R"(["a"])", R"(,"delegation":{"max_depth":1})"))) ==
          parsed(set_of(entry(erp, R"(["a"])"))));
    CHECK(narrow_to(parsed("{}"), parsed("[]")) == "[]");
}

TEST_CASE("whatever is narrowed to whatever lies within both") {
    std::mt19937_64 random(7);
    const auto pick = [&](std::initializer_list<std::string_view> of) {
        return std::string(*(of.begin() + random() % of.size()));
    };
    const auto any_set = [&] {
        std::string out = "[";
        for (auto n = random() % 4; n-- > 0;) {
            if (out.size() > 1) out += ',';
            std::string more;
            if (random() % 3 == 0) more += R"(,"resource_match":"prefix")";
            if (random() % 2 == 0)
                more += R"(,"constraints":)" +
                        pick({R"({"tenant":"t"})", R"({"allowed_tools":["a","b"]})",
                              R"({"allowed_tools":["b","c"],"tenant":"t"})",
                              R"({"max_amount":{"amount":"5","currency":"EUR"}})",
                              R"({"max_amount":{"amount":"7","currency":"EUR"},"z":1})"});
            if (random() % 4 == 0)
                more += R"(,"delegation":)" + pick({R"({"max_depth":1})", R"({"max_depth":3})"});
            out += entry(pick({"https://a", "https://a/b", "https://a/b/c", "https://z"}),
                         pick({R"(["x"])", R"(["x","y"])", R"(["x.*"])", R"(["x.y","y"])"}), more);
        }
        return out + "]";
    };
    int left = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto set = any_set(), bound = any_set();
        const auto s = parsed(set), b = parsed(bound);
        const auto text = narrow_to(s, b);
        const auto out = parsed(text);
        left += !out.Empty();
        CAPTURE(set);
        CAPTURE(bound);
        CAPTURE(text);
        REQUIRE(check_subset(out, b));
        REQUIRE(check_subset(out, s));
        // Once more changes nothing.
        REQUIRE(narrow_to(out, b) == text);
        if (check_subset(s, b)) REQUIRE(out == s);
    }
    CHECK(left > 1000);
}

TEST_CASE("who covers an entry is found by its resource as by looking at each") {
    std::mt19937_64 random(11);
    const char* resources[] = {"https://a",
                               "https://a/",
                               "https://A:443/b",
                               "https://a/b",
                               "https://a/bc",
                               "https://a/b/c?x=1",
                               "https://a/b/./c",
                               "urn:x:y",
                               "urn:x:y/z",
                               "",
                               "/",
                               "https://a//b"};
    const auto any = [&] {
        std::string more;
        if (random() % 2) more = R"(,"resource_match":"prefix")";
        if (random() % 12 == 0) more = R"(,"resource_match":"glob")";
        auto one = entry(resources[random() % std::size(resources)],
                         random() % 2 ? R"(["x"])" : R"(["x","y"])", more);
        if (random() % 9 == 0) one = R"({"type":"other","n":)" + std::to_string(random() % 3) + "}";
        return one;
    };
    int found = 0;
    for (int i = 0; i < 3000; ++i) {
        std::string text = "[";
        for (int n = 0; n < 12; ++n)
            text += (n ? "," : "") + any();
        const auto held = parsed(text + "]");
        const auto candidate = parsed(any());
        std::optional<std::size_t> first;
        for (unsigned n = 0; n < held.Size() && !first; ++n)
            if (entries::within(candidate, held[n])) first = n;
        CAPTURE(json::write(held));
        CAPTURE(json::write(candidate));
        REQUIRE(covering_entry(candidate, held) == first);
        found += first.has_value();
    }
    CHECK(found > 500);
}

TEST_CASE("sets that overlap a thousandfold are narrowed and compared in bounded time") {
    const auto many = [](int n, const auto& one) {
        std::string text = "[";
        for (int i = 0; i < n; ++i)
            text += (i ? "," : "") + one(i);
        return parsed(text + "]");
    };
    const auto cap = [](int i) {
        return R"(,"constraints":{"max_amount":{"amount":")" + std::to_string(i) +
               R"(","currency":"EUR"}})";
    };
    const auto prefixes = many(1000, [&](int i) {
        return entry("https://a/" + std::to_string(i / 64) + "/../", R"(["x"])",
                     R"(,"resource_match":"prefix")" + cap(i));
    });
    const auto bound =
        many(1000, [](int i) { return entry("https://a/" + std::to_string(i), R"(["x"])", ""); });
    const auto began = std::chrono::steady_clock::now();
    const auto left = parsed(narrow_to(prefixes, bound));
    CHECK(left.Size() > 0);
    CHECK(left.Size() <= limits::authorization_details_entries);
    CHECK(check_subset(left, bound).has_value());

    // Of one resource, each with hundreds of actions of which the last fits nowhere.
    std::string actions;
    for (int i = 0; i < 390; ++i)
        actions += "\"a" + std::to_string(i) + "\",";
    const auto of_one = [&](const char* last) {
        return many(64, [&](int i) {
            return entry("https://a", "[" + actions + "\"" + last + std::to_string(i) + "\"]", "");
        });
    };
    const auto refused = check_subset(of_one("y"), of_one("z"));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::exceeds_authority);
    const auto spent =
        check_subset(many(64,
                          [&](int i) {
                              // Within the last one alone.
                              return entry("https://a", "[" + actions + "\"z63\"]", cap(i));
                          }),
                     of_one("z"));
    REQUIRE_FALSE(spent.has_value());
    CHECK(spent.error().detail.find("than can be compared") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
}

TEST_CASE("values of Common Constraints have their syntax, others are their deployment's") {
    const auto fits = [](std::string_view key, std::string_view value) {
        const auto v = parsed("[" + std::string(value) + "]");
        return check_constraint(key, v[0]).has_value();
    };
    const auto amount = [](const char* n) {
        return std::string(R"({"amount":")") + n + R"(","currency":"EUR"})";
    };
    for (const char* good : {"0", "500", "500.00", "1.123456789012345678", "007"})
        CHECK_MESSAGE(fits("max_amount", amount(good)), good);
    for (const char* bad :
         {"", "-1", "+1", "1e3", ".5", "5.", "1,000", "NaN", "1.1234567890123456789", "0x1"})
        CHECK_FALSE_MESSAGE(fits("max_amount", amount(bad)), bad);
    CHECK_FALSE(fits("max_amount", R"({"amount":5,"currency":"EUR"})"));
    CHECK_FALSE(fits("max_amount", R"({"amount":"5","currency":"euro"})"));
    CHECK_FALSE(fits("max_amount", "5"));
    CHECK(fits("resource_issued_after", R"("2026-01-01T00:00:00+02:00")"));
    CHECK_FALSE(fits("resource_issued_before", R"("2026-01-01")"));
    CHECK(fits("tenant", R"("t")"));
    CHECK_FALSE(fits("tenant", "1"));
    CHECK(fits("recipient_domain", R"("mail.example.com")"));
    for (const char* bad :
         {R"("")", R"(".example.com")", R"("a..b")", R"("a b")", R"("-a.b")", "1"})
        CHECK_FALSE_MESSAGE(fits("recipient_domain", bad), bad);
    CHECK(fits("time_window", R"({"not_after":"2026-01-01T00:00:00Z"})"));
    CHECK_FALSE(fits("time_window", "{}"));
    CHECK_FALSE(
        fits("time_window",
             R"({"not_before":"2026-02-01T00:00:00Z","not_after":"2026-01-01T00:00:00Z"})"));
    CHECK(fits("allowed_tools", R"(["a"])"));
    CHECK_FALSE(fits("allowed_tools", R"("a")"));
    CHECK_FALSE(fits("data_classification", "[1]"));
    CHECK(fits("requires_action_approval", "false"));
    CHECK_FALSE(fits("requires_action_approval", R"("yes")"));
    CHECK(fits("whatever", "17"));
}
