// What resolve() says when Status cannot mend a denial, against a transmitter.
#include <doctest/doctest.h>

#include <atomic>

#include "receiver/subscribe/status_limits.hpp"
#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using mission_signals::cause;
using mission_signals::standing;
using std::chrono::milliseconds;

TEST_CASE("a denial that Status cannot mend says why") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto unknown = b.rx->missions().resolve(new_id());
    CHECK(unknown.what == standing::unknown);
    CHECK(unknown.why == cause::not_found);
    // What is no id asks nobody.
    const int asked = b.tx.statuses;
    CHECK(b.rx->missions().resolve("not an id").why == cause::none);
    CHECK(b.tx.statuses == asked);
    // A caller without patience is told so, and what comes later is applied.
    const auto slow = new_id();
    b.tx.set_status(slow, {"active", "e1", 1, "[]"});
    b.tx.hold("/mission/status");
    CHECK(b.rx->missions().resolve(slow, milliseconds(20)).why == cause::timed_out);
    b.tx.release_held();
    CHECK(b.becomes(slow, standing::active));
    CHECK(b.rx->missions().resolve(slow).why == cause::none);
    b.tx.status_down = true;
    const auto down = b.rx->missions().resolve(new_id());
    CHECK(down.what == standing::unknown);
    CHECK(down.why == cause::status_unreachable);
    const auto confirmed = b.rx->missions().confirm(new_id());
    CHECK_FALSE(confirmed.answered());
    CHECK(confirmed.now.why == cause::status_unreachable);
}

TEST_CASE("ten thousand callers with made-up ids are all answered, and cost a bounded number") {
    poll_bench b;
    constexpr std::size_t herd = 10'000;
    std::atomic<std::size_t> told{0}, permitted{0};
    b.start(b.options());
    b.live();
    last_word done(b);
    const int before = b.tx.statuses;
    for (std::size_t n = 0; n < herd; ++n) {
        b.rx->missions().resolve(new_id(), [&](mission_signals::answer a) {
            permitted += a.permitted() ? 1 : 0;
            ++told;
        });
    }
    CHECK(eventually([&] { return told == herd; }));
    CHECK(permitted == 0);
    using namespace receiver::status_limits;
    CHECK(static_cast<std::size_t>(b.tx.statuses - before) <=
          strangers_burst + strangers_waiting + 500);
}

TEST_CASE("callers for one mission share one request") {
    poll_bench b;
    std::atomic<int> told{0};
    b.start(b.options());
    b.live();
    last_word done(b);
    const auto id = new_id();
    b.tx.set_status(id, {"active", "e1", 1, "[]"});
    b.tx.hold("/mission/status");
    const int before = b.tx.statuses;
    for (int n = 0; n < 100; ++n)
        b.rx->missions().resolve(id, [&](mission_signals::answer a) { told += a.permitted(); });
    b.tx.release_held();
    CHECK(eventually([&] { return told == 100; }));
    CHECK(b.tx.statuses == before + 1);
}
