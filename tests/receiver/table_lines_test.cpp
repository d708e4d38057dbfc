// What meets in one place of the table: collisions, long ids, lines that are moved and arrays that
// are replaced while somebody reads.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "receiver/cache/table.hpp"
#include "tests/receiver/table_entries.hpp"

using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;

namespace {

constexpr deadline later{1'000'000, 1'000'000};
// Under it ids of one length up to 8 have one hash, and ids that differ in the order of their first
// words have one.
constexpr table_seed known{};

published revoked(std::int64_t version) {
    auto p = active(version);
    p.told = standing::revoked;
    return p;
}

// Ids of `octets` that have one hash under `known`.
std::vector<std::string> of_one_hash(std::size_t octets) {
    const std::string tail(octets - 32, 'z');
    std::vector<std::string> words{"aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"}, out;
    do {
        const auto& w = words;
        const auto id = w[0] + w[1] + w[2] + w[3] + tail;
        key_words key(id);
        const std::string first = "aaaaaaaabbbbbbbbccccccccdddddddd" + tail;
        if (key.hash(known) == key_words(first).hash(known)) out.push_back(id);
    } while (std::next_permutation(words.begin(), words.end()));
    return out;
}

}  // namespace

TEST_CASE("ids that have one hash, short and long, are told apart") {
    for (const std::size_t octets : {32u, 33u, 40u, 128u}) {
        CAPTURE(octets);
        const auto ids = of_one_hash(octets);
        REQUIRE(ids.size() == 8);
        mission_table t(100, known);
        REQUIRE(t.put("i", ids[0], active(1)));
        for (std::size_t n = 1; n < ids.size(); ++n) {
            // Nothing is known of it: what has the same hash permits nothing.
            CHECK(t.check("i", ids[n], now).what == standing::unknown);
            CHECK_FALSE(t.find("i", ids[n]));
            CHECK_FALSE(t.erase("i", ids[n]));
            REQUIRE(t.put("i", ids[n], revoked(static_cast<std::int64_t>(n) + 1)));
        }
        CHECK(t.check("i", ids[0], now).permitted());
        // The others are found still, wherever they are moved.
        for (std::size_t n = 0; n < ids.size(); ++n) {
            REQUIRE(t.erase("i", ids[n]));
            for (std::size_t m = 0; m < ids.size(); ++m)
                CHECK(t.check("i", ids[m], now).version ==
                      (m <= n ? 0 : static_cast<std::int64_t>(m) + 1));
        }
        CHECK(t.size() == 0);
    }
}

TEST_CASE("ids on both sides of what fits in a line share beginnings, and nothing else") {
    mission_table t(1000);
    const std::string base(128, 'm');
    const std::vector<std::size_t> lengths{1, 8, 31, 32, 33, 40, 41, 127, 128};
    for (const auto n : lengths)
        REQUIRE(t.put("i", base.substr(0, n), active(static_cast<std::int64_t>(n))));
    auto last = base;
    last.back() = 'n';
    REQUIRE(t.put("i", last, revoked(1)));
    for (const auto n : lengths)
        CHECK(t.check("i", base.substr(0, n), now).version == static_cast<std::int64_t>(n));
    CHECK(t.check("i", last, now).what == standing::revoked);
    CHECK(t.check("i", base.substr(0, 34), now).what == standing::unknown);
    CHECK(t.check("i", std::string("m\0", 2), now).what == standing::unknown);
    CHECK(t.check("j", base, now).what == standing::unknown);
    // Of those that come back by name nothing is cut.
    std::set<std::string> kept;
    t.keep_only([&](std::string_view, std::string_view id) {
        kept.emplace(id);
        return id.size() != 40;
    });
    CHECK(kept.size() == lengths.size() + 1);
    CHECK(kept.count(last) == 1);
    CHECK(kept.count(base) == 1);
    CHECK_FALSE(t.find("i", base.substr(0, 40)));
    CHECK(t.size() == lengths.size());
}

TEST_CASE("the room of long ids is used again") {
    mission_table t(100);
    for (int round = 0; round < 2000; ++round) {
        const std::string id(static_cast<std::size_t>(33 + round % 96), 'a');
        REQUIRE(t.put("i", std::to_string(round % 10) + id.substr(1), active(round)));
        REQUIRE(t.erase("i", std::to_string(round % 10) + id.substr(1)));
    }
    // The lines, and one block.
    CHECK(t.memory() <= (16u << 10) + (256u << 10));
}

// Against a map, in tables of all small sizes: so that what meets in one place, and what lies over
// the end of the array, is put, found and moved in many ways.
TEST_CASE("a table with all of its missions in a few places says what a map says") {
    std::mt19937 random(11);
    std::vector<std::string> ids;
    for (int n = 0; n < 40; ++n)
        ids.push_back(std::to_string(n));
    for (const std::size_t octets : {32u, 48u})
        for (const auto& id : of_one_hash(octets))
            ids.push_back(id);
    const std::vector<std::string> issuers{"i", "j"};
    using name = std::pair<std::string, std::string>;
    for (std::size_t max = 1; max <= 56; ++max) {
        mission_table t(max, known);
        std::map<name, std::int64_t> truth;
        for (int step = 1; step <= 600; ++step) {
            const auto& issuer = issuers[random() % issuers.size()];
            const auto& id = ids[random() % ids.size()];
            const auto choice = random() % 40;
            if (choice == 0) {
                const auto keep = [](std::string_view of, std::string_view i) {
                    return (of.size() + static_cast<unsigned char>(of[0]) + i.size()) % 3 != 0;
                };
                t.keep_only(keep);
                std::erase_if(truth,
                              [&](const auto& m) { return !keep(m.first.first, m.first.second); });
            } else if (choice < 18) {
                REQUIRE(t.erase(issuer, id) == (truth.erase({issuer, id}) == 1));
            } else {
                const bool room = truth.count({issuer, id}) == 1 || truth.size() < max;
                REQUIRE(t.put(issuer, id, active(step)) == room);
                if (room) truth[{issuer, id}] = step;
            }
            REQUIRE(t.size() == truth.size());
            for (const auto& of : issuers) {
                for (const auto& one : ids) {
                    const auto it = truth.find({of, one});
                    REQUIRE(t.check(of, one, now).version == (it == truth.end() ? 0 : it->second));
                }
            }
        }
        std::set<name> told;
        t.set_stream({later, 7});
        for (const auto& m : t.unconfirmed(1000))
            CHECK(told.emplace(m.issuer, m.id).second);
        CHECK(told.size() == truth.size());
    }
}

TEST_CASE("every mission is as its own deadline and the stream say, whichever is read") {
    mission_table t(10);
    for (const auto own : {deadline{}, deadline{100, 100}, deadline{100, 2}, later}) {
        for (const std::uint64_t confirmed : {0u, 1u, 2u}) {
            for (const auto told : {standing::active, standing::suspended, standing::stale}) {
                for (const std::int64_t expires : {0, 4, 5, 6}) {
                    published p;
                    p.told = told;
                    p.version = 3;
                    p.expires_wall = expires;
                    p.freshness = {own, confirmed};
                    REQUIRE(t.put("i", "m", p));
                    for (const auto live :
                         {deadline{}, deadline{100, 100}, deadline{5, 100}, deadline{100, 5}}) {
                        const stream_word w{live, 1};
                        t.set_stream(w);
                        const auto a = t.check("i", "m", now);
                        CHECK(a.what == judge(p, w, now).what);
                        CHECK(a.version == 3);
                        CHECK(t.find("i", "m")->freshness.fresh_until == own);
                        CHECK(t.find("i", "m")->freshness.confirmed_epoch == confirmed);
                    }
                }
            }
        }
    }
}

// One moment for both: the stream is live only while the mission is revoked.
TEST_CASE("no permission is put together of a mission and a stream that never were together") {
    mission_table t(300, known);
    auto p = active(1);
    p.freshness = {{}, 1};
    auto denied = p;
    denied.told = standing::revoked;
    // Behind others that want its place: so that a look takes a while.
    for (int n = 100; n < 300; ++n)
        REQUIRE(t.put("i", std::to_string(n), denied));
    t.put("i", "300", denied);
    std::atomic<bool> stop{false};
    std::atomic<int> permitted{0}, reads{0};
    const auto read = [&] {
        for (; !stop.load(std::memory_order_relaxed); ++reads)
            if (t.check("i", "300", now).permitted()) ++permitted;
    };
    std::thread one(read), two(read);
    while (reads < 300'000) {
        t.set_stream({});
        t.put("i", "300", p);
        t.put("i", "300", denied);
        t.set_stream({later, 1});
    }
    stop = true;
    one.join();
    two.join();
    CHECK(permitted == 0);
}

// The promise of the hot path: whoever asks after a denial was put is told of it, whatever happens
// to lines and arrays; and who is in the table all the while is never unknown.
TEST_CASE("a denial that was put is seen by all who ask later, while lines move and arrays grow") {
    for (const bool crowded : {false, true}) {
        CAPTURE(crowded);
        const std::size_t others = crowded ? 250 : 6000;
        constexpr std::size_t kept = 300;
        auto t = crowded ? std::make_unique<mission_table>(kept + others, known)
                         : std::make_unique<mission_table>(kept + 8 * others);
        // Crowded: most of them want to lie in a few places. Every third id is a long one.
        const auto kept_id = [](std::size_t i) {
            return i % 3 == 0 ? "kept-" + std::to_string(i) + std::string(40, '-')
                              : "k" + std::to_string(i);
        };
        const auto other_id = [](std::size_t i) {
            return i % 3 == 0 ? "other-" + std::to_string(i) + std::string(40, '-')
                              : "o" + std::to_string(i);
        };
        for (std::size_t i = 0; i < kept; ++i)
            REQUIRE(t->put("i", kept_id(i), active(static_cast<std::int64_t>(i) + 1)));
        std::atomic<std::size_t> denied{0};
        std::atomic<bool> stop{false};
        std::atomic<int> permitted{0}, lost{0}, other{0};
        std::atomic<std::size_t> reads{0};
        const auto read = [&](unsigned seed) {
            std::mt19937 random(seed);
            while (!stop.load(std::memory_order_relaxed)) {
                const auto below = denied.load(std::memory_order_acquire);
                const auto i = random() % kept;
                const auto a = t->check("i", kept_id(i), now);
                if (a.permitted() && i < below) ++permitted;
                if (a.what == standing::unknown) ++lost;
                if (a.version != static_cast<std::int64_t>(i) + 1) ++other;
                reads.fetch_add(1, std::memory_order_relaxed);
            }
        };
        std::thread one(read, 1), two(read, 2);
        std::mt19937 random(3);
        std::size_t grown = others / 8;
        for (std::size_t i = 0; i < kept; ++i) {
            // More of them from time to time, until the last array is in use.
            grown = std::min(others * (crowded ? 1 : 8), grown + grown / 16 + 1);
            for (int n = 0; n < 40 || reads < 500 * i; ++n) {
                const auto o = random() % grown;
                if (!t->erase("i", other_id(o)))
                    REQUIRE(t->put("i", other_id(o), active(1'000'000)));
            }
            for (std::size_t n = 0; !crowded && n < 200; ++n)
                REQUIRE(t->put("i", other_id((i * 200 + n) % grown), active(1'000'000)));
            REQUIRE(t->put("i", kept_id(i), revoked(static_cast<std::int64_t>(i) + 1)));
            denied.store(i + 1, std::memory_order_release);
        }
        stop = true;
        one.join();
        two.join();
        CHECK(permitted == 0);
        CHECK(lost == 0);
        CHECK(other == 0);
    }
}

TEST_CASE("a mission is found in an array that is replaced while somebody looks for it there") {
    for (int round = 0; round < 60; ++round) {
        mission_table t(20'000);
        REQUIRE(t.put("i", "m", active(1)));
        std::atomic<bool> stop{false};
        std::atomic<int> lost{0}, ready{0};
        const auto read = [&] {
            ++ready;
            while (!stop.load(std::memory_order_relaxed))
                if (t.check("i", "m", now).version != 1) ++lost;
        };
        std::thread one(read), two(read);
        while (ready < 2)
            std::this_thread::yield();
        for (int n = 0; n < 11'000; ++n)
            REQUIRE(t.put("i", std::to_string(n), active(2)));
        stop = true;
        one.join();
        two.join();
        REQUIRE(lost == 0);
    }
}

// Half of them stay while the other half comes and goes, in turns: who stays is moved nearer to its
// home by that, over the end of the array too, for ids of seven characters want to lie near it.
TEST_CASE(
    "who is in the table all the while is found, and told as unconfirmed, wherever it moves") {
    constexpr unsigned half = 30;
    mission_table t(2 * half, known);
    const auto id = [](unsigned of, unsigned n) {
        return (of == 0 ? "even-" : "odd--") + std::to_string(10 + n);
    };
    const auto come = [&](unsigned of, unsigned n) {
        REQUIRE(t.put("i", id(of, n), active(1)));
        t.check("i", id(of, n), now);
    };
    for (unsigned n = 0; n < 2 * half; ++n)
        come(n % 2, n / 2);
    t.set_stream({later, 2});
    std::atomic<unsigned> turn{0};
    std::atomic<int> missed{0}, lost{0}, walks{0}, looks{0};
    std::atomic<bool> stop{false};
    std::thread walker([&] {
        for (; !stop.load(std::memory_order_relaxed); ++walks) {
            const auto begun = turn.load(std::memory_order_acquire);
            std::set<std::string> told;
            for (auto& m : t.unconfirmed(1000))
                told.insert(std::move(m.id));
            unsigned seen = 0;
            for (unsigned n = 0; n < half; ++n)
                seen += told.count(id(begun % 2, n)) == 1 ? 1u : 0u;
            if (turn.load(std::memory_order_relaxed) == begun && seen != half) ++missed;
        }
    });
    std::thread looker([&] {
        std::mt19937 random(1);
        for (; !stop.load(std::memory_order_relaxed); ++looks) {
            const auto begun = turn.load(std::memory_order_acquire);
            const auto a = t.check("i", id(begun % 2, static_cast<unsigned>(random() % half)), now);
            if (turn.load(std::memory_order_relaxed) == begun && a.version != 1) ++lost;
        }
    });
    std::mt19937 random(5);
    std::vector<unsigned> order(half);
    std::iota(order.begin(), order.end(), 0u);
    while (walks < 5000 || looks < 200'000) {
        const auto of = 1 - turn.load(std::memory_order_relaxed) % 2;
        std::shuffle(order.begin(), order.end(), random);
        for (const auto n : order)
            REQUIRE(t.erase("i", id(of, n)));
        for (const auto n : order)
            come(of, n);
        turn.fetch_add(1, std::memory_order_release);
    }
    stop = true;
    walker.join();
    looker.join();
    CHECK(missed == 0);
    CHECK(lost == 0);
}
