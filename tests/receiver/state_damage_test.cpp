// A disk that changes what was written, and one that is full: nobody is permitted for it.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/receiver/real_state.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;
using test::temp_dir;

namespace {

constexpr int missions = 60;

bool denied(int n) {
    return n % 2 == 0;
}

// Half of them permitted, the others denied, each in its own way.
void fill(const std::string& path) {
    real_run r(path);
    r.join();
    state_write w;
    for (int n = 0; n < missions; ++n) {
        record m;
        m.key = {real_issuer, real_id(n)};
        m.state = "active";
        m.version = 3;
        m.log_epoch = "e1";
        m.fresh_until = system_clock().now() + std::chrono::minutes(30);
        m.authority = R"([{"type":"t","resource":"r","actions":["pay"]}])";
        m.authority_version = 3;
        if (denied(n)) {
            switch (n / 2 % 5) {
                case 0:
                    m.state = "suspended";
                    break;
                case 1:
                    m.gap = true;
                    break;
                case 2:
                    m.not_found = true;
                    break;
                case 3:
                    m.authority_needed = 4;
                    break;
                default:
                    m.expires_at = from_milliseconds(1'000'000);
            }
        }
        w.missions.push_back(m);
    }
    for (int n = 0; n < 5; ++n)
        w.holds.push_back({{real_issuer, real_id(n)}, "thing", "data-" + std::to_string(n)});
    r.disk->submit(std::move(w), nullptr);
    r.settle();
}

std::string octets(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void put_octets(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

void remove_beside(const std::string& path) {
    for (const char* suffix : {"", "-wal", "-shm", ".damaged-1", ".damaged-1-wal"})
        std::filesystem::remove(path + suffix);
}

// A run with this file; how many are permitted. Fails when one is that was denied.
int permitted_with(const std::string& path) {
    auto opened = open_state(path, nullptr);
    // Refused: nobody is permitted.
    if (!opened || !(*opened)->load()) return 0;
    opened->reset();
    real_run r(path);
    int permitted = 0;
    for (int n = 0; n < missions; ++n) {
        const bool now = r.now(n) == standing::active;
        CHECK_FALSE((denied(n) && now));
        permitted += now ? 1 : 0;
    }
    return permitted;
}

}  // namespace

TEST_CASE("a bit that flips in the file permits nobody who was denied") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    const auto whole = octets(path);
    REQUIRE(permitted_with(path) == missions / 2);
    const auto random = seeded_random(6);
    int changed = 0;
    for (int n = 0; n < 150; ++n) {
        auto content = whole;
        const auto at = random->below(content.size());
        content[at] = static_cast<char>(content[at] ^ (1 << random->below(8)));
        remove_beside(path);
        put_octets(path, content);
        std::filesystem::permissions(
            path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        CAPTURE(at);
        changed += permitted_with(path) != missions / 2 ? 1 : 0;
    }
    CHECK(changed > 0);  // else nothing was hit
}

TEST_CASE("a damaged row tears nothing down: Status decides") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    const auto change = "UPDATE missions SET state='actjve' WHERE id='" + real_id(1) + "'";
    CHECK(sqlite3_exec(db, change.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
    real_run r(path, 100, {}, false, [](task_runner& runner) {
        ms::handler_options o;
        o.name = "h";
        o.on = ms::terminal_effects();
        runner.add_handler(o, [](const ms::task&) { return ms::outcome::done(); });
    });
    CHECK(r.now(1) == standing::ended);
    CHECK(r.runner->open_count() == 0);
}

TEST_CASE("a file that is cut off anywhere permits nobody who was denied") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    const auto whole = octets(path);
    for (std::size_t size = 0; size < whole.size(); size += whole.size() / 40 + 1) {
        remove_beside(path);
        put_octets(path, whole.substr(0, size));
        std::filesystem::permissions(
            path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        CAPTURE(size);
        CHECK(permitted_with(path) == 0);
    }
}

TEST_CASE("holds that can still be read are kept when missions are not") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    // The missions' pages: those that have their ids.
    auto content = octets(path);
    constexpr std::size_t page = 4096;
    for (std::size_t at = page; at < content.size(); at += page) {
        if (content.compare(at, page, "") == 0) continue;
        const auto text = content.substr(at, page);
        if (text.find("active") == std::string::npos) continue;
        content.replace(at, page, std::string(page, '\x5a'));
    }
    put_octets(path, content);
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.e->held({}).size() == 5);
    CHECK(r.e->table().size() == 0);
    REQUIRE(!r.problems.empty());
    CHECK(r.problems.front().find("holds 5") != std::string::npos);
    // Held things are asked about and, should they have ended, torn down: known again by Status.
    CHECK(r.e->held_missions().size() == 5);
    CHECK(std::filesystem::exists(path + ".damaged-1"));
}

TEST_CASE("an application id that the disk has changed is damage, not somebody else's file") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    auto content = octets(path);
    content[68] = static_cast<char>(content[68] ^ 1);  // the database header's application id
    put_octets(path, content);
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.e->held({}).size() == 5);
}

TEST_CASE("a schema number that the disk has changed is damage, not a newer program's") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    auto content = octets(path);
    REQUIRE(content[63] != 0);
    // The database header's user version (sqlite.org/fileformat.html section 1.3), big endian.
    SUBCASE("one far ahead") {
        content[60] = static_cast<char>(content[60] ^ 1);
    }
    SUBCASE("one a little ahead") {
        content[63] = static_cast<char>(content[63] ^ 32);
    }
    SUBCASE("one behind") {
        content[63] = static_cast<char>(content[63] - 1);
    }
    SUBCASE("none at all") {
        content[63] = 0;
    }
    put_octets(path, content);
    real_run r(path);
    CHECK(r.rows.rebuilt);
    CHECK(r.e->held({}).size() == 5);
    CHECK(r.was_said("schema number"));
    for (int n = 0; n < missions; ++n)
        CHECK(r.now(n) != standing::active);
}

TEST_CASE("the host's log function may call the receiver, whatever it is told") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    std::atomic<int> said{0}, held_up{0};
    std::vector<std::thread> hosts;
    std::mutex m;
    real_run r(path, 100, {4, 1u << 20});
    r.when_said = [&] {
        // On a thread of its own, so that a lock that we hold is found and not waited for for ever.
        auto called = std::make_shared<std::promise<void>>();
        auto over = called->get_future();
        {
            const std::lock_guard lock(m);
            hosts.emplace_back([&r, called] {
                (void)r.e->view({real_issuer, real_id(1)});
                (void)r.e->list(1);
                called->set_value();
            });
        }
        ++said;
        if (over.wait_for(std::chrono::seconds(3)) != std::future_status::ready) ++held_up;
    };
    r.join();
    SUBCASE("a damaged row") {
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
        const auto change = "UPDATE missions SET state='actjve' WHERE id='" + real_id(7) + "'";
        CHECK(sqlite3_exec(db, change.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
        sqlite3_close(db);
        for (int n = 0; n < 20; ++n)
            (void)r.mission(n, 4, "suspended");
        CHECK(test::eventually([&] { return r.was_said("a row of the state is damaged"); }));
    }
    SUBCASE("a file that is lost") {
        const auto size = std::filesystem::file_size(path);
        std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(4096)
            << std::string(size - 4096, '\x5a');
        std::filesystem::resize_file(path + "-wal", 0);
        for (int n = 0; n < missions; ++n)
            if (r.mission(n, 4, "suspended").fate == set_fate::retry) break;
        CHECK(test::eventually([&] { return r.was_said("state was damaged"); }));
        CHECK(test::eventually([&] { return r.was_said("what was known of missions is lost"); }));
    }
    r.disk->stop();
    CHECK(said > 0);
    CHECK(held_up == 0);
    for (auto& t : hosts)
        t.join();
}

TEST_CASE("damage that is found while running is answered by a new file with all that is held") {
    temp_dir dir;
    const auto path = dir / "state.db";
    fill(path);
    real_run r(path, 100, {4, 1u << 20});
    r.join();
    r.mission(100, 1, "active");
    REQUIRE(r.now(1) == standing::active);
    REQUIRE(r.e->hold({real_issuer, real_id(1)}, "mine", "x"));
    r.settle();
    {
        // Everything behind the first page, in the file and in its log.
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        const auto size = std::filesystem::file_size(path);
        file.seekp(4096);
        file << std::string(size - 4096, '\x5a');
        std::filesystem::resize_file(path + "-wal", 0);
    }
    // The first one that has to be read finds it.
    set_outcome o;
    for (int n = 0; n < missions; ++n) {
        o = r.mission(n, 4, "suspended");
        if (o.fate == set_fate::retry) break;
    }
    CHECK(o.fate == set_fate::retry);
    REQUIRE(test::eventually([&] { return r.e->table().size() < 10; }));
    r.settle();
    for (int n = 0; n < missions; ++n)
        CHECK(r.now(n) != standing::active);
    CHECK(r.e->held(real_id(1)).size() == 2);
    CHECK(std::filesystem::exists(path + ".damaged-1"));
    // It goes on: SETs are taken, and what is held is in the new file.
    CHECK(r.mission(200, 1, "revoked").fate == set_fate::acknowledge);
    r.disk->stop();
    r.disk = nullptr;
    auto again = open_state(path, nullptr);
    REQUIRE(again.has_value());
    const auto rows = (*again)->load();
    REQUIRE(rows.has_value());
    CHECK_FALSE(rows->rebuilt);
    CHECK(rows->holds.size() == 6);
}

TEST_CASE(
    "on a full disk a denial shows at once, a permission waits, and neither is acknowledged") {
    temp_dir dir;
    const auto path = dir / "state.db";
    real_run r(path);
    r.join();
    r.mission(0, 1, "active");
    REQUIRE(r.now(0) == standing::active);
    r.settle();
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    rlimit was{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &was) == 0);
    auto none = was;
    none.rlim_cur = std::filesystem::file_size(path + "-wal");
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
    const auto ended = r.mission(0, 2, "revoked");
    const auto begun = r.mission(1, 1, "active");
    const auto ended_shown = r.now(0), begun_shown = r.now(1);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &was) == 0);
    std::signal(SIGXFSZ, before);
    CHECK(ended.fate == set_fate::retry);
    CHECK(begun.fate == set_fate::retry);
    CHECK(ended_shown == standing::revoked);
    CHECK(begun_shown == standing::unknown);
    // There is room again: nothing has to come anew, and what comes again is acknowledged.
    REQUIRE(test::eventually([&] { return r.now(1) == standing::active; }));
    CHECK(r.mission(0, 2, "revoked").fate == set_fate::acknowledge);
    CHECK(r.now(0) == standing::revoked);
}
