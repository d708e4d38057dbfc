// Memory that ends while something is torn down or paused: what was not written is not planned,
// what is on disk runs, and a pause is made up for.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "receiver/teardown/plan.hpp"
#include "tests/receiver/held_state.hpp"
#include "tests/receiver/real_state.hpp"
#include "tests/receiver/scarce_memory.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::effect;
using test::eventually;
using test::scarce_memory;

namespace {

const mission_key mission_0{real_issuer, real_id(0)};
const std::string pay = R"([{"type":"t","resource":"r","actions":["pay"]}])";

// An engine that holds a thing of a mission at version 1, active; units are written when the test
// says so, and its handler runs from start() on.
struct holding_run {
    held_state disk;
    std::mutex m;
    std::string called;  // under `m`: the effects, in order
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::vector<std::chrono::milliseconds> woken;  // what was asked for
    int asked = 0;                                 // for Status
    std::chrono::milliseconds ahead{0};            // how far both clocks have moved on
    std::unique_ptr<engine> e;

    explicit holding_run(std::vector<effect> on) {
        ms::handler_options o;
        o.name = "a handler with a name that is too long to be kept short";
        o.on = std::move(on);
        runner->add_handler(o, [this](const ms::task& t) {
            const std::lock_guard lock(m);
            called.append(called.empty() ? "" : " ").append(ms::name(t.why));
            return ms::outcome::done();
        });
        engine::hooks h;
        h.now = [this] { return now(); };
        h.ask_status = [this](const mission_key&, bool) { ++asked; };
        h.wake_after = [this](std::chrono::milliseconds d) { woken.push_back(d); };
        e = std::make_unique<engine>(disk, *runner, 100, std::move(h));
        e->set_issuers(real_issuer, {});
        e->set_max_stale(std::chrono::seconds(60));
        state_snapshot s;
        s.holds.push_back({mission_0, "thing", "data"});
        e->load(std::move(s));
        status(1, "active");
    }
    ~holding_run() { runner->stop(); }

    instant now() const {
        auto t = coarse_now();
        t.wall += ahead.count();
        t.mono += ahead.count();
        return t;
    }
    void start() {
        task_runner::hooks h;
        h.execute = [](std::function<void()> job) { job(); };
        h.may_run = [this](const task_record& t) { return e->may_run(t); };
        runner->start(std::move(h));
    }
    void status(std::int64_t version, const char* state) {
        status_word w;
        w.id = mission_0.id;
        w.issuer = mission_0.issuer;
        w.state = state;
        w.version = version;
        w.log_epoch = "e1";
        w.issued_at = to_wall(now());
        w.fresh_until = w.issued_at + std::chrono::seconds(50);
        e->on_status(mission_0, w, e->status_asked(mission_0), nullptr);
        disk.commit_all();
    }
    void offer(std::int64_t version, const char* state) {
        const bool narrowed = version > 1 && std::string(state) == "active";
        std::optional<std::string> authority;
        if (narrowed) authority = pay;
        e->receive(
            real_run::mission_set(0, version, state, real_run::seconds_now(), authority, narrowed),
            [](const set_outcome&) {});
    }
    void set(std::int64_t version, const char* state) {
        offer(version, state);
        disk.commit_all();
    }
    // Of the tasks that are open, by name.
    std::string open() const {
        std::string out;
        for (const auto& t : runner->list(true))
            out.append(out.empty() ? "" : " ").append(ms::name(t.why));
        return out;
    }
    std::string calls() {
        const std::lock_guard lock(m);
        return called;
    }
    bool all_done() {
        return eventually([&] { return runner->open_count() == 0; }, std::chrono::seconds(5));
    }
};

using effects = std::vector<effect>;

// Runs `act` with memory that ends a step later at each of many runs, for so many allocations.
// `then` is told whether it was thrown out.
void fail_everywhere(const effects& on, const std::function<void(holding_run&)>& prepare,
                     const std::function<void(holding_run&)>& act,
                     const std::function<void(holding_run&, bool thrown)>& then,
                     std::vector<std::size_t> ends = {1, scarce_memory::all}) {
    for (const auto most : ends) {
        bool failed = true;
        for (std::size_t first = 0; failed; ++first) {
            INFO("allocation ", first, ", ", most, " of them");
            holding_run r(on);
            prepare(r);
            const auto went = test::act_without_memory(first, most, [&] { act(r); });
            failed = went.failed;
            then(r, went.thrown);
        }
    }
}

}  // namespace

TEST_CASE("a task that memory kept from the disk neither runs nor holds up those that come after") {
    int looked = 0;
    fail_everywhere(
        {effect::scope_changed, effect::suspended}, [](holding_run&) {},
        [](holding_run& r) { r.offer(2, "active"); },
        [&](holding_run& r, bool thrown) {
            if (!thrown || !r.disk.units.empty()) return;
            ++looked;
            CHECK(r.open().empty());
            CHECK(r.runner->list(false).empty());
            CHECK(r.runner->status()[0].open == 0);
            CHECK_FALSE(r.runner->has_open(mission_0));
            // The mission goes on before that SET comes again.
            r.set(3, "suspended");
            CHECK(r.open() == "suspended");
            r.start();
            CHECK(r.all_done());
            CHECK(r.calls() == "suspended");
        });
    CHECK(looked > 20);
}

TEST_CASE("a task that memory kept from the disk runs once its SET has come again") {
    int looked = 0;
    fail_everywhere(
        {effect::scope_changed, effect::revoked}, [](holding_run&) {},
        [](holding_run& r) { r.offer(2, "revoked"); },
        [&](holding_run& r, bool thrown) {
            if (!thrown || !r.disk.units.empty()) return;
            ++looked;
            r.set(2, "revoked");
            r.start();
            CHECK(r.all_done());
            CHECK(r.calls() == "revoked");
        });
    CHECK(looked > 20);
}

TEST_CASE("what is on disk runs, though the SET that would have taken it back failed") {
    int looked = 0;
    fail_everywhere(
        {effect::suspended, effect::resumed}, [](holding_run& r) { r.set(2, "suspended"); },
        [](holding_run& r) { r.offer(3, "active"); },
        [&](holding_run& r, bool thrown) {
            if (!thrown || !r.disk.units.empty()) return;
            ++looked;
            CHECK(r.open() == "suspended");
            CHECK(r.runner->status()[0].open == 1);
            const bool again = looked % 2 == 0;
            if (again) r.set(3, "active");
            if (again) r.status(3, "active");  // a resume waits until it is permitted
            r.start();
            CHECK(r.all_done());
            CHECK(r.calls() == std::string(again ? "resumed" : "suspended"));
        });
    CHECK(looked > 20);
}

namespace {

// A pause is due: nobody has vouched for the mission for long enough.
void grow_old(holding_run& r) {
    r.ahead += std::chrono::seconds(120);
    r.woken.reserve(100);
}

}  // namespace

TEST_CASE("a pause that memory failed is made up for, once") {
    int failed = 0;
    fail_everywhere(
        {effect::stale, effect::fresh}, grow_old, [](holding_run& r) { r.e->watch(); },
        [&](holding_run& r, bool thrown) {
            // Whoever woke us would not come again.
            REQUIRE_FALSE(thrown);
            REQUIRE_FALSE(r.woken.empty());
            if (r.open() == "fresh") {  // of the beginning
                ++failed;
                CHECK(r.woken.back() <= std::chrono::seconds(1));
                r.e->watch();
            }
            CHECK(r.open() == "stale");
            r.e->watch();
            CHECK(r.asked == 1);
            r.start();
            CHECK(r.all_done());
            CHECK(r.calls() == "stale");
            r.status(2, "active");
            CHECK(r.all_done());
            CHECK(r.calls() == "stale fresh");
        },
        {1, 4});
    CHECK(failed > 10);
}

TEST_CASE("a pause that memory failed while something else was taken comes with the next look") {
    int looked = 0;
    fail_everywhere(
        {effect::stale, effect::fresh}, [](holding_run& r) { r.offer(3, "active"); },
        // A gap: the mission is denied, and so is what it holds to be paused.
        [](holding_run& r) { r.disk.commit_all(); },
        [&](holding_run& r, bool thrown) {
            if (thrown || r.open() != "fresh") return;
            ++looked;
            CHECK(r.woken.back() <= std::chrono::seconds(1));
            r.e->watch();
            CHECK(r.open() == "stale");
        },
        {1});
    CHECK(looked > 5);
}

TEST_CASE("who cannot even be woken later waits until it can") {
    holding_run r({effect::stale});
    r.ahead += std::chrono::seconds(120);
    r.woken = std::vector<std::chrono::milliseconds>();
    {
        const scarce_memory scarce(0, 4);
        r.e->watch();
        CHECK(scarce.failed() == 4);
    }
    REQUIRE(r.woken.size() == 1);
    CHECK(r.woken[0] <= std::chrono::seconds(1));
}

TEST_CASE("what memory keeps from being begun is begun later, and runs once") {
    int retried = 0;
    for (const std::size_t most : {1, 3}) {
        for (std::size_t first = 0; first < 30; ++first) {
            INFO("allocation ", first, ", ", most, " of them");
            const auto runner = make_task_runner(system_random());
            std::atomic<int> asked{0}, called{0};
            std::atomic<unsigned> attempts{0};
            ms::handler_options o;
            o.name = "h";
            o.on = {effect::revoked};
            o.retry_first = o.retry_max = std::chrono::milliseconds(1);
            runner->add_handler(o, [&](const ms::task& t) {
                auto done = ms::outcome::done("evidence that is too long to be kept short");
                attempts = t.attempt;
                ++called;
                return done;
            });
            std::unique_ptr<scarce_memory> scarce;
            task_runner::hooks h;
            h.execute = [](std::function<void()> job) { job(); };
            std::vector<task_record> recorded;
            h.record = [&](const task_record& t) { recorded.push_back(t); };
            // On the scheduler's thread, as what comes after it.
            h.may_run = [&](const task_record&) {
                if (++asked == 1) scarce = std::make_unique<scarce_memory>(first, most);
                return true;
            };
            runner->start(std::move(h));
            runner->release(runner->plan(plan_tasks(runner->handlers(), {{mission_0, "thing", ""}},
                                                    effect::revoked, mission_0, 2, {})));
            CHECK(eventually([&] { return runner->open_count() == 0; }, std::chrono::seconds(5)));
            runner->stop();
            CHECK(called.load() == 1);
            CHECK(recorded.size() <= 2);
            if (asked > 1) ++retried;
            CHECK(attempts.load() <= 2);
            CHECK(runner->status()[0].running == 0);
        }
    }
    CHECK(retried > 10);
}
