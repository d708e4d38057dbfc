// A state that an older version wrote, brought up to this one.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "receiver/state/state.hpp"
#include "tests/receiver/state_rows.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using test::temp_dir;

namespace {

// The fourth version's missions: keyed by name.
constexpr const char* fourth_missions = R"sql(
    DROP TABLE missions;
    CREATE TABLE missions(
        issuer TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
        log_epoch TEXT NOT NULL, expires_at INTEGER, suspend_until INTEGER,
        successor TEXT NOT NULL, reason TEXT NOT NULL, gap INTEGER NOT NULL,
        not_found INTEGER NOT NULL, denied_as TEXT NOT NULL, authority_needed INTEGER NOT NULL,
        authority_version INTEGER NOT NULL, fresh_until INTEGER,
        confirmed_epoch INTEGER NOT NULL, committed_at INTEGER,
        heard_at INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY(issuer, id)) WITHOUT ROWID;
    CREATE INDEX missions_in_doubt ON missions(issuer, id)
        WHERE gap <> 0 OR authority_needed <> 0 OR denied_as <> '';
    DELETE FROM settings WHERE name='schema_version';
    PRAGMA user_version=4)sql";

// A file of the fourth version with the rows that a run of today writes.
std::vector<record> make_fourth(const std::string& path, int count) {
    std::vector<record> rows;
    {
        auto s = open_state(path, nullptr);
        REQUIRE(s.has_value());
        REQUIRE((*s)->load().has_value());
        state_write w;
        for (int n = 0; n < count; ++n) {
            auto r = full_record();
            r.key.id = "m" + std::to_string(100'000 + n);
            r.version = n + 1;
            r.gap = n % 2 == 0;
            w.missions.push_back(r);
            r.authority.reset();
            rows.push_back(r);
        }
        REQUIRE(write(**s, std::move(w)));
    }
    execute(path, "CREATE TABLE kept AS SELECT * FROM missions");
    execute(path, fourth_missions);
    execute(path,
            "INSERT INTO missions SELECT issuer, id, state, version, log_epoch, expires_at, "
            "suspend_until, successor, reason, gap, not_found, denied_as, authority_needed, "
            "authority_version, fresh_until, confirmed_epoch, committed_at, heard_at, checksum "
            "FROM kept");
    execute(path, "DROP TABLE kept");
    return rows;
}

// Killed by the kernel as soon as one of its files would grow beyond this; false: it came to its
// end.
bool killed_at(rlim_t octets, const std::string& path) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit none{octets, octets}, no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::setrlimit(RLIMIT_FSIZE, &none);
        std::signal(SIGXFSZ, SIG_DFL);
        (void)open_state(path, nullptr);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status);
}

// The two rows change places in the table, and the index is left as it was.
void swap_behind_the_index(const std::string& path) {
    execute(path,
            "PRAGMA writable_schema=ON; CREATE TABLE kept AS SELECT type, name, tbl_name, rootpage,"
            " sql FROM sqlite_schema WHERE name='missions_by_key';"
            "DELETE FROM sqlite_schema WHERE name='missions_by_key'");
    execute(path,
            "UPDATE missions SET n=3 WHERE n=1; UPDATE missions SET n=1 WHERE n=2;"
            "UPDATE missions SET n=2 WHERE n=3");
    execute(path,
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema SELECT * FROM kept;"
            "DROP TABLE kept");
}

}  // namespace

TEST_CASE("a state whose missions are keyed by name is brought up, and no row is in doubt for it") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto rows = make_fourth(path, 50);
    std::vector<std::string> said;
    for (int run = 0; run < 2; ++run) {
        auto s = open_state(path, [&](const std::string& text) { said.push_back(text); });
        REQUIRE(s.has_value());
        REQUIRE((*s)->load().has_value());
        CHECK(missions_of(**s) == rows);
        const auto one = (*s)->read(rows[7].key);
        REQUIRE(one.has_value());
        REQUIRE(one->has_value());
        CHECK((*one)->authority == full_record().authority);
    }
    CHECK(said.empty());
}

TEST_CASE("a process that is killed while it brings a state up leaves the old one or the new one") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto rows = make_fourth(path, 5'000);
    int before = 0, within = 0;  // its log has none of it yet, or some
    for (rlim_t octets = 40'000; killed_at(octets, path); octets += octets / 4) {
        REQUIRE(octets < 64'000'000);
        ++(std::filesystem::file_size(path + "-wal") > 0 ? within : before);
    }
    CHECK(before > 0);
    CHECK(within > 2);
    std::string said;
    auto s = open_state(path, [&](const std::string& text) { said = text; });
    REQUIRE(s.has_value());
    const auto loaded = (*s)->load();
    REQUIRE(loaded.has_value());
    CHECK_FALSE(loaded->rebuilt);
    CHECK(said == "");
    CHECK(missions_of(**s) == rows);
}

TEST_CASE("a damaged state of before is not brought up: another one takes its place") {
    temp_dir dir;
    const auto path = dir / "state.db";
    make_fourth(path, 10);
    // A row that no version wrote.
    execute(path,
            "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql, 'reason TEXT NOT "
            "NULL', 'reason TEXT') WHERE name='missions'");
    execute(path, "UPDATE missions SET reason=NULL WHERE id='m100003'");
    std::string said;
    auto s = open_state(path, [&](const std::string& text) { said = text; });
    REQUIRE(s.has_value());
    const auto rows = (*s)->load();
    REQUIRE(rows.has_value());
    CHECK(rows->rebuilt);
    CHECK_FALSE(rows->missions_stored);
    CHECK(said.find("moved to") != std::string::npos);
}

TEST_CASE("an index that leads to another mission is damage: nobody's row is taken for another's") {
    temp_dir dir;
    const auto path = dir / "state.db";
    auto ended = full_record(), running = full_record();
    ended.key.id = "ended";
    running.key.id = "running";
    ended.state = "revoked";
    running.gap = false;
    std::string said;
    auto s = open_state(path, [&](const std::string& text) { said = text; });
    REQUIRE((*s)->load().has_value());
    state_write w;
    w.missions = {ended, running};
    REQUIRE(write(**s, w));
    SUBCASE("at a start") {
        s->reset();
        swap_behind_the_index(path);
        s = open_state(path, [&](const std::string& text) { said = text; });
        REQUIRE(s.has_value());
        const auto rows = (*s)->load();
        REQUIRE(rows.has_value());
        CHECK(rows->rebuilt);
        CHECK(said.find("missions_by_key") != std::string::npos);
    }
    SUBCASE("when it is read") {
        swap_behind_the_index(path);
        const auto read = (*s)->read(ended.key);
        CHECK((read.has_error() || (read->has_value() && (*read)->gap)));
    }
    SUBCASE("when it is written") {
        swap_behind_the_index(path);
        ended.version = 8;
        state_write next;
        next.missions = {ended};
        CHECK_FALSE(write(**s, next));
        // It waits for the new file, and is the first in it.
        REQUIRE(write(**s, {}));
        CHECK(std::filesystem::exists(path + ".damaged-1"));
        CHECK(missions_of(**s).size() == 1);
        const auto read = (*s)->read(ended.key);
        REQUIRE(read.has_value());
        CHECK(*read == ended);
    }
}
