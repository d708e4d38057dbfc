#include "base/time.hpp"

#include <doctest/doctest.h>

using namespace mission;
using namespace std::chrono_literals;

TEST_CASE("RFC 3339 is read with any offset and printed in UTC") {
    CHECK(to_rfc3339(*from_rfc3339("2026-11-02T09:06:40Z")) == "2026-11-02T09:06:40Z");
    CHECK(to_rfc3339(*from_rfc3339("2026-11-02T10:06:40.5+01:00")) == "2026-11-02T09:06:40.500Z");
    CHECK(to_rfc3339(*from_rfc3339("2024-02-29t23:59:60z")) == "2024-02-29T23:59:59Z");
    CHECK(to_numeric_date(*from_rfc3339("1970-01-01T00:00:01.999Z")) == 1);
}

TEST_CASE("what is no date-time is refused") {
    for (const char* bad :
         {"", "2026-11-02", "2026-11-02T09:06:40", "2026-13-02T09:06:40Z", "2025-02-29T00:00:00Z",
          "2026-11-02T24:00:00Z", "2026-11-02T09:06:40.Z", "2026-11-02T09:06:40+1:00",
          "1969-12-31T23:59:59Z", "2026-11-02T09:06:40Zx", "2026-11-02 09:06:40Z"})
        CHECK_MESSAGE(!from_rfc3339(bad).has_value(), bad);
}

TEST_CASE("a manual clock moves both times, a jump only the wall") {
    manual_clock c{wall_time{1000s}};
    const auto before = c.steady_now();
    c.advance(5s);
    c.jump_wall(-3600s);
    CHECK(c.steady_now() - before == 5s);
    CHECK(c.now() == wall_time{1005s - 3600s});
}
