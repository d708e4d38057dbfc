// A database that an earlier version made, and how queries find their rows.
#include <signal.h>
#include <sqlite3.h>

#include <atomic>
#include <mutex>

#include "tests/store/child.hpp"
#include "tests/store/database.hpp"
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

constexpr const char* first_schema =
#include "store/sqlite/migrations/0001_first.inc"
    ;

constexpr const char* second_schema =
#include "store/sqlite/migrations/0002_events_subjects_routed.inc"
    ;

constexpr const char* third_schema =
#include "store/sqlite/migrations/0003_families_audit_bulk_reports.inc"
    ;

constexpr const char* fourth_schema =
#include "store/sqlite/migrations/0004_copies.inc"
    ;

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

// The same, as the fourth version has it.
void make_fourth(const std::string& path) {
    make_first(path);
    for (const char* schema : {second_schema, third_schema, fourth_schema})
        execute(path, schema);
    execute(path, "PRAGMA user_version=4");
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
        const auto a = r.find_mission(issuer, long_id("a"));
        REQUIRE(a.has_value());
        CHECK(a->state.version == 2);
        CHECK(a->state.parent_row == mission_row{});
        CHECK(!a->state.parent_hold);
        CHECK(a->state.children == 0);
        CHECK(a->record.root_row == mission_row{});
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

TEST_CASE("a database of the second version gets a version row, families and an audit") {
    temp_folder f;
    const std::string path = f.file("store.db");
    make_first(path);
    execute(path, second_schema);
    execute(path, "PRAGMA user_version=2; UPDATE issuers SET routed_seq = 1 WHERE issuer_id = 1;");
    auto s = open_store("sqlite:" + path).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    REQUIRE(s->read_now([&](const rows& r) {
        CHECK(r.routed_seq(issuer) == 1);
        // What came before the present version is in the log alone.
        const auto versions = r.versions(mission_row{1}, 0, 10);
        REQUIRE(versions.size() == 1);
        CHECK(versions[0].version == 2);
        CHECK(versions[0].state == state::suspended);
        CHECK(versions[0].committed_at == start_time);
        CHECK(versions[0].bound_at == start_time);
        CHECK(versions[0].expires_at == start_time + 1h);
        CHECK(versions[0].authority_revision == 1);
        CHECK(versions[0].effect == family_effect::none);
        CHECK(versions[0].audit_seq == 0);
        CHECK(versions[0].seq == 2);
        const auto signals = r.mission_signals(mission_row{1});
        REQUIRE(signals.size() == 2);
        CHECK(signals[0].version == 1);
        CHECK(signals[1].version == 2);
        CHECK(!r.version_at(mission_row{1}, start_time - 1ms));
        CHECK(r.audit(issuer, 0, 10).empty());
        CHECK(r.audit_of(issuer, long_id("a"), 0, 10).empty());
        CHECK(r.cascades(10).empty());
        CHECK(r.last_mission() == mission_row{1});
    }));
    changes c = approve(issuer, "child");
    c.missions[0].approval->parent_row = mission_row{1};
    REQUIRE(run(*s, c));
    REQUIRE(run(*s, move_to(issuer, "a", state::revoked)));
    REQUIRE(s->read_now([&](const rows& r) {
        CHECK(r.children(mission_row{1}, {}, 10) == std::vector{mission_row{2}});
        CHECK(r.versions(mission_row{1}, 0, 10).size() == 2);
        CHECK(r.audit_of(issuer, long_id("a"), 0, 10).size() == 1);
        CHECK(r.find_audit(1)->target == long_id("child"));
    }));
}

TEST_CASE("a database of the fourth version keeps every version, also those whose signal is gone") {
    temp_folder f;
    const std::string path = f.file("store.db");
    make_fourth(path);
    execute(path, R"sql(
        DELETE FROM signals WHERE seq = 1;
        UPDATE meta SET head = 4, tail = 2, last_mission = 2, last_audit = 9;
        INSERT INTO missions SELECT 2, issuer_id, bucket, 'b_______________________', purpose,
            approver_iss, approver_sub, subject_iss, subject_sub, agent_client_id, agent_spiffe_id,
            tenant, parent, predecessor, evidence, authority_hash, approved_at, created_by,
            resources, parent_row, root_row, depth FROM missions;
        INSERT INTO mission_versions VALUES
            (1, 1, 0, 1793610300000, 1793614000000, NULL, NULL, 1, NULL, NULL, 0, 1793610300000, '',
                6),
            (2, 1, 0, 1793610400000, 1793614000000, NULL, NULL, 1, NULL, NULL, 0, 1793610400000, '',
                8),
            (2, 2, 1, 1793610400000, 1793614000000, NULL, NULL, 1, NULL, 'why', 1, 1793610400000,
                'h', 9);
        INSERT INTO mission_state SELECT 2, issuer_id, bucket, 1, 2, authority_revision, deadline,
            expires_at, suspend_until, on_expiry, successor, reason, changed_at, parent_row,
            parent_hold, own_hold, parent_seen, 2, children, mirrored FROM mission_state;
        INSERT INTO authority VALUES (2, 1, 1, '[]');
        INSERT INTO signals SELECT v.version + 2, issuer_id, bucket, 2, v.version, committed_at,
            txn, body, authority_revision, batch_id, 'b_______________________',
            key_agent_client_id, key_agent_spiffe_id, key_user_iss, key_user_sub, key_tenant,
            key_resources, kind, signal_id
            FROM signals, (SELECT 1 AS version UNION SELECT 2) v WHERE seq = 2;
    )sql");
    auto s = open_store("sqlite:" + path).value();
    const auto issuer = s->add_issuer("https://mas.example").value();
    const auto look_at = [&](std::size_t versions_of_b) {
        REQUIRE(s->read_now([&](const rows& r) {
            const auto first = r.versions(mission_row{1}, 0, 10);
            REQUIRE(first.size() == 2);
            CHECK(first[0].version == 1);
            CHECK(first[0].seq < 1);
            CHECK(first[0].audit_seq == 6);
            CHECK(first[1].version == 2);
            CHECK(first[1].seq == 2);
            CHECK(r.version_at(mission_row{1}, start_time - 1ms)->version == 1);
            const auto second = r.versions(mission_row{2}, 0, 10);
            REQUIRE(second.size() == versions_of_b);
            CHECK(second[0].seq == 3);
            CHECK(second[1].seq == 4);
            CHECK(second[1].reason == "why");
            CHECK(second[1].source_hash == "h");
            CHECK(r.family_effects(mission_row{2}, 0).front() == second[1]);
            REQUIRE(r.mission_signals(mission_row{1}).size() == 1);
            CHECK(r.mission_signals(mission_row{1})[0].seq == 2);
            const auto signals = r.mission_signals(mission_row{2});
            REQUIRE(signals.size() == versions_of_b);
            CHECK(signals[0].seq == 3);
            CHECK(signals[1].seq == 4);
        }));
    };
    look_at(2);
    CHECK(run(*s, move_to(issuer, "b", state::revoked))->seqs == std::vector<seq_t>{5});
    look_at(3);
    s.reset();
    s = open_store("sqlite:" + path).value();
    look_at(3);
}

TEST_CASE("a process that is killed while it brings a store up leaves the old one or the new one") {
    temp_folder f;
    const std::string path = f.file("store.db");
    make_fourth(path);
    constexpr std::int64_t many = 30'000;
    execute(path, R"sql(
        UPDATE meta SET head = 30002;
        WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 30002)
        INSERT INTO signals SELECT n.i, issuer_id, bucket, 1, n.i, committed_at, txn, body,
            authority_revision, batch_id, key_mission_id, key_agent_client_id,
            key_agent_spiffe_id, key_user_iss, key_user_sub, key_tenant, key_resources, kind,
            signal_id FROM n, signals WHERE seq = 2;
        INSERT INTO mission_versions SELECT 1, version, 0, committed_at, 1793614000000, NULL, NULL,
            1, NULL, NULL, 0, committed_at, '', version FROM signals WHERE seq > 2;
        UPDATE mission_state SET version = 30002;
    )sql");
    // Until it has come to the end alive; each one is killed later than the one before.
    int killed = 0;
    for (int n = 0; n < 200; ++n) {
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(open_store("sqlite:" + path).has_value() ? 0 : 1);
        const auto end = std::chrono::steady_clock::now() + n * 3ms;
        int status = 0;
        pid_t over = 0;
        while (over == 0 && std::chrono::steady_clock::now() < end)
            over = ::waitpid(pid, &status, WNOHANG);
        if (over == 0) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, 0);
        }
        if (WIFEXITED(status)) {
            CHECK(WEXITSTATUS(status) == 0);
            break;
        }
        ++killed;
    }
    CHECK(killed > 0);
    auto s = open_store("sqlite:" + path).value();
    REQUIRE(s->read_now([&](const rows& r) {
        const auto versions = r.versions(mission_row{1}, 0, 100'000);
        CHECK(static_cast<std::int64_t>(versions.size()) == many + 1);
        bool ascending = true;
        for (const auto& v : versions)
            ascending = ascending && v.seq == v.version;
        CHECK(ascending);
        CHECK(static_cast<std::int64_t>(r.mission_signals(mission_row{1}).size()) == many + 2);
    }));
}

TEST_CASE("every look-up is an index search") {
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
        if (i > 9) c.missions[0].approval->parent_row = mission_row{i % 10 + 1};
        c.missions[0].approval->subject.sub = "s" + std::to_string(i % 7);
        c.cascades.push_back({0, mission_row{i < 10 ? 0 : i % 10 + 1}, 1, {}, {}});
        if (i < 10) c.cascades.clear();
        audit_entry e;
        e.issuer = issuer;
        e.target = "t" + std::to_string(i % 5);
        c.audit.push_back(e);
        bulk_job j;
        j.id = i + 1;
        j.issuer = issuer;
        j.token_hash = std::to_string(i);
        j.status = i % 2 ? bulk_status::running : bulk_status::done;
        j.expires_at = start_time + i * 1s;
        c.bulk_jobs = {j};
        c.bulk_members = {{i + 1, 0, mission_row{1}, "", ""}, {i + 1, 1, mission_row{2}, "", ""}};
        if (i > 9) {
            report r;
            r.issuer = issuer;
            r.mission = mission_row{i % 10 + 1};
            r.status = i % 2 ? report_status::open : report_status::acted;
            c.reports = {r};
            c.waiting_transitions = {{mission_row{i % 10 + 1}, i, "", {}}};
        }
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
        CHECK(r.find_state(mission_row{7}).has_value());
        CHECK(r.find_row(issuer, long_id("m8")).has_value());
        CHECK(r.states(mission_row{3}, mission_row{8}).size() == 6);
        CHECK(r.children(mission_row{3}, mission_row{15}, 2).size() == 2);
        CHECK(r.versions(mission_row{3}, 0, 10).size() == 1);
        CHECK(r.family_effects(mission_row{3}, 0).empty());
        CHECK(r.version_at(mission_row{3}, start_time + 1000 * 24h * 365).has_value());
        CHECK(r.cascades(3).size() == 3);
        CHECK(r.find_cascade(mission_row{4}).has_value());
        CHECK(r.audit(issuer, 20, 5).size() == 5);
        CHECK(r.find_audit(5).has_value());
        CHECK(r.find_bulk_job(issuer, "7")->id == 8);
        CHECK(r.bulk_members(8, 0, 10).size() == 2);
        CHECK(r.old_bulk_jobs(start_time + 10s, 10).size() == 5);
        CHECK(r.bulk_jobs(issuer, bulk_status::running).size() == 25);
        CHECK(r.find_report(issuer, 3).has_value());
        CHECK(r.reports_of(mission_row{3}).size() == 4);
        CHECK(r.reports(issuer, report_status::open, 3, 5).size() == 5);
        CHECK(r.reports(issuer, std::nullopt, 3, 5).size() == 5);
        CHECK(r.waiting_transitions(mission_row{3}).size() == 4);
        CHECK(r.waiting_transition_count(issuer) == 40);
        mission_filter by_subject;
        by_subject.subject = principal_name{"https://idp.example", "s3"};
        CHECK(r.list_missions(issuer, by_subject).size() == 7);
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
        c.missions.push_back(next_version(*r.find_mission(mission_row{2}), state::revoked));
        c.quiet.push_back(*r.find_state(mission_row{3}));
        c.settled_cascades = {mission_row{4}};
        c.settled_transitions = {{mission_row{3}, 12}};
        c.removed_bulk_jobs = {9};
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
