#include "transmitter/delivery/backoff.hpp"

#include <doctest/doctest.h>

#include "base/limits.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;

TEST_CASE("the back-off doubles, is jittered by half, and never exceeds its maximum") {
    const auto random = seeded_random(7);
    for (unsigned failures = 1; failures < 40; ++failures) {
        std::chrono::milliseconds step = limits::backoff_first;
        for (unsigned i = 1; i < failures && step < limits::backoff_max; ++i)
            step *= 2;
        step = std::min<std::chrono::milliseconds>(step, limits::backoff_max);
        for (int n = 0; n < 20; ++n) {
            const auto wait = backoff(failures, *random);
            CHECK(wait >= step / 2);
            CHECK(wait <= step);
        }
    }
}

TEST_CASE("receivers that failed together do not return together") {
    const auto random = seeded_random(7);
    const auto first = backoff(8, *random);
    bool other = false;
    for (int n = 0; n < 10; ++n)
        other = other || backoff(8, *random) != first;
    CHECK(other);
}

TEST_CASE("Retry-After is read as seconds or as a date, and bounded") {
    const wall_time now = from_numeric_date(1'790'000'000);
    CHECK(retry_after("7", now) == 7s);
    CHECK(retry_after("0", now) == 0s);
    CHECK(retry_after("86400", now) == limits::retry_after_max);
    CHECK(retry_after("99999999999999999999999999", now) == limits::retry_after_max);
    CHECK(retry_after("Mon, 21 Sep 2026 14:13:30 GMT", now) == 10s);
    CHECK(retry_after("Mon, 21 Sep 2020 14:13:30 GMT", now) == 0s);
    CHECK_FALSE(retry_after("", now));
    CHECK_FALSE(retry_after("-5", now));
    CHECK_FALSE(retry_after("soon", now));
    CHECK_FALSE(retry_after("5 minutes", now));
}

TEST_CASE("five tries of a rejected SET lie within a third of max_stale_seconds") {
    for (const std::chrono::milliseconds max_stale : {3'000ms, 90'000ms, 3'600'000ms}) {
        std::chrono::milliseconds all{0};
        for (unsigned n = 1; n < limits::dead_letter_tries; ++n) {
            const auto gap = rejection_gap(n, max_stale);
            CHECK(gap > 0ms);
            if (n > 1) CHECK(gap == 2 * rejection_gap(n - 1, max_stale));
            all += gap;
        }
        CHECK(all <= max_stale / 3);
        CHECK(all > max_stale / 4);
    }
}
