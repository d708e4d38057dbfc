#include "transmitter/delivery/matching.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

match of(const routed_ptr& signal, const stream_terms& terms, bool interested = true) {
    return match_signal(*signal, terms, interested, base);
}

}  // namespace

TEST_CASE("events_delivered decides the forms; both forms are two SETs") {
    const auto signal = routed(1, 1, 2);
    CHECK(of(signal, terms_for({lifecycle})).forms.size() == 1);
    CHECK(of(signal, terms_for({ours("mission-suspended")})).forms.size() == 1);
    const auto both = of(signal, terms_for({ours("mission-suspended"), lifecycle}));
    REQUIRE(both.forms.size() == 2);
    CHECK(both.forms[0].type == ours("mission-suspended"));
    CHECK(both.forms[1].type == lifecycle);
}

TEST_CASE("an event type that was not requested is not sent, and nothing is withheld by that") {
    const auto m = of(routed(1, 1, 2), terms_for({ours("mission-revoked")}));
    CHECK(m.forms.empty());
    CHECK_FALSE(m.withheld);
    CHECK(of(routed(1, 1, 2), terms_for({})).forms.empty());
}

TEST_CASE("who may not know of the mission is sent nothing, whatever default_subjects says") {
    auto terms = terms_for({lifecycle});
    terms.epoch.aud = "https://stranger.example";
    CHECK(of(routed(1, 1, 2), terms).forms.empty());
    terms.visibility.missions.what = mission_visibility::kind::all;
    CHECK(of(routed(1, 1, 2), terms).forms.size() == 1);
    terms.visibility.missions.what = mission_visibility::kind::listed;
    terms.visibility.missions.agents = {"agent-7"};
    CHECK(of(routed(1, 1, 2), terms).forms.size() == 1);
}

TEST_CASE("a stream of default_subjects NONE without subjects is sent nothing") {
    CHECK(of(routed(1, 1, 2), terms_for({lifecycle}), false).forms.empty());
    store::stream s;
    CHECK(interested_by_default(s));
    s.default_all = false;
    CHECK_FALSE(interested_by_default(s));
}

TEST_CASE("authority_changed alone is withheld from who has not declared it, and that is told") {
    const auto narrowing = routed(1, narrowing_of(1, 2), 1);
    auto terms = terms_for({lifecycle});
    const auto withheld = of(narrowing, terms);
    CHECK(withheld.forms.empty());
    CHECK(withheld.withheld);

    terms.visibility.authority_changed = true;
    CHECK(of(narrowing, terms).forms.size() == 1);
    CHECK_FALSE(of(narrowing, terms).withheld);
}

TEST_CASE(
    "another authority that comes with a resumption is withheld likewise, with a hold it is not") {
    auto resumed = change_of(1, 3);
    resumed.authority_changed = true;
    auto terms = terms_for({lifecycle});
    CHECK(of(routed(1, resumed, 1), terms).forms.empty());
    CHECK(of(routed(1, resumed, 1), terms).withheld);
    auto held = change_of(1, 2);
    held.authority_changed = true;
    CHECK(of(routed(1, held, 1), terms).forms.size() == 1);
    terms.visibility.authority_changed = true;
    CHECK(of(routed(1, resumed, 1), terms).forms.size() == 1);
}

TEST_CASE("a change of authority that our form tells is not missed") {
    const auto narrowing = routed(1, narrowing_of(1, 2), 1);
    const auto m = of(narrowing, terms_for({ours("mission-scope-changed"), lifecycle}));
    REQUIRE(m.forms.size() == 1);
    CHECK(m.forms[0].form == events::form::ours);
    CHECK_FALSE(m.withheld);
}

TEST_CASE("withholding needs the right to know: a stranger's continuity does not rise") {
    auto terms = terms_for({lifecycle});
    terms.epoch.aud = "https://stranger.example";
    CHECK_FALSE(of(routed(1, narrowing_of(1, 2), 1), terms).withheld);
}
