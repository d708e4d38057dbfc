#include <doctest/doctest.h>

#include "receiver/teardown/plan.hpp"

using namespace mission;
using namespace mission::receiver;
using ms::effect;
using namespace std::chrono_literals;

namespace {

const mission_key key{"https://mas.example", "m"};

ms::handler_options options(const char* name, std::vector<effect> on, bool per_hold = true) {
    ms::handler_options h;
    h.name = name;
    h.on = std::move(on);
    h.per_hold = per_hold;
    return h;
}

task_record task(effect why, std::int64_t version) {
    task_record t;
    t.why = why;
    t.version = version;
    return t;
}

}  // namespace

TEST_CASE("one task per handler that wants the effect and per hold, or one per mission") {
    const std::vector<hold_record> holds = {{key, "a", "1"}, {key, "b", "2"}};
    const auto tasks =
        plan_tasks({options("vault", {effect::revoked}), options("audit", {effect::revoked}, false),
                    options("pause", {effect::suspended})},
                   holds, effect::revoked, key, 3, {});
    REQUIRE(tasks.size() == 3);
    CHECK(tasks[0].name == "a");
    CHECK(tasks[0].data == "1");
    CHECK(tasks[1].name == "b");
    CHECK(tasks[2].name.empty());
}

TEST_CASE("an idempotency key is the same for the same task and differs for any other") {
    const auto k = idempotency_key("h", effect::revoked, key, 3, "a");
    CHECK(k == idempotency_key("h", effect::revoked, key, 3, "a"));
    CHECK(k != idempotency_key("h", effect::revoked, key, 3, "b"));
    CHECK(k != idempotency_key("h", effect::revoked, key, 4, "a"));
    CHECK(k != idempotency_key("h", effect::expired, key, 3, "a"));
    CHECK(idempotency_key("ab", effect::revoked, key, 1, "c") !=
          idempotency_key("a", effect::revoked, key, 1, "bc"));
}

TEST_CASE(
    "a terminal task cancels what is pending of the reversible ones, and nothing follows it") {
    const auto end = task(effect::revoked, 5);
    for (const auto e :
         {effect::suspended, effect::resumed, effect::scope_changed, effect::stale}) {
        CHECK(supersedes(end, task(e, 4)));
        CHECK_FALSE(supersedes(task(e, 6), end));
        CHECK(forbids(end, task(e, 6)));
    }
    CHECK_FALSE(supersedes(end, task(effect::completed, 4)));
}

TEST_CASE("of two reversible tasks the newer one stands") {
    CHECK(supersedes(task(effect::resumed, 3), task(effect::suspended, 2)));
    CHECK_FALSE(supersedes(task(effect::suspended, 2), task(effect::resumed, 3)));
    CHECK_FALSE(supersedes(task(effect::resumed, 3), task(effect::stale, 2)));
    auto done = task(effect::suspended, 2);
    done.finished = true;
    CHECK_FALSE(supersedes(task(effect::resumed, 3), done));
}

TEST_CASE("retries grow, with jitter, up to the bound") {
    auto random = seeded_random(1);
    auto h = options("h", {});
    h.retry_first = 100ms;
    h.retry_max = 1000ms;
    for (unsigned n = 1; n < 40; ++n) {
        const auto d = retry_delay(h, n, *random);
        const auto full = std::min<std::int64_t>(100LL << std::min(n - 1, 10u), 1000);
        CHECK(d.count() <= full);
        CHECK(d.count() >= full / 2);
    }
}
