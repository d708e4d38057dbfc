#include "receiver/cache/table.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

#include "receiver/cache/authority_table.hpp"

using namespace mission::receiver;
using ms::standing;

namespace {

published active(std::int64_t version) {
    published p;
    p.told = standing::active;
    p.version = version;
    p.freshness.fresh_until = {1'000'000, 1'000'000};
    return p;
}
constexpr instant now{5, 5};

}  // namespace

TEST_CASE("ten thousand missions keep their own answers while the table grows") {
    mission_table t(20'000);
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(t.put("iss", "mission-" + std::to_string(i), active(i + 1)));
    }
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(t.check("iss", "mission-" + std::to_string(i), now).version == i + 1);
    }
    CHECK(t.size() == 10'000);
    CHECK(t.check("iss", "mission-10000", now).what == standing::unknown);
}

TEST_CASE("missions of two issuers with one id are two missions") {
    mission_table t(10);
    t.put("a", "m", active(1));
    CHECK(t.check("b", "m", now).what == standing::unknown);
    t.put("b", "m", active(2));
    CHECK(t.check("a", "m", now).version == 1);
    CHECK(t.check("b", "m", now).version == 2);
}

TEST_CASE("a full table takes no new mission and keeps changing the known ones") {
    mission_table t(2);
    CHECK(t.put("i", "a", active(1)));
    CHECK(t.put("i", "b", active(1)));
    CHECK_FALSE(t.put("i", "c", active(1)));
    CHECK(t.put("i", "a", active(7)));
    CHECK(t.check("i", "a", now).version == 7);
}

TEST_CASE("readers never see a state without the version that belongs to it") {
    mission_table t(100'000);
    t.put("i", "m", active(2));
    std::atomic<bool> stop{false};
    std::atomic<int> torn{0};
    auto read = [&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const auto a = t.check("i", "m", now);
            // Even versions are active, odd ones suspended.
            if ((a.version % 2 == 0) != (a.what == standing::active)) torn.fetch_add(1);
        }
    };
    std::thread one(read), two(read);
    for (std::int64_t v = 3; v < 20'000; ++v) {
        auto p = active(v);
        if (v % 2 != 0) p.told = standing::suspended;
        t.put("i", "m", p);
        // Growth under the readers' feet.
        if (v % 4 == 0) t.put("i", "other-" + std::to_string(v), p);
    }
    stop = true;
    one.join();
    two.join();
    CHECK(torn == 0);
}

TEST_CASE("the authority is seen together with the version it belongs to") {
    mission_table t(10);
    authority_table a(t);
    a.put("i", "m", active(3),
          parse_authority(R"([{"type":"mission_resource_access",
        "resource":"https://erp","actions":["invoices.*","pay"]}, 7])",
                          3));
    const auto [answer, authority] = a.look("i", "m", now);
    CHECK(answer.version == 3);
    REQUIRE(authority);
    CHECK(authority->entries.size() == 1);
    CHECK(authority->permits("https://erp", "invoices.read"));
    CHECK(authority->permits("https://erp", "pay"));
    CHECK_FALSE(authority->permits("https://erp", "invoices"));
    CHECK_FALSE(authority->permits("https://erp", "invoicesx.read"));
    CHECK_FALSE(authority->permits("https://other", "pay"));
    a.put("i", "m", active(4), nullptr);
    CHECK(a.of("i", "m") == nullptr);
}
