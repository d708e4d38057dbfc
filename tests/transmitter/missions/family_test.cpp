#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/missions/family.hpp"
#include "transmitter/missions/succession.hpp"

using namespace mission;
using namespace mission::transmitter;
using events::mission_state;

namespace {

const wall_time now = from_milliseconds(1'800'000'000'000);
constexpr std::chrono::hours hour{1};

json::document parsed(std::string_view text) {
    auto d = json::parse(text);
    REQUIRE_MESSAGE(d, std::string(text));
    return std::move(*d);
}

std::string entry(std::string_view more = "", std::string_view actions = R"(["a"])") {
    return R"([{"type":"mission_resource_access","resource":"https://erp.example","actions":)" +
           std::string(actions) + std::string(more) + "}]";
}

std::string with_children(std::string_view children, std::string_view actions = R"(["a"])") {
    return entry(R"(,"delegation":{"max_depth":1,"children":)" + std::string(children) + "}",
                 actions);
}

struct family {
    std::string parent_set = entry();
    std::string child_set = entry();
    std::vector<std::string> lineage;
    wall_time parent_end = now + hour, child_end = now + hour;
    std::string agent = "agent";
    std::int64_t living = 0;  // children that the parent's first entry justifies

    result<std::vector<std::size_t>> check() const {
        const auto p = parsed(parent_set), c = parsed(child_set);
        std::vector<json::document> older;
        for (const auto& text : lineage)
            older.push_back(parsed(text));
        parent_authority authority{&p, parent_end, {}};
        for (const auto& set : older)
            authority.lineage.push_back(&set);
        return check_child(authority, {&c, child_end, "https://t.example", agent},
                           [this](std::size_t, std::int64_t) { return living; });
    }
    // The place at fault; "" when there is none.
    std::string fault() const {
        const auto r = check();
        if (r) return "";
        CHECK(r.error().code == errc::exceeds_authority);
        return r.error().detail.substr(0, r.error().detail.find(':'));
    }
};

}  // namespace

TEST_CASE("a child lies within its parent in each dimension") {
    family f;
    CHECK(f.fault().empty());
    CHECK(f.check().value() == std::vector<std::size_t>{0});
    f.child_end = f.parent_end + std::chrono::milliseconds(1);
    CHECK(f.fault() == "/expires_at");
    f.child_end = f.parent_end;
    f.child_set = entry("", R"(["a","b"])");
    CHECK(f.fault() == "/authorization_details/0/actions");
    f.child_set = R"([{"type":"mission_resource_access","resource":"https://x","actions":["a"]}])";
    CHECK(f.fault() == "/authorization_details/0/resource");
    f.child_set = entry();
    f.parent_set = entry(R"(,"constraints":{"tenant":"t"})");
    CHECK(f.fault() == "/authorization_details/0/constraints/tenant");
}

TEST_CASE("the first entry that covers justifies, and counts") {
    family f;
    f.parent_set = R"([{"type":"other"},)" + with_children(R"({"max_children":2})").substr(1);
    CHECK(f.check().value() == std::vector<std::size_t>{1});
    f.living = 1;
    CHECK(f.fault().empty());
    f.living = 2;
    CHECK(f.fault() == "/authorization_details/0");
}

TEST_CASE("an entry without children does not forbid one, unless its origin had them") {
    family f;
    f.lineage = {entry(), entry()};
    CHECK(f.fault().empty());
    f.lineage = {entry(), with_children("{}")};
    CHECK(f.fault() == "/authorization_details/0");
    // Of another entry it says nothing.
    f.lineage = {R"([{"type":"mission_resource_access","resource":"https://x","actions":["a"],)"
                 R"("delegation":{"max_depth":1,"children":{}}}])"};
    CHECK(f.fault().empty());
}

TEST_CASE("a generation carries children reduced, and the last one none") {
    family f;
    f.parent_set = with_children("{}");
    CHECK(f.fault().empty());
    f.child_set = with_children("{}");  // one generation is all there is
    CHECK(f.fault() == "/authorization_details/0/delegation/children/max_child_depth");
    f.parent_set = with_children(R"({"max_child_depth":3})");
    f.child_set = with_children(R"({"max_child_depth":2})");
    CHECK(f.fault().empty());
    f.child_set = with_children("{}");
    CHECK(f.fault().empty());
    f.child_set = with_children(R"({"max_child_depth":3})");
    CHECK(f.fault() == "/authorization_details/0/delegation/children/max_child_depth");
}

TEST_CASE("only who is allowed is given a child, and what nobody can judge allows nobody") {
    family f;
    const auto allow = [&](const char* matchers) {
        f.parent_set = with_children(std::string(R"({"allowed_child_actors":)") + matchers + "}");
        return f.fault();
    };
    CHECK(allow(R"([{"sub":"agent"}])").empty());
    CHECK(allow(R"([{"client_id":"agent"}])").empty());
    CHECK(allow(R"([{"sub":"other"},{"sub":"agent","iss":"https://t.example"}])").empty());
    CHECK(allow(R"([{"sub_profile":"ai_agent"},{"sub":"agent"}])").empty());
    for (const char* bad :
         {"[]", R"([{"sub":"other"}])", R"([{"sub":"agent","iss":"https://u.example"}])",
          R"([{"sub_profile":"ai_agent"}])", R"([{"sub":"agent","sub_profile":"ai_agent"}])",
          "[{}]", R"(["agent"])", R"([{"sub":7}])"}) {
        CAPTURE(bad);
        CHECK(allow(bad) == "/agent");
    }
}

TEST_CASE("a control that cannot be enforced refuses") {
    family f;
    for (const char* bad :
         {R"({"child_creation_policy":"p"})", R"({"new_control":1})", R"({"max_children":0})",
          R"({"max_children":"2"})", R"({"max_child_depth":0})", R"({"max_child_depth":"x"})",
          R"({"allowed_child_actors":"agent"})", "true"}) {
        CAPTURE(bad);
        f.parent_set = with_children(bad);
        CHECK(f.fault() == "/authorization_details/0");
    }
}

TEST_CASE("a parent is active, ours, and not too deep or too broad") {
    store::mission m;
    m.state.state = mission_state::active;
    const family_limits limits{2, 3};
    CHECK(check_parent(m, limits));
    m.record.depth = 1;
    m.state.children = 2;
    CHECK(check_parent(m, limits));
    m.record.depth = 2;
    CHECK(check_parent(m, limits).error().code == errc::exceeds_authority);
    m.record.depth = 0;
    m.state.children = 3;
    CHECK(check_parent(m, limits).error().code == errc::exceeds_authority);
    m.state.children = 0;
    m.state.mirrored = true;
    CHECK(check_parent(m, limits).error().code == errc::mission_conflict);
    m.state.mirrored = false;
    for (const auto s :
         {mission_state::suspended, mission_state::revoked, mission_state::completed,
          mission_state::expired, mission_state::superseded, mission_state::cascaded}) {
        m.state.state = s;
        CHECK(check_parent(m, limits).error().code == errc::mission_conflict);
    }
}

TEST_CASE("a successor follows an active predecessor under the same parent") {
    store::mission m;
    m.state.state = mission_state::active;
    CHECK(check_predecessor(m, std::nullopt));
    CHECK(check_predecessor(m, "p").error().code == errc::invalid_request);
    m.state.mirrored = true;
    CHECK(check_predecessor(m, std::nullopt).error().code == errc::mission_conflict);
    m.state.mirrored = false;
    m.record.parent = "p";
    CHECK(check_predecessor(m, "p"));
    CHECK(check_predecessor(m, "q").error().code == errc::invalid_request);
    CHECK(check_predecessor(m, std::nullopt).error().code == errc::invalid_request);
    for (const auto s :
         {mission_state::suspended, mission_state::revoked, mission_state::completed,
          mission_state::expired, mission_state::superseded, mission_state::cascaded}) {
        m.state.state = s;
        CHECK(check_predecessor(m, "p").error().code == errc::mission_conflict);
    }
}

TEST_CASE("a superseded mission names its successor and has no deadline left") {
    store::mission_state m;
    m.state = mission_state::active;
    m.version = 4;
    m.reason = "resumed";
    const auto p = judge_supersession(m, "the-successor", now);
    CHECK(p.next.state == mission_state::superseded);
    CHECK(p.next.version == 5);
    CHECK(p.next.successor == "the-successor");
    CHECK(p.next.changed_at == now);
    CHECK_FALSE(p.next.reason);
    CHECK(effect_of(m, p.next) == store::family_effect::end);
}
