#include "receiver/state/state.hpp"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <atomic>
#include <fstream>
#include <future>

#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using test::temp_dir;

namespace {

record full_record() {
    record r;
    r.key = {"https://mas.example", "m1"};
    r.state = "suspended";
    r.version = 7;
    r.log_epoch = "e";
    r.expires_at = from_milliseconds(5);
    r.suspend_until = from_milliseconds(6);
    r.successor = "s";
    r.reason = "r";
    r.gap = true;
    r.not_found = true;
    r.denied_as = "revoked";
    r.authority_needed = 8;
    r.authority = "[]";
    r.authority_version = 6;
    r.fresh_until = from_milliseconds(9);
    r.confirmed_epoch = 3;
    return r;
}

bool write(state& s, state_write w) {
    std::promise<bool> p;
    s.submit(std::move(w), [&](const result<void>& r) { p.set_value(r.has_value()); });
    return p.get_future().get();
}

void execute(const std::string& path, const char* sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

}  // namespace

TEST_CASE("everything that was answered is there after a restart") {
    temp_dir dir;
    const auto path = dir / "state.db";
    task_record t;
    t.key = "k";
    t.handler = "h";
    t.why = ms::effect::revoked;
    t.mission = full_record().key;
    t.version = 7;
    t.name = "n";
    t.data = std::string("d\0ta", 4);
    t.attempts = 2;
    t.last = ms::outcome_kind::failed;
    t.evidence = "e";
    {
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_value());
        REQUIRE((*s)->load().has_value());
        state_write w;
        w.missions = {full_record()};
        w.holds = {{full_record().key, "n", "d"}, {full_record().key, "gone", ""}};
        w.tasks = {t};
        w.settings = {{"epoch", "3"}};
        w.jtis = {{"i", "j1"}, {"i", "j2"}};
        CHECK(write(**s, w));
        state_write second;
        second.released = {{full_record().key, "gone"}};
        CHECK(write(**s, second));
    }
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    auto rows = (*s)->load();
    REQUIRE(rows.has_value());
    CHECK_FALSE(rows->rebuilt);
    REQUIRE(rows->missions.size() == 1);
    CHECK(rows->missions[0] == full_record());
    REQUIRE(rows->holds.size() == 1);
    CHECK(rows->holds[0] == hold_record{full_record().key, "n", "d"});
    REQUIRE(rows->tasks.size() == 1);
    CHECK(rows->tasks[0].data == t.data);
    CHECK(rows->tasks[0].attempts == 2);
    CHECK(rows->tasks[0].why == ms::effect::revoked);
    CHECK(rows->settings == decltype(rows->settings){{"epoch", "3"}});
    CHECK(rows->jtis == decltype(rows->jtis){{"i", "j1"}, {"i", "j2"}});
}

TEST_CASE("a damaged file is moved aside and an empty one made: everything is denied") {
    temp_dir dir;
    const auto path = dir / "state.db";
    std::ofstream(path) << std::string(8192, 'x');
    std::string said;
    auto s = open_state(path, [&](const std::string& text) { said = text; });
    REQUIRE(s.has_value());
    auto rows = (*s)->load();
    REQUIRE(rows.has_value());
    CHECK(rows->rebuilt);
    CHECK(rows->missions.empty());
    CHECK(std::filesystem::exists(path + ".damaged-1"));
    CHECK(said.find("moved") != std::string::npos);
}

TEST_CASE("a newer schema and another program's database are refused and left alone") {
    temp_dir dir;
    const auto path = dir / "state.db";
    { REQUIRE(open_state(path, nullptr).has_value()); }
    SUBCASE("newer") {
        execute(path, "PRAGMA user_version=99");
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_error());
        CHECK(s.error() == errc::store_newer);
    }
    SUBCASE("another program") {
        execute(path, "PRAGMA application_id=7");
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_error());
        CHECK(s.error() == errc::bad_configuration);
    }
    CHECK_FALSE(std::filesystem::exists(path + ".damaged-1"));
}

TEST_CASE("a file another process has is refused as locked, a directory that is missing as such") {
    temp_dir dir;
    const auto path = dir / "state.db";
    auto first = open_state(path, nullptr);
    REQUIRE(first.has_value());
    REQUIRE((*first)->load().has_value());
    auto second = open_state(path, nullptr);
    REQUIRE(second.has_error());
    CHECK(second.error() == errc::store_locked);
    auto missing = open_state(dir / "no/such/state.db", nullptr);
    REQUIRE(missing.has_error());
    CHECK(missing.error() == errc::store_unavailable);
}

TEST_CASE("units written in one go keep their order: the last value stands") {
    auto s = open_state("", nullptr);
    REQUIRE(s.has_value());
    REQUIRE((*s)->load().has_value());
    std::atomic<int> committed{0};
    for (int i = 0; i < 500; ++i) {
        state_write w;
        w.settings = {{"n", std::to_string(i)}};
        (*s)->submit(std::move(w), nullptr, [&, i] {
            CHECK(committed.load() == i);
            ++committed;
        });
    }
    CHECK(write(**s, {}));
    CHECK(committed == 500);
}
