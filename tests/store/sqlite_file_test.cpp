// What a file may be when it is opened.
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "tests/store/child.hpp"
#include "tests/store/database.hpp"
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

result<std::unique_ptr<store>> open_at(const std::string& path) {
    return open_store("sqlite:" + path);
}

bool says(const error& e, std::string_view part) {
    return e.detail.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a restart keeps everything, the log epoch included") {
    temp_folder f;
    const std::string path = f.file("store.db");
    std::string epoch;
    issuer_id issuer{};
    stream_row row{};
    {
        auto s = open_at(path).value();
        issuer = s->add_issuer("https://mas.example").value();
        epoch = look(*s, [](const rows& r) { return r.log_epoch(); });
        REQUIRE(run(*s, approve(issuer, "m1")));
        REQUIRE(run(*s, move_to(issuer, "m1", state::suspended)));
        row = run(*s, subscribe(issuer, "s1", 1)).value().streams[0];
    }
    auto s = open_at(path).value();
    CHECK(look(*s, [](const rows& r) { return r.log_epoch(); }) == epoch);
    CHECK(s->add_issuer("https://mas.example").value() == issuer);
    CHECK(head(*s) == 2);
    CHECK(look(*s, [&](const rows& r) { return r.find_cursor(row)->acked_seq; }) == 1);
    CHECK(look(*s, [&](const rows& r) {
              return r.find_mission(issuer, long_id("m1"));
          })->state.state == state::suspended);
    // Numbers go on where they stopped.
    const auto next = run(*s, approve(issuer, "m2")).value();
    CHECK(next.seqs == std::vector<seq_t>{3});
    CHECK(next.missions[0] == mission_row{2});
    CHECK(run(*s, subscribe(issuer, "s2", 1)).value().streams[0] > row);
}

TEST_CASE("missing folders are made, and nothing is readable by others") {
    temp_folder f;
    const std::string path = f.file("a/b/store.db");
    auto s = open_at(path).value();
    REQUIRE(s->add_issuer("https://mas.example"));
    struct stat st {};
    for (const char* folder : {"a", "a/b"}) {
        REQUIRE(::stat(f.file(folder).c_str(), &st) == 0);
        CHECK((st.st_mode & 0777) == 0700);
    }
    for (const char* file : {"a/b/store.db", "a/b/store.db-wal", "a/b/store.db.lock"}) {
        REQUIRE(::stat(f.file(file).c_str(), &st) == 0);
        CHECK((st.st_mode & 0077) == 0);
    }
}

TEST_CASE("an empty file becomes a store that says what it is") {
    temp_folder f;
    const std::string path = f.file("store.db");
    std::ofstream(path).close();
    REQUIRE(open_at(path).has_value());
    CHECK(number(path, "PRAGMA application_id") == 0x4d536967);
    CHECK(number(path, "PRAGMA user_version") == 5);
    CHECK(number(path,
                 "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND "
                 "strict = 0 AND name NOT LIKE 'sqlite_%'") == 0);
}

TEST_CASE("a store made by a newer program is refused with both numbers and left as it is") {
    temp_folder f;
    const std::string path = f.file("store.db");
    REQUIRE(open_at(path).has_value());
    execute(path, "PRAGMA user_version=77");
    const auto r = open_at(path);
    REQUIRE(!r.has_value());
    CHECK(r.error() == errc::store_newer);
    CHECK(says(r.error(), "77"));
    CHECK(says(r.error(), " 5"));
    CHECK(says(r.error(), path));
    CHECK(number(path, "PRAGMA user_version") == 77);
}

TEST_CASE("what is no database, or another program's, is refused and left as it is") {
    temp_folder f;
    const std::string noise = f.file("noise.db");
    std::ofstream(noise) << std::string(8192, 'x');
    const auto a = open_at(noise);
    REQUIRE(!a.has_value());
    CHECK(a.error() == errc::not_a_database);
    CHECK(says(a.error(), noise));
    CHECK(std::filesystem::file_size(noise) == 8192);

    const std::string foreign = f.file("foreign.db");
    execute(foreign, "CREATE TABLE t (x); PRAGMA user_version=1");
    const auto b = open_at(foreign);
    REQUIRE(!b.has_value());
    CHECK(b.error() == errc::not_a_database);
    CHECK(number(foreign, "SELECT count(*) FROM sqlite_schema") == 1);
    CHECK(number(foreign, "SELECT journal_mode = 'delete' FROM pragma_journal_mode") == 1);
}

TEST_CASE("a folder in the file's place is named") {
    temp_folder f;
    const auto r = open_at(f.path().string());
    REQUIRE(!r.has_value());
    CHECK(r.error() == errc::io_error);
    CHECK(says(r.error(), "folder"));
    // And a file in a folder's place.
    std::ofstream(f.file("plain")).close();
    const auto below = open_at(f.file("plain/store.db"));
    REQUIRE(!below.has_value());
    CHECK(says(below.error(), f.file("plain")));
}

TEST_CASE("a file without write permission is refused as read-only, also for root") {
    temp_folder f;
    const std::string path = f.file("store.db");
    REQUIRE(open_at(path).has_value());
    REQUIRE(::chmod(path.c_str(), 0444) == 0);
    const auto r = open_at(path);
    REQUIRE(!r.has_value());
    CHECK(r.error() == errc::store_read_only);
    CHECK(says(r.error(), path));
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    CHECK(open_at(path).has_value());
}

TEST_CASE("a folder that cannot be written is refused as read-only") {
    temp_folder f;
    std::filesystem::create_directory(f.path() / "d");
    REQUIRE(::chmod(f.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(f.file("d").c_str(), 0555) == 0);
    CHECK(in_child([&] {
              // Root may write everywhere: be nobody.
              if (::geteuid() == 0) FAIL_UNLESS(::setuid(65534) == 0);
              const auto r = open_at(f.file("d/store.db"));
              FAIL_UNLESS(!r.has_value());
              FAIL_UNLESS(r.error() == errc::store_read_only);
              FAIL_UNLESS(says(r.error(), "d/store.db"));
              return 0;
          }) == 0);
}

TEST_CASE("a second process that opens the file gets store_locked until the first is gone") {
    temp_folder f;
    const std::string path = f.file("store.db");
    int ready[2], stop[2];
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::pipe(stop) == 0);
    const pid_t holder = ::fork();
    if (holder == 0) {
        char c = 0;
        auto s = open_at(path);
        [[maybe_unused]] auto n = ::write(ready[1], s ? "y" : "n", 1);
        n = ::read(stop[0], &c, 1);
        ::_exit(0);
    }
    char c = 0;
    REQUIRE(::read(ready[0], &c, 1) == 1);
    CHECK(c == 'y');
    const auto r = open_at(path);
    REQUIRE(!r.has_value());
    CHECK(r.error() == errc::store_locked);
    CHECK(says(r.error(), path));
    REQUIRE(::write(stop[1], "x", 1) == 1);
    ::waitpid(holder, nullptr, 0);
    for (const int fd : {ready[0], ready[1], stop[0], stop[1]})
        ::close(fd);
    auto mine = open_at(path);
    REQUIRE(mine.has_value());
    // The same process is no exception.
    CHECK(open_at(path).error() == errc::store_locked);
}

TEST_CASE("a file whose content is damaged is reported, not trusted") {
    temp_folder f;
    const std::string path = f.file("store.db");
    {
        auto s = open_at(path).value();
        const auto issuer = s->add_issuer("https://mas.example").value();
        REQUIRE(run(*s, approve(issuer, "m1")));
    }
    execute(path, "UPDATE mission_state SET state = 42");
    {
        auto s = open_at(path).value();
        const auto r = s->read_now([](const rows& v) { v.find_mission(mission_row{1}); });
        CHECK(r.error() == errc::store_corrupt);
        CHECK(run(*s, [](const rows& v, wall_time) -> result<changes> {
                  v.find_mission(mission_row{1});
                  return changes{};
              }).error() == errc::store_corrupt);
    }
    execute(path, "DELETE FROM meta");
    CHECK(open_at(path).error() == errc::store_corrupt);
}

TEST_CASE("the WAL does not grow without end under steady load") {
    temp_folder f;
    const std::string path = f.file("store.db");
    auto s = open_at(path).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    REQUIRE(run(*s, approve(issuer, "m1")));
    for (int i = 0; i < 200; ++i) {
        REQUIRE(run(*s, [&](const rows& r, wall_time) -> result<changes> {
            changes c;
            for (int n = 0; n < 4; ++n)
                c.missions.push_back(
                    approval(issuer, "w" + std::to_string(i) + "_" + std::to_string(n)));
            for (auto& m : c.missions)
                m.body = std::string(100'000, 'b');
            CHECK(r.head() >= 1);
            return c;
        }));
    }
    // 80 MB have passed through a log that is finished at 64 MiB.
    CHECK(std::filesystem::file_size(path + "-wal") < 72u << 20);
}

TEST_CASE("a look after a commit's answer sees it, however many looks went before") {
    temp_folder f;
    auto s = open_at(f.file("store.db")).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    REQUIRE(run(*s, approve(issuer, "m1")));
    std::atomic<bool> over{false};
    // Somebody looks all the time, so that a snapshot is always open.
    std::thread others([&] {
        while (!over)
            CHECK(s->read_now([&](const rows& r) { r.find_mission(issuer, long_id("m1")); }));
    });
    for (int i = 0; i < 500; ++i) {
        const auto to =
            i % 2 == 0 ? events::mission_state::suspended : events::mission_state::active;
        REQUIRE(run(*s, move_to(issuer, "m1", to)));
        std::int64_t version = 0;
        REQUIRE(s->read_now([&](const rows& r) {
            version = r.find_mission(issuer, long_id("m1"))->state.version;
        }));
        REQUIRE(version == i + 2);
    }
    over = true;
    others.join();
}

TEST_CASE("a snapshot that is kept for the next look does not hold the WAL") {
    temp_folder f;
    const std::string path = f.file("store.db");
    auto s = open_at(path).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    auto big = approve(issuer, "m1");
    big.missions.front().body = std::string(2'000'000, 'b');
    REQUIRE(run(*s, std::move(big)));
    REQUIRE(s->read_now([](const rows& r) { CHECK(r.head() == 1); }));
    const auto wal = std::filesystem::file_size(path + "-wal");
    // An idle writer brings all of it to the database, and begins it anew.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::filesystem::file_size(path) < 2'000'000 && std::chrono::steady_clock::now() < until)
        std::this_thread::yield();
    REQUIRE(std::filesystem::file_size(path) > 2'000'000);
    REQUIRE(run(*s, approve(issuer, "m2")));
    CHECK(std::filesystem::file_size(path + "-wal") == wal);
}

}  // namespace mission::store::test
