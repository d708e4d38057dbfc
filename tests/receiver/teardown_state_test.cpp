// What teardown leaves on disk: tasks, reports, and how much of them.
#include <doctest/doctest.h>

#include "base/limits.hpp"
#include "receiver/state/look.hpp"
#include "receiver/state/state.hpp"
#include "tests/receiver/state_rows.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using test::temp_dir;

namespace {

report_record report(const std::string& id, bool complete) {
    report_record r;
    r.mission = {"https://mas.example", id};
    r.version = 3;
    r.complete = complete;
    r.key = "key of " + id;
    r.body = "{\"kind\":\"teardown\"}";
    r.made = from_milliseconds(7);
    return r;
}

task_record task(int n, const std::string& mission, bool finished) {
    task_record t;
    t.key = "task-" + mission + "-" + std::to_string(n);
    t.handler = "h";
    t.why = ms::effect::revoked;
    t.mission = {"https://mas.example", mission};
    t.version = 2;
    t.name = std::to_string(n);
    t.finished = finished;
    t.created = t.updated = from_milliseconds(1000 + n);
    return t;
}

}  // namespace

TEST_CASE("reports are kept in order, replaced by mission, until they are settled") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        auto s = open_state(path, nullptr).value();
        REQUIRE(s->load().has_value());
        state_write w;
        w.reports = {report("b", false), report("a", true), report("c", false)};
        REQUIRE(write(*s, std::move(w)));
        auto sent = report("c", false);
        sent.sent = true;
        sent.body.clear();
        state_write then;
        then.reports = {report("b", true), sent};
        then.settled_reports = {{"https://mas.example", "a"}};
        REQUIRE(write(*s, std::move(then)));
    }
    auto s = open_state(path, nullptr).value();
    const auto rows = s->load().value();
    REQUIRE(rows.reports.size() == 2);
    CHECK(rows.reports[0] == report("b", true));
    CHECK(rows.reports[1].mission.id == "c");
    CHECK(rows.reports[1].sent);
    CHECK(rows.reports[1].body.empty());
}

TEST_CASE("finished tasks are bounded while we run; open ones and those of an open end are not") {
    constexpr int over = static_cast<int>(limits::finished_tasks_rows) + 3000;
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        auto s = open_state(path, nullptr).value();
        REQUIRE(s->load().has_value());
        state_write first;
        first.tasks = {task(0, "ending", true), task(1, "ending", false), task(0, "open", false)};
        REQUIRE(write(*s, std::move(first)));
        for (int n = 10; n < 10 + over;) {
            state_write w;
            for (int k = 0; k < 1000; ++k, ++n)
                w.tasks.push_back(task(n, "done", true));
            REQUIRE(write(*s, std::move(w)));
        }
    }
    std::size_t done = 0, ending = 0, open = 0, oldest_left = 0;
    for (const auto& t : tasks_in(path).value()) {
        done += t.mission.id == "done" ? 1 : 0;
        ending += t.mission.id == "ending" ? 1 : 0;
        open += t.open() ? 1 : 0;
        oldest_left += t.key == "task-done-10" ? 1 : 0;
    }
    CHECK(done <= static_cast<std::size_t>(limits::finished_tasks_rows) + 1000);
    CHECK(done >= static_cast<std::size_t>(limits::finished_tasks_rows) - 1);
    CHECK(oldest_left == 0);
    CHECK(ending == 2);  // what was done of it is counted in its report
    CHECK(open == 2);
}
