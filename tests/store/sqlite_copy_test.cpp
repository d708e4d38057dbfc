// Copies of a store: how one is made, and how one that was put in the store's place is known.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "store/copy.hpp"
#include "tests/store/child.hpp"
#include "tests/store/database.hpp"
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

namespace fs = std::filesystem;

// A store in a folder of its own, opened and closed as a transmitter does.
struct place {
    temp_folder folder;
    std::string path = folder.file("store.db");
    std::string url = "sqlite:" + path;
    std::vector<new_history> begun;

    std::unique_ptr<store> open() {
        store_options o;
        o.on_new_history = [this](const new_history& h) { begun.push_back(h); };
        auto s = open_store(url, o);
        REQUIRE_MESSAGE(s.has_value(), (s ? "" : s.error().detail));
        return std::move(*s);
    }
    // What the file is without a process on it, as a backup of the file finds it.
    void take_away(const std::string& to) const {
        fs::copy_file(path, to, fs::copy_options::overwrite_existing);
    }
};

std::string epoch_of(store& s) {
    return look(s, [](const rows& r) { return r.log_epoch(); });
}

issuer_id issuer_of(store& s) {
    return s.add_issuer("https://mas.example").value();
}

// What lies in the folder, the store's own files aside.
std::vector<std::string> others(const place& p) {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(p.folder.path()))
        if (const auto name = entry.path().filename().string(); !name.starts_with("store.db"))
            out.push_back(name);
    return out;
}

std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Overwrites a file as `cp` does: it stays the same file.
void write_over(const std::string& from, const std::string& to) {
    const auto octets = content(from);
    std::ofstream out(to, std::ios::binary | std::ios::trunc);
    out << octets;
}

}  // namespace

TEST_CASE("a copy holds what was committed, for its owner alone, in one file") {
    place p;
    {
        auto s = p.open();
        const auto issuer = issuer_of(*s);
        REQUIRE(run(*s, approve(issuer, "m1")));
        REQUIRE(run(*s, approve(issuer, "m2")));
        const auto epoch = epoch_of(*s);
        // In use: what is committed afterwards is not in it, and the writer goes on.
        const auto made = copy_store(p.url, p.folder.file("copy.db"));
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().detail));
        CHECK(made->head == 2);
        CHECK(made->missions == 2);
        CHECK(made->log_epoch == epoch);
        CHECK(made->bytes == fs::file_size(p.folder.file("copy.db")));
        REQUIRE(run(*s, approve(issuer, "m3")));
    }
    CHECK(others(p) == std::vector<std::string>{"copy.db"});
    struct stat st {};
    REQUIRE(::stat(p.folder.file("copy.db").c_str(), &st) == 0);
    CHECK((st.st_mode & 07777) == 0600);
    // Of a store that nobody has open it is the same, and the store stays what it was.
    const auto before = content(p.path);
    const auto again = copy_store(p.url, p.folder.file("later.db"));
    REQUIRE(again.has_value());
    CHECK(again->head == 3);
    CHECK(content(p.path) == before);
    CHECK(!fs::exists(p.path + "-wal"));
    p.open();
    CHECK(p.begun.empty());
}

TEST_CASE(
    "a copy of a store that is written all the time ends, is consistent and holds up nobody") {
    place p;
    auto s = p.open();
    const auto issuer = issuer_of(*s);
    std::atomic<bool> stop = false;
    std::atomic<std::int64_t> committed = 0;
    std::thread writer([&] {
        for (int i = 0; !stop; ++i)
            if (run(*s, approve(issuer, "w" + std::to_string(i)))) ++committed;
    });
    while (committed < 50)
        std::this_thread::yield();
    for (int i = 0; i < 5; ++i) {
        const auto before = committed.load();
        const auto to = p.folder.file("copy" + std::to_string(i) + ".db");
        const auto made = copy_store(p.url, to);
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().detail));
        CHECK(made->head >= before);
        CHECK(made->head == made->missions);
        while (committed < before + 20)  // a writer that is held up does not get there
            std::this_thread::yield();
    }
    stop = true;
    writer.join();
}

TEST_CASE("a copy begins another history when it is opened, once, and keeps the old one's name") {
    place p;
    const auto copy = p.folder.file("copy.db");
    std::string old_epoch;
    mission_row last{};
    {
        auto s = p.open();
        const auto issuer = issuer_of(*s);
        last = run(*s, approve(issuer, "m1"))->missions[0];
        old_epoch = epoch_of(*s);
        REQUIRE(copy_store(p.url, copy));
        REQUIRE(run(*s, approve(issuer, "m2")));
    }
    fs::rename(copy, p.path);
    std::string epoch;
    {
        auto s = p.open();
        REQUIRE(p.begun.size() == 1);
        CHECK(p.begun[0].why.find("store copy") != std::string::npos);
        CHECK(p.begun[0].head == 1);
        epoch = epoch_of(*s);
        CHECK(epoch == p.begun[0].log_epoch);
        CHECK(epoch != old_epoch);
        // Seqs go on where the copy stands; a mission gets no place of one that was lost.
        const auto next = run(*s, approve(issuer_of(*s), "m3")).value();
        CHECK(next.seqs == std::vector<seq_t>{2});
        CHECK(static_cast<std::int64_t>(next.missions[0]) >
              static_cast<std::int64_t>(last) + 1'000'000);
    }
    auto s = p.open();
    CHECK(p.begun.size() == 1);
    CHECK(epoch_of(*s) == epoch);
    s.reset();
    CHECK(number(p.path,
                 "SELECT count(*) FROM log_epochs WHERE head = 1 AND why <> '' AND "
                 "log_epoch = '" +
                     old_epoch + "'") == 1);
}

TEST_CASE("a file that was put in the store's place is known for a copy, however it came there") {
    place p;
    const auto backup = p.folder.file("backup");
    std::string before;
    {
        auto s = p.open();
        REQUIRE(run(*s, approve(issuer_of(*s), "m1")));
        before = epoch_of(*s);
    }
    p.take_away(backup);
    {
        auto s = p.open();
        CHECK(p.begun.empty());  // nothing was put back yet
        REQUIRE(run(*s, approve(issuer_of(*s), "m2")));
    }
    SUBCASE("another file, as `rsync` and `mv` from another disk leave it") {
        fs::copy_file(backup, p.path + ".new");
        fs::rename(p.path + ".new", p.path);
    }
    SUBCASE("another file of the same size and state: nothing was lost, but that is not known") {
        fs::copy_file(p.path, p.path + ".new");
        fs::rename(p.path + ".new", p.path);
    }
    SUBCASE("removed first, so that the file system may give the number out again") {
        fs::remove(p.path);
        fs::copy_file(backup, p.path);
    }
    SUBCASE("written over, as `cp` does: the same file with less in it") {
        write_over(backup, p.path);
    }
    SUBCASE("the whole folder, the lock's file included") {
        fs::remove(p.path);
        fs::copy_file(backup, p.path);
        fs::remove(p.path + ".lock");
    }
    auto s = p.open();
    REQUIRE(p.begun.size() == 1);
    CHECK(epoch_of(*s) != before);
    s.reset();
    p.open();
    CHECK(p.begun.size() == 1);
}

TEST_CASE("what stays the same file is no copy: renamed, restarted, grown, an unreadable witness") {
    place p;
    {
        auto s = p.open();
        REQUIRE(run(*s, approve(issuer_of(*s), "m1")));
    }
    SUBCASE("renamed away and back") {
        fs::rename(p.path, p.path + ".aside");
        fs::rename(p.path + ".aside", p.path);
    }
    SUBCASE("without the lock's file") {
        fs::remove(p.path + ".lock");
    }
    SUBCASE("with a torn witness") {
        std::ofstream(p.path + ".lock") << "mission-signals-sto";
    }
    SUBCASE("a witness of half a number") {
        const auto text = content(p.path + ".lock");
        std::ofstream(p.path + ".lock") << text.substr(0, text.find(' ', 30)) << " 9";
    }
    SUBCASE("maintained by an operator's tool") {
        execute(p.path, "VACUUM");
    }
    auto s = p.open();
    CHECK(p.begun.empty());
    CHECK(head(*s) == 1);
}

TEST_CASE("a store killed with its last commit in no file but the log is no copy") {
    place p;
    CHECK(in_child([&] {
              auto s = open_store(p.url);
              FAIL_UNLESS(s.has_value());
              const auto issuer = (*s)->add_issuer("https://mas.example").value();
              for (int i = 0; i < 20; ++i)
                  FAIL_UNLESS(run(**s, approve(issuer, "k" + std::to_string(i))).has_value());
              ::kill(::getpid(), SIGKILL);
              return 0;
          }) == -1);
    auto s = p.open();
    CHECK(p.begun.empty());
    CHECK(head(*s) == 20);
}

TEST_CASE("a process that dies while a history begins has done all of it or nothing") {
    place p;
    {
        auto s = p.open();
        REQUIRE(run(*s, approve(issuer_of(*s), "m1")));
    }
    const auto copy = p.folder.file("copy.db");
    REQUIRE(copy_store(p.url, copy));
    fs::rename(copy, p.path);
    // Killed when the new epoch is on the disk and nothing else has followed, the witness neither.
    CHECK(in_child([&] {
              store_options o;
              o.on_new_history = [](const new_history&) { ::kill(::getpid(), SIGKILL); };
              (void)open_store(p.url, o);
              return 0;
          }) == -1);
    auto s = p.open();
    CHECK(p.begun.empty());
    const auto epoch = epoch_of(*s);
    REQUIRE(run(*s, approve(issuer_of(*s), "m2")));
    s.reset();
    s = p.open();
    CHECK(p.begun.empty());
    CHECK(epoch_of(*s) == epoch);
}

TEST_CASE("an operator can say that a store was restored; not while it is in use") {
    place p;
    auto s = p.open();
    const auto before = epoch_of(*s);
    const auto busy = declare_restored(p.url);
    REQUIRE(!busy.has_value());
    CHECK(busy.error() == errc::store_locked);
    s.reset();
    const auto begun = declare_restored(p.url);
    REQUIRE(begun.has_value());
    CHECK(begun->log_epoch != before);
    s = p.open();
    CHECK(epoch_of(*s) == begun->log_epoch);
    CHECK(p.begun.empty());
    const auto none = declare_restored("sqlite:" + p.folder.file("none.db"));
    REQUIRE(!none.has_value());
    CHECK(none.error() == errc::not_found);
    CHECK(!fs::exists(p.folder.file("none.db")));
    CHECK(declare_restored("memory:").error() == errc::bad_configuration);
}

TEST_CASE("what root says of a store leaves its owner able to open it") {
    if (::geteuid() != 0) return;  // nobody else can leave files of others
    place p;
    p.open();
    REQUIRE(::chown(p.path.c_str(), 65534, 65534) == 0);
    fs::remove(p.path + ".lock");  // as in a new folder
    REQUIRE(declare_restored(p.url).has_value());
    for (const auto& entry : fs::directory_iterator(p.folder.path())) {
        INFO(entry.path().string());
        struct stat st {};
        REQUIRE(::stat(entry.path().c_str(), &st) == 0);
        CHECK(st.st_uid == 65534);
    }
}

TEST_CASE("a witness is not written through a link") {
    place p;
    std::ofstream(p.folder.file("mine")) << "mine";
    fs::create_symlink(p.folder.file("mine"), p.path + ".lock");
    const auto refused = open_store(p.url);
    REQUIRE(!refused.has_value());
    CHECK(refused.error().detail.find(p.path + ".lock") != std::string::npos);
    CHECK(content(p.folder.file("mine")) == "mine");
}

TEST_CASE("the log of the store that was replaced is not put into the copy") {
    place p;
    const auto copy = p.folder.file("copy.db");
    CHECK(in_child([&] {
              auto s = open_store(p.url);
              FAIL_UNLESS(s.has_value());
              const auto issuer = (*s)->add_issuer("https://mas.example").value();
              FAIL_UNLESS(run(**s, approve(issuer, "m1")).has_value());
              FAIL_UNLESS(copy_store(p.url, copy).has_value());
              FAIL_UNLESS(run(**s, approve(issuer, "m2")).has_value());
              ::kill(::getpid(), SIGKILL);
              return 0;
          }) == -1);
    REQUIRE(fs::file_size(p.path + "-wal") > 0);
    fs::rename(copy, p.path);
    const auto refused = open_store(p.url);
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == errc::store_corrupt);
    CHECK(refused.error().detail.find(p.path + "-wal") != std::string::npos);
    fs::remove(p.path + "-wal");
    fs::remove(p.path + "-shm");
    auto s = p.open();
    CHECK(head(*s) == 1);
    CHECK(p.begun.size() == 1);
}

TEST_CASE("what is in the copy's way is left alone, and named") {
    place p;
    auto s = p.open();
    REQUIRE(run(*s, approve(issuer_of(*s), "m1")));
    const auto made = [&](const std::string& to) { return copy_store(p.url, to).error(); };
    std::ofstream(p.folder.file("mine")) << "mine";
    CHECK(made(p.folder.file("mine")) == errc::store_conflict);
    CHECK(content(p.folder.file("mine")) == "mine");
    CHECK(made(p.path) == errc::store_conflict);
    CHECK(made(p.folder.path().string()) == errc::store_conflict);
    CHECK(made(p.folder.file("new/")) == errc::store_conflict);
    CHECK(made("") == errc::store_conflict);
    CHECK(made(p.folder.file("none/copy.db")) == errc::not_found);
    for (const char* suffix : {"-wal", "-shm", "-journal", ".lock"})
        CHECK(made(p.folder.path().string() + "/./store.db" + suffix) == errc::store_conflict);
    // Left of another database: SQLite would read it into the copy.
    std::ofstream(p.folder.file("copy.db-wal")) << "x";
    CHECK(made(p.folder.file("copy.db")) == errc::store_conflict);
    fs::remove(p.folder.file("copy.db-wal"));
    // A link, a pipe, a name that is in use: never written through.
    fs::create_symlink(p.folder.file("mine"), p.folder.file("link.part"));
    CHECK(made(p.folder.file("link")) != errc{});
    REQUIRE(::mkfifo(p.folder.file("pipe.part").c_str(), 0600) == 0);
    CHECK(made(p.folder.file("pipe")) == errc::store_conflict);
    fs::create_hard_link(p.folder.file("mine"), p.folder.file("hard.part"));
    CHECK(made(p.folder.file("hard")) == errc::store_conflict);
    CHECK(content(p.folder.file("mine")) == "mine");
    const int other = ::open(p.folder.file("two.part").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(::flock(other, LOCK_EX) == 0);
    CHECK(made(p.folder.file("two")) == errc::store_locked);
    ::close(other);
    // And what a killed copy has left is written anew.
    CHECK(copy_store(p.url, p.folder.file("two")).has_value());
    CHECK(!fs::exists(p.folder.file("two.part")));
}

TEST_CASE("a copy goes to a file system where a lock of the file is one of its octets") {
    place p;
    auto s = p.open();
    REQUIRE(run(*s, approve(issuer_of(*s), "m1")));
    const auto to = p.folder.file("copy.db");
    // As over NFS, where flock() locks every octet and SQLite's own locks conflict with that.
    const int fd = ::open((to + ".part").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct flock all {};
    all.l_type = F_WRLCK;
    REQUIRE(::fcntl(fd, F_OFD_SETLK, &all) == 0);
    const auto made = copy_store(p.url, to);
    ::close(fd);
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().detail));
    CHECK(others(p) == std::vector<std::string>{"copy.db"});
    CHECK(number(to, "SELECT count(*) FROM missions") == 1);
}

TEST_CASE("a full disk is named, and nothing is left of the copy") {
    place p;
    {
        auto s = p.open();
        const auto issuer = issuer_of(*s);
        for (int i = 0; i < 50; ++i)
            REQUIRE(run(*s, approve(issuer, "m" + std::to_string(i))));
    }
    CHECK(in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              rlimit limit{};
              ::getrlimit(RLIMIT_FSIZE, &limit);
              limit.rlim_cur = 64 << 10;
              ::setrlimit(RLIMIT_FSIZE, &limit);
              const auto r = copy_store(p.url, p.folder.file("copy.db"));
              FAIL_UNLESS(!r.has_value());
              FAIL_UNLESS(r.error() == errc::store_full);
              FAIL_UNLESS(r.error().detail.find("copy.db") != std::string::npos);
              return 0;
          }) == 0);
    CHECK(others(p).empty());
    CHECK(copy_store(p.url, p.folder.file("copy.db")).has_value());
}

TEST_CASE("what cannot be copied is refused, and nothing is left of the copy") {
    place p;
    CHECK(copy_store(p.url, p.folder.file("copy.db")).error() == errc::not_found);
    CHECK(copy_store("memory:", p.folder.file("copy.db")).error() == errc::bad_configuration);
    std::ofstream(p.path).close();
    CHECK(copy_store(p.url, p.folder.file("copy.db")).error() == errc::not_a_database);
    std::ofstream(p.path) << std::string(8192, 'x');
    CHECK(copy_store(p.url, p.folder.file("copy.db")).error() == errc::not_a_database);
    fs::remove(p.path);
    {
        auto s = p.open();
        const auto issuer = issuer_of(*s);
        for (int i = 0; i < 50; ++i)
            REQUIRE(run(*s, approve(issuer, "m" + std::to_string(i))));
    }
    SUBCASE("a newer program's") {
        execute(p.path, "PRAGMA user_version=77");
        CHECK(copy_store(p.url, p.folder.file("copy.db")).error() == errc::store_newer);
    }
    SUBCASE("a damaged one") {
        const auto size = fs::file_size(p.path);
        std::fstream file(p.path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(size / 2 / 4096 * 4096));
        file << std::string(4096, '\x5a');
        file.close();
        CHECK(copy_store(p.url, p.folder.file("copy.db")).error() == errc::store_corrupt);
    }
    CHECK(others(p).empty());
}

}  // namespace mission::store::test
