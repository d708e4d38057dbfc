#include "tests/store/harness.hpp"

#include "base/limits.hpp"

namespace mission::store::test {

namespace {

template <class T>
stream_row make_stream(T& t, std::string_view id) {
    return run(*t, subscribe(t.issuer, id)).value().streams.at(0);
}

}  // namespace

TEST_CASE_TEMPLATE("a stream keeps every member, sealed octets included", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    changes c = subscribe(t.issuer, "s1");
    stream& s = c.new_streams[0];
    s.method = delivery_method::push;
    s.endpoint_url = "https://rs.example/events";
    s.sealed_authorization = std::string("\0\xff\x01z", 4);
    s.status = stream_status::paused;
    s.status_reason = "maintenance";
    s.continuity = 7;
    s.default_all = false;
    s.extra = R"({"x":1})";
    const auto row = run(*t, c).value().streams.at(0);
    const auto found = look(*t, [&](const rows& r) { return *r.find_stream(t.issuer, "s1"); });
    CHECK(found.row == row);
    CHECK(found.client_id == "rs-1");
    CHECK(found.created_at == start_time);
    CHECK(found.method == delivery_method::push);
    CHECK(found.endpoint_url == s.endpoint_url);
    CHECK(found.sealed_authorization == s.sealed_authorization);
    CHECK(found.events_requested == s.events_requested);
    CHECK(found.capabilities == s.capabilities);
    CHECK(found.description == "first");
    CHECK(found.status == stream_status::paused);
    CHECK(found.status_reason == "maintenance");
    CHECK(found.continuity == 7);
    CHECK(!found.default_all);
    CHECK(found.extra == R"({"x":1})");

    stream changed = found;
    changed.method = delivery_method::poll;
    changed.sealed_authorization.clear();
    changed.events_requested.clear();
    changed.status = stream_status::disabled;
    changed.continuity = 8;
    changed.description = "second";
    changes u;
    u.updated_streams.push_back(changed);
    REQUIRE(run(*t, u));
    const auto now = look(*t, [&](const rows& r) { return r.streams(t.issuer); });
    REQUIRE(now.size() == 1);
    CHECK(now[0].status == stream_status::disabled);
    CHECK(now[0].sealed_authorization.empty());
    CHECK(now[0].events_requested.empty());
    CHECK(now[0].continuity == 8);
    CHECK(now[0].description == "second");
}

TEST_CASE_TEMPLATE("a client's streams are its own, and gone when removed", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    const auto add = [&](issuer_id issuer, const std::string& id, const std::string& client) {
        auto c = subscribe(issuer, id);
        c.new_streams.front().client_id = client;
        const auto receipt = run(*t, c);
        REQUIRE(receipt);
        return receipt->streams.front();
    };
    const auto a = add(t.issuer, "a", "one");
    add(t.issuer, "b", "two");
    const auto c = add(t.issuer, "c", "one");
    add(other, "d", "one");
    const auto of = [&](std::string_view client) {
        std::vector<stream_row> out;
        for (const auto& s : look(*t, [&](const rows& r) { return r.streams(t.issuer, client); }))
            out.push_back(s.row);
        return out;
    };
    CHECK(of("one") == std::vector{a, c});
    CHECK(of("two").size() == 1);
    CHECK(of("three").empty());
    changes gone;
    gone.removed_streams = {a};
    REQUIRE(run(*t, gone));
    CHECK(of("one") == std::vector{c});
    gone.removed_streams = {c};
    REQUIRE(run(*t, gone));
    CHECK(of("one").empty());
}

TEST_CASE_TEMPLATE("a stream id is taken once per issuer", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    make_stream(t, "s1");
    CHECK(run(*t, subscribe(t.issuer, "s1")).error() == errc::store_conflict);
    const auto other = t->add_issuer("https://other.example").value();
    CHECK(run(*t, subscribe(other, "s1")).has_value());
    CHECK(!look(*t, [&](const rows& r) { return r.find_stream(t.issuer, "s2"); }));
}

TEST_CASE_TEMPLATE("epochs are kept by the seq they begin at", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    changes c;
    c.epochs = {an_epoch(row, 9, "RS256"), an_epoch(row, 5)};
    REQUIRE(run(*t, c));
    changes again;
    again.epochs = {an_epoch(row, 5, "RS256")};
    again.epochs[0].visibility = R"({"missions":"all"})";
    REQUIRE(run(*t, again));
    const auto epochs = look(*t, [&](const rows& r) { return r.epochs(row); });
    REQUIRE(epochs.size() == 3);
    CHECK(epochs[0].from_seq == 1);
    CHECK(epochs[1].from_seq == 5);
    CHECK(epochs[1].alg == "RS256");
    CHECK(epochs[1].visibility == R"({"missions":"all"})");
    CHECK(epochs[1].events_delivered == std::vector<std::string>{"urn:a"});
    CHECK(epochs[2].from_seq == 9);
}

TEST_CASE_TEMPLATE("a cursor keeps its ranges and lies within the log", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    changes log;
    for (int i = 0; i < 9; ++i)
        log.missions.push_back(approval(t.issuer, "m" + std::to_string(i)));
    REQUIRE(run(*t, log));
    changes c;
    c.cursors = {{row, 2, true, {{4, 4}, {6, 9}}}};
    REQUIRE(run(*t, c));
    const auto k = look(*t, [&](const rows& r) { return *r.find_cursor(row); });
    CHECK(k.stream == row);
    CHECK(k.acked_seq == 2);
    CHECK(k.ranges == std::vector<std::pair<seq_t, seq_t>>{{4, 4}, {6, 9}});
    const auto refused = [&](cursor bad) {
        changes b;
        b.cursors = {std::move(bad)};
        return run(*t, b).error() == errc::invalid_argument;
    };
    CHECK(refused({row, 10, true, {}}));
    CHECK(refused({row, -1, true, {}}));
    CHECK(refused({row, 2, true, {{2, 3}}}));
    CHECK(refused({row, 2, true, {{6, 7}, {4, 5}}}));
    CHECK(refused({row, 2, true, {{5, 4}}}));
    CHECK(refused({row, 2, true, {{4, 10}}}));
    cursor many{row, 0, true, {}};
    for (std::size_t i = 0; i <= limits::acked_ranges; ++i)
        many.ranges.emplace_back(2 * i + 2, 2 * i + 2);
    CHECK(refused(many));
    CHECK(look(*t, [&](const rows& r) { return r.find_cursor(row)->acked_seq; }) == 2);
}

TEST_CASE_TEMPLATE("exceptions are inserted, replaced and settled by stream and seq", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    changes c;
    c.exceptions = {{row, 4, false, 1, "invalid_state", "words", start_time, start_time + 1s},
                    {row, 2, false, 1, "", "", start_time, start_time}};
    REQUIRE(run(*t, c));
    changes u;
    u.exceptions = {{row, 4, true, 5, "invalid_request", "more", start_time, start_time + 9s}};
    u.settled_exceptions = {{row, 2}, {row, 77}};
    REQUIRE(run(*t, u));
    const auto left = look(*t, [&](const rows& r) { return r.exceptions(row); });
    REQUIRE(left.size() == 1);
    CHECK(left[0].seq == 4);
    CHECK(left[0].dead);
    CHECK(left[0].attempts == 5);
    CHECK(left[0].err == "invalid_request");
    CHECK(left[0].description == "more");
    CHECK(left[0].since == start_time);
    CHECK(left[0].last == start_time + 9s);
}

TEST_CASE_TEMPLATE("stream events come by creation and are settled by jti", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    changes c;
    c.stream_events = {{row, "j2", "urn:v", "{}", 0, start_time + 2s},
                       {row, "j1", "urn:v", R"({"state":"x"})", 3, start_time + 1s}};
    REQUIRE(run(*t, c));
    auto events = look(*t, [&](const rows& r) { return r.stream_events(row); });
    REQUIRE(events.size() == 2);
    CHECK(events[0].jti == "j1");
    CHECK(events[0].event == R"({"state":"x"})");
    CHECK(events[0].after_seq == 3);
    CHECK(events[1].jti == "j2");
    changes settle;
    settle.settled_stream_events = {{row, "j1"}, {row, "unknown"}};
    REQUIRE(run(*t, settle));
    events = look(*t, [&](const rows& r) { return r.stream_events(row); });
    REQUIRE(events.size() == 1);
    CHECK(events[0].jti == "j2");
}

TEST_CASE_TEMPLATE("a subject's filter is versioned as the log is", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    changes c;
    c.subjects = {a_subject(row, "k", 1, std::nullopt, true)};
    REQUIRE(run(*t, c));
    c.subjects = {a_subject(row, "k", 1, 5, true), a_subject(row, "k", 8, std::nullopt, false)};
    REQUIRE(run(*t, c));
    const auto subjects = look(*t, [&](const rows& r) { return r.subjects(row); });
    REQUIRE(subjects.size() == 2);
    CHECK(subjects[0].removed_seq == 5);
    CHECK(subjects[1].added_seq == 8);
    CHECK(!subjects[1].removed_seq);
    CHECK(!subjects[1].verified);
}

TEST_CASE_TEMPLATE("a removed stream takes all but its epochs along, and nothing is written to it",
                   Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = make_stream(t, "s1");
    const auto other = make_stream(t, "s2");
    changes c;
    for (const auto r : {row, other}) {
        c.exceptions.push_back({r, 1, false, 1, "", "", start_time, start_time});
        c.stream_events.push_back({r, "j", "urn:v", "{}", 0, start_time});
        c.subjects.push_back(a_subject(r, "k", 1, std::nullopt, true));
    }
    REQUIRE(run(*t, c));
    changes gone;
    gone.removed_streams = {row};
    REQUIRE(run(*t, gone));
    CHECK(!look(*t, [&](const rows& r) { return r.find_stream(t.issuer, "s1"); }));
    CHECK(look(*t, [&](const rows& r) { return r.streams(t.issuer); }).size() == 1);
    CHECK(!look(*t, [&](const rows& r) { return r.find_cursor(row); }));
    CHECK(look(*t, [&](const rows& r) { return r.exceptions(row); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.stream_events(row); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.subjects(row); }).empty());
    CHECK(look(*t, [&](const rows& r) { return r.epochs(row); }).size() == 1);
    CHECK(look(*t, [&](const rows& r) { return r.exceptions(other); }).size() == 1);

    std::vector<changes> stale(8);
    stale[0].cursors = {{row, 0, true, {}}};
    stale[1].epochs = {an_epoch(row, 1)};
    stale[2].exceptions = {{row, 1, false, 1, "", "", start_time, start_time}};
    stale[3].stream_events = {{row, "j", "urn:v", "{}", 0, start_time}};
    stale[4].subjects = {a_subject(row, "k", 1, std::nullopt, true)};
    stale[5].removed_streams = {row};
    stale[6].updated_streams = {a_stream(t.issuer, "s1")};
    stale[6].updated_streams[0].row = row;
    stale[7].settled_stream_events = {{row, "j"}};
    for (auto& s : stale)
        CHECK(run(*t, s).error() == errc::store_conflict);
    // Row 0 without a new stream names nothing.
    changes nobody;
    nobody.cursors = {{stream_row{}, 0, true, {}}};
    CHECK(run(*t, nobody).error() == errc::store_conflict);
}

}  // namespace mission::store::test
