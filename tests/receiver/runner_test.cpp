#include "receiver/teardown/runner.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <stdexcept>

#include "base/random.hpp"
#include "receiver/teardown/plan.hpp"
#include "receiver/teardown/pool.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using ms::effect;
using test::eventually;
using namespace std::chrono_literals;

namespace {

const mission_key key{"https://mas.example", "m"};

struct bench {
    std::unique_ptr<worker_pool> pool = make_worker_pool(4);
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::mutex m;
    std::vector<task_record> recorded;
    std::atomic<bool> may_resume{true};

    ms::handler_options options(std::vector<effect> on) {
        ms::handler_options h;
        h.name = "h";
        h.on = std::move(on);
        h.retry_first = 1ms;
        h.retry_max = 2ms;
        return h;
    }
    void start() {
        task_runner::hooks h;
        h.execute = [this](std::function<void()> job) { pool->post(std::move(job)); };
        h.record = [this](const task_record& t) {
            std::lock_guard lock(m);
            recorded.push_back(t);
        };
        h.may_run = [this](const task_record& t) {
            return t.why != effect::resumed || may_resume.load();
        };
        runner->start(std::move(h));
    }
    std::vector<task_record> add(effect why, std::int64_t version) {
        auto planned = runner->plan(
            plan_tasks(runner->handlers(), {{key, "thing", "data"}}, why, key, version, {}));
        runner->release(planned);
        return planned;
    }
    ~bench() {
        runner->stop();
        pool->stop();
    }
};

}  // namespace

TEST_CASE("a task is tried until it is acknowledged, with one key and counted attempts") {
    bench b;
    std::atomic<unsigned> calls{0};
    std::mutex m;
    std::vector<std::string> keys;
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task& t) {
        std::lock_guard lock(m);
        keys.push_back(t.idempotency_key);
        CHECK(t.attempt == keys.size());
        CHECK(t.data == "data");
        return ++calls < 4 ? ms::outcome::failed("not yet") : ms::outcome::done("gone");
    });
    b.start();
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(calls == 4);
    CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == 1);
    std::lock_guard lock(b.m);
    REQUIRE(b.recorded.size() == 4);
    CHECK(b.recorded.back().finished);
    CHECK(b.recorded.back().evidence == "gone");
}

TEST_CASE("a handler that throws has an unknown outcome and is called again") {
    bench b;
    std::atomic<int> calls{0};
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task&) -> ms::outcome {
        if (++calls == 1) throw std::runtime_error("broken");
        return ms::outcome::done();
    });
    b.start();
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    std::lock_guard lock(b.m);
    CHECK(b.recorded.front().last == ms::outcome_kind::unknown);
}

TEST_CASE("a terminal task cancels a suspend that keeps failing") {
    bench b;
    std::atomic<bool> ended{false};
    b.runner->add_handler(b.options({effect::suspended, effect::revoked}), [&](const ms::task& t) {
        if (t.why == effect::suspended) return ms::outcome::failed("no");
        ended = true;
        return ms::outcome::done();
    });
    b.start();
    b.add(effect::suspended, 2);
    const auto planned = b.add(effect::revoked, 3);
    REQUIRE(eventually([&] { return ended && b.runner->open_count() == 0; }));
    // Both are in the unit that is written: the new task, and that the old one is cancelled.
    REQUIRE(planned.size() == 2);
    CHECK(planned[0].cancelled);
    // And planning the same end again makes no second task while it is known.
    for (const auto& t : b.runner->list(false)) {
        if (t.why == effect::suspended) CHECK(t.cancelled);
    }
}

TEST_CASE("a resume waits until the mission is permitted, and a stale pause passes it") {
    bench b;
    b.may_resume = false;
    std::mutex m;
    std::vector<effect> order;
    b.runner->add_handler(b.options({effect::resumed, effect::stale}), [&](const ms::task& t) {
        std::lock_guard lock(m);
        order.push_back(t.why);
        return ms::outcome::done();
    });
    b.start();
    b.add(effect::resumed, 3);
    auto stale =
        plan_tasks(b.runner->handlers(), {{key, "thing", "data"}}, effect::stale, key, 3, {});
    auto copy = stale;
    (void)b.runner->plan(std::move(stale));
    b.runner->release(copy);
    REQUIRE(eventually([&] {
        std::lock_guard lock(m);
        return order.size() == 1;
    }));
    b.may_resume = true;
    b.runner->poke();
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    std::lock_guard lock(m);
    CHECK(order == std::vector{effect::stale, effect::resumed});
}

TEST_CASE(
    "a handler that outlives its timeout is recorded as timed out, its late word still counts") {
    bench b;
    auto o = b.options({effect::revoked});
    o.timeout = 20ms;
    o.concurrency = 1;
    std::atomic<bool> let_go{false};
    b.runner->add_handler(o, [&](const ms::task&) {
        eventually([&] { return let_go.load(); });
        return ms::outcome::done("late");
    });
    b.start();
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] {
        std::lock_guard lock(b.m);
        return !b.recorded.empty();
    }));
    {
        std::lock_guard lock(b.m);
        CHECK(b.recorded.front().last == ms::outcome_kind::timed_out);
    }
    let_go = true;
    CHECK(eventually([&] { return b.runner->open_count() == 0; }));
}

TEST_CASE("open tasks of the last run are taken up again, finished ones are not") {
    bench b;
    std::atomic<int> calls{0};
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task& t) {
        ++calls;
        CHECK(t.attempt == 4);
        return ms::outcome::done();
    });
    auto tasks = plan_tasks(b.runner->handlers(), {{key, "a", ""}, {key, "b", ""}}, effect::revoked,
                            key, 2, {});
    tasks[0].attempts = 3;
    tasks[1].finished = true;
    b.start();
    b.runner->restore(tasks);
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(calls == 1);
}

TEST_CASE("a call that outlives its task gives its slot back") {
    bench b;
    auto o = b.options({effect::revoked});
    o.timeout = 20ms;
    o.concurrency = 2;
    std::atomic<std::int64_t> let_go{0};
    std::atomic<int> hung{0};
    b.runner->add_handler(o, [&](const ms::task& t) {
        // The first try of the first two tasks hangs; the second ends the task.
        if (t.version < 4 && t.attempt == 1) {
            ++hung;
            eventually([&] { return let_go >= t.version; });
        }
        return ms::outcome::done();
    });
    b.start();
    for (const std::int64_t version : {2, 3}) {
        b.add(effect::revoked, version);
        REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
        CHECK(hung == version - 1);
        let_go = version;
    }
    b.add(effect::revoked, 4);
    b.add(effect::revoked, 5);
    CHECK(eventually([&] { return b.runner->open_count() == 0; }, 5s));
}

TEST_CASE("a pause that is not wanted any more is forgotten, not kept for ever") {
    bench b;
    b.runner->add_handler(b.options({effect::stale, effect::fresh}),
                          [&](const ms::task&) { return ms::outcome::done(); });
    for (int i = 0; i < 3; ++i) {
        auto t = plan_tasks(b.runner->handlers(), {{key, "thing", ""}},
                            i % 2 ? effect::fresh : effect::stale, key, 3, {});
        t[0].key += std::to_string(i);
        (void)b.runner->plan(std::move(t));
    }
    CHECK(b.runner->list(false).size() == 1);
}

TEST_CASE("a serial queue runs in order, and takes no more than it may") {
    std::function<void()> drain;
    auto queue = std::make_shared<serial_queue>(
        [&](std::function<void()> job) { drain = std::move(job); }, 3);
    std::vector<int> ran;
    for (int n = 0; n < 5; ++n)
        CHECK(queue->post([&, n] { ran.push_back(n); }) == (n < 3));
    drain();
    CHECK(ran == std::vector{0, 1, 2});
    CHECK(queue->post([&] { ran.push_back(9); }));
    drain();
    CHECK(ran.back() == 9);
}
