// Subject filters: versioned, counted, by the million.
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

template <class T>
void put(T& t, std::vector<stream_subject> all) {
    changes c;
    c.subjects = std::move(all);
    REQUIRE(run(*t, c));
}

template <class T>
stream_row make_stream(T& t, std::string_view id) {
    return run(*t, subscribe(t.issuer, id)).value().streams.at(0);
}

template <class T>
std::size_t count(T& t, stream_row row) {
    return look(*t, [&](const rows& r) { return r.subject_count(row); });
}

template <class T>
std::vector<stream_subject> each(T& t, issuer_id issuer) {
    return look(*t, [&](const rows& r) {
        std::vector<stream_subject> out;
        r.each_subject(issuer, [&](const stream_subject& s) { out.push_back(s); });
        return out;
    });
}

}  // namespace

TEST_CASE_TEMPLATE("a subject keeps every member", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    stream_subject s = a_subject(row, "k", 7);
    s.subject = R"({"format":"opaque","id":"x"})";
    s.removed_seq = 9;
    s.verified = false;
    s.excluded = true;
    s.remove_at = start_time + 5s;
    put(t, {s, a_subject(row, "plain")});
    const auto all = look(*t, [&](const rows& r) { return r.subjects(row); });
    REQUIRE(all.size() == 2);
    CHECK(all[0].stream == row);
    CHECK(all[0].key == "k");
    CHECK(all[0].subject == s.subject);
    CHECK(all[0].added_seq == 7);
    CHECK(all[0].removed_seq == 9);
    CHECK(!all[0].verified);
    CHECK(all[0].excluded);
    CHECK(all[0].remove_at == start_time + 5s);
    CHECK(all[1].verified);
    CHECK(!all[1].excluded);
    CHECK(!all[1].remove_at);
    CHECK(!all[1].removed_seq);
}

TEST_CASE_TEMPLATE("the rows of one key come by added_seq, those of others stay away", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    const auto other = make_stream(t, "t");
    const std::string odd("k\0'\xff", 4);
    stream_subject first = a_subject(row, odd, 2);
    first.removed_seq = 5;
    put(t, {a_subject(row, odd, 8), first, a_subject(row, "k", 3), a_subject(row, odd + "x", 3),
            a_subject(other, odd, 4)});
    const auto own = look(*t, [&](const rows& r) { return r.subjects(row, odd); });
    REQUIRE(own.size() == 2);
    CHECK(own[0].added_seq == 2);
    CHECK(own[0].removed_seq == 5);
    CHECK(own[1].added_seq == 8);
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row, "none"); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.subjects(stream_row{99}, odd); }).empty());
}

TEST_CASE_TEMPLATE("the count is of rows whose end is not set, whatever way they came", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    CHECK(count(t, row) == 0);
    put(t, {a_subject(row, "a"), a_subject(row, "b"), a_subject(row, "c")});
    CHECK(count(t, row) == 3);
    put(t, {a_subject(row, "a")});  // replaced by itself
    CHECK(count(t, row) == 3);
    stream_subject ended = a_subject(row, "b");
    ended.removed_seq = 4;
    put(t, {ended, a_subject(row, "b", 6), ended});
    CHECK(count(t, row) == 3);
    ended = a_subject(row, "c");
    ended.removed_seq = 4;
    put(t, {ended});
    CHECK(count(t, row) == 2);
    ended.removed_seq.reset();
    put(t, {ended});
    CHECK(count(t, row) == 3);
    // One that is to be removed later is still in force.
    stream_subject later = a_subject(row, "a");
    later.remove_at = start_time + 1s;
    put(t, {later});
    CHECK(count(t, row) == 3);
    changes gone;
    gone.removed_streams = {row};
    REQUIRE(run(*t, gone));
    CHECK(count(t, row) == 0);
    CHECK(count(t, stream_row{99}) == 0);
}

TEST_CASE_TEMPLATE("each_subject shows an issuer's rows, of streams that are there", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto a = make_stream(t, "a");
    const auto b = make_stream(t, "b");
    const auto gone = make_stream(t, "gone");
    const auto foreign = run(*t, subscribe(other, "x")).value().streams[0];
    stream_subject ended = a_subject(a, "k1");
    ended.removed_seq = 3;
    put(t, {ended, a_subject(a, "k1", 5), a_subject(b, "k2"), a_subject(gone, "k3"),
            a_subject(foreign, "k4")});
    changes c;
    c.removed_streams = {gone};
    REQUIRE(run(*t, c));
    const auto own = each(t, t.issuer);
    REQUIRE(own.size() == 3);
    std::size_t ended_rows = 0;
    for (const auto& s : own) {
        CHECK((s.stream == a || s.stream == b));
        ended_rows += s.removed_seq.has_value();
    }
    CHECK(ended_rows == 1);
    REQUIRE(each(t, other).size() == 1);
    CHECK(each(t, other)[0].key == "k4");
    CHECK(each(t, issuer_id{77}).empty());
}

TEST_CASE_TEMPLATE("removals fall due by their time, soonest first, until removed_seq is set", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto row = make_stream(t, "s");
    const auto gone = make_stream(t, "gone");
    const auto foreign = run(*t, subscribe(other, "x")).value().streams[0];
    const auto at = [&](stream_row r, std::string key, wall_time when) {
        stream_subject s = a_subject(r, std::move(key));
        s.remove_at = when;
        return s;
    };
    put(t, {at(row, "late", start_time + 9s), at(row, "b", start_time + 2s),
            at(row, "a", start_time + 1s), a_subject(row, "stays"), at(gone, "g", start_time + 1s),
            at(foreign, "f", start_time + 1s)});
    changes c;
    c.removed_streams = {gone};
    REQUIRE(run(*t, c));
    const auto due = [&](issuer_id issuer, wall_time until, std::size_t limit) {
        std::vector<std::string> keys;
        for (const auto& s :
             look(*t, [&](const rows& r) { return r.due_subject_removals(issuer, until, limit); }))
            keys.push_back(s.key);
        return keys;
    };
    using keys = std::vector<std::string>;
    CHECK(due(t.issuer, start_time, 10).empty());
    CHECK(due(t.issuer, start_time + 1s, 10) == keys{"a"});
    CHECK(due(t.issuer, start_time + 8s, 10) == keys{"a", "b"});
    CHECK(due(t.issuer, start_time + 9s, 1) == keys{"a"});
    CHECK(due(t.issuer, start_time + 9s, 10) == keys{"a", "b", "late"});
    CHECK(due(other, start_time + 9s, 10) == keys{"f"});
    stream_subject done = at(row, "a", start_time + 1s);
    done.removed_seq = 3;
    // Added again before its time: no removal is due any more.
    put(t, {done, a_subject(row, "b")});
    CHECK(due(t.issuer, start_time + 8s, 10).empty());
    stream_subject moved = at(row, "late", start_time + 20s);
    put(t, {moved});
    CHECK(due(t.issuer, start_time + 10s, 10).empty());
    CHECK(due(t.issuer, start_time + 20s, 10) == keys{"late"});
}

TEST_CASE_TEMPLATE("trim drops many ended intervals in steps, and no other", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    changes c;
    for (int i = 0; i < 10; ++i)
        c.missions.push_back(approval(t.issuer, "m" + std::to_string(i)));
    for (int i = 0; i < 1300; ++i) {
        stream_subject s = a_subject(row, "k" + std::to_string(i));
        s.removed_seq = i < 1200 ? 5 : 9;
        c.subjects.push_back(s);
        c.subjects.push_back(a_subject(row, "k" + std::to_string(i), 9));
    }
    REQUIRE(run(*t, c));
    REQUIRE(trim(*t, 3));  // seq 4 is left: an interval that ends at 5 is still needed
    CHECK(each(t, t.issuer).size() == 2600);
    REQUIRE(trim(*t, 4));
    CHECK(each(t, t.issuer).size() == 1400);
    REQUIRE(trim(*t, 8));
    CHECK(each(t, t.issuer).size() == 1300);
    CHECK(count(t, row) == 1300);
}

TEST_CASE_TEMPLATE("a removed stream's subjects are gone at once, its id only with the log", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    changes c;
    c.missions = {approval(t.issuer, "m")};
    for (int i = 0; i < 1300; ++i)
        c.subjects.push_back(a_subject(row, "k" + std::to_string(i)));
    REQUIRE(run(*t, c));
    changes gone;
    gone.removed_streams = {row};
    REQUIRE(run(*t, gone));
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row, "k1"); }).empty());
    CHECK(each(t, t.issuer).empty());
    CHECK(run(*t, subscribe(t.issuer, "s", 1)).error() == errc::store_conflict);
    REQUIRE(trim(*t, 1));
    const auto next = run(*t, subscribe(t.issuer, "s", 1)).value().streams[0];
    CHECK(next > row);
    CHECK(each(t, t.issuer).empty());
}

TEST_CASE_TEMPLATE("a hundred thousand subjects: adding one more costs what one costs", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s");
    constexpr int many = 100'000;
    for (int done = 0; done < many;) {
        changes c;
        for (int i = 0; i < 20'000; ++i, ++done)
            c.subjects.push_back(a_subject(row, "key-" + std::to_string(done)));
        REQUIRE(run(*t, c));
    }
    CHECK(count(t, row) == many);
    std::size_t seen = 0;
    REQUIRE(t->read_now(
        [&](const rows& r) { r.each_subject(t.issuer, [&](const stream_subject&) { ++seen; }); }));
    CHECK(seen == many);
    // A thousand additions, each with its count and its look-up, in far less time than a thousand
    // passes over all rows would take (each of which is 10 ms and more).
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i)
        REQUIRE(run(*t, [&](const rows& r, wall_time) -> result<changes> {
            const std::string key = "more-" + std::to_string(i);
            if (r.subject_count(row) != static_cast<std::size_t>(many + i)) return errc::forbidden;
            if (!r.subjects(row, key).empty()) return errc::forbidden;
            changes c;
            c.subjects = {a_subject(row, key)};
            return c;
        }));
    CHECK(std::chrono::steady_clock::now() - start < 5s);
}

}  // namespace mission::store::test
