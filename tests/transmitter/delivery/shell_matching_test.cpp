// What streams get: by subjects, by audience, bridged; and what cannot be read.
#include "shell_streams.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

TEST_CASE("a stream of default_subjects NONE gets what its subjects name, from their seq on") {
    transmitter_fixture f([](config& c) { c.ssf.default_subjects_all = false; });
    const auto stream = make_poll_stream(f, "erp");
    const auto stranger = make_poll_stream(f, "stranger");
    commit(f, 1, 1);
    follow(f, stream, events::subject::opaque(committed_mission(1)));
    follow(f, stranger, events::subject::opaque(committed_mission(1)));
    commit(f, 2, 1);
    commit(f, 1, 2);
    const auto got = missions(drain(f, "erp", stream, at_least(1)));
    REQUIRE(got.size() == 1);
    CHECK(got[0].mission_id == committed_mission(1));
    CHECK(got[0].version == 2);
    // Naming it does not make it known.
    CHECK(report_of(f, stranger).lag_signals == 0);
    CHECK(missions(poll(f, "stranger", stranger, at_once)).empty());
    follow(f, stream, events::subject::iss_sub(f.issuer(), "agent-7"));
    commit(f, 3, 1);
    CHECK(missions(drain(f, "erp", stream, at_least(1)))[0].mission_id == committed_mission(3));
}

TEST_CASE("an ALL stream does not get what an excluding subject names") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    follow(f, stream, events::subject::opaque(committed_mission(1)), {}, true);
    commit(f, 1, 1);
    commit(f, 2, 1);
    CHECK(missions(drain(f, "erp", stream, at_least(1)))[0].mission_id == committed_mission(2));
}

TEST_CASE("a removed subject is delivered until its grace ends, and no longer; also by a restart") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        c.ssf.default_subjects_all = false;
        c.ssf.heartbeat = 100ms;
        c.store_url = "sqlite:" + folder.path() + "/t.db";
    });
    const auto stream = make_poll_stream(f, "erp");
    const auto subject = events::subject::opaque(committed_mission(1));
    const auto now =
        std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    follow(f, stream, subject, now + 1h);
    follow(f, stream, events::subject::opaque(committed_mission(2)), now + 1500ms);
    commit(f, 1, 1);
    commit(f, 2, 1);
    CHECK(missions(drain(f, "erp", stream, at_least(2))).size() == 2);
    f.restart();
    const auto row = row_of(f, stream).row;
    const auto removed = [&](int n) {
        bool gone = false;
        CHECK(f.running()
                  .db()
                  .read_now([&](const store::rows& r) {
                      const auto key =
                          events::canonical_key(events::subject::opaque(committed_mission(n)));
                      const auto rows = r.subjects(row, key);
                      gone = rows.size() == 1 && rows[0].removed_seq.has_value();
                  })
                  .has_value());
        return gone;
    };
    CHECK(transmitter_fixture::eventually([&] { return removed(2); }));
    CHECK_FALSE(removed(1));
    commit(f, 2, 2);
    commit(f, 1, 2);
    const auto got = missions(drain(f, "erp", stream, at_least(1)));
    REQUIRE(got.size() == 1);
    CHECK(got[0].mission_id == committed_mission(1));
}

TEST_CASE("an emitted event reaches the streams of its audience that are delivered its type") {
    transmitter_fixture f(offer_caep);
    const auto erp = make_caep_stream(f, "erp");
    const auto crm = make_caep_stream(f, "crm");
    const auto other = make_poll_stream(f, "erp");
    emit(f, revoked_for({"erp"}));
    const auto got = drain(f, "erp", erp, [](const sets& all) { return contains(all, "bob@"); });
    const auto told =
        std::find_if(got.begin(), got.end(), [](const auto& s) { return s.type == caep_revoked; });
    REQUIRE(told != got.end());
    CHECK(told->claims.find(R"("txn":"txn")") != std::string::npos);
    auto to_all = revoked_for({}, "carol");
    to_all.audience.reset();
    emit(f, to_all);
    CHECK_FALSE(contains(
        drain(f, "crm", crm, [](const sets& all) { return contains(all, "carol@"); }), "bob@"));
    CHECK(report_of(f, other).lag_signals == 0);
}

TEST_CASE("the end of a mission is bridged to CAEP, beside its own event, until both are settled") {
    transmitter_fixture f([](config& c) {
        offer_caep(c);
        for (auto& client : c.clients)
            if (client.id == "erp") client.caep_bridge = "session";
    });
    const auto caep = make_caep_stream(f, "erp");
    const auto without = make_caep_stream(f, "crm");
    commit(f, 1, 1);
    commit(f, 1, 2);
    const auto got =
        drain(f, "erp", caep, [](const sets& all) { return contains(all, caep_revoked); });
    CHECK(contains(got, committed_mission(1)));
    CHECK(contains(got, "reason_admin"));
    CHECK(report_of(f, without).lag_signals == 0);
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, caep).lag_signals == 0; }));
}

TEST_CASE("a signal that cannot be read raises the continuity of whom it may have concerned (I3)") {
    transmitter_fixture f(offer_caep);
    const auto caep = make_caep_stream(f, "erp");
    const auto other = make_poll_stream(f, "erp");
    emit(f, revoked_for({"erp"}), false);
    commit(f, 1, 1);
    drain(f, "erp", other, at_least(1));
    CHECK(transmitter_fixture::eventually([&] { return row_of(f, caep).continuity == 1; }));
    CHECK(row_of(f, other).continuity == 0);
    CHECK(out(f).counters().unreadable == 1);
}
