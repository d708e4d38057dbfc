#include "receiver/cache/table.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <string>
#include <thread>

#include "receiver/cache/authority_table.hpp"
#include "tests/receiver/table_entries.hpp"

using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;

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

TEST_CASE("ids of every valid length are told apart, others are unknown and take no room") {
    mission_table t(1000);
    std::string id;
    for (std::int64_t n = 1; n <= 128; ++n) {
        id += static_cast<char>('a' + n % 26);
        REQUIRE(t.put("i", id, active(n)));
    }
    for (std::size_t n = 1; n <= 128; ++n)
        CHECK(t.check("i", std::string_view(id).substr(0, n), now).version ==
              static_cast<std::int64_t>(n));
    CHECK_FALSE(t.put("i", id + "x", active(1)));
    CHECK_FALSE(t.put("i", "", active(1)));
    CHECK(t.check("i", id + "x", now).what == standing::unknown);
    CHECK(t.check("i", "", now).what == standing::unknown);
    CHECK(t.check("i", std::string("a\0", 2), now).what == standing::unknown);
    CHECK(t.size() == 128);
}

TEST_CASE("a version or an epoch that does not fit is not kept as another one") {
    mission_table t(10);
    CHECK_FALSE(t.put("i", "m", active(-1)));
    CHECK(t.put("i", "m", active(version_max)));
    CHECK(t.check("i", "m", now).version == version_max);
    // The number is cut, the denial that it comes with is shown.
    auto ended = active(std::numeric_limits<std::int64_t>::max());
    ended.told = standing::revoked;
    CHECK(t.put("i", "m", ended));
    CHECK(t.check("i", "m", now).what == standing::revoked);
    CHECK(t.check("i", "m", now).version == version_max);
    auto p = active(1);
    p.freshness = {{}, (std::uint64_t{1} << 32) + 7};
    t.put("i", "m", p);
    t.set_stream({{100, 100}, 7});
    CHECK(t.check("i", "m", now).what == standing::stale);
}

TEST_CASE("more issuers than anybody has are refused, and the known ones go on") {
    mission_table t(1000);
    for (std::size_t n = 0; n < mission_table::max_issuers; ++n)
        REQUIRE(t.put("issuer-" + std::to_string(n), "m", active(1)));
    CHECK_FALSE(t.put("one-more", "m", active(1)));
    CHECK(t.put("issuer-7", "n", active(1)));
}

TEST_CASE("a denial of another log_epoch is told as such") {
    mission_table t(10);
    auto p = active(3);
    p.told = standing::revoked;
    p.foreign = true;
    t.put("i", "m", p);
    CHECK(t.find("i", "m")->foreign);
    CHECK(t.check("i", "m", now).what == standing::revoked);
    t.put("i", "m", active(4));
    CHECK_FALSE(t.find("i", "m")->foreign);
}

TEST_CASE("what was erased is unknown, and its room is used again") {
    mission_table t(100);
    for (int round = 0; round < 1000; ++round) {
        for (int i = 0; i < 100; ++i)
            REQUIRE(t.put("i", std::to_string(round) + "-mission-" + std::to_string(i), active(1)));
        for (int i = 0; i < 100; ++i)
            REQUIRE(t.erase("i", std::to_string(round) + "-mission-" + std::to_string(i)));
        REQUIRE(t.size() == 0);
        REQUIRE(t.check("i", std::to_string(round) + "-mission-0", now).what == standing::unknown);
    }
    CHECK_FALSE(t.erase("i", "0-mission-0"));
    // 100 missions at a time, 100,000 in all: no more than one array for those.
    CHECK(t.memory() <= 16u << 10);
}

TEST_CASE("of the missions an ended one is forgotten first, then the one not used for longest") {
    mission_table t(10);
    const auto never = [](std::string_view, std::string_view) { return false; };
    CHECK_FALSE(t.least_used(never).has_value());
    t.put("i", "old", active(1), 10 * last_used_step);
    t.put("i", "new", active(1), 20 * last_used_step);
    t.put("i", "held", active(1), 1);
    const auto held = [](std::string_view, std::string_view id) { return id == "held"; };
    CHECK(t.least_used(held)->id == "old");
    t.check("i", "old", {30'000 * last_used_step, 30'000});
    CHECK(t.least_used(held)->id == "new");
    auto p = active(2);
    p.told = standing::revoked;
    t.put("i", "ended", p, 40 * last_used_step);
    CHECK(t.least_used(held)->id == "ended");
    CHECK(t.least_used(held)->issuer == "i");
    const auto all = [](std::string_view, std::string_view) { return true; };
    CHECK_FALSE(t.least_used(all).has_value());
}

TEST_CASE(
    "who is in use and unconfirmed is told, the last used first, and no more than asked for") {
    mission_table t(5000);
    t.set_stream({{}, 2});
    for (int i = 0; i < 2000; ++i)
        t.put("i", "m" + std::to_string(i), active(1), 5000);
    // m0 never.
    for (int i = 1; i < 2000; ++i)
        t.check("i", "m" + std::to_string(i), {i * 1000 * last_used_step + 15'999, 1});
    auto p = active(1);
    p.freshness.confirmed_epoch = 2;
    t.put("i", "confirmed", p);
    t.check("i", "confirmed", {90'000'000, 0});
    p = active(1);
    p.told = standing::completed;
    t.put("i", "ended", p);
    t.check("i", "ended", {90'000'000, 0});
    CHECK(t.last_used("i", "m7") == 7 * 16);
    CHECK(t.last_used("i", "m0") == 0);
    const auto told = t.unconfirmed(3);
    REQUIRE(told.size() == 3);
    CHECK(told[0].id == "m1999");
    CHECK(told[2].id == "m1997");
    CHECK(t.unconfirmed(100'000).size() == 1999);
    CHECK(t.unconfirmed(0).empty());
}

TEST_CASE("a million missions of 32 characters take at most 160 octets each") {
    mission_table t(1'000'000);
    std::string id(32, 'x');
    for (int i = 0; i < 1'000'000; ++i) {
        const auto text = std::to_string(i);
        id.replace(0, text.size(), text);
        REQUIRE(t.put("https://mas.example", id, active(1)));
    }
    CHECK(t.memory() <= 160u * 1'000'000);
}

// What a reader is told of a mission belongs to that mission, while others come and go in the same
// entries and slots, and arrays are replaced in both ways.
TEST_CASE("readers are told of no other mission while entries and slots are used again") {
    mission_table t(6000);
    constexpr int kept = 500, others = 3000;
    // The version of a mission says which one it is.
    const auto kept_id = [](int i) { return "kept-mission-number-" + std::to_string(1000 + i); };
    const auto other_id = [](int i) { return "gone-mission-number-" + std::to_string(1000 + i); };
    for (int i = 0; i < kept; ++i)
        REQUIRE(t.put("i", kept_id(i), active(i + 1)));
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0}, lost{0};
    const auto read = [&](int step) {
        for (int n = 0; !stop.load(std::memory_order_relaxed); n += step) {
            const int i = n % kept;
            const auto a = t.check("i", kept_id(i), now);
            if (a.what == standing::unknown) ++lost;
            if (a.version != i + 1) ++wrong;
            const int o = n % others;
            const auto b = t.find("i", other_id(o));
            if (b && (b->version - 10'000) % others != o) ++wrong;
            if (n % 4096 == 0) (void)t.unconfirmed(10);
        }
    };
    std::thread one(read, 1), two(read, 7);
    for (int round = 0; round < 12; ++round) {
        for (int i = 0; i < others; ++i)
            REQUIRE(t.put("i", other_id(i), active(10'000 + i + others * round)));
        for (int i = 0; i < others; ++i)
            REQUIRE(t.erase("i", other_id((i * 7) % others)));
    }
    stop = true;
    one.join();
    two.join();
    CHECK(wrong == 0);
    CHECK(lost == 0);
    CHECK(t.size() == kept);
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
