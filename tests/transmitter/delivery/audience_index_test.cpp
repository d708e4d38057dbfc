#include "transmitter/delivery/audience_index.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

using rows = std::vector<store::stream_row>;
constexpr store::stream_row one{1}, two{2}, three{3};
const std::string caep{events::caep_base};

terms_ptr terms(std::string audience, strings delivered = {lifecycle}) {
    auto t = terms_for(std::move(delivered));
    t.epoch.aud = std::move(audience);
    return std::make_shared<const stream_terms>(std::move(t));
}

terms_ptr listed(strings tenants, strings agents) {
    auto t = terms_for();
    t.epoch.aud = "https://elsewhere.example";
    t.visibility.missions.what = mission_visibility::kind::listed;
    t.visibility.missions.tenants = std::move(tenants);
    t.visibility.missions.agents = std::move(agents);
    return std::make_shared<const stream_terms>(std::move(t));
}

store::match_keys keys() {
    auto k = keys_for(change_of(1, 1));
    k.tenant = "acme";
    return k;
}

}  // namespace

TEST_CASE(
    "a mission concerns the streams of its audiences, tenants, agents, and who may know all") {
    audience_index index;
    index.set(one, "a", true, {terms("https://api.example")});
    index.set(two, "b", true, {terms("https://stranger.example")});
    CHECK(index.concerned(keys()) == rows{one});
    index.set(three, "c", true, {listed({"acme"}, {})});
    CHECK(index.concerned(keys()) == rows{one, three});
    index.set(three, "c", true, {listed({}, {"agent-7"})});
    CHECK(index.concerned(keys()) == rows{one, three});
    index.set(three, "c", true, {listed({"other"}, {"other"})});
    CHECK(index.concerned(keys()) == rows{one});
    auto all = terms_for();
    all.visibility.missions.what = mission_visibility::kind::all;
    index.set(two, "b", true, {std::make_shared<const stream_terms>(all)});
    CHECK(index.concerned(keys()) == rows{one, two});
    index.remove(one);
    CHECK(index.concerned(keys()) == rows{two});
}

TEST_CASE("who names subjects, and who is delivered no mission event, is no candidate") {
    audience_index index;
    index.set(one, "a", false, {terms("https://api.example")});
    index.set(two, "b", true, {terms("https://api.example", {})});
    index.set(three, "c", true, {terms("https://api.example", {caep + "session-revoked"})});
    CHECK(index.concerned(keys()).empty());
    // But all of them may know of it.
    CHECK(index.knowing(keys()) == rows{one, two, three});
}

TEST_CASE("a stream whose terms change is listed by every epoch that is still to come") {
    audience_index index;
    index.set(one, "a", true, {terms("https://api.example"), terms("https://new.example")});
    CHECK(index.concerned(keys()) == rows{one});
    auto other = keys();
    other.resources = {"https://new.example"};
    CHECK(index.concerned(other) == rows{one});
    index.set(one, "a", true, {terms("https://new.example")});
    CHECK(index.concerned(keys()).empty());
}

TEST_CASE("a foreign type that ends like a mission event is found by its full name") {
    audience_index index;
    const std::string type = "https://acme.example/mission-revoked";
    index.set(one, "a", true, {terms("https://api.example", {type})});
    CHECK(index.delivered(type) == rows{one});
    CHECK(index.delivered("https://other.example/mission-revoked").empty());
    CHECK(index.beside_missions() == rows{one});
    index.remove(one);
    CHECK(index.delivered(type).empty());
}

TEST_CASE("emitted events find the streams of a client, and those that are delivered the type") {
    audience_index index;
    const auto type = caep + "session-revoked";
    index.set(one, "a", true, {terms("https://api.example", {type})});
    index.set(two, "a", false, {terms("https://api.example", {type})});
    index.set(three, "b", true, {terms("https://api.example", {lifecycle})});
    CHECK(index.of_client("a") == rows{one, two});
    CHECK(index.of_client("nobody").empty());
    CHECK(index.delivered(type) == rows{one});
    CHECK(index.delivered(lifecycle).empty());
    CHECK(index.beside_missions() == rows{one, two});
    index.remove(one);
    CHECK(index.delivered(type).empty());
    CHECK(index.of_client("a") == rows{two});
}
