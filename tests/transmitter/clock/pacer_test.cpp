// Turns: one at a time, in the order of asking, put off while streams at work are behind.
#include "transmitter/clock/pacer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <vector>

namespace mission::transmitter::test {
namespace {

using namespace std::chrono_literals;

struct running {
    std::unique_ptr<net::runtime> runtime = net::make_runtime(2, 1);
    ~running() { runtime->stop(); }
};

// Waits for the next turn and hands it out.
pacer::turn take(pacer& p, std::chrono::milliseconds patience = 1s) {
    auto got = std::make_shared<std::promise<pacer::turn>>();
    auto future = got->get_future();
    p.ask([got](pacer::turn t) { got->set_value(std::move(t)); }, patience);
    REQUIRE(future.wait_for(20s) == std::future_status::ready);
    return future.get();
}

}  // namespace

TEST_CASE("a turn is given when the one before has gone, in the order of asking") {
    running r;
    const auto p = make_pacer(*r.runtime, {});
    auto first = take(*p);
    std::mutex mutex;
    std::vector<int> order;
    std::promise<void> all;
    std::atomic<int> at_once = 0;
    std::atomic<bool> overlapped = false;
    for (int i = 0; i < 20; ++i)
        p->ask([&, i](pacer::turn t) {
            if (++at_once != 1) overlapped = true;
            {
                const std::lock_guard lock(mutex);
                order.push_back(i);
            }
            // Let go elsewhere, as the writer does.
            r.runtime->post_work([&, i, t]() mutable {
                --at_once;
                t.reset();
                if (i == 19) all.set_value();
            });
        });
    {
        const std::lock_guard lock(mutex);
        CHECK(order.empty());  // the first is still held
    }
    first.reset();
    REQUIRE(all.get_future().wait_for(20s) == std::future_status::ready);
    CHECK(!overlapped);
    const std::lock_guard lock(mutex);
    REQUIRE(order.size() == 20);
    for (int i = 0; i < 20; ++i)
        CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a step is put off while streams at work are behind, and no longer than its patience") {
    running r;
    std::atomic<std::int64_t> lag = 31;
    const auto p =
        make_pacer(*r.runtime, {[&] { return std::chrono::milliseconds(lag.load()); }, 30ms});
    auto began = std::chrono::steady_clock::now();
    take(*p, 150ms);
    auto waited = std::chrono::steady_clock::now() - began;
    CHECK(waited >= 150ms);
    // As soon as they have caught up.
    auto got = std::make_shared<std::promise<void>>();
    auto future = got->get_future();
    p->ask([got](const pacer::turn&) { got->set_value(); }, 60s);
    CHECK(future.wait_for(100ms) == std::future_status::timeout);
    lag = 30;
    CHECK(future.wait_for(20s) == std::future_status::ready);
}

TEST_CASE("after stop nobody's turn comes") {
    running r;
    const auto p = make_pacer(*r.runtime, {});
    auto held = take(*p);
    std::atomic<bool> called = false;
    p->ask([&](const pacer::turn&) { called = true; });
    p->stop();
    held.reset();
    p->ask([&](const pacer::turn&) { called = true; });
    std::promise<void> later;
    const auto timer = r.runtime->after(50ms, [&] { later.set_value(); });
    later.get_future().wait();
    CHECK(!called);
}

TEST_CASE("a step's size follows what steps take") {
    step_size s;
    for (int i = 0; i < 40; ++i)
        s.took(s.limit(), 1ms);
    CHECK(s.limit() == 1000);
    s.took(1000, 2s);  // one slow commit
    CHECK(s.limit() == 500);
    // A step that was not full says nothing of what would fit.
    s.took(3, 1us);
    CHECK(s.limit() == 500);
    for (int i = 0; i < 40; ++i)
        s.took(s.limit(), 2s);
    CHECK(s.limit() == 50);
    for (int i = 0; i < 200; ++i)
        s.took(s.limit(), s.limit() * 40us);  // 25,000 a second
    CHECK(s.limit() * 40us <= 25ms);
    CHECK(s.limit() * 40us >= 15ms);
}

}  // namespace mission::transmitter::test
