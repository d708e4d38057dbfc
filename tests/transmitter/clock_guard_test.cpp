#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/clock/clock_guard.hpp"

using namespace mission;
using namespace mission::transmitter;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const wall_time start = from_milliseconds(1'800'000'000'000);

clock_reading at(std::int64_t wall_s, std::int64_t boot_s, bool synchronised = false) {
    return {start + seconds(wall_s), seconds(boot_s), synchronised};
}

}  // namespace

TEST_CASE("a clock that runs as the machine does is trusted") {
    clock_guard g(at(0, 100), {});
    CHECK(g.trusted());
    CHECK(g.observe(at(3600, 3700)));
    CHECK(g.observe(at(7259, 7300)));  // 59 s off since the last look
}

TEST_CASE("a jump of more than a minute, either way, stops the clock's moves") {
    clock_guard g(at(0, 100), {});
    CHECK_FALSE(g.observe(at(71, 110)));
    CHECK_FALSE(g.trusted());
    CHECK_FALSE(g.reason().empty());
    clock_guard back(at(0, 100), {});
    CHECK_FALSE(back.observe(at(-61, 101)));
}

TEST_CASE("small drifts at every look do not add up to a jump") {
    clock_guard g(at(0, 0), {});
    for (int i = 1; i <= 10; ++i)
        CHECK(g.observe(at(i * 50, i * 20)));
}

TEST_CASE("a clock that was set back to right is trusted again") {
    clock_guard g(at(0, 100), {});
    CHECK_FALSE(g.observe(at(5000, 110)));
    CHECK_FALSE(g.observe(at(5010, 120)));
    CHECK(g.observe(at(30, 130)));
}

TEST_CASE("a synchronised clock confirms a jump") {
    clock_guard g(at(0, 100), {});
    CHECK_FALSE(g.observe(at(5000, 110)));
    CHECK(g.observe(at(5010, 120, true)));
    CHECK(g.observe(at(5020, 130)));
}

TEST_CASE("a clock behind the last commit waits until it has caught up") {
    clock_guard g(at(0, 100), start + seconds(30));
    CHECK_FALSE(g.trusted());
    CHECK_FALSE(g.observe(at(29, 129)));
    CHECK(g.observe(at(30, 130)));
}
