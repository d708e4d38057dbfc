// A database that an earlier version made, and how queries find their rows.
#include <sqlite3.h>

#include <atomic>
#include <mutex>

#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

constexpr const char* first_schema =
#include "store/sqlite/migrations/0001_first.inc"
    ;

void execute(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    char* why = nullptr;
    const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &why);
    CHECK_MESSAGE(code == SQLITE_OK, (why ? why : ""));
    sqlite3_free(why);
    sqlite3_close(db);
}

// As the first version left it: two issuers, a mission at version 2, two streams with cursors,
// subjects of which one has ended, the log at 2.
void make_first(const std::string& path) {
    execute(path, first_schema);
    execute(path, R"sql(
        PRAGMA application_id=1297312103;
        PRAGMA user_version=1;
        INSERT INTO meta VALUES (1, 'the-epoch', 2, 1, 0, 1793610400000, 'batch', 1, 2);
        INSERT INTO issuers VALUES (1, 'https://mas.example'), (2, 'https://other.example');
        INSERT INTO missions VALUES (1, 1, 5, 'a_______________________', 'Report',
            'https://idp.example', 'alice', 'https://idp.example', 'bob', 'agent-7', NULL, NULL,
            NULL, NULL, NULL, 'sha-256:abc', 1793610400000, 'portal', '["https://api.example"]');
        INSERT INTO mission_state VALUES (1, 1, 5, 1, 2, 1, 1793614000000, 1793614000000, NULL,
            NULL, NULL, NULL, 1793610400000);
        INSERT INTO authority VALUES (1, 1, 1, '[]');
        INSERT INTO signals VALUES (1, 1, 5, 1, 1, 1793610400000, 't1', '{}', 1, 'b0',
            'a_______________________', 'agent-7', NULL, NULL, NULL, NULL, '[]');
        INSERT INTO signals VALUES (2, 1, 5, 1, 2, 1793610400000, 't2', '{}', 1, 'batch',
            'a_______________________', 'agent-7', NULL, NULL, NULL, NULL, '[]');
        INSERT INTO streams VALUES (1, 1, 's1', 'rs-1', 1793610400000, 1, '', x'', '[]', '[]', '',
            0, '', 3, 1, '{}', NULL, NULL);
        INSERT INTO streams VALUES (2, 2, 's2', 'rs-2', 1793610400000, 1, '', x'', '[]', '[]', '',
            0, '', 0, 1, '{}', NULL, NULL);
        INSERT INTO stream_epochs VALUES (1, 1, 'i', 'a', '[]', 'ES256', '{}');
        INSERT INTO cursors VALUES (1, 1, ''), (2, 0, '2-2');
        INSERT INTO subjects VALUES (1, 'k', 1, 2, '{}', 1), (1, 'k', 3, NULL, '{}', 0),
            (1, 'l', 1, NULL, '{}', 1);
    )sql");
}

// Statements that walked through a table row by row; armed while a test looks.
struct scans {
    std::mutex mutex;
    std::vector<std::string> seen;
    std::atomic<bool> armed = false;
    std::atomic<int> statements = 0;
};
scans& all_scans() {
    static scans one;
    return one;
}

int on_profile(unsigned, void*, void* statement, void*) {
    auto* s = static_cast<sqlite3_stmt*>(statement);
    if (!all_scans().armed) return 0;
    ++all_scans().statements;
    if (sqlite3_stmt_status(s, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1) == 0 &&
        sqlite3_stmt_status(s, SQLITE_STMTSTATUS_SORT, 1) == 0)
        return 0;
    const std::lock_guard lock(all_scans().mutex);
    all_scans().seen.emplace_back(sqlite3_sql(s));
    return 0;
}

// For every connection that is opened while it lives.
class plan_watch {
  public:
    plan_watch() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(attach)); }
    ~plan_watch() {
        sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(attach));
        all_scans().armed = false;
        all_scans().seen.clear();
    }

  private:
    static int attach(sqlite3* db, const char**, const void*) {
        return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, on_profile, nullptr);
    }
};

}  // namespace

TEST_CASE("a database of the first version is brought up to date with all that it holds") {
    temp_folder f;
    const std::string path = f.file("store.db");
    make_first(path);
    auto s = open_store("sqlite:" + path).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    const auto other = s->add_issuer("https://other.example").value();
    CHECK(issuer == issuer_id{1});
    CHECK(head(*s) == 2);
    REQUIRE(s->read_now([&](const rows& r) {
        CHECK(r.log_epoch() == "the-epoch");
        // Nobody has routed anything yet, and every cursor says itself where its stream stands.
        CHECK(r.routed_seq(issuer) == 0);
        CHECK(r.routed_seq(other) == 0);
        const auto open = r.open_cursors(issuer);
        REQUIRE(open.size() == 1);
        CHECK(open[0].stream == stream_row{1});
        CHECK(open[0].acked_seq == 1);
        CHECK(open[0].open);
        CHECK(r.find_cursor(stream_row{2})->open);
        CHECK(r.find_cursor(stream_row{2})->ranges == std::vector<std::pair<seq_t, seq_t>>{{2, 2}});

        const auto log = r.signals(0, 10, 10);
        REQUIRE(log.size() == 2);
        CHECK(log[1].kind == signal_kind::mission);
        CHECK(log[1].signal_id.empty());
        CHECK(log[1].txn == "t2");
        CHECK(r.mission_signals(mission_row{1}).size() == 2);
        CHECK(r.find_mission(issuer, long_id("a"))->state.version == 2);
        CHECK(r.find_stream(issuer, "s1")->continuity == 3);

        CHECK(r.subject_count(stream_row{1}) == 2);
        const auto subjects = r.subjects(stream_row{1}, "k");
        REQUIRE(subjects.size() == 2);
        CHECK(subjects[0].removed_seq == 2);
        CHECK(!subjects[1].verified);
        CHECK(!subjects[1].excluded);
        CHECK(!subjects[1].remove_at);
    }));
    // And goes on from there.
    changes c;
    c.events.push_back({issuer, "t", "{}", "e1"});
    c.routed = {{issuer, 3}};
    c.cursors = {{stream_row{1}, 3, false, {}}};
    REQUIRE(run(*s, c));
    CHECK(run(*s, move_to(issuer, "a", state::revoked))->seqs == std::vector<seq_t>{4});
    s.reset();
    s = open_store("sqlite:" + path).value();
    CHECK(look(*s, [&](const rows& r) { return r.routed_seq(issuer); }) == 3);
    CHECK(look(*s, [&](const rows& r) { return r.open_cursors(issuer); }).empty());
    CHECK(look(*s, [&](const rows& r) { return r.find_signal(issuer, "e1")->seq; }) == 3);
}

TEST_CASE("every look-up of streams, subjects, cursors and signals is an index search") {
    plan_watch watch;
    temp_folder f;
    auto s = open_store("sqlite:" + f.file("store.db")).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    stream_row row{};
    for (int i = 0; i < 50; ++i) {
        changes c = subscribe(issuer, "s" + std::to_string(i));
        for (int n = 0; n < 20; ++n) {
            stream_subject u;
            u.key = "k" + std::to_string(n);
            u.subject = "{}";
            u.added_seq = 1;
            if (n % 3 == 0) u.removed_seq = 2;
            if (n % 3 == 1) u.remove_at = start_time;
            c.subjects.push_back(u);
        }
        c.cursors[0].open = i % 2 == 0;
        c.events.push_back({issuer, "t", "{}", "e" + std::to_string(i)});
        c.missions.push_back(approval(issuer, "m" + std::to_string(i)));
        row = run(*s, c).value().streams[0];
    }
    const auto look_up = [&](const rows& r) {
        CHECK(r.find_signal(issuer, "e7").has_value());
        CHECK(r.find_stream(issuer, "s7").has_value());
        CHECK(r.find_cursor(row).has_value());
        CHECK(r.subjects(row).size() == 20);
        CHECK(r.subjects(row, "k3").size() == 1);
        CHECK(r.subject_count(row) == 13);
        CHECK(r.routed_seq(issuer) == 0);
        CHECK(r.mission_signals(mission_row{7}).size() == 1);
        CHECK(r.find_mission(issuer, long_id("m7")).has_value());
        CHECK(r.exceptions(row).empty());
        CHECK(r.epochs(row).size() == 1);
        CHECK(r.signals(5, 9, 10).size() == 4);
        // These return all of a kind; what they must not do is look at the others.
        std::size_t all = 0;
        r.each_subject(issuer, [&](const stream_subject&) { ++all; });
        CHECK(all == 1000);
        CHECK(r.due_subject_removals(issuer, start_time, 10).size() == 10);
    };
    all_scans().armed = true;
    REQUIRE(s->read_now(look_up));
    // The writer's own look-ups, and what it writes.
    REQUIRE(run(*s, [&](const rows& r, wall_time) -> result<changes> {
        look_up(r);
        changes c;
        stream_subject u;
        u.stream = row;
        u.key = "new";
        u.subject = "{}";
        c.subjects = {u};
        c.cursors = {{row, 3, false, {}}};
        c.routed = {{issuer, 4}};
        c.events.push_back({issuer, "t", "{}", "one-more"});
        c.settled_exceptions = {{row, 3}};
        c.settled_stream_events = {{row, "j"}};
        return c;
    }));
    changes gone;
    gone.removed_streams = {row};
    REQUIRE(run(*s, gone));
    all_scans().armed = false;
    CHECK(all_scans().statements > 40);
    for (const auto& sql : all_scans().seen)
        CHECK_MESSAGE(sql.empty(), sql);

    // A removed stream's subjects go in steps; none of them may walk through everybody else's.
    all_scans().seen.clear();
    all_scans().armed = true;
    REQUIRE(trim(*s, 3));
    all_scans().armed = false;
    for (const auto& sql : all_scans().seen)
        CHECK_MESSAGE(sql.find("subjects") == std::string::npos, sql);

    // Open cursors: an index that holds no other.
    REQUIRE(s->read_now([&](const rows& r) { CHECK(r.open_cursors(issuer).size() == 25); }));
}

}  // namespace mission::store::test
