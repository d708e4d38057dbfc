#include "tests/store/harness.hpp"

namespace mission::store::test {

TEST_CASE_TEMPLATE("trim drops up to its bound, in steps, and the numbering goes on", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve_many(t.issuer, 1200)));
    REQUIRE(trim(*t, 1100));
    CHECK(look(*t, [](const rows& r) { return r.tail(); }) == 1101);
    const auto left = look(*t, [](const rows& r) { return r.signals(0, 5000, 5000); });
    REQUIRE(left.size() == 100);
    CHECK(left[0].seq == 1101);
    CHECK(look(*t, [&](const rows& r) { return r.mission_signals(mission_row{1}); }).empty());
    // The registry stays.
    CHECK(look(*t, [&](const rows& r) { return r.find_mission(t.issuer, long_id("m0")); }));

    REQUIRE(trim(*t, 999'999));
    CHECK(look(*t, [](const rows& r) { return r.tail(); }) == 1201);
    CHECK(head(*t) == 1200);
    CHECK(run(*t, approve(t.issuer, "next"))->seqs == std::vector<seq_t>{1201});
    CHECK(look(*t, [](const rows& r) { return r.signals(0, 5000, 5000); }).size() == 1);
    REQUIRE(trim(*t, 5));  // behind the tail: nothing to do
    CHECK(look(*t, [](const rows& r) { return r.tail(); }) == 1201);
}

TEST_CASE_TEMPLATE("trim drops epochs, subjects and exceptions that no signal is left for", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = run(*t, subscribe(t.issuer, "s")).value().streams[0];
    const auto gone = run(*t, subscribe(t.issuer, "gone")).value().streams[0];
    changes c;
    for (int i = 0; i < 10; ++i)
        c.missions.push_back(approval(t.issuer, "m" + std::to_string(i)));
    c.epochs = {an_epoch(row, 4), an_epoch(row, 8)};
    c.subjects = {a_subject(row, "a", 1, 4, true), a_subject(row, "b", 1, 9, true),
                  a_subject(row, "c", 1, std::nullopt, true)};
    c.exceptions = {{row, 3, true, 5, "", "", start_time, start_time},
                    {row, 7, true, 5, "", "", start_time, start_time}};
    REQUIRE(run(*t, c));
    changes removal;
    removal.removed_streams = {gone};
    REQUIRE(run(*t, removal));

    REQUIRE(trim(*t, 5));
    auto epochs = look(*t, [&](const rows& r) { return r.epochs(row); });
    REQUIRE(epochs.size() == 2);
    CHECK(epochs[0].from_seq == 4);  // seq 6 and 7 are still built by it
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row); }).size() == 2);
    CHECK(look(*t, [&](const rows& r) { return r.exceptions(row); }).size() == 1);
    CHECK(look(*t, [&](const rows& r) { return r.epochs(gone); }).size() == 1);

    REQUIRE(trim(*t, 10));
    epochs = look(*t, [&](const rows& r) { return r.epochs(row); });
    REQUIRE(epochs.size() == 1);
    CHECK(epochs[0].from_seq == 8);
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row); }).size() == 1);
    CHECK(look(*t, [&](const rows& r) { return r.epochs(gone); }).empty());
    // A stream's row is never given out again.
    const auto next = run(*t, subscribe(t.issuer, "gone", 10)).value().streams[0];
    CHECK(next > gone);
}

TEST_CASE_TEMPLATE("trim drops nonces whose time has passed, and no others", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    changes c;
    for (int i = 0; i < 1500; ++i)
        c.nonces.push_back({t.issuer, "lifecycle", "c", "m", "n" + std::to_string(i), "h", "{}",
                            start_time + (i % 2 ? 1h : 3h)});
    REQUIRE(run(*t, c));
    t.time.advance(2h);
    REQUIRE(trim(*t, 0));
    t.time.jump_wall(-2h);  // now only what is gone is not found
    const auto there = [&](int i) {
        return look(*t, [&](const rows& r) {
            return r.find_nonce(t.issuer, "lifecycle", "c", "m", "n" + std::to_string(i))
                .has_value();
        });
    };
    CHECK(there(0));
    CHECK(!there(1));
    CHECK(there(1498));
    CHECK(!there(1499));
}

TEST_CASE("a store url of another scheme is refused") {
    for (const char* url : {"", "memory", "sqlite:", "postgresql://localhost/x", "/tmp/x.db"}) {
        const auto r = open_store(url);
        REQUIRE(!r.has_value());
        CHECK(r.error() == errc::bad_configuration);
    }
}

}  // namespace mission::store::test
