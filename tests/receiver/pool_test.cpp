#include "receiver/teardown/pool.hpp"

#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <future>
#include <vector>

#include "tests/receiver/wait.hpp"

using namespace mission::receiver;
using mission::test::eventually;
using namespace std::chrono_literals;

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

TEST_CASE("a serial queue that is closed drops what waits and takes nothing more") {
    std::function<void()> drain;
    auto queue = std::make_shared<serial_queue>(
        [&](std::function<void()> job) { drain = std::move(job); }, 3);
    int ran = 0;
    CHECK(queue->post([&] { ++ran; }));
    queue->close();
    drain();
    CHECK(ran == 0);
    CHECK_FALSE(queue->post([&] { ++ran; }));
}

TEST_CASE("a pool that has lost threads has others for them, and gives them back") {
    auto pool = make_worker_pool(2);
    std::promise<void> turn;
    const auto on = turn.get_future().share();
    for (int n = 0; n < 2; ++n)
        pool->post([on] { on.wait(); });
    std::atomic<int> done{0};
    pool->post([&] { ++done; });
    CHECK_FALSE(eventually([&] { return done == 1; }, 50ms));
    pool->lost(2);
    CHECK(eventually([&] { return done == 1; }));
    turn.set_value();
    pool->lost(0);
    for (int n = 0; n < 100; ++n)
        pool->post([&] { ++done; });
    CHECK(pool->stop(10s));
    CHECK(done == 101);
}

namespace {

// No thread can be made while it lives: there is no room for the stack of one.
class no_threads {
  public:
    no_threads() {
        pthread_attr_t none;
        REQUIRE(pthread_getattr_default_np(&before_) == 0);
        REQUIRE(pthread_attr_init(&none) == 0);
        REQUIRE(pthread_attr_setstacksize(&none, std::size_t{1} << 50) == 0);
        REQUIRE(pthread_setattr_default_np(&none) == 0);
        pthread_attr_destroy(&none);
    }
    ~no_threads() {
        pthread_setattr_default_np(&before_);
        pthread_attr_destroy(&before_);
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;

  private:
    pthread_attr_t before_{};
};

}  // namespace

TEST_CASE("where no thread is to be had for those that are lost, the next job tries again") {
    auto pool = make_worker_pool(1);
    std::promise<void> turn;
    const auto on = turn.get_future().share();
    std::atomic<int> done{0};
    pool->post([&, on] {
        on.wait();
        ++done;
    });
    {
        const no_threads none;
        CHECK_THROWS(make_worker_pool(1));
        pool->lost(1);
        pool->post([&] { ++done; });
    }
    CHECK(done == 0);
    pool->post([&] { ++done; });
    CHECK(eventually([&] { return done == 2; }));
    turn.set_value();
    CHECK(pool->stop(10s));
    CHECK(done == 3);
}

TEST_CASE("a pool stops though a job does not return, and drops what waits behind it") {
    std::promise<void> turn;
    const auto on = turn.get_future().share();
    const auto out = std::make_shared<std::promise<void>>();
    auto gone = out->get_future();
    const auto late = std::make_shared<std::atomic<int>>(0);
    {
        auto pool = make_worker_pool(1);
        pool->post([on, out] {
            on.wait();
            out->set_value();
        });
        pool->post([late] { ++*late; });
        CHECK_FALSE(pool->stop(20ms));
    }
    turn.set_value();
    CHECK(gone.wait_for(20s) == std::future_status::ready);
    CHECK(*late == 0);
}
