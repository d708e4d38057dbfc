#include "transmitter/delivery/push_machine.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

TEST_CASE("no more requests are in flight than the window has room for, oldest first") {
    stream_under_test t;
    t.state.limits.push_window = 3;
    for (int i = 1; i <= 5; ++i)
        t.commit(i, i, 1);
    CHECK(t.push() == strings{jti_of(1), jti_of(2), jti_of(3)});
    CHECK(t.push().empty());
    t.accept(jti_of(2));
    CHECK(t.push() == strings{jti_of(4)});
}

TEST_CASE("two versions of one mission are never in flight at once (I5)") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    t.commit(3, 8, 1);
    CHECK(t.push() == strings{jti_of(1), jti_of(3)});
    t.accept(jti_of(1));
    CHECK(t.push() == strings{jti_of(2)});
}

TEST_CASE("the two forms of one signal follow one another") {
    stream_under_test t;
    t.commit(1, 7, 1, 2);
    CHECK(t.push() == strings{jti_of(1, 0)});
    t.accept(jti_of(1, 0));
    CHECK(t.push() == strings{jti_of(1, 1)});
    t.accept(jti_of(1, 1));
    CHECK(t.state.unsettled.empty());
}

TEST_CASE("a later version waits for a failed one as well") {
    stream_under_test t;
    t.commit(1, 7, 1);
    t.commit(2, 7, 2);
    t.push();
    t.fail(jti_of(1));
    CHECK(t.push(at(1min)) == strings{jti_of(1)});
}

TEST_CASE("a held stream is probed with one SET") {
    stream_under_test t;
    for (int i = 1; i <= 5; ++i)
        t.commit(i, i, 1);
    t.push();
    for (int i = 1; i <= 5; ++i)
        t.fail(jti_of(i));
    CHECK(t.push(at(1min)) == strings{jti_of(1)});
    CHECK(t.push(at(2min)).empty());
    t.accept(jti_of(1), at(2min));
    CHECK(t.push(at(2min)).size() == 4);
}

TEST_CASE("the probe does not wait for requests that hang") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    t.push();
    t.fail(jti_of(1));  // and 2 hangs
    CHECK(t.push(at(1min)) == strings{jti_of(1)});
}

TEST_CASE("each failed probe lengthens the back-off") {
    stream_under_test t;
    t.commit(1, 1, 1);
    auto now = at(0ms);
    auto last = 0ms;
    for (int i = 0; i < 6; ++i) {
        REQUIRE(t.push(now).size() == 1);
        t.fail(jti_of(1), now);
        const auto next = next_push_time(t.state, now.steady);
        REQUIRE(next);
        const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(*next - now.steady);
        CHECK(wait * 2 >= last);
        last = wait;
        now.steady = *next;
    }
    CHECK(last > 1s);
}

TEST_CASE("a probe that is refused as a SET does not end the hold") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.commit(2, 2, 1);
    t.push();
    t.fail(jti_of(1));
    t.fail(jti_of(2));
    CHECK(t.push(at(1min)) == strings{jti_of(1)});
    t.reject(jti_of(1), at(1min));
    CHECK(t.state.receiver.held);
    CHECK(t.push(at(1min)).empty());
    CHECK(t.push(at(1min + 1s)) == strings{jti_of(2)});
}

TEST_CASE("the machine says when to look again, and only then") {
    stream_under_test t;
    CHECK_FALSE(next_push_time(t.state, at(0ms).steady));
    t.commit(1, 1, 1);
    t.push();
    CHECK_FALSE(next_push_time(t.state, at(0ms).steady));
    t.reject(jti_of(1));
    const auto next = next_push_time(t.state, at(0ms).steady);
    REQUIRE(next);
    CHECK(*next == at(2s).steady);
}

TEST_CASE("a SET that could not be signed is simply due again") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.push();
    not_sent(t.state, jti_of(1));
    CHECK(t.state.in_flight == 0);
    CHECK(t.push() == strings{jti_of(1)});
}

TEST_CASE("what is sent carries everything it is built from") {
    stream_under_test t;
    t.commit(1, 1, 1);
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    const auto sets = next_pushes(t.state, t.terms, at(0ms).steady);
    REQUIRE(sets.size() == 2);
    CHECK(sets[0].signal == nullptr);
    CHECK(sets[0].event == "{}");
    CHECK(sets[0].terms == t.terms);
    CHECK(sets[1].signal->row->seq == 1);
    CHECK(sets[1].type == lifecycle);
}

TEST_CASE("random answers never break the order of a mission nor lose a signal") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        stream_under_test t;
        const auto dice = seeded_random(seed);
        std::map<int, std::int64_t> committed, last_accepted;
        std::map<std::string, std::pair<int, std::int64_t>> names;
        strings under_way;
        instant now = at(0ms);
        store::seq_t seq = 0;
        std::size_t accepted_count = 0;
        for (int step = 0; step < 400; ++step) {
            now.steady += std::chrono::milliseconds(dice->below(500));
            if (step < 200 && dice->below(2) == 0) {
                const int m = static_cast<int>(dice->below(6));
                t.commit(++seq, m, ++committed[m], 1, now);
                names[jti_of(seq)] = {m, committed[m]};
            }
            for (auto& jti : t.push(now)) {
                if (names.count(jti) > 0) {
                    for (const auto& other : under_way) {
                        const bool same =
                            names.count(other) > 0 && names[other].first == names[jti].first;
                        CHECK_FALSE(same);  // I5: one of a mission at a time
                    }
                }
                under_way.push_back(jti);
            }
            if (under_way.empty()) continue;
            const auto pick = static_cast<std::ptrdiff_t>(dice->below(under_way.size()));
            const std::string jti = under_way[static_cast<std::size_t>(pick)];
            under_way.erase(under_way.begin() + pick);
            // Failures of the relation only: nothing may be dropped for them.
            if (step < 300 && dice->below(4) == 0) {
                t.fail(jti, now);
                continue;
            }
            t.accept(jti, now);
            if (names.count(jti) == 0) continue;
            const auto [m, version] = names[jti];
            CHECK(version == last_accepted[m] + 1);
            last_accepted[m] = version;
            ++accepted_count;
        }
        for (int i = 0; i < 2000 && !t.state.unsettled.empty(); ++i) {
            now.steady += 2min;
            auto sent = t.push(now);
            sent.insert(sent.end(), under_way.begin(), under_way.end());
            under_way.clear();
            for (const auto& jti : sent) {
                t.accept(jti, now);
                ++accepted_count;
            }
        }
        CHECK(t.state.unsettled.empty());
        CHECK(t.state.unsettled.position() == seq);
        CHECK(accepted_count == static_cast<std::size_t>(seq));
        CHECK(t.state.in_flight == 0);
        CHECK(t.state.effects.lost.empty());
    }
}

TEST_CASE(
    "a requested verification does not wait for room in a window that a slow receiver fills") {
    stream_under_test t;
    t.state.limits.push_window = 2;
    for (int n = 1; n <= 3; ++n)
        t.commit(n, n, 1);
    CHECK(t.push().size() == 2);
    t.state.specials.push_back(special(stream_special::kind::heartbeat, "h"));
    t.state.specials.push_back(special(stream_special::kind::verification, "v"));
    CHECK(t.push() == strings{"v"});  // wire.md section 1: within a second
    t.accept("v");
    CHECK(t.push().empty());
    t.accept(jti_of(1));
    CHECK(t.push() == strings{"h"});
}
