#include <doctest/doctest.h>

#include "support.hpp"

using namespace mission;
using namespace mission::net;
using namespace mission::net::test;

TEST_CASE("callbacks of one strand never run at the same time and keep their order") {
    const auto rt = make_runtime(4, 1);
    const auto s = rt->make_strand();
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    std::vector<int> order;
    promised<int> last;
    for (int i = 0; i < 1000; ++i) {
        s->post([&, i] {
            if (++inside != 1) overlapped = true;
            order.push_back(i);
            --inside;
            if (i == 999) last.set(i);
        });
    }
    last.get();
    CHECK(!overlapped);
    CHECK(order.size() == 1000);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a timer destroyed on its strand never fires, even when it had expired already") {
    const auto rt = make_runtime(2, 1);
    const auto s = rt->make_strand();
    promised<int> over;
    std::atomic<bool> fired{false};
    s->post([&] {
        auto t = s->after(0ms, [&] { fired = true; });
        // Busy until the timer has surely expired and its callback waits behind us.
        const auto until = std::chrono::steady_clock::now() + 30ms;
        while (std::chrono::steady_clock::now() < until) {
        }
        t.reset();
        s->post([&] { over.set(1); });
    });
    over.get();
    promised<int> afterwards;
    const auto t = s->after(20ms, [&] { afterwards.set(1); });
    afterwards.get();
    CHECK(!fired);
}

TEST_CASE("a timer fires once, and not before its time") {
    const auto rt = make_runtime(1, 1);
    promised<int> fired;
    const auto start = std::chrono::steady_clock::now();
    const auto t = rt->after(30ms, [&] { fired.set(1); });
    fired.get();
    CHECK(std::chrono::steady_clock::now() - start >= 30ms);
    CHECK(fired.extra() == 0);
}

TEST_CASE("a timer may be destroyed from within its callback") {
    const auto rt = make_runtime(1, 1);
    const auto s = rt->make_strand();
    promised<int> fired;
    std::unique_ptr<timer> t;
    s->post([&] {
        t = s->after(1ms, [&] {
            t.reset();
            fired.set(1);
        });
    });
    CHECK(fired.get() == 1);
}

TEST_CASE("a cancelled timer lets go of what its callback held") {
    const auto rt = make_runtime(1, 1);
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = held;
    auto t = rt->after(std::chrono::hours(1), [held = std::move(held)] {});
    t.reset();
    CHECK(eventually([&] { return watch.expired(); }));
}

TEST_CASE("work runs off the network threads") {
    const auto rt = make_runtime(1, 1);
    promised<std::thread::id> worker;
    promised<std::thread::id> network;
    rt->post_work([&] { worker.set(std::this_thread::get_id()); });
    rt->post([&] { network.set(std::this_thread::get_id()); });
    CHECK(worker.get() != network.get());
}

TEST_CASE("a stopped runtime drops what is posted and may be stopped twice") {
    const auto rt = make_runtime(2, 2);
    rt->stop();
    rt->stop();
    bool ran = false;
    rt->post([&] { ran = true; });
    rt->post_work([&] { ran = true; });
    CHECK(!ran);
}
