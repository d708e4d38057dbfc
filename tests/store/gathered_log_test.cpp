// The log's writes, gathered: what others see, what a transaction sees of itself, what fails.
#include "store/sqlite/gathered_log.hpp"

#include <sqlite3.h>

#include "tests/store/harness.hpp"
#include "tests/store/power_cut_vfs.hpp"

namespace mission::store::test {
namespace {

using power_cut::power_cut_vfs;

// A connection with a page cache of ten pages: what is larger goes to the log before its commit.
class small_connection {
  public:
    small_connection(const std::string& path, const std::string& vfs) {
        REQUIRE(sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                vfs.empty() ? nullptr : vfs.c_str()) == SQLITE_OK);
        for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                                "PRAGMA cache_size=10", "PRAGMA wal_autocheckpoint=0"})
            REQUIRE(run(sql) == SQLITE_OK);
    }
    ~small_connection() { sqlite3_close_v2(db_); }
    small_connection(const small_connection&) = delete;
    small_connection& operator=(const small_connection&) = delete;

    int run(const std::string& sql) {
        return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
    }
    std::int64_t number(const char* sql) {
        sqlite3_stmt* s = nullptr;
        REQUIRE(sqlite3_prepare_v2(db_, sql, -1, &s, nullptr) == SQLITE_OK);
        const std::int64_t out = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
        sqlite3_finalize(s);
        return out;
    }

    sqlite3* handle() const { return db_; }

  private:
    sqlite3* db_ = nullptr;
};

// The default VFS, whose logs have no room while `full` is set.
class narrow_vfs {
  public:
    narrow_vfs() {
        real_ = sqlite3_vfs_find(nullptr);
        vfs_ = *real_;
        vfs_.pNext = nullptr;
        vfs_.zName = "narrow";
        vfs_.xOpen = [](sqlite3_vfs*, const char* path, sqlite3_file* f, int flags, int* out) {
            const int code = real_->xOpen(real_, path, f, flags, out);
            if (code != SQLITE_OK || !(flags & SQLITE_OPEN_WAL)) return code;
            base_ = f->pMethods;
            methods_ = *base_;
            methods_.xWrite = [](sqlite3_file* g, const void* from, int size, sqlite3_int64 at) {
                return full ? SQLITE_FULL : base_->xWrite(g, from, size, at);
            };
            f->pMethods = &methods_;
            return code;
        };
        sqlite3_vfs_register(&vfs_, 0);
    }
    ~narrow_vfs() { sqlite3_vfs_unregister(&vfs_); }

    static inline bool full = false;

  private:
    sqlite3_vfs vfs_{};
    static inline sqlite3_vfs* real_ = nullptr;
    static inline const sqlite3_io_methods* base_ = nullptr;
    static inline sqlite3_io_methods methods_{};
};

constexpr const char* many =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
    "INSERT INTO t SELECT NULL, zeroblob(3000) FROM n";
constexpr const char* rows_in_table = "SELECT count(*) FROM t";

}  // namespace

TEST_CASE("a transaction larger than the cache reads what it has written, others its commit") {
    temp_folder f;
    const auto path = f.file("t.db");
    small_connection writer(path, sqlite::gathering_vfs(""));
    REQUIRE(writer.run("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)") == SQLITE_OK);
    small_connection reader(path, "");
    for (int round = 1; round <= 3; ++round) {
        REQUIRE(writer.run("BEGIN IMMEDIATE") == SQLITE_OK);
        REQUIRE(writer.run(many) == SQLITE_OK);
        CHECK(writer.number(rows_in_table) == 500 * round);
        CHECK(writer.number("SELECT sum(length(body)) FROM t") == 1'500'000 * round);
        // Pages that are in the log already, once more.
        REQUIRE(writer.run("UPDATE t SET body = zeroblob(2999) WHERE id % 7 = 0") == SQLITE_OK);
        REQUIRE(writer.run("UPDATE t SET body = zeroblob(3000) WHERE id % 7 = 0") == SQLITE_OK);
        CHECK(reader.number(rows_in_table) == 500 * (round - 1));
        REQUIRE(writer.run("COMMIT") == SQLITE_OK);
        CHECK(reader.number(rows_in_table) == 500 * round);
        CHECK(reader.number("SELECT sum(length(body)) FROM t") == 1'500'000 * round);

        REQUIRE(writer.run("BEGIN IMMEDIATE") == SQLITE_OK);
        REQUIRE(writer.run(many) == SQLITE_OK);
        REQUIRE(writer.run("ROLLBACK") == SQLITE_OK);
        CHECK(writer.number(rows_in_table) == 500 * round);
        CHECK(reader.number(rows_in_table) == 500 * round);
        if (round == 2) CHECK(reader.run("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK);
    }
    CHECK(
        reader.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"));
    CHECK(
        writer.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"));
}

TEST_CASE("the log is handed on as a whole where that is safe, and frame by frame elsewhere") {
    const auto writes_of = [](power_cut_vfs::promises promised, const char* synchronous) {
        temp_folder f;
        const auto vfs = power_cut_vfs::make(promised);
        store_options options;
        options.sqlite_vfs = vfs->name();
        options.sqlite_synchronous = synchronous;
        auto s = open_store("sqlite:" + f.file("store.db"), options).value();
        const auto issuer = s->add_issuer("https://mas.example").value();
        const auto before = vfs->writes();
        changes c;
        for (int i = 0; i < 200; ++i)
            c.missions.push_back(approval(issuer, "m" + std::to_string(i)));
        REQUIRE(run(*s, c));
        return vfs->writes() - before;
    };
    using promises = power_cut_vfs::promises;
    const auto gathered = writes_of(promises::safe_overwrite, "FULL");
    CHECK(gathered > 0);
    CHECK(gathered < 10);
    CHECK(writes_of(promises::nothing, "FULL") > 10 * gathered);
    CHECK(writes_of(promises::safe_overwrite, "NORMAL") > 10 * gathered);
}

TEST_CASE("a log that was full for one statement loses none of the commit that follows") {
    temp_folder f;
    narrow_vfs vfs;
    small_connection writer(f.file("t.db"), sqlite::gathering_vfs("narrow"));
    REQUIRE(writer.run("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)") == SQLITE_OK);
    REQUIRE(writer.run("CREATE TABLE u (id INTEGER PRIMARY KEY, size INTEGER)") == SQLITE_OK);
    REQUIRE(writer.run("BEGIN IMMEDIATE") == SQLITE_OK);
    REQUIRE(writer.run(many) == SQLITE_OK);
    vfs.full = true;
    CHECK(writer.run("INSERT INTO u SELECT NULL, length(body) FROM t") == SQLITE_FULL);
    vfs.full = false;
    // SQLite takes back the statement alone where it has a journal of its own.
    const bool done =
        sqlite3_get_autocommit(writer.handle()) == 0 && writer.run("COMMIT") == SQLITE_OK;
    small_connection reader(f.file("t.db"), "");
    CHECK(reader.number(rows_in_table) == (done ? 500 : 0));
    CHECK(reader.number("SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
    // And once it is taken back, the next one finds room.
    if (sqlite3_get_autocommit(writer.handle()) == 0) REQUIRE(writer.run("ROLLBACK") == SQLITE_OK);
    sqlite::forget_gathered(writer.handle());
    REQUIRE(writer.run(many) == SQLITE_OK);
    CHECK(reader.number(rows_in_table) == (done ? 1000 : 500));
}

TEST_CASE("what was rolled back is not written over another connection's commit") {
    temp_folder f;
    small_connection writer(f.file("t.db"), sqlite::gathering_vfs(""));
    REQUIRE(writer.run("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)") == SQLITE_OK);
    REQUIRE(writer.run("CREATE TABLE u (id INTEGER PRIMARY KEY, body BLOB)") == SQLITE_OK);
    REQUIRE(writer.run("PRAGMA wal_checkpoint(PASSIVE)") == SQLITE_OK);
    REQUIRE(writer.run("BEGIN IMMEDIATE") == SQLITE_OK);
    REQUIRE(writer.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                       "WHERE i < 20) INSERT INTO t SELECT NULL, zeroblob(3000) FROM n") ==
            SQLITE_OK);
    REQUIRE(writer.run("ROLLBACK") == SQLITE_OK);
    sqlite::forget_gathered(writer.handle());
    small_connection other(f.file("t.db"), "");
    REQUIRE(other.run("INSERT INTO u VALUES (1, 'here'), (2, 'too')") == SQLITE_OK);
    REQUIRE(writer.run("INSERT INTO u VALUES (3, 'after')") == SQLITE_OK);
    CHECK(other.number("SELECT count(*) FROM u") == 3);
}

TEST_CASE("where the database file does not promise safe overwrites nothing is gathered") {
    temp_folder f;
    sqlite3* writer = nullptr;
    REQUIRE(sqlite3_open_v2(("file:" + f.file("t.db") + "?psow=0").c_str(), &writer,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                            sqlite::gathering_vfs("").c_str()) == SQLITE_OK);
    for (const char* sql :
         {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=0",
          "CREATE TABLE u (id INTEGER)", "INSERT INTO u VALUES (1)"})
        REQUIRE(sqlite3_exec(writer, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    small_connection reader(f.file("t.db"), "");
    CHECK(reader.number("SELECT count(*) FROM u") == 1);
    sqlite3_close_v2(writer);
}

TEST_CASE("a VFS that is not there gathers nothing, and one that is gets one name") {
    CHECK(sqlite::gathering_vfs("no such vfs").empty());
    const auto name = sqlite::gathering_vfs("");
    CHECK(!name.empty());
    CHECK(sqlite::gathering_vfs("") == name);
    const auto vfs = power_cut_vfs::make();
    CHECK(sqlite::gathering_vfs(vfs->name()) != name);
}

}  // namespace mission::store::test
