// Events in the log, and where each stream stands in it.
#include <semaphore>

#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

event_commit an_event(issuer_id issuer, std::string id) {
    return {issuer, "txn-" + id, R"({"type":"urn:x"})", std::move(id)};
}

changes emit(issuer_id issuer, std::string id) {
    changes c;
    c.events.push_back(an_event(issuer, std::move(id)));
    return c;
}

changes route(issuer_id issuer, seq_t seq) {
    changes c;
    c.routed = {{issuer, seq}};
    return c;
}

template <class T>
seq_t routed(T& t, issuer_id issuer) {
    return look(*t, [&](const rows& r) { return r.routed_seq(issuer); });
}

}  // namespace

TEST_CASE_TEMPLATE("an event is a row of the log without a mission, found by its id", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto done = run(*t, emit(t.issuer, "e1")).value();
    CHECK(done.seqs == std::vector<seq_t>{1});
    CHECK(done.missions.empty());
    const auto s = look(*t, [&](const rows& r) { return *r.find_signal(t.issuer, "e1"); });
    CHECK(s.seq == 1);
    CHECK(s.issuer == t.issuer);
    CHECK(s.kind == signal_kind::event);
    CHECK(s.bucket == 0);
    CHECK(s.mission == mission_row{});
    CHECK(s.version == 0);
    CHECK(s.committed_at == start_time);
    CHECK(s.txn == "txn-e1");
    CHECK(s.body == R"({"type":"urn:x"})");
    CHECK(s.signal_id == "e1");
    CHECK(s.keys == match_keys{});
    CHECK(!s.batch_id.empty());
    const auto log = look(*t, [](const rows& r) { return r.signals(0, 10, 10); });
    REQUIRE(log.size() == 1);
    CHECK(log[0].signal_id == "e1");
    CHECK(log[0].kind == signal_kind::event);
    const auto other = t->add_issuer("https://other.example").value();
    CHECK(!look(*t, [&](const rows& r) { return r.find_signal(other, "e1"); }));
    CHECK(!look(*t, [&](const rows& r) { return r.find_signal(t.issuer, "e2"); }));
    CHECK(!look(*t, [&](const rows& r) { return r.find_signal(t.issuer, ""); }));
}

TEST_CASE_TEMPLATE("a decision's events come after its missions, and the listener hears both", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    std::vector<signal> heard;
    t->set_commit_listener(
        [&](const auto& signals) { heard.insert(heard.end(), signals->begin(), signals->end()); });
    changes c = emit(t.issuer, "e1");
    c.events.push_back(an_event(t.issuer, "e2"));
    c.missions = {approval(t.issuer, "a"), approval(t.issuer, "b")};
    const auto done = run(*t, c).value();
    CHECK(done.seqs == std::vector<seq_t>{1, 2, 3, 4});
    CHECK(done.missions.size() == 2);
    REQUIRE(run(*t, changes{}));
    REQUIRE(heard.size() == 4);
    CHECK(heard[1].kind == signal_kind::mission);
    CHECK(heard[1].signal_id.empty());
    CHECK(heard[2].kind == signal_kind::event);
    CHECK(heard[2].signal_id == "e1");
    CHECK(heard[3].signal_id == "e2");
    CHECK(heard[3].seq == 4);
}

TEST_CASE_TEMPLATE("nothing about missions sees an event", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = run(*t, approve(t.issuer, "a")).value().missions[0];
    // More than one: they share mission 0 and version 0, which nobody else may.
    REQUIRE(run(*t, emit(t.issuer, "e1")));
    REQUIRE(run(*t, emit(t.issuer, "e2")));
    REQUIRE(run(*t, move_to(t.issuer, "a", state::revoked)));
    CHECK(look(*t, [&](const rows& r) { return r.mission_signals(row); }).size() == 2);
    CHECK(look(*t, [&](const rows& r) { return r.mission_signals(mission_row{}); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.list_missions(t.issuer, {}); }).size() == 1);
    CHECK(!look(*t, [&](const rows& r) { return r.find_mission(mission_row{}); }));
    CHECK(run(*t, approve(t.issuer, "b"))->missions[0] == mission_row{2});
}

TEST_CASE_TEMPLATE("a signal id is taken once per issuer, and an event needs one", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    REQUIRE(run(*t, emit(t.issuer, "e1")));
    CHECK(run(*t, emit(t.issuer, "e1")).error() == errc::store_conflict);
    CHECK(run(*t, emit(other, "e1")).has_value());
    changes twice = emit(t.issuer, "e2");
    twice.events.push_back(an_event(t.issuer, "e2"));
    CHECK(run(*t, twice).error() == errc::store_conflict);
    CHECK(run(*t, emit(t.issuer, "")).error() == errc::invalid_argument);
    CHECK(run(*t, emit(issuer_id{77}, "e3")).error() == errc::store_conflict);
    CHECK(head(*t) == 2);
}

TEST_CASE_TEMPLATE("trim drops events with the log, and missions' signals beside them", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, emit(t.issuer, "e1")));
    const auto row = run(*t, approve(t.issuer, "a")).value().missions[0];
    REQUIRE(run(*t, emit(t.issuer, "e2")));
    REQUIRE(run(*t, move_to(t.issuer, "a", state::revoked)));
    REQUIRE(trim(*t, 2));
    CHECK(!look(*t, [&](const rows& r) { return r.find_signal(t.issuer, "e1"); }));
    CHECK(look(*t, [&](const rows& r) { return r.find_signal(t.issuer, "e2")->seq; }) == 3);
    const auto own = look(*t, [&](const rows& r) { return r.mission_signals(row); });
    REQUIRE(own.size() == 1);
    CHECK(own[0].seq == 4);
    REQUIRE(trim(*t, 4));
    CHECK(!look(*t, [&](const rows& r) { return r.find_signal(t.issuer, "e2"); }));
}

TEST_CASE_TEMPLATE("routed_seq is each issuer's own, raised and never lowered", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    for (int i = 0; i < 5; ++i)
        REQUIRE(run(*t, emit(t.issuer, "e" + std::to_string(i))));
    CHECK(routed(t, t.issuer) == 0);
    REQUIRE(run(*t, route(t.issuer, 4)));
    CHECK(routed(t, t.issuer) == 4);
    CHECK(routed(t, other) == 0);
    REQUIRE(run(*t, route(t.issuer, 2)));
    CHECK(routed(t, t.issuer) == 4);
    CHECK(t->add_issuer("https://mas.example").value() == t.issuer);
    CHECK(routed(t, t.issuer) == 4);  // finding an issuer again forgets nothing
    CHECK(routed(t, issuer_id{77}) == 0);

    CHECK(run(*t, route(t.issuer, 6)).error() == errc::invalid_argument);
    CHECK(run(*t, route(t.issuer, -1)).error() == errc::invalid_argument);
    CHECK(run(*t, route(issuer_id{77}, 1)).error() == errc::store_conflict);
    // What the same decision appends is in the log then.
    changes c = emit(t.issuer, "last");
    c.routed = {{t.issuer, 6}, {other, 1}};
    REQUIRE(run(*t, c));
    CHECK(routed(t, t.issuer) == 6);
    CHECK(routed(t, other) == 1);
}

TEST_CASE_TEMPLATE("a cursor may lie at an event of its own decision, not beyond", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    changes c = subscribe(t.issuer, "s", 2);
    c.events = {an_event(t.issuer, "e1")};
    CHECK(run(*t, c).error() == errc::invalid_argument);
    c.events.push_back(an_event(t.issuer, "e2"));
    CHECK(run(*t, c).has_value());
}

TEST_CASE_TEMPLATE("open cursors are listed by issuer, closed and removed ones are not", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    std::vector<stream_row> rows_of;
    for (const char* id : {"a", "b", "c", "d"})
        rows_of.push_back(run(*t, subscribe(t.issuer, id)).value().streams[0]);
    const auto foreign = run(*t, subscribe(other, "x")).value().streams[0];
    REQUIRE(run(*t, emit(t.issuer, "e1")));
    REQUIRE(run(*t, emit(t.issuer, "e2")));
    REQUIRE(run(*t, emit(t.issuer, "e3")));
    const auto open = [&](issuer_id issuer) {
        std::vector<cursor> out = look(*t, [&](const rows& r) { return r.open_cursors(issuer); });
        std::sort(out.begin(), out.end(),
                  [](const auto& l, const auto& r) { return l.stream < r.stream; });
        return out;
    };
    CHECK(open(t.issuer).size() == 4);
    changes c;
    c.cursors = {{rows_of[0], 1, false, {}}, {rows_of[1], 1, true, {{3, 3}}}};
    c.removed_streams = {rows_of[2]};
    REQUIRE(run(*t, c));
    auto left = open(t.issuer);
    REQUIRE(left.size() == 2);
    CHECK(left[0].stream == rows_of[1]);
    CHECK(left[0].acked_seq == 1);
    CHECK(left[0].open);
    CHECK(left[0].ranges == std::vector<std::pair<seq_t, seq_t>>{{3, 3}});
    CHECK(left[1].stream == rows_of[3]);
    REQUIRE(open(other).size() == 1);
    CHECK(open(other)[0].stream == foreign);
    CHECK(!look(*t, [&](const rows& r) { return r.find_cursor(rows_of[0])->open; }));
    c = {};
    c.cursors = {{rows_of[0], 2, true, {}}, {rows_of[1], 3, false, {}}};
    REQUIRE(run(*t, c));
    left = open(t.issuer);
    REQUIRE(left.size() == 2);
    CHECK(left[0].stream == rows_of[0]);
    CHECK(left[0].acked_seq == 2);
}

TEST_CASE_TEMPLATE("who learns of a change by its completion knows it before later signals", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    std::vector<std::string> told;
    t->set_commit_listener([&](const auto&) { told.emplace_back("signals"); });
    changes c = subscribe(t.issuer, "s");
    c.events = {an_event(t.issuer, "e1")};
    std::binary_semaphore done{0};
    t->submit([&](const rows&, wall_time) { return result<changes>(c); },
              [&](const result<receipt>& r) {
                  CHECK(r.has_value());
                  told.emplace_back("stream");
                  done.release();
              });
    done.acquire();
    REQUIRE(run(*t, changes{}));
    CHECK(told == std::vector<std::string>{"stream", "signals"});
}

}  // namespace mission::store::test
