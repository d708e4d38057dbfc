// The books of the runner where memory ends: nothing of what was begun is half done.
#include "receiver/teardown/task_book.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "receiver/teardown/plan.hpp"
#include "tests/receiver/scarce_memory.hpp"

using namespace mission;
using namespace mission::receiver;
using ms::effect;
using test::scarce_memory;
using namespace std::chrono_literals;

namespace {

const mission_key one{"https://mas.example", "a mission with an id that is too long for short"};
const std::string handler = "a handler with a name that is too long to be kept short";
const steady_time t0{};

struct books {
    task_book book{system_random()};

    explicit books(std::vector<effect> on = {effect::suspended, effect::resumed, effect::revoked,
                                             effect::scope_changed, effect::stale, effect::fresh}) {
        ms::handler_options o;
        o.name = handler;
        o.on = std::move(on);
        o.timeout = 1s;
        o.retry_first = o.retry_max = 1ms;
        o.concurrency = 2;
        book.add_handler(o, [](const ms::task&) { return ms::outcome::done(); });
    }
    std::vector<task_record> tasks(effect why, std::int64_t version) const {
        const std::vector<hold_record> holds{{one, "a thing with a name that is not short", "data"},
                                             {one, "another thing with such a name", "data"}};
        return plan_tasks(book.handlers(), holds, why, one, version, wall_time{});
    }
    std::vector<task_record> plan(effect why, std::int64_t version) {
        return book.plan(tasks(why, version), t0);
    }
    std::vector<task_record> release(effect why, std::int64_t version) {
        const auto all = tasks(why, version);
        const auto planned = book.plan(all, t0);
        book.release(planned, t0);
        book.release(all, t0);  // those that are not written
        return planned;
    }
    // All that can be seen of it.
    std::string all() const {
        std::string out;
        for (const auto& l : book.list(false)) {
            out += std::string(ms::name(l.task.why)) + "/" + l.task.name +
                   std::to_string(l.task.attempts) + l.task.evidence +
                   (l.task.finished ? " finished" : "") + (l.task.cancelled ? " cancelled" : "") +
                   (l.running ? " running" : "") + (l.next ? " queued" : "") + ", ";
        }
        for (const auto& t : book.due(t0 + 1h))
            out += "due " + t.key + ", ";
        const auto s = book.status().at(0);
        out += std::to_string(s.open) + " " + std::to_string(s.running) + " " +
               std::to_string(book.open_count()) + " " + std::to_string(book.held_back()) +
               (book.has_open(one) ? " open" : "");
        return out;
    }
    // The accounts tell what they have once.
    std::size_t accounts() {
        return book.take_slow(steady_time::max()).size() + (book.take_closed(one) ? 1 : 0);
    }
};

// `act` with memory that ends a step later each time, until it does not. Returns how often it
// ended.
int fail_everywhere(const std::function<void(books&)>& prepare,
                    const std::function<void(books&)>& act,
                    const std::function<void(books&, const std::string& before)>& then) {
    int ended = 0;
    for (const auto most : {std::size_t{1}, scarce_memory::all}) {
        bool failed = true;
        for (std::size_t first = 0; failed; ++first) {
            INFO("allocation ", first, ", ", most, " of them");
            books b;
            prepare(b);
            const auto before = b.all();
            try {
                const scarce_memory scarce(first, most);
                act(b);
                failed = false;
            } catch (const std::bad_alloc&) {
                ++ended;
            }
            if (failed) then(b, before);
        }
    }
    return ended;
}

}  // namespace

TEST_CASE("a plan that memory failed has changed nothing, and is made anew") {
    const auto prepare = [](books& b) {
        b.release(effect::suspended, 2);
        b.release(effect::stale, 2);
        CHECK(b.book.launch(b.book.due(t0).at(0).key, t0));
    };
    int n = 0;
    SUBCASE("of a resume, which supersedes") {
        n = fail_everywhere(
            prepare, [](books& b) { (void)b.plan(effect::resumed, 3); },
            [](books& b, const std::string& before) {
                CHECK(b.all() == before);
                CHECK(b.plan(effect::resumed, 3).size() == 4);
            });
    }
    SUBCASE("of an end, which has an account") {
        n = fail_everywhere(
            prepare, [](books& b) { (void)b.plan(effect::revoked, 3); },
            [](books& b, const std::string& before) {
                CHECK(b.all() == before);
                CHECK(b.accounts() == 0);
                CHECK(b.plan(effect::revoked, 3).size() == 4);
            });
    }
    SUBCASE("of what is not written") {
        n = fail_everywhere(
            prepare, [](books& b) { (void)b.plan(effect::fresh, 3); },
            [](books& b, const std::string& before) {
                CHECK(b.all() == before);
                b.release(effect::fresh, 3);
                CHECK(b.book.open_count() == 4);  // the stale ones are gone
            });
    }
    CHECK(n > 20);
}

TEST_CASE("what was planned and not handed on is as if it had not been planned") {
    for (const auto why : {effect::suspended, effect::resumed, effect::revoked}) {
        INFO(ms::name(why));
        books b;
        b.release(effect::suspended, 2);
        b.release(effect::stale, 2);
        const auto call = b.book.launch(b.book.due(t0).at(0).key, t0);
        REQUIRE(call);
        const auto before = b.all();
        const auto planned = b.plan(why, 3);
        CHECK(planned.size() == 4);
        CHECK(b.all() != before);
        {
            const scarce_memory none(0);
            b.book.unplan(planned);
        }
        CHECK(b.all() == before);
        CHECK(b.accounts() == 0);
        // The next one is.
        b.release(effect::revoked, 4);
        CHECK(b.book.open_count() == 2);
        CHECK(b.accounts() == 1);
    }
}

TEST_CASE("what runs while it is superseded for nothing is tried again") {
    books b({effect::suspended, effect::resumed});
    b.release(effect::suspended, 2);
    const auto call = b.book.launch(b.book.due(t0).at(0).key, t0);
    REQUIRE(call);
    const auto planned = b.plan(effect::resumed, 3);
    (void)b.book.finish(call->id, ms::outcome::failed("no"), t0, wall_time{});
    b.book.unplan(planned);
    CHECK(b.book.open_count() == 2);
    CHECK(b.book.due(t0).size() == 2);
}

TEST_CASE("who goes on its way while another unit waits is not touched by what is taken back") {
    books b({effect::suspended, effect::resumed, effect::scope_changed});
    const auto first = b.plan(effect::suspended, 2);  // waits for the disk
    CHECK(b.plan(effect::suspended, 2).empty());
    b.book.unplan({});
    const auto second = b.plan(effect::resumed, 3);  // as well
    const auto third = b.plan(effect::suspended, 4);
    b.book.unplan(third);
    b.book.release(first, t0);
    CHECK(b.book.due(t0).empty());
    b.book.release(second, t0);
    CHECK(b.book.open_count() == 2);
    const auto due = b.book.due(t0);
    REQUIRE(due.size() == 2);
    CHECK(due[0].why == effect::resumed);
    CHECK(b.book.list(false).size() == 4);
}

TEST_CASE("what was superseded is gone once what superseded it is on disk") {
    books b;
    b.release(effect::stale, 2);
    const auto suspend = b.plan(effect::suspended, 2);
    CHECK(b.book.list(false).size() == 4);
    SUBCASE("and not before") {
        b.book.release(suspend, t0);
        CHECK(b.book.list(false).size() == 2);
        // Its key is free again.
        b.release(effect::resumed, 3);
        CHECK(b.plan(effect::suspended, 2).size() == 2);
    }
    SUBCASE("or what came after that, early") {
        b.book.release(b.plan(effect::revoked, 3), t0);
        b.book.release(suspend, t0);
        CHECK(b.book.list(true).size() == 2);
        CHECK(b.book.list(false).size() == 4);
    }
}

TEST_CASE("what is superseded says by what, whatever else is planned before that is on disk") {
    books b;
    b.release(effect::suspended, 2);
    const auto resume = b.plan(effect::resumed, 3);
    const auto told = [&b] {
        std::size_t n = 0;
        for (const auto& l : b.book.list(false)) {
            if (l.task.why != effect::suspended) continue;
            CHECK(l.task.cancelled);
            CHECK(l.task.evidence == "superseded by resumed");
            ++n;
        }
        return n;
    };
    CHECK(told() == 2);
    SUBCASE("that it is fresh again") {
        b.release(effect::fresh, 3);
    }
    SUBCASE("an end that may run early") {
        b.book.release(b.plan(effect::revoked, 4), t0);
    }
    b.book.release(resume, t0);
    CHECK(told() == 2);
}

TEST_CASE("a suspension that may run early takes with it what still waits for the disk") {
    books b({effect::suspended, effect::resumed});
    b.release(effect::suspended, 2);
    const auto resume = b.plan(effect::resumed, 3);
    const auto suspend = b.plan(effect::suspended, 4);
    b.book.release(suspend, t0);  // early
    const auto due = b.book.due(t0);
    REQUIRE(due.size() == 2);
    CHECK(due[0].version == 4);
    CHECK(b.book.open_count() == 2);
    // Their units come through.
    b.book.release(resume, t0);
    b.book.release(suspend, t0);
    CHECK(b.book.due(t0).size() == 2);
    CHECK(b.book.list(true).size() == 2);
    CHECK(b.book.list(false).size() == 6);
}

TEST_CASE("a call that memory failed has not begun, and its task waits for the next") {
    const auto prepare = [](books& b) { b.release(effect::suspended, 2); };
    const auto key = books().tasks(effect::suspended, 2).at(0).key;
    const int n = fail_everywhere(
        prepare, [&](books& b) { REQUIRE(b.book.launch(key, t0)); },
        [&](books& b, const std::string& before) {
            CHECK(b.all() == before);
            const auto call = b.book.launch(key, t0);
            REQUIRE(call);
            CHECK(call->what.attempt == 1);
        });
    CHECK(n > 10);
}

TEST_CASE("what memory was there for at the beginning of a call takes none at its end") {
    books b;
    b.release(effect::suspended, 2);
    b.release(effect::scope_changed, 2);
    const auto due = b.book.due(t0);
    REQUIRE(due.size() == 2);
    const auto first = b.book.launch(due[0].key, t0), second = b.book.launch(due[1].key, t0);
    REQUIRE((first && second));
    auto outcome = ms::outcome::done(std::string(10'000, 'x'));
    task_book::returned told;
    SUBCASE("acknowledged: what comes behind it in the lane is due") {
        {
            const scarce_memory none(0);
            b.book.begun(first->id, t0);
            told = b.book.finish(first->id, std::move(outcome), t0, wall_time{});
        }
        REQUIRE(told.told);
        CHECK(told.told->finished);
        CHECK(told.told->attempts == 1);
        CHECK(told.told->key == due[0].key);
        CHECK(b.book.open_count() == 3);
        REQUIRE(b.book.due(t0).size() == 1);
        CHECK(b.book.due(t0)[0].why == effect::scope_changed);
    }
    SUBCASE("failed: it is tried again") {
        {
            const scarce_memory none(0);
            b.book.begun(first->id, t0);
            outcome.kind = ms::outcome_kind::failed;
            told = b.book.finish(first->id, std::move(outcome), t0, wall_time{});
        }
        REQUIRE(told.told);
        CHECK_FALSE(told.told->finished);
        CHECK(told.told->last == ms::outcome_kind::failed);
        REQUIRE(b.book.due(t0 + 1s).size() == 1);
        CHECK(b.book.due(t0 + 1s)[0].key == due[0].key);
    }
    SUBCASE("not in time: it is tried again, and the late word counts") {
        {
            const scarce_memory none(0);
            b.book.begun(first->id, t0);
            b.book.drop(second->id, t0);
            (void)b.book.expire(t0 + 2s, wall_time{});
        }
        CHECK(b.book.overdue() == 1);
        CHECK(b.book.due(t0 + 1h).size() == 1);
        const scarce_memory none(0);
        CHECK(b.book.finish(first->id, std::move(outcome), t0, wall_time{}).late);
        CHECK(b.book.open_count() == 3);
    }
    SUBCASE("dropped: it is due at once") {
        {
            const scarce_memory none(0);
            b.book.drop(first->id, t0);
        }
        REQUIRE(b.book.due(t0).size() == 1);
        CHECK(b.book.due(t0)[0].attempts == 0);
    }
}

TEST_CASE("to hold a task back and to let it go takes no memory") {
    books b;
    b.release(effect::resumed, 3);
    const auto due = b.book.due(t0);
    REQUIRE(due.size() == 2);
    {
        const scarce_memory none(0);
        b.book.hold_back(due[0].key);
        b.book.hold_back(due[0].key);
        b.book.hold_back(due[1].key);
    }
    CHECK(b.book.held_back() == 2);
    CHECK(b.book.due(t0).empty());
    {
        const scarce_memory none(0);
        b.book.let_go();
    }
    CHECK(b.book.due(t0).size() == 2);
}

TEST_CASE("what the host lets go of is cancelled whole, wherever memory ends") {
    const auto name = books().tasks(effect::suspended, 2).at(0).name;
    const int n = fail_everywhere(
        [](books& b) {
            b.release(effect::suspended, 2);
            b.release(effect::scope_changed, 2);
            (void)b.plan(effect::resumed, 3);  // waits for the disk
        },
        [&](books& b) { (void)b.book.cancel(one, name, "a reason that is too long for short"); },
        [&](books& b, const std::string& before) {
            CHECK(b.all() == before);
            CHECK(b.book.cancel(one, name, "gone").size() == 2);
            CHECK_FALSE(b.book.has_open(one, name));
            CHECK(b.book.open_count() == 2);
        });
    CHECK(n > 4);
}
