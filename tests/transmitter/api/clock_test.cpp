#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"
#include "transmitter/missions/commit.hpp"

using namespace mission;
using namespace mission::transmitter;
using std::chrono::milliseconds;
using testing::transmitter_fixture;

namespace {

std::string in(milliseconds from_now) {
    return to_rfc3339(system_clock().now() + from_now);
}

// The version and state as the registry holds them, without asking the API: nothing but the clock
// may have moved them.
std::pair<std::string, std::int64_t> held(transmitter_fixture& f, const std::string& id) {
    std::pair<std::string, std::int64_t> out;
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        const auto m = rows.find_mission(store::issuer_id{1}, id);
        REQUIRE(m);
        out = {std::string(events::name(m->state.state)), m->state.version};
    }));
    return out;
}

bool becomes(transmitter_fixture& f, const std::string& id, const std::string& state,
             std::int64_t version) {
    return f.eventually([&] { return held(f, id) == std::pair(state, version); });
}

}  // namespace

TEST_CASE("a mission expires by itself, at most a second late") {
    transmitter_fixture f;
    const auto id = f.create(in(milliseconds(600)));
    CHECK(held(f, id) == std::pair(std::string("active"), std::int64_t(1)));
    CHECK(becomes(f, id, "expired", 2));
    REQUIRE(f.running().db().read_now([&](const store::rows& rows) {
        const auto m = rows.find_mission(store::issuer_id{1}, id);
        CHECK(m->state.changed_at >= m->state.expires_at);
        CHECK(m->state.changed_at <= m->state.expires_at + std::chrono::seconds(1));
        const auto signals = rows.mission_signals(m->state.row);
        REQUIRE(signals.size() == 2);
        CHECK(recorded_change(signals[1])->initiating_entity == "system");
    }));
}

TEST_CASE("a suspension ends as it was told: resume or revoke") {
    transmitter_fixture f;
    const auto a = f.create(), b = f.create();
    f.lifecycle("operator", a, "suspend",
                {{"suspend_until", in(milliseconds(500))}, {"on_expiry", "resume"}});
    f.lifecycle("operator", b, "suspend",
                {{"suspend_until", in(milliseconds(500))}, {"on_expiry", "revoke"}});
    CHECK(becomes(f, a, "active", 3));
    CHECK(becomes(f, b, "revoked", 3));
}

TEST_CASE("a deadline that passed while the transmitter was down is met after the restart") {
    transmitter_fixture f(
        [](config& c) { c.store_url = "sqlite:" + c.signing_directory + "/../t.db"; });
    const auto id = f.create(in(milliseconds(300)));
    f.restart();
    CHECK(becomes(f, id, "expired", 2));
}

TEST_CASE("no answer shows a mission past its end as active, even before the timer has looked") {
    transmitter_fixture f;
    for (int i = 0; i < 5; ++i) {
        const auto end = system_clock().now() + milliseconds(120);
        const auto id = f.create(to_rfc3339(end));
        REQUIRE(f.eventually([&] { return system_clock().now() > end; }));
        testing::answer a;
        if (i % 3 == 0) {
            a = f.get("/missions/" + id, f.token("operator"));
            CHECK(a.text("state") == "expired");
            CHECK(a.number("version") == 2);
        } else if (i % 3 == 1) {
            const auto claims = f.claims(f.status("operator", id));
            CHECK(json::find_string(claims["mission"], "state") == "expired");
            CHECK(json::find_int(claims["mission"], "version") == 2);
        } else {
            a = f.get("/missions?state=active", f.token("operator"));
            CHECK(a.json["missions"].Size() == 0);
        }
    }
}

TEST_CASE(
    "an operation on a mission past its end finds it expired, which is written though refused") {
    transmitter_fixture f;
    const auto end = system_clock().now() + milliseconds(150);
    const auto id = f.create(to_rfc3339(end));
    REQUIRE(f.eventually([&] { return system_clock().now() > end; }));
    CHECK(f.lifecycle("operator", id, "suspend").status == 409);
    CHECK(held(f, id) == std::pair(std::string("expired"), std::int64_t(2)));
}

TEST_CASE("many deadlines at once are all met, each with one version") {
    transmitter_fixture f;
    const auto end = in(milliseconds(1500));
    std::vector<std::string> ids;
    for (int i = 0; i < 60; ++i)
        ids.push_back(f.create(end));
    for (const auto& id : ids)
        CHECK(becomes(f, id, "expired", 2));
}
