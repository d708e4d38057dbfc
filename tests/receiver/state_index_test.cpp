// A file whose index of missions is not as its table: too large to be checked as a whole at its
// opening, or damaged while it is in use. Nobody is permitted for it whose end was acknowledged.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <new>

#include "tests/receiver/real_state.hpp"
#include "tests/receiver/state_rows.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;
using test::temp_dir;

namespace {

constexpr std::uintmax_t large = (std::uintmax_t{64} << 20) + 4096;

void hide_index(const std::string& path) {
    execute(path,
            "PRAGMA writable_schema=ON; CREATE TABLE hidden AS SELECT type, name, tbl_name, "
            "rootpage, sql FROM sqlite_schema WHERE name='missions_by_key';"
            "DELETE FROM sqlite_schema WHERE name='missions_by_key'");
}

void show_index(const std::string& path) {
    execute(path,
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema SELECT * FROM hidden;"
            "DROP TABLE hidden");
}

record known(int n) {
    record m;
    m.key = {real_issuer, real_id(n)};
    m.state = "active";
    m.version = 1;
    m.log_epoch = "e1";
    m.fresh_until = system_clock().now() + std::chrono::minutes(30);
    return m;
}

void fill(const std::string& path, int missions) {
    real_run r(path);
    r.join();
    state_write w;
    for (int n = 0; n < missions; ++n)
        w.missions.push_back(known(n));
    for (int n = 0; n < 3; ++n)
        w.holds.push_back({{real_issuer, real_id(n)}, "thing", "data"});
    r.disk->submit(std::move(w), nullptr);
    r.settle();
}

// Its row stays, and the index does not lead there.
void lose_in_index(const std::string& path, int n) {
    const auto which = " WHERE id='" + real_id(n) + "'";
    execute(path, "CREATE TABLE kept AS SELECT * FROM missions" + which);
    execute(path, "DELETE FROM missions" + which);
    hide_index(path);
    execute(path, "INSERT INTO missions SELECT * FROM kept; DROP TABLE kept");
    show_index(path);
}

std::int64_t root_of_missions(const std::string& path) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    sqlite3_stmt* s = nullptr;
    sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name='missions'", -1, &s,
                       nullptr);
    REQUIRE(sqlite3_step(s) == SQLITE_ROW);
    const auto root = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return root;
}

// As it is when there are some hundred thousand missions.
void make_large(const std::string& path) {
    std::filesystem::resize_file(path, large);
}

}  // namespace

TEST_CASE("who has ended stays so, should the index of a large file have lost an earlier row") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 20);
    lose_in_index(path, 5);
    make_large(path);
    bool told = false;
    {
        real_run r(path);
        REQUIRE_FALSE(r.rows.rebuilt);
        REQUIRE(r.now(5) == standing::active);
        SUBCASE("found when it ends") {
            REQUIRE(r.mission(5, 2, "revoked").fate == set_fate::acknowledge);
            CHECK(r.now(5) == standing::revoked);
        }
        SUBCASE("found by the next walk") {
            auto m = known(5);
            SUBCASE("at a later version") {
                m.version = 2;
                m.state = "revoked";
            }
            SUBCASE("in doubt at the same version") {
                m.denied_as = "revoked";
            }
            state_write w;
            w.missions.push_back(m);
            r.disk->submit(std::move(w), nullptr);
            r.settle();
        }
        r.settle();
        told = r.was_said("what was known of missions is lost");
    }
    make_large(path);
    real_run r(path);
    CHECK(r.now(5) != standing::active);
    // Damage like any other: nobody is known until Status has spoken, and what is held is.
    CHECK(
        test::eventually([&] { return told || r.was_said("what was known of missions is lost"); }));
    CHECK(std::filesystem::exists(path + ".damaged-1"));
    CHECK(r.e->held({}).size() == 3);
    for (int n = 0; n < 20; ++n)
        CHECK(r.now(n) != standing::active);
}

TEST_CASE("who is forgotten takes no other mission's row along, wherever the index leads") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 2);
    hide_index(path);
    execute(path,
            "UPDATE missions SET n=3 WHERE n=1; UPDATE missions SET n=1 WHERE n=2;"
            "UPDATE missions SET n=2 WHERE n=3");
    show_index(path);
    make_large(path);
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    REQUIRE((*s)->load().has_value());
    state_write w;
    w.forgotten.push_back(known(0).key);
    std::promise<bool> written;
    (*s)->submit(std::move(w), [&](const result<void>& r) { written.set_value(r.has_value()); });
    CHECK_FALSE(written.get_future().get());
    CHECK(test::eventually([&] { return std::filesystem::exists(path + ".damaged-1"); }));
}

TEST_CASE("a large file whose tables are another version's than it says is damaged") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 5);
    execute(path, "ALTER TABLE missions RENAME COLUMN reason TO reasom");
    make_large(path);
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.e->held({}).size() == 3);
}

TEST_CASE("an old file that says it is older still is damaged") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 5);
    execute(path, "DELETE FROM settings WHERE name='schema_version'");
    SUBCASE("one that has begun") {
        execute(path, "PRAGMA user_version=2");
    }
    SUBCASE("none") {
        execute(path, "PRAGMA user_version=0");
    }
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.e->held({}).size() == 3);
}

TEST_CASE("a number that the disk has changed is damage: no walk passes over what lies behind it") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 4);
    constexpr std::size_t page_octets = 4096;
    const auto at = page_octets * static_cast<std::size_t>(root_of_missions(path) - 1);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    std::string page(page_octets, '\0');
    file.seekg(static_cast<std::streamoff>(at)).read(page.data(), page_octets);
    const auto octet = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<unsigned char>(page[i]));
    };
    // A leaf of a table (sqlite.org/fileformat.html section 1.6): the pointer to its second cell,
    // which begins with the length of what it holds, then its number.
    REQUIRE(octet(0) == 0x0d);
    REQUIRE(octet(4) == 4);
    auto cell = octet(10) << 8 | octet(11);
    while (octet(cell) >= 0x80)
        ++cell;
    REQUIRE(octet(++cell) == 2);
    file.seekp(static_cast<std::streamoff>(at + cell)).put('\x7f');
    file.close();
    make_large(path);
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    REQUIRE((*s)->load().has_value());
    row_place after;
    std::size_t met = 0;
    const auto read = (*s)->each(after, 2, true, [&](const record&) { ++met; });
    REQUIRE(read.has_error());
    CHECK(read.error() == errc::store_corrupt);
    CHECK(after.number < 1);
}

TEST_CASE("whoever leaves a walk in its midst leaves no old rows to those who read after") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 4);
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    REQUIRE((*s)->load().has_value());
    row_place after;
    CHECK_THROWS((*s)->each(after, 4, true, [](const record&) { throw std::bad_alloc(); }));
    state_write w;
    w.missions.push_back(known(1));
    w.missions.back().version = 2;
    w.missions.back().state = "revoked";
    std::promise<void> written;
    (*s)->submit(std::move(w), [&](const result<void>&) { written.set_value(); });
    written.get_future().get();
    const auto row = (*s)->read(known(1).key);
    REQUIRE(row.has_value());
    REQUIRE(row->has_value());
    CHECK((*row)->state == "revoked");
    std::size_t met = 0;
    const auto read = (*s)->each(after, SIZE_MAX, true, [&](const record&) { ++met; });
    REQUIRE(read.has_value());
    CHECK(met == 4);
}

TEST_CASE("a file that is found damaged by its loading is replaced once") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 4);
    const auto root = root_of_missions(path);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(4096 * (root - 1))
        << std::string(4096, '\x5a');
    make_large(path);
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.mission(7, 1, "active").fate == set_fate::acknowledge);
    r.settle();
    CHECK(std::filesystem::exists(path + ".damaged-1"));
    CHECK_FALSE(std::filesystem::exists(path + ".damaged-2"));
    CHECK(r.e->held({}).size() == 3);
}

TEST_CASE("what is told of a lost file is told when the engine knows that it is lost") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path, 60);
    real_run r(path, 100, {4, 1u << 20});
    r.join();
    const auto before = r.e->setting("horizon");
    std::string then = before;
    r.when_said = [&] {
        if (then == before && r.was_said("state was damaged")) then = r.e->setting("horizon") + "!";
    };
    const auto size = std::filesystem::file_size(path);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(4096)
        << std::string(size - 4096, '\x5a');
    std::filesystem::resize_file(path + "-wal", 0);
    for (int n = 0; n < 60; ++n)
        if (r.mission(n, 4, "suspended").fate == set_fate::retry) break;
    CHECK(test::eventually([&] { return r.was_said("state was damaged"); }));
    r.disk->stop();
    CHECK(then != before + "!");
    CHECK(then.size() > 1);
}
