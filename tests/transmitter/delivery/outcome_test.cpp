#include "transmitter/delivery/outcome.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("an accepted SET moves the cursor and is counted") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    t.accept(jti_of(1));
    CHECK(t.state.effects.cursor_moved);
    CHECK(t.state.effects.delivered == 1);
    CHECK(t.state.unsettled.empty());
    CHECK(t.state.in_flight == 0);
}

TEST_CASE("an ack of something unknown or settled before is ignored") {
    stream_under_test t;
    t.commit(1, 1, 1);
    CHECK_FALSE(accepted(t.state, "nobody", at(0ms)));
    CHECK(accepted(t.state, jti_of(1), at(0ms)));
    CHECK_FALSE(accepted(t.state, jti_of(1), at(0ms)));
}

TEST_CASE("a rejected SET is tried again after a growing gap, and recorded") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push(at(0ms));
    t.reject(jti_of(1), at(0ms));
    CHECK(t.push(at(1ms)).empty());
    CHECK(t.push(at(2'000ms)) == strings{jti_of(1)});
    t.reject(jti_of(1), at(2'000ms));
    CHECK(t.push(at(4'000ms)).empty());
    CHECK(t.push(at(6'000ms)) == strings{jti_of(1)});
    REQUIRE(t.state.effects.exceptions.size() == 2);
    const auto& e = t.state.effects.exceptions.back();
    CHECK_FALSE(e.dead);
    CHECK(e.attempts == 2);
    CHECK(e.err == "invalid_request");
    CHECK(e.description == "odd event");
    CHECK_FALSE(t.state.receiver.held);
}

TEST_CASE("a SET that is accepted at last leaves no exception") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    t.reject(jti_of(1));
    t.push(at(10s));
    t.accept(jti_of(1), at(10s));
    CHECK(t.state.effects.settled_exceptions == std::vector<store::seq_t>{1});
    CHECK(t.state.effects.lost.empty());
}

TEST_CASE("after five tries a SET is a dead letter if another was accepted meanwhile") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    auto now = at(0ms);
    for (unsigned i = 1; i <= limits::dead_letter_tries; ++i) {
        t.push(now);
        t.reject(jti_of(1), now);
        if (i == 2) t.accept(jti_of(2), {now.steady + 1ms, now.wall});
        now.steady += 60s;
    }
    CHECK(t.state.unsettled.empty());
    CHECK(t.state.effects.dead == 1);
    CHECK(t.state.effects.exceptions.back().dead);
    CHECK(t.state.effects.lost.size() == 1);  // I3: dropped by a rule, so continuity rises
    CHECK_FALSE(t.state.receiver.held);
}

TEST_CASE("a SET accepted before the first rejection proves nothing") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    t.accept(jti_of(1));
    t.commit(2, 2, 1);
    t.reject_all_tries(jti_of(2), at(1s));
    CHECK(t.state.effects.dead == 0);
    CHECK(t.state.awaiting_probe == 1);
}

TEST_CASE("if none was accepted meanwhile a verification event is sent as the probe") {
    stream_under_test t;
    t.commit(1, 1, 1);
    const auto now = t.reject_all_tries(jti_of(1));
    CHECK(t.state.effects.dead == 0);
    REQUIRE(t.state.specials.size() == 1);
    CHECK(t.state.specials[0].what == stream_special::kind::probe);
    CHECK(t.state.specials[0].type == events::verification_type);
    const std::string probe = t.state.specials[0].jti;
    CHECK(t.push(now) == strings{probe});  // and not the rejected one

    SUBCASE("accepted: the SET is to blame") {
        t.accept(probe, now);
        CHECK(t.state.effects.dead == 1);
        CHECK(t.state.unsettled.empty());
        CHECK(t.state.effects.lost.size() == 1);
    }
    SUBCASE("refused: the relation is, and the SET has all its tries again") {
        t.reject(probe, now);
        CHECK(t.state.receiver.held);
        CHECK(t.state.effects.dead == 0);
        CHECK(t.state.specials.empty());
        CHECK(t.state.unsettled.find(1)->rejections == 0);
        CHECK(t.state.awaiting_probe == 0);
    }
    SUBCASE("unanswered: likewise") {
        t.fail(probe, now);
        CHECK(t.state.receiver.held);
        CHECK(t.state.unsettled.find(1)->rejections == 0);
    }
}

TEST_CASE("a later version settles a rejected one and goes at once") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.push();
    t.reject(jti_of(1));
    t.commit(2, 7, 2);
    CHECK(t.push(at(1ms)) == strings{jti_of(2)});
    CHECK(t.state.effects.exceptions.back().dead);
    CHECK(t.state.effects.exceptions.back().seq == 1);
    CHECK(t.state.effects.lost.size() == 1);
}

TEST_CASE("a version rejected while a later one waits is superseded at the first rejection") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    CHECK(t.push() == strings{jti_of(1)});
    t.reject(jti_of(1));
    CHECK(t.push() == strings{jti_of(2)});
    CHECK(t.state.effects.dead == 1);
}

TEST_CASE("a version that only waits is not superseded: each version is delivered") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    t.push();
    t.accept(jti_of(1));
    CHECK(t.push() == strings{jti_of(2)});
    CHECK(t.state.effects.dead == 0);
}

TEST_CASE("a rejected version that is on its way again is not buried under its answer") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.push();
    t.reject(jti_of(1));
    t.push(at(10s));  // second try under way
    t.commit(2, 7, 2);
    CHECK(t.state.unsettled.size() == 2);
    t.accept(jti_of(1), at(11s));
    CHECK(t.state.effects.dead == 0);
    CHECK(t.push(at(11s)) == strings{jti_of(2)});
}

TEST_CASE("a bad relation holds the stream, and whatever is accepted ends the hold") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    t.push();
    t.fail(jti_of(1));
    CHECK(t.state.receiver.held);
    CHECK(t.state.receiver.reason == "http_500");
    CHECK(t.push(at(1ms)).empty());
    t.accept(jti_of(2), at(2ms));
    CHECK_FALSE(t.state.receiver.held);
    CHECK(t.push(at(2ms)) == strings{jti_of(1)});
}

TEST_CASE("requests that fail together are one failure of the relation") {
    stream_under_test t;
    for (int i = 1; i <= 10; ++i)
        t.commit(i, i, 1);
    t.push();
    for (int i = 1; i <= 10; ++i)
        t.fail(jti_of(i));
    CHECK(t.state.receiver.failures == 1);
    CHECK(t.state.in_flight == 0);
}

TEST_CASE("a failing relation drops nothing, however long it lasts") {
    stream_under_test t;
    t.commit(1, 1, 1);
    auto now = at(0ms);
    for (int i = 0; i < 50; ++i) {
        const auto sent = t.push(now);
        REQUIRE(sent == strings{jti_of(1)});
        t.fail(jti_of(1), now);
        now.steady += 2min;
    }
    CHECK(t.state.unsettled.size() == 1);
    CHECK(t.state.effects.lost.empty());
    CHECK(t.state.receiver.failures == 50);
}

TEST_CASE("Retry-After wins over a shorter back-off") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    relation_failed(t.state, jti_of(1), "http_503", 30s, at(0ms), *t.random);
    CHECK(t.push(at(29s)).empty());
    CHECK(t.push(at(30s)) == strings{jti_of(1)});
}

TEST_CASE("a verification that is refused five times is given up") {
    stream_under_test t;
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    t.reject_all_tries("v");
    CHECK(t.state.specials.empty());
    CHECK(t.state.effects.settled_events == strings{"v"});
}

TEST_CASE("an accepted verification is settled in the store too") {
    stream_under_test t;
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    t.push();
    t.accept("v");
    CHECK(t.state.effects.settled_events == strings{"v"});
}

TEST_CASE("a verification that proves completeness waits for what was committed before it") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.state.specials.push_back(special(stream_special::kind::verification, "v", 1));
    t.commit(2, 2, 1);
    CHECK(t.push() == strings{jti_of(1), jti_of(2)});
    t.accept(jti_of(1));
    CHECK(t.push() == strings{"v"});
}

TEST_CASE("one that proves reachability alone jumps the queue") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.state.specials.push_back(special(stream_special::kind::verification, "v", 0));
    CHECK(t.push() == strings{"v", jti_of(1)});
}

TEST_CASE("the receiver's words are kept whole characters, whatever is put in front of them") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.push();
    std::string words;
    while (words.size() < 1024)
        words += "\u00e9";
    rejected(t.state, jti_of(1), "invalid_request", words, at(0ms), *t.random);
    t.commit(2, 7, 2);
    const auto& kept = t.state.effects.exceptions.back().description;
    CHECK(kept.size() <= 1024);
    const auto begins = kept.find("\u00e9");
    REQUIRE(begins != std::string::npos);
    CHECK((kept.size() - begins) % 2 == 0);
}

TEST_CASE("who asks for a verification while the stream is held is tried at once") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    relation_failed(t.state, jti_of(1), "http_503", 5min, at(0ms), *t.random);
    CHECK(t.push(at(1s)).empty());
    verification_requested(t.state, special(stream_special::kind::verification, "v"), at(1s));
    CHECK(t.push(at(1s)) == strings{"v"});
    CHECK(t.push(at(1s)).empty());  // one SET as before
    t.accept("v", at(2s));
    CHECK(t.push(at(2s)) == strings{jti_of(1)});
}

TEST_CASE("a verification does not hurry a probe that is under way") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    t.fail(jti_of(1));
    CHECK(t.push(at(1min)) == strings{jti_of(1)});
    verification_requested(t.state, special(stream_special::kind::verification, "v"), at(1min));
    CHECK(t.push(at(1min)).empty());
    t.accept(jti_of(1), at(1min));
    CHECK(t.push(at(1min)) == strings{"v"});
}
