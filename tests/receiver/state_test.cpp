#include "receiver/state/state.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "base/limits.hpp"
#include "receiver/state/look.hpp"
#include "tests/receiver/state_rows.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using test::temp_dir;

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
        const auto now = system_clock().now();
        w.jtis = {{"i", "old", now - limits::seen_jti_kept - std::chrono::hours(1)},
                  {"i", "j1", now},
                  {"i", "j2", now}};
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
    CHECK(rows->missions.empty());
    CHECK(rows->missions_stored);
    const auto whole = (*s)->read(full_record().key);
    REQUIRE(whole.has_value());
    CHECK(*whole == full_record());
    auto without_authority = full_record();
    without_authority.authority.reset();
    CHECK(missions_of(**s, 3) == std::vector{without_authority});
    REQUIRE(rows->holds.size() == 1);
    CHECK(rows->holds[0] == hold_record{full_record().key, "n", "d"});
    REQUIRE(rows->tasks.size() == 1);
    CHECK(rows->tasks[0].data == t.data);
    CHECK(rows->tasks[0].attempts == 2);
    CHECK(rows->tasks[0].why == ms::effect::revoked);
    CHECK(rows->settings == decltype(rows->settings){{"epoch", "3"}});
    // Oldest first; what no transmitter holds any more is forgotten.
    REQUIRE(rows->jtis.size() == 2);
    CHECK(rows->jtis[0].jti == "j1");
    CHECK(rows->jtis[1].jti == "j2");
}

TEST_CASE("an event is kept with its tries, in order, until it is settled") {
    temp_dir dir;
    const auto path = dir / "state.db";
    auto event = [](const char* jti, const char* type) {
        event_record e;
        e.iss = "i";
        e.jti = jti;
        e.type = type;
        e.subject = R"({"format":"opaque","id":"x"})";
        e.event = "{}";
        e.issued_at = 1700000000;
        e.received = from_milliseconds(5);
        return e;
    };
    {
        auto s = open_state(path, nullptr);
        REQUIRE((*s)->load().has_value());
        state_write w;
        w.events = {event("a", "t"), event("b", "t"), event("c", "t"), event("c", "u")};
        CHECK(write(**s, w));
        state_write later;
        later.events = {event("a", "t")};
        later.events[0].attempts = 3;
        later.events[0].last = ms::outcome_kind::failed;
        later.events[0].evidence = "no";
        later.settled_events = {event("b", "t"), event("c", "u")};
        CHECK(write(**s, later));
    }
    auto s = open_state(path, nullptr);
    const auto rows = (*s)->load();
    REQUIRE(rows.has_value());
    REQUIRE(rows->events.size() == 2);
    CHECK(rows->events[0].jti == "a");  // tried again, and still the first
    CHECK(rows->events[0].attempts == 3);
    CHECK(rows->events[0].last == ms::outcome_kind::failed);
    CHECK(rows->events[0].evidence == "no");
    CHECK(rows->events[0].subject == event("a", "t").subject);
    CHECK(rows->events[0].issued_at == 1700000000);
    CHECK(rows->events[1].jti == "c");
    CHECK(rows->events[1].type == "t");
}

// As it was released.
constexpr const char* first_schema = R"sql(
    CREATE TABLE missions(
        issuer TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
        log_epoch TEXT NOT NULL, expires_at INTEGER, suspend_until INTEGER,
        successor TEXT NOT NULL, reason TEXT NOT NULL, gap INTEGER NOT NULL,
        not_found INTEGER NOT NULL, denied_as TEXT NOT NULL, authority_needed INTEGER NOT NULL,
        authority TEXT, authority_version INTEGER NOT NULL, fresh_until INTEGER,
        confirmed_epoch INTEGER NOT NULL, PRIMARY KEY(issuer, id)) WITHOUT ROWID;
    CREATE TABLE holds(
        issuer TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY(issuer, id, name)) WITHOUT ROWID;
    CREATE TABLE tasks(
        key TEXT PRIMARY KEY, handler TEXT NOT NULL, why INTEGER NOT NULL, issuer TEXT NOT NULL,
        id TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
        attempts INTEGER NOT NULL, last INTEGER NOT NULL, evidence TEXT NOT NULL,
        finished INTEGER NOT NULL, cancelled INTEGER NOT NULL, created INTEGER NOT NULL,
        updated INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE jtis(n INTEGER PRIMARY KEY, iss TEXT NOT NULL, jti TEXT NOT NULL,
        UNIQUE(iss, jti)))sql";

TEST_CASE("a state of the first version is brought up, with all that it knew") {
    temp_dir dir;
    const auto path = dir / "state.db";
    execute(path, first_schema);
    execute(path, "INSERT INTO jtis(iss, jti) VALUES('i', 'j')");
    execute(path,
            "INSERT INTO missions VALUES('i', 'm', 'active', 5, 'e', 7, NULL, 's', 'r', 0, 0, '', "
            "0, '[{\"type\":\"t\"}]', 4, 9, 3), ('i', 'n', 'revoked', 2, 'e', NULL, 8, '', '', 1, "
            "1, 'x', 6, NULL, 0, NULL, 0)");
    execute(path, "PRAGMA application_id=1297314424; PRAGMA user_version=1");
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    const auto rows = (*s)->load();
    REQUIRE(rows.has_value());
    CHECK(rows->missions_stored);
    const auto m = (*s)->read({"i", "m"});
    REQUIRE(m.has_value());
    REQUIRE(m->has_value());
    record wanted;
    wanted.key = {"i", "m"};
    wanted.state = "active";
    wanted.version = 5;
    wanted.log_epoch = "e";
    wanted.expires_at = from_milliseconds(7);
    wanted.successor = "s";
    wanted.reason = "r";
    wanted.authority = R"([{"type":"t"}])";
    wanted.authority_version = 4;
    wanted.fresh_until = from_milliseconds(9);
    wanted.confirmed_epoch = 3;
    CHECK(**m == wanted);
    CHECK(missions_of(**s, 3).size() == 2);
    CHECK((*s)->in_doubt(10)->front() == mission_key{"i", "n"});
    REQUIRE(rows->jtis.size() == 1);
    CHECK(rows->jtis[0].jti == "j");
    CHECK(rows->events.empty());
}

TEST_CASE("the state is nobody else's to read, and the process keeps its umask") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto before = ::umask(0022);
    auto s = open_state(path, nullptr);
    REQUIRE(s.has_value());
    state_write w;
    w.settings = {{"a", "b"}};
    REQUIRE((*s)->load().has_value());
    CHECK(write(**s, w));
    CHECK(::umask(before) == 0022);
    for (const char* suffix : {"", "-wal"}) {
        struct stat st {};
        REQUIRE(::stat((path + suffix).c_str(), &st) == 0);
        CHECK((st.st_mode & 0777) == 0600);
    }
}

TEST_CASE("a state that others can write is not believed") {
    temp_dir dir;
    const auto path = dir / "state.db";
    REQUIRE(open_state(path, nullptr).has_value());
    for (const mode_t mode : {0660, 0602}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        const auto opened = open_state(path, nullptr);
        REQUIRE(opened.has_error());
        CHECK(opened.error() == errc::bad_configuration);
        CHECK(opened.error().message().find("others can write it") != std::string::npos);
    }
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    CHECK(open_state(path, nullptr).has_value());
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
    CHECK_FALSE(rows->missions_stored);
    CHECK(std::filesystem::exists(path + ".damaged-1"));
    CHECK(said.find("moved") != std::string::npos);
}

TEST_CASE("a newer schema and another program's database are refused and left alone") {
    temp_dir dir;
    const auto path = dir / "state.db";
    { REQUIRE(open_state(path, nullptr).has_value()); }
    SUBCASE("newer") {
        execute(path,
                "PRAGMA user_version=99; UPDATE settings SET value='99' WHERE "
                "name='schema_version'");
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_error());
        CHECK(s.error() == errc::store_newer);
    }
    SUBCASE("another program") {
        std::filesystem::remove(path);
        execute(path, "CREATE TABLE theirs(x); PRAGMA application_id=7; PRAGMA user_version=1");
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

TEST_CASE("who looks at a state at rest leaves no lock behind, and sees that one is in use") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_value());
        const auto tasks = tasks_in(path);
        REQUIRE(tasks.has_error());
        CHECK(tasks.error() == errc::store_locked);
    }
    CHECK(tasks_in(path).has_value());
    std::filesystem::remove(path + "-lock");
    CHECK(tasks_in(path).has_value());
    CHECK_FALSE(std::filesystem::exists(path + "-lock"));
    CHECK(tasks_in(dir / "none.db").error() == errc::not_found);
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

TEST_CASE("a walk meets what stays once, whatever goes and comes meanwhile") {
    auto s = open_state("", nullptr);
    REQUIRE(s.has_value());
    REQUIRE((*s)->load().has_value());
    const auto numbered = [](int n) {
        auto r = full_record();
        r.key.id = "m" + std::to_string(n);
        r.authority.reset();
        return r;
    };
    state_write w;
    for (const int n : {5, 1, 4, 2, 3})
        w.missions.push_back(numbered(n));
    CHECK(write(**s, w));
    std::vector<std::string> met;
    const auto walk = [&](row_place& after, std::size_t limit) {
        const auto n =
            (*s)->each(after, limit, true, [&](const record& r) { met.push_back(r.key.id); });
        REQUIRE(n.has_value());
        return *n;
    };
    row_place after;
    CHECK(walk(after, 2) == 2);
    state_write change;
    change.forgotten = {numbered(5).key, numbered(2).key};
    change.missions = {numbered(0), numbered(1)};
    CHECK(write(**s, change));
    CHECK(walk(after, 10) == 3);
    CHECK(met == std::vector<std::string>{"m5", "m1", "m4", "m3", "m0"});
    CHECK(walk(after, 10) == 0);
}
