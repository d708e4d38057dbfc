// Adding and removing subjects, judged (transmitter/streams/subjects).
#include "tests/transmitter/delivery/stream_store.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

namespace {

// One stream, and what its rows say of a simple subject after each step.
class subjects_of_stream {
  public:
    explicit subjects_of_stream(bool all, subject_limits l = {100, 0ms})
        : f(all), limits(l), id(f.create({lifecycle})) {}

    result<std::size_t> change(bool remove, const events::subject& s, bool verified = true) {
        std::vector<store::stream_subject> written;
        const subject_request wanted{id, s, verified};
        const auto at = f.row(id).row;
        const auto done = f.commit([&](const store::rows& rows, wall_time now) {
            return subject_decision(wanted, remove, limits, f.issuer.id, at, rows, now, written);
        });
        if (!done) return done.error();
        return written.size();
    }
    std::size_t add(const std::string& s) {
        return change(false, events::subject::opaque(s)).value();
    }
    std::size_t remove(const std::string& s) {
        return change(true, events::subject::opaque(s)).value();
    }
    std::vector<store::stream_subject> rows(const std::string& s) {
        std::vector<store::stream_subject> out;
        REQUIRE(f.db->read_now([&](const store::rows& r) {
            out = r.subjects(f.row_in(r, id), events::canonical_key(events::subject::opaque(s)));
        }));
        return out;
    }
    // Whether a signal of that seq about the subject goes to the stream (store/rows.hpp).
    bool delivered(const std::string& s, store::seq_t seq) {
        bool including = false, excluding = false;
        for (const auto& r : rows(s)) {
            const bool holds = r.added_seq <= seq && (!r.removed_seq || seq < *r.removed_seq);
            (r.excluded ? excluding : including) |= holds;
        }
        return f.common.settings.ssf.default_subjects_all ? including || !excluding : including;
    }

    struct store_with_rows : stream_store {
        using stream_store::stream_store;
        store::stream_row row_in(const store::rows& r, const std::string& name) {
            return r.find_stream(issuer.id, name)->row;
        }
    } f;
    subject_limits limits;
    std::string id;
};

}  // namespace

TEST_CASE("subject requests are judged member by member") {
    for (const auto* body :
         {"{}", "[]", R"({"stream_id":"s"})", R"({"subject":{"format":"opaque","id":"x"}})",
          R"({"stream_id":"s","subject":"x"})", R"({"stream_id":"s","subject":{}})",
          R"({"stream_id":"s","subject":{"format":"email"}})",
          R"({"stream_id":"s","subject":{"format":"opaque","id":"x"},"verified":"yes"})"}) {
        CAPTURE(body);
        const auto doc = json::parse(body);
        REQUIRE(doc);
        CHECK_FALSE(parse_subject_request(*doc));
    }
    const auto doc = json::parse(R"({"stream_id":"s","subject":{"format":"opaque","id":"x"}})");
    const auto r = parse_subject_request(*doc);
    REQUIRE(r);
    CHECK(r->verified);

    std::string long_one = R"({"stream_id":"s","subject":{"format":"complex")";
    for (int i = 0; i < 17; ++i)
        long_one += ",\"m" + std::to_string(i) + R"(":{"format":"opaque","id":")" +
                    std::string(2000, 'x') + "\"}";
    const auto too_long = json::parse(long_one + "}}");
    REQUIRE(too_long);
    CHECK(parse_subject_request(*too_long).error() == errc::invalid_request);
}

TEST_CASE("on a NONE stream a subject is followed from its adding to its removal") {
    subjects_of_stream t(false);
    t.f.append_event();  // seq 1
    CHECK_FALSE(t.delivered("m", 1));
    CHECK(t.add("m") == 1);
    CHECK(t.delivered("m", 2));
    CHECK_FALSE(t.delivered("m", 1));
    CHECK(t.add("m") == 0);
    t.f.append_event();  // seq 2
    CHECK(t.remove("m") == 1);
    CHECK(t.delivered("m", 2));  // also when it is delivered again
    CHECK_FALSE(t.delivered("m", 3));
    CHECK(t.remove("m") == 0);
    CHECK(t.add("m") == 1);
    CHECK(t.delivered("m", 3));
}

TEST_CASE("added and removed with no signal in between leaves nothing in force") {
    subjects_of_stream none(false);
    CHECK(none.add("m") == 1);
    CHECK(none.remove("m") == 1);
    CHECK_FALSE(none.delivered("m", 1));
    subjects_of_stream all(true);
    CHECK(all.remove("m") == 1);
    CHECK(all.add("m") == 1);
    CHECK(all.delivered("m", 1));
    CHECK(all.remove("m") == 1);
    CHECK_FALSE(all.delivered("m", 1));
}

TEST_CASE("on an ALL stream a subject is left out from its removal to its adding") {
    subjects_of_stream t(true);
    t.f.append_event();
    CHECK(t.delivered("m", 1));
    CHECK(t.add("m") == 0);  // it is there already
    CHECK(t.remove("m") == 1);
    CHECK(t.delivered("m", 1));
    CHECK_FALSE(t.delivered("m", 2));
    CHECK(t.remove("m") == 0);
    t.f.append_event();
    CHECK(t.add("m") == 1);
    CHECK_FALSE(t.delivered("m", 2));
    CHECK(t.delivered("m", 3));
}

TEST_CASE("on an ALL stream an added subject is included where another stands removed") {
    subjects_of_stream t(true);
    t.remove("tenant");
    CHECK(t.add("m") == 1);
    const auto rows = t.rows("m");
    REQUIRE(rows.size() == 1);
    CHECK_FALSE(rows.front().excluded);
    CHECK(t.remove("m") == 1);
    CHECK_FALSE(t.delivered("m", 1));
    CHECK(t.add("m") == 1);
    CHECK(t.delivered("m", 1));
}

TEST_CASE("what was removed is delivered through the grace, and adding it again ends that") {
    for (const bool all : {false, true}) {
        CAPTURE(all);
        subjects_of_stream t(all, {100, 60'000ms});
        t.f.append_event();
        t.add("m");
        t.f.append_event();
        CHECK(t.remove("m") > 0);
        CHECK(t.delivered("m", 3));
        bool leaving = false;
        for (const auto& r : t.rows("m"))
            leaving |= r.remove_at.has_value() && !r.excluded && !r.removed_seq;
        CHECK(leaving);
        CHECK(t.remove("m") == 0);  // not put off by asking again
        CHECK(t.add("m") > 0);
        CHECK(t.delivered("m", 3));
        for (const auto& r : t.rows("m"))
            CHECK((!r.remove_at || r.removed_seq));
    }
}

TEST_CASE(
    "a stream has no more subjects than it may have; what it has can be repeated and removed") {
    subjects_of_stream t(false, {2, 0ms});
    t.add("a");
    t.add("b");
    CHECK(t.change(false, events::subject::opaque("c")).error() == errc::rate_limited);
    CHECK(t.add("a") == 0);
    t.remove("a");
    CHECK(t.add("c") == 1);
}

TEST_CASE("the stream itself is always its subject and cannot be added or removed") {
    for (const bool all : {false, true}) {
        subjects_of_stream t(all);
        CHECK(t.remove(t.id) == 0);
        CHECK(t.add(t.id) == 0);
        CHECK(t.rows(t.id).empty());
    }
}

TEST_CASE("verified is kept as it was said last") {
    subjects_of_stream t(false);
    CHECK(t.change(false, events::subject::opaque("m"), false).value() == 1);
    CHECK_FALSE(t.rows("m").front().verified);
    CHECK(t.change(false, events::subject::opaque("m"), true).value() == 1);
    CHECK(t.rows("m").front().verified);
}
