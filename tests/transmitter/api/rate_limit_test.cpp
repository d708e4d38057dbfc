#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <string>

#include "transmitter/api/rate_limit.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;

namespace {

const steady_time start{std::chrono::hours(1)};

int taken(rate_limiter& r, std::string_view key, steady_time at, int tries) {
    int out = 0;
    for (int i = 0; i < tries; ++i)
        out += !r.take(key, at);
    return out;
}

}  // namespace

TEST_CASE("after a rest a burst comes through, and then what is refilled") {
    rate_limiter r(1000, 2000);
    CHECK(taken(r, "a", start, 10'000) == 2000);
    CHECK(taken(r, "a", start + 500ms, 10'000) == 500);
    CHECK(taken(r, "a", start + 500ms, 10'000) == 0);
    // However long the rest, the bucket is no larger.
    CHECK(taken(r, "a", start + 1h, 10'000) == 2000);
}

TEST_CASE("ten thousand requests a second are let through at the rate") {
    rate_limiter r(1000, 2000);
    int through = 0;
    for (int i = 0; i < 100'000; ++i)
        through += !r.take("a", start + std::chrono::microseconds(100) * i);
    CHECK(through >= 2000 + 9998);
    CHECK(through <= 2000 + 10'000);
}

TEST_CASE("who asks too often takes nothing from another") {
    rate_limiter r(10, 20);
    CHECK(taken(r, "a", start, 1000) == 20);
    CHECK(taken(r, "b", start, 1000) == 20);
}

TEST_CASE("the wait that is told is the time until a token is there") {
    rate_limiter r(4, 1);
    CHECK_FALSE(r.take("a", start));
    const auto wait = r.take("a", start + 50ms);
    REQUIRE(wait);
    CHECK(*wait == 200ms);
    CHECK(r.take("a", start + 50ms + *wait - 1ns));
    CHECK_FALSE(r.take("a", start + 50ms + *wait));
}

TEST_CASE("no rate is no limit") {
    rate_limiter r(0, 0);
    CHECK(taken(r, "a", start, 1000) == 1000);
    CHECK(r.size() == 0);
}

TEST_CASE("buckets are bounded in number; full ones go first, and late comers share one") {
    rate_limiter r(1, 2, 3);
    for (const auto* key : {"a", "b", "c"})
        CHECK_FALSE(r.take(key, start));
    CHECK(taken(r, "d", start, 10) == 2);
    CHECK(taken(r, "e", start, 10) == 0);  // it is d's as well
    CHECK(r.size() == 3);
    // All three are full again: there is room for others, with buckets of their own.
    CHECK(taken(r, "f", start + 10s, 10) == 2);
    CHECK(taken(r, "g", start + 10s, 10) == 2);
    CHECK(r.size() == 2);
}

TEST_CASE("Retry-After is in whole seconds, never none") {
    CHECK(retry_after(too_many(1ns)) == 1);
    CHECK(retry_after(too_many(1s)) == 1);
    CHECK(retry_after(too_many(1001ms)) == 2);
    CHECK(retry_after(too_many(100h)) == 3600);
    CHECK(retry_after(error{errc::rate_limited, "as many subjects as it may have"}) == 1);
    CHECK(retry_after(error{errc::store_unavailable, "9"}) == 1);
}
