#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/missions/visibility.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

store::match_keys keys() {
    store::match_keys k;
    k.mission_id = "m";
    k.agent_client_id = "agent-7";
    k.tenant = "acme";
    k.resources = {"https://crm.example", "https://erp.example"};
    return k;
}

mission_visibility listed(std::vector<std::string> tenants, std::vector<std::string> agents) {
    return {mission_visibility::kind::listed, std::move(tenants), std::move(agents)};
}

}  // namespace

TEST_CASE("who is named as a resource may know") {
    CHECK(may_know("https://erp.example", {}, keys()));
    CHECK(may_know("https://crm.example", {}, keys()));
}

TEST_CASE("who is not named may not know, nor who has no audience") {
    CHECK_FALSE(may_know("https://other.example", {}, keys()));
    CHECK_FALSE(may_know("https://erp.example/", {}, keys()));
    CHECK_FALSE(may_know("", {}, keys()));
    auto none = keys();
    none.resources = {""};
    CHECK_FALSE(may_know("", {}, none));
}

TEST_CASE("missions = all may know of every mission") {
    CHECK(may_know("", {mission_visibility::kind::all, {}, {}}, keys()));
}

TEST_CASE("a listed tenant or agent may know, and the audience still counts") {
    CHECK(may_know("", listed({"acme"}, {}), keys()));
    CHECK(may_know("", listed({}, {"agent-7"}), keys()));
    CHECK(may_know("https://erp.example", listed({"other"}, {}), keys()));
    CHECK_FALSE(may_know("", listed({"other"}, {"agent-8"}), keys()));
}

TEST_CASE("a mission without tenant matches no tenant") {
    auto k = keys();
    k.tenant.reset();
    CHECK_FALSE(may_know("", listed({"", "acme"}, {}), k));
}

TEST_CASE("visibility survives being written into an epoch") {
    const auto before = listed({"acme", "b\"c"}, {"agent"});
    const auto after = mission_visibility::from_json(before.to_json());
    REQUIRE(after);
    CHECK(after->what == before.what);
    CHECK(after->tenants == before.tenants);
    CHECK(after->agents == before.agents);
    CHECK_FALSE(mission_visibility::from_json(R"({"missions":"some"})"));
    CHECK_FALSE(mission_visibility::from_json("{}"));
}
