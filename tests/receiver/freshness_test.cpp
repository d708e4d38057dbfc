#include "receiver/freshness/freshness.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "events/mission_event.hpp"
#include "receiver/cache/table.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t wall0 = 1'800'000'000'000;
instant at(std::int64_t ms) {
    return {wall0 + ms, 1'000'000 + ms};
}
wall_time wall_at(std::int64_t ms) {
    return from_milliseconds(wall0 + ms);
}

std::vector<std::string> all_of_ours() {
    std::vector<std::string> out;
    for (const auto n : events::mission_event_names) {
        out.push_back(std::string(events::event_type_base) + std::string(n));
    }
    return out;
}

stream_freshness live_stream() {
    stream_freshness f;
    f.on_stream({"s1", all_of_ours(), true});
    return f;
}

}  // namespace

TEST_CASE("a heartbeat makes confirmed entries fresh for max_stale from as_of") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(-1000), 1, "e"}, at(0), 3s);
    const entry_word confirmed{{}, f.word().epoch};
    CHECK(is_fresh(confirmed, f.word(), at(1999)));
    CHECK_FALSE(is_fresh(confirmed, f.word(), at(2000)));
}

TEST_CASE("an as_of in the future counts from the receipt") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(60'000), 1, "e"}, at(0), 3s);
    CHECK_FALSE(is_fresh({{}, f.word().epoch}, f.word(), at(3000)));
}

TEST_CASE("stale if either clock says so") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
    const entry_word e{{}, f.word().epoch};
    CHECK_FALSE(is_fresh(e, f.word(), {at(0).wall, at(3000).mono}));
    CHECK_FALSE(is_fresh(e, f.word(), {at(3000).wall, at(0).mono}));
}

TEST_CASE("an entry that was not confirmed since the epoch began is not fresh by the stream") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
    const entry_word e{{}, f.word().epoch};
    SUBCASE("another continuity") {
        CHECK(f.on_heartbeat({wall_at(1), 2, "e"}, at(1), 3s));
    }
    SUBCASE("another log_epoch") {
        CHECK(f.on_heartbeat({wall_at(1), 1, "e2"}, at(1), 3s));
    }
    SUBCASE("stream-updated") {
        CHECK(f.on_stream_updated(true));
    }
    SUBCASE("another stream") {
        CHECK(f.on_stream({"s2", all_of_ours(), true}));
    }
    SUBCASE("other events") {
        CHECK(f.on_stream({"s1", {std::string(events::lifecycle_change_type)}, true}));
    }
    f.on_heartbeat({wall_at(2), f.kept().continuity.value_or(1), f.kept().log_epoch}, at(2), 3s);
    CHECK_FALSE(is_fresh(e, f.word(), at(3)));
    CHECK(is_fresh({{}, f.word().epoch}, f.word(), at(3)));
    // Its own fresh_until is Status's word and does not depend on the stream.
    CHECK(is_fresh({deadline_at(at(100).wall, at(0)), 0}, f.word(), at(3)));
}

TEST_CASE("the same stream adopted again begins no epoch") {
    auto f = live_stream();
    const auto before = f.word().epoch;
    CHECK_FALSE(f.on_stream({"s1", all_of_ours(), true}));
    CHECK(f.word().epoch == before);
}

TEST_CASE("a stream that lacks a mission type or covers only some subjects vouches for nothing") {
    auto events = all_of_ours();
    bool all_subjects = true;
    SUBCASE("a type is missing") {
        events.pop_back();
    }
    SUBCASE("default_subjects is not ALL") {
        all_subjects = false;
    }
    stream_freshness f;
    f.on_stream({"s1", events, all_subjects});
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
    CHECK_FALSE(is_fresh({{}, f.word().epoch}, f.word(), at(1)));
}

TEST_CASE("an older heartbeat delivered late turns nothing back") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
    f.on_heartbeat({wall_at(1000), 2, "e"}, at(1000), 3s);
    const auto word = f.word();
    CHECK_FALSE(f.on_heartbeat({wall_at(0), 1, "e"}, at(1001), 3s));
    CHECK(f.word() == word);
}

TEST_CASE("an as_of far in the future does not outlive the mistake that made it") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(86'400'000), 1, "e"}, at(0), 3s);
    // The transmitter's clock is right again: its word counts as before.
    f.on_heartbeat({wall_at(4'000), 1, "e"}, at(4'000), 3s);
    CHECK(is_fresh({{}, f.word().epoch}, f.word(), at(6'999)));
}

TEST_CASE("a paused stream is not live") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
    f.on_stream_updated(false);
    CHECK_FALSE(is_fresh({{}, f.word().epoch}, f.word(), at(1)));
}

TEST_CASE("a SET confirms only what was not settled before, in a history that heartbeats tell of") {
    constexpr auto second0 = wall0 / 1000;
    auto f = live_stream();
    CHECK_FALSE(f.vouches("e", second0 + 100));  // nobody has said yet what was settled
    f.on_heartbeat({wall_at(1500), 1, "e"}, at(1500), 3s);
    CHECK_FALSE(f.vouches("e", second0));
    CHECK(f.vouches("e", second0 + 1));  // after the half of that second, for all one knows
    CHECK(f.vouches("", second0 + 2));
    CHECK_FALSE(f.vouches("e2", second0 + 2));
    CHECK(f.vouches("e", std::numeric_limits<std::int64_t>::max()));
    SUBCASE("another epoch begins") {
        f.on_stream_updated(true);
    }
    SUBCASE("what is remembered is in doubt") {
        const auto before = f.word().epoch;
        f.on_doubt();
        CHECK(f.word().epoch == before + 1);
    }
    CHECK_FALSE(f.vouches("e", second0 + 100));
    f.on_heartbeat({wall_at(3000), 1, "e"}, at(3000), 3s);
    CHECK_FALSE(f.vouches("e", second0 + 2));
    CHECK(f.vouches("e", second0 + 3));
}

TEST_CASE("a transmitter that proves by verification alone vouches for what it sends") {
    auto f = live_stream();
    f.on_proof(at(0), 3s);
    CHECK(f.vouches("e", wall0 / 1000 - 100));
    CHECK(is_fresh({{}, f.word().epoch}, f.word(), at(2999)));
    CHECK_FALSE(is_fresh({{}, f.word().epoch}, f.word(), at(3000)));
}

TEST_CASE("what was confirmed before a stream's first continuity is confirmed again after it") {
    auto f = live_stream();
    SUBCASE("in this run") {
        f.note_confirmed();
        CHECK(f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s));
    }
    SUBCASE("in the one before") {
        stream_freshness again(f.kept(), true);
        CHECK(again.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s));
    }
    SUBCASE("nothing was") {
        CHECK_FALSE(f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s));
    }
    SUBCASE("it was known") {
        f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 3s);
        f.note_confirmed();
        CHECK_FALSE(f.on_heartbeat({wall_at(1), 1, "e"}, at(1), 3s));
    }
}

TEST_CASE("a heartbeat is as old as the youngest one makes it, though the clock was set back") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(0), 1, "e"}, at(0), 20s);
    // Ten seconds later, with a wall clock a minute behind, one of then comes again.
    f.on_heartbeat({wall_at(0), 1, "e"}, {at(-50'000).wall, at(10'000).mono}, 20s);
    const entry_word e{{}, f.word().epoch};
    CHECK(is_fresh(e, f.word(), {at(-40'001).wall, at(19'999).mono}));
    CHECK_FALSE(is_fresh(e, f.word(), {at(-40'000).wall, at(20'000).mono}));
}

TEST_CASE("a heartbeat that was under way over a restart is as old as it was before") {
    auto f = live_stream();
    f.on_heartbeat({wall_at(1000), 1, "e"}, at(1000), 3s);
    stream_freshness again(f.kept(), true);
    CHECK_FALSE(again.on_heartbeat({wall_at(0), 7, "e"}, at(1001), 3s));
    CHECK(again.kept().continuity == 1);
    CHECK_FALSE(is_fresh({{}, again.word().epoch}, again.word(), at(1001)));
    CHECK(again.on_heartbeat({wall_at(1001), 7, "e"}, at(1001), 3s));
}

TEST_CASE("a deadline is never further off than its bound, by the clock that cannot be set") {
    const auto d = deadline_within(at(500'000).wall, 90s, at(0));
    CHECK(d.wall == at(500'000).wall);
    CHECK(d.mono == at(90'000).mono);
    CHECK(deadline_within(at(5'000).wall, 90s, at(0)) == deadline_at(at(5'000).wall, at(0)));
    CHECK(deadline_within(0, 90s, at(0)) == deadline{});
}

TEST_CASE("the own clock denies an expired mission, and only active can expire or be stale") {
    published p;
    p.told = ms::standing::active;
    p.version = 1;
    p.expires_wall = at(10).wall;
    p.freshness = {deadline_at(at(20).wall, at(0)), 0};
    CHECK(judge(p, {}, at(9)).what == ms::standing::active);
    CHECK(judge(p, {}, at(10)).what == ms::standing::expired);
    p.expires_wall = 0;
    CHECK(judge(p, {}, at(20)).what == ms::standing::stale);
    p.told = ms::standing::revoked;
    CHECK(judge(p, {}, at(20)).what == ms::standing::revoked);
}
