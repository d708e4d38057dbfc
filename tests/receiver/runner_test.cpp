#include "receiver/teardown/runner.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <set>
#include <stdexcept>
#include <thread>

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
    std::vector<task_record> recorded, cancelled;
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
        h.overdue = [this](std::size_t calls) { pool->lost(calls); };
        h.cancelled = [this](const task_record& t) {
            std::lock_guard lock(m);
            cancelled.push_back(t);
        };
        runner->start(std::move(h));
    }
    std::vector<task_record> add(effect why, std::int64_t version) {
        auto planned = runner->plan(
            plan_tasks(runner->handlers(), {{key, "thing", "data"}}, why, key, version, {}));
        runner->release(planned);
        return planned;
    }
    // A task is over a moment before its outcome is told.
    bool recorded_are(std::size_t n) {
        return eventually([&] {
            std::lock_guard lock(m);
            return recorded.size() == n;
        });
    }
    ~bench() {
        runner->stop();
        pool->stop(10s);
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
    REQUIRE(b.recorded_are(4));
    std::lock_guard lock(b.m);
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
    o.concurrency = 3;
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

namespace {

// What a handler that never returns refers to outlives the test.
struct latch {
    std::mutex m;
    std::condition_variable changed;
    bool on = false;
    std::map<std::string, int> inside, most;  // by name of the held thing

    void wait(const std::string& name) {
        std::unique_lock lock(m);
        most[name] = std::max(most[name], ++inside[name]);
        changed.wait(lock, [&] { return on; });
        --inside[name];
        changed.notify_all();
    }
    void turn() {
        std::unique_lock lock(m);
        on = true;
        changed.notify_all();
        changed.wait(lock, [&] {
            return std::all_of(inside.begin(), inside.end(),
                               [](const auto& i) { return i.second == 0; });
        });
    }
    int of(const std::map<std::string, int>& counts, const std::string& name) {
        std::lock_guard lock(m);
        const auto it = counts.find(name);
        return it == counts.end() ? 0 : it->second;
    }
};

std::vector<task_record> tasks_for(const task_runner& runner, const mission_key& mission,
                                   const std::vector<std::string>& names,
                                   effect why = effect::revoked, std::int64_t version = 2) {
    std::vector<hold_record> holds;
    for (const auto& n : names)
        holds.push_back({mission, n, "data"});
    return plan_tasks(runner.handlers(), holds, why, mission, version, wall_time{});
}

}  // namespace

TEST_CASE("a handler that hangs for ever keeps neither other handlers nor stop() waiting") {
    const auto gate = std::make_shared<latch>();
    {
        bench b;
        b.pool = make_worker_pool(1);  // the one thread is lost, and stood in for
        auto bad = b.options({effect::revoked});
        bad.timeout = 20ms;
        bad.concurrency = 1;
        b.runner->add_handler(bad, [gate](const ms::task&) {
            gate->wait("h");
            return ms::outcome::done();
        });
        auto good = b.options({effect::revoked});
        good.name = "good";
        std::atomic<int> done{0};
        b.runner->add_handler(good, [&](const ms::task&) {
            ++done;
            return ms::outcome::done();
        });
        b.start();
        b.add(effect::revoked, 2);
        REQUIRE(eventually([&] { return done == 1; }));
        REQUIRE(eventually([&] { return b.runner->status()[1].overdue == 1; }));
        const auto status = b.runner->status();
        CHECK(status[1].name == "h");
        CHECK(status[1].timed_out == 1);
        CHECK(status[1].running == 1);
        CHECK(status[1].open == 1);
        CHECK(status[0].open == 0);
        const auto before = std::chrono::steady_clock::now();
        CHECK(b.runner->stop() == 1);
        CHECK_FALSE(b.pool->stop(50ms));
        CHECK(std::chrono::steady_clock::now() - before < 5s);
        // Not acknowledged: the next start tries it again.
        CHECK(b.runner->open_count() == 1);
    }
    gate->turn();
}

TEST_CASE("stop() waits for a handler that is within its timeout, and hears it") {
    bench b;
    const auto gate = std::make_shared<latch>();
    b.runner->add_handler(b.options({effect::revoked}), [gate](const ms::task&) {
        gate->wait("h");
        return ms::outcome::done("just in time");
    });
    b.start();
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] { return gate->of(gate->inside, "h") == 1; }));
    std::size_t left = 7;
    std::thread stopping([&] { left = b.runner->stop(); });
    gate->turn();
    stopping.join();
    CHECK(left == 0);
    REQUIRE(b.recorded.size() == 1);
    CHECK(b.recorded[0].evidence == "just in time");
}

TEST_CASE("a task that hangs is in two calls at most, and others keep a slot") {
    const auto gate = std::make_shared<latch>();
    bench b;
    auto o = b.options({effect::revoked});
    o.timeout = 5ms;
    o.concurrency = 3;
    std::atomic<int> done{0};
    b.runner->add_handler(o, [gate, &done](const ms::task& t) {
        if (t.name == "bad") {
            gate->wait("bad");
            return ms::outcome::failed("too late");
        }
        ++done;
        return ms::outcome::done();
    });
    b.start();
    std::vector<std::string> names{"bad"};
    for (int n = 0; n < 50; ++n)
        names.push_back("good-" + std::to_string(n));
    b.runner->release(b.runner->plan(tasks_for(*b.runner, key, names)));
    REQUIRE(eventually([&] { return done == 50 && b.runner->status()[0].overdue == 2; }));
    CHECK(b.runner->open_count() == 1);
    CHECK(gate->of(gate->most, "bad") == 2);
    gate->turn();
}

TEST_CASE("an executor that throws or drops a job costs a try, not the task") {
    bench b;
    std::atomic<int> tries{0}, calls{0};
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task&) {
        ++calls;
        return ms::outcome::done();
    });
    task_runner::hooks h;
    h.execute = [&](std::function<void()> job) {
        if (++tries < 3) throw std::runtime_error("full");
        if (tries > 4) b.pool->post(std::move(job));
    };
    b.runner->start(std::move(h));
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(calls == 1);
    CHECK(tries == 5);
}

TEST_CASE("tasks of a handler that is not configured are kept, shown, and found by its return") {
    std::vector<task_record> rows;
    {
        bench first;
        auto o = first.options({effect::revoked});
        o.name = "gone";
        first.runner->add_handler(o, [](const ms::task&) { return ms::outcome::done(); });
        rows = tasks_for(*first.runner, key, {"thing"});
    }
    std::vector<task_record> kept;
    {
        bench b;
        b.runner->add_handler(b.options({effect::revoked}),
                              [](const ms::task&) { return ms::outcome::done(); });
        b.start();
        b.runner->restore(rows);
        const auto views = b.runner->views(true);
        REQUIRE(views.size() == 1);
        CHECK(views[0].orphaned);
        CHECK(views[0].handler == "gone");
        CHECK(b.runner->has_open(key, "thing"));
        CHECK(b.runner->has_open(key));
        const auto status = b.runner->status();
        REQUIRE(status.size() == 2);
        CHECK_FALSE(status[0].registered);
        CHECK(status[0].open == 1);
        kept = b.runner->list(true);
    }
    bench b;
    auto o = b.options({effect::revoked});
    o.name = "gone";
    b.runner->add_handler(o, [](const ms::task&) { return ms::outcome::done(); });
    b.start();
    b.runner->restore(kept);
    CHECK(eventually([&] { return !b.runner->has_open(key); }));
}

TEST_CASE("what is cancelled is told once it is on disk, and counts as gone in the account") {
    bench b;
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task& t) {
        return t.name == "a" ? ms::outcome::done("gone") : ms::outcome::failed("no");
    });
    b.start();
    b.runner->release(b.runner->plan(tasks_for(*b.runner, key, {"a", "b"})));
    REQUIRE(eventually([&] { return b.runner->open_count() == 1; }));
    CHECK_FALSE(b.runner->take_closed(key));
    const auto slow = b.runner->take_slow(0ms);
    REQUIRE(slow.size() == 1);
    CHECK(slow[0].open == 1);
    CHECK(slow[0].acknowledged == 1);
    CHECK_FALSE(slow[0].complete());
    REQUIRE(slow[0].named.size() == 2);
    CHECK(slow[0].named[0].name == "b");      // what is not confirmed comes first
    CHECK(b.runner->take_slow(0ms).empty());  // once

    const auto cancelled = b.runner->cancel(key, "b", "released by the host");
    REQUIRE(cancelled.size() == 1);
    {
        std::lock_guard lock(b.m);
        CHECK(b.cancelled.empty());
    }
    b.runner->release(cancelled);
    {
        std::lock_guard lock(b.m);
        REQUIRE(b.cancelled.size() == 1);
        CHECK(b.cancelled[0].evidence == "released by the host");
    }
    const auto closed = b.runner->take_closed(key);
    REQUIRE(closed);
    CHECK(closed->complete());
    CHECK(closed->acknowledged == 1);
    CHECK(closed->released == 1);
    CHECK(closed->total() == 2);
    CHECK_FALSE(b.runner->take_closed(key));
}

TEST_CASE("the account of an end counts what the last run has done of it") {
    bench b;
    b.runner->add_handler(b.options({effect::revoked}),
                          [](const ms::task&) { return ms::outcome::done(); });
    auto rows = tasks_for(*b.runner, key, {"a", "b", "c"});
    rows[0].finished = true;
    rows[0].last = ms::outcome_kind::acknowledged;
    rows[1].cancelled = true;
    b.runner->restore(rows);
    CHECK_FALSE(b.runner->take_closed(key));
    b.start();
    std::optional<teardown_account> closed;
    REQUIRE(eventually([&] { return (closed = b.runner->take_closed(key)).has_value(); }));
    CHECK(closed->acknowledged == 2);
    CHECK(closed->released == 1);
    CHECK(closed->why == effect::revoked);
    CHECK(closed->version == 2);
}

TEST_CASE("a handler whose part was done before a restart is not called again for another's sake") {
    bench b;
    std::atomic<int> calls{0};
    b.runner->add_handler(b.options({effect::revoked}), [&](const ms::task&) {
        ++calls;
        return ms::outcome::done();
    });
    auto slow = b.options({effect::revoked});
    slow.name = "slow";
    std::atomic<bool> let_go{false};
    b.runner->add_handler(slow, [&](const ms::task&) {
        return let_go ? ms::outcome::done() : ms::outcome::failed("not yet");
    });
    const auto rows = [&] {
        auto all = tasks_for(*b.runner, key, {"thing"});
        REQUIRE(all.size() == 2);
        CHECK(all[0].handler == "h");
        all[0].finished = true;
        return all;
    };
    b.runner->restore(rows());
    // As the engine does at start for what is still held: every handler of today.
    b.runner->release(b.runner->plan(tasks_for(*b.runner, key, {"thing"})));
    b.start();
    REQUIRE(eventually([&] { return b.runner->status()[1].failed > 2; }));
    let_go = true;
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(calls == 0);
    // Held still, and nobody left to end it: again.
    b.runner->release(b.runner->plan(tasks_for(*b.runner, key, {"thing"})));
    CHECK(eventually([&] { return calls == 1 && b.runner->open_count() == 0; }));
}

TEST_CASE("evidence that a handler sends by the megabyte is kept as a word") {
    bench b;
    b.runner->add_handler(b.options({effect::revoked}), [](const ms::task&) {
        return ms::outcome::done(std::string(3u << 20, 'x'));
    });
    b.start();
    b.add(effect::revoked, 2);
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    REQUIRE(b.recorded_are(1));
    std::lock_guard lock(b.m);
    CHECK(b.recorded.at(0).evidence.size() < 5000);
}

TEST_CASE("the time of a handler begins with its call, not with its place in the queue") {
    bench b;
    b.pool = make_worker_pool(1);
    auto o = b.options({effect::revoked});
    o.timeout = 50ms;
    o.concurrency = 8;
    std::atomic<int> done{0};
    const auto gate = std::make_shared<latch>();
    b.pool->post([gate] { gate->wait("busy"); });
    b.runner->add_handler(o, [&](const ms::task&) {
        ++done;
        return ms::outcome::done();
    });
    b.start();
    b.runner->release(b.runner->plan(tasks_for(*b.runner, key, {"a", "b", "c"})));
    // Longer than the timeout of what waits behind it.
    CHECK_FALSE(eventually([&] { return done > 0; }, 120ms));
    gate->turn();
    REQUIRE(eventually([&] { return done == 3; }));
    REQUIRE(eventually([&] { return b.runner->open_count() == 0; }));
    CHECK(b.runner->status()[0].timed_out == 0);
}

TEST_CASE("thirty thousand held things are planned, run and cancelled without looking at all") {
    constexpr int many = 30'000;
    bench b;
    auto o = b.options({effect::revoked});
    std::atomic<int> done{0};
    b.runner->add_handler(o, [&](const ms::task&) {
        ++done;
        return ms::outcome::done();
    });
    std::vector<std::string> names;
    for (int n = 0; n < many; ++n)
        names.push_back("thing-" + std::to_string(n));
    const auto begun = std::chrono::steady_clock::now();
    // One mission that held all of it; and as many missions, which are then let go.
    auto planned = b.runner->plan(tasks_for(*b.runner, key, names));
    REQUIRE(planned.size() == many);
    const mission_key other{"https://mas.example", "other"};
    REQUIRE(b.runner->plan(tasks_for(*b.runner, other, names)).size() == many);
    std::size_t cancelled = 0;
    for (const auto& n : names)
        cancelled += b.runner->cancel(other, n, "let go").size();
    CHECK(cancelled == many);
    b.start();
    b.runner->release(planned);
    CHECK(eventually([&] { return b.runner->open_count() == 0; }, 60s));
    CHECK(done == many);
    CHECK(b.runner->take_closed(key)->acknowledged == many);
    CHECK(b.runner->take_closed(other)->released == many);
    // What looks at all tasks for each task needs hours.
    CHECK(std::chrono::steady_clock::now() - begun < 60s);
}
