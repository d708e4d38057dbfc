// How a table grows: what it holds of memory and when, what it does when there is none, and what a
// reader makes of an array that is replaced in the middle of its look.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "receiver/cache/look.hpp"
#include "tests/receiver/table_entries.hpp"

namespace mission::receiver {

// A look at the array that is in use when it begins; `between` runs when the reader has read the
// line of the mission, and before it reads the own deadline of it.
struct table_probe {
    enum class outcome { there, absent, again };

    template <class Between>
    static outcome look(const mission_table& t, std::string_view id, const Between& between) {
        key_words key(id);
        const auto hash = key.hash(t.seed_);
        key.of(1);  // there is but one
        const auto& in = *t.lines_.load();
        mission_table::found out;
        const auto needed = [&](const published&) {
            between(in, static_cast<const void*>(&in.line(in.home(hash))));
            return true;
        };
        switch (t.look(in, key, hash, needed, out)) {
            case mission_table::outcome::there:
                return outcome::there;
            case mission_table::outcome::absent:
                return outcome::absent;
            default:
                return outcome::again;
        }
    }
    static const line_array* in_use(const mission_table& t) { return t.lines_.load(); }
};

}  // namespace mission::receiver

using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;

namespace {

constexpr std::size_t page = 4096;

std::string id_of(std::size_t n) {
    return "mission-" + std::to_string(n);
}
void fill(mission_table& t, std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
        REQUIRE(t.put("i", id_of(n), active(static_cast<std::int64_t>(n) + 1)));
}
void grow(mission_table& t) {
    const auto* before = table_probe::in_use(t);
    for (auto n = t.size(); table_probe::in_use(t) == before; ++n)
        fill(t, n, n + 1);
}

}  // namespace

TEST_CASE("an array is as large as what is in it needs, and the last one as max_size() needs") {
    constexpr std::size_t most = 30'000;
    mission_table t(most);
    const auto* array = table_probe::in_use(t);
    std::size_t steps = 0, largest = 0;
    for (std::size_t n = 0; n < most; ++n) {
        const auto lines = array->size();
        const auto room = lines * 3 / 5;
        const bool last = lines * 3 >= most * 5;
        fill(t, n, n + 1);
        if (table_probe::in_use(t) != array) {
            // Not before it was full, and everything the new array takes was there by then.
            CHECK(n == room);
            CHECK(largest == array->octets() + table_probe::in_use(t)->octets());
            array = table_probe::in_use(t);
            CHECK(array->size() / 2 == lines);
            ++steps;
        } else {
            const auto own = array->octets();
            const auto next = t.memory() - own;
            const auto from = room - room / 4;
            if (last || n < from) {
                // Below three quarters, and in the last one: nothing but the array.
                CHECK(next == 0);
            } else {
                // A piece with each: in proportion to how far it is.
                const auto part = (2 * own + page) / (room - from) + 1;
                CHECK(next > 0);
                CHECK(next <= part * (n + 1 - from) + page);
                CHECK(next + 2 * page >= std::min(2 * own, part * (n + 1 - from) / 2));
            }
        }
        largest = t.memory();
        REQUIRE(t.memory() <= 200 * most + 4 * page);
    }
    CHECK(steps == 5);
    CHECK(t.memory() <= most * 134 + page);
    for (std::size_t n = 0; n < most; ++n)
        REQUIRE(t.check("i", id_of(n), now).version == static_cast<std::int64_t>(n) + 1);
}

TEST_CASE("the next array is given up when missions are forgotten, and got ready again") {
    mission_table t(30'000);
    const auto room = table_probe::in_use(t)->size() * 3 / 5;
    const auto own = table_probe::in_use(t)->octets();
    for (int round = 0; round < 3; ++round) {
        fill(t, t.size(), room - 1);
        CHECK(t.memory() > own + own / 2);
        // Not with the first that goes: as many may come and go there for long.
        for (auto n = room - 1; n > room * 3 / 4 - 5; --n)
            REQUIRE(t.erase("i", id_of(n - 1)));
        CHECK(t.memory() > own);
        for (auto n = t.size(); n > room * 5 / 8 - 1; --n)
            REQUIRE(t.erase("i", id_of(n - 1)));
        CHECK(t.memory() == own);
    }
    // Kept in part while that many come and go; then it is as good as a new one.
    fill(t, t.size(), room - room / 8);
    const auto half = t.memory();
    for (std::size_t n = 0; n < 3 * room; ++n) {
        REQUIRE(t.erase("i", id_of(n % 100)));
        fill(t, n % 100, n % 100 + 1);
    }
    CHECK(t.memory() == half);
    const auto before = t.size();
    grow(t);
    CHECK(t.size() > before);
    for (std::size_t n = 0; n < t.size(); ++n)
        REQUIRE(t.check("i", id_of(n), now).version == static_cast<std::int64_t>(n) + 1);
    t.keep_only([](std::string_view, std::string_view) { return false; });
    CHECK(t.size() == 0);
    CHECK(t.memory() == table_probe::in_use(t)->octets());
}

// The line as a processor still has it that has not heard yet that the memory is gone, and the own
// deadline as it is by then: zero, which would make the mission stale.
TEST_CASE("of an array that was replaced in the middle of a look nothing is believed") {
    mission_table t(30'000);
    // The only one: it lies at its home.
    REQUIRE(t.put("i", id_of(0), active(1)));
    bool ran = false;
    const auto replaced = [&](const line_array& in, const void* line) {
        ran = true;
        std::byte kept[sizeof(table_line)];
        std::memcpy(kept, line, sizeof kept);
        fill(t, 1, 2 + in.size() * 3 / 5);
        REQUIRE(table_probe::in_use(t) != &in);
        auto p = active(2);
        p.told = standing::revoked;
        REQUIRE(t.put("i", id_of(0), p));
        std::memcpy(const_cast<void*>(line), kept, sizeof kept);
    };
    CHECK(table_probe::look(t, id_of(0), replaced) == table_probe::outcome::again);
    CHECK(ran);
    CHECK(t.check("i", id_of(0), now).what == standing::revoked);
    const auto nothing = [](const line_array&, const void*) {};
    CHECK(table_probe::look(t, id_of(0), nothing) == table_probe::outcome::there);
    CHECK(table_probe::look(t, "another", nothing) == table_probe::outcome::absent);
}

TEST_CASE(
    "a mission that is changed, moved or forgotten in the middle of a look is looked for "
    "again") {
    mission_table t(10);
    const auto look = [&](const auto& change) {
        REQUIRE(t.put("i", "m", active(1)));
        return table_probe::look(t, "m", [&](const line_array&, const void*) { change(); });
    };
    CHECK(look([] {}) == table_probe::outcome::there);
    CHECK(look([&] { t.put("i", "m", active(2)); }) == table_probe::outcome::again);
    CHECK(look([&] { t.erase("i", "m"); }) == table_probe::outcome::again);
    CHECK(look([&] {
              t.erase("i", "m");
              t.put("i", "m", active(1));
          }) == table_probe::outcome::again);
}

TEST_CASE("a table of one mission, of two, and of more than there are addresses") {
    for (const std::size_t max : {std::size_t{1}, std::size_t{2}}) {
        mission_table t(max);
        for (std::size_t round = 0; round < 500; ++round) {
            for (std::size_t n = 0; n < max; ++n)
                REQUIRE(t.put("i", id_of(round + n), active(7)));
            REQUIRE_FALSE(t.put("i", id_of(round + max), active(7)));
            for (std::size_t n = 0; n < max; ++n) {
                REQUIRE(t.check("i", id_of(round + n), now).version == 7);
                REQUIRE(t.erase("i", id_of(round + n)));
            }
        }
        CHECK(t.memory() == page);
    }
    mission_table none(0);
    CHECK_FALSE(none.put("i", "m", active(1)));
    CHECK(none.check("i", "m", now).what == standing::unknown);
    for (const std::size_t max :
         {std::size_t{1} << 40, std::size_t{1} << 60, std::numeric_limits<std::size_t>::max()}) {
        mission_table t(max);
        fill(t, 0, 5000);
        for (std::size_t n = 0; n < 5000; ++n)
            REQUIRE(t.check("i", id_of(n), now).version == static_cast<std::int64_t>(n) + 1);
        CHECK(t.memory() <= 5000 * 400 + page);
    }
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
// Their shadow memory is beyond any limit.
#else
// In a process of its own, that may have no more addresses.
TEST_CASE("where there is no memory to grow a new mission is refused, and all others stay") {
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        mission_table t(1'000'000);
        std::size_t n = 0;
        for (; n < 20'000; ++n)
            if (!t.put("i", id_of(n), active(static_cast<std::int64_t>(n) + 1))) ::_exit(2);
        std::size_t room = table_probe::in_use(t)->size() * 3 / 5;
        const rlimit none{1 << 20, RLIM_INFINITY};
        rlimit before{};
        if (::getrlimit(RLIMIT_AS, &before) != 0 || ::setrlimit(RLIMIT_AS, &none) != 0) ::_exit(3);
        while (t.put("i", id_of(n), active(static_cast<std::int64_t>(n) + 1)))
            ++n;
        // Not earlier than it had to be.
        if (n != room || t.size() != room) ::_exit(4);
        if (t.put("i", id_of(n), active(1)) || t.check("i", id_of(n), now).version != 0) ::_exit(5);
        auto p = active(9);
        p.told = standing::revoked;
        if (!t.put("i", id_of(3), p) || t.check("i", id_of(3), now).what != standing::revoked)
            ::_exit(6);
        if (!t.erase("i", id_of(0)) || !t.put("i", id_of(0), active(1))) ::_exit(7);
        for (std::size_t i = 4; i < n; ++i)
            if (t.check("i", id_of(i), now).version != static_cast<std::int64_t>(i) + 1) ::_exit(8);
        // Once there is some again it goes on.
        if (::setrlimit(RLIMIT_AS, &before) != 0) ::_exit(9);
        const auto* small = table_probe::in_use(t);
        for (; n < 40'000; ++n)
            if (!t.put("i", id_of(n), active(static_cast<std::int64_t>(n) + 1))) ::_exit(10);
        ::_exit(table_probe::in_use(t) != small ? 0 : 11);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
#endif
