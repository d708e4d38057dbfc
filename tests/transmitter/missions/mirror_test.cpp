#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "transmitter/missions/mirror.hpp"

using namespace mission;
using namespace mission::transmitter;
using events::mission_state;

namespace {

const wall_time now = from_rfc3339("2026-06-01T12:00:00Z").value();
const auto types = authorization_types::any();

json::document parsed(std::string_view text) {
    auto d = json::parse(text);
    REQUIRE_MESSAGE(d, std::string(text));
    return std::move(*d);
}

std::string item(std::string_view state, std::int64_t version, std::string_view more = "") {
    return R"({"state":")" + std::string(state) + R"(","version":)" + std::to_string(version) +
           R"(,"committed_at":"2026-06-01T11:00:00Z")" + std::string(more) + "}";
}

reported_transition report(std::string_view state, std::int64_t version,
                           std::string_view more = "") {
    auto t = read_transition(parsed(item(state, version, more)), types, now);
    REQUIRE(t);
    return std::move(*t);
}

store::mission_state held(mission_state s, std::int64_t version) {
    store::mission_state m;
    m.state = s;
    m.version = version;
    m.authority_revision = 1;
    m.expires_at = now + std::chrono::hours(1);
    m.mirrored = true;
    return m;
}

report_judgement judge(mission_state s, std::int64_t version, const reported_transition& t,
                       std::optional<std::string> known = std::nullopt) {
    return judge_report(held(s, version), t, known);
}

const std::string set_a =
    R"([{"type":"mission_resource_access","resource":"https://a","actions":["x","y"]}])";
const std::string set_b =
    R"([{"type":"mission_resource_access","resource":"https://a","actions":["x"]}])";

}  // namespace

TEST_CASE("the next version is applied, whatever living state it leads to") {
    for (const char* state :
         {"active", "suspended", "completed", "revoked", "expired", "superseded", "cascaded"}) {
        const auto j = judge(mission_state::active, 4, report(state, 5));
        CHECK(j.what == report_outcome::applied);
        CHECK_FALSE(j.declared_gap);
        CHECK(judge(mission_state::suspended, 4, report(state, 5)).what == report_outcome::applied);
    }
}

TEST_CASE("a known version is repeated or in conflict, an unknown one below is late") {
    const auto t = report("active", 3);
    CHECK(judge(mission_state::active, 4, t, t.hash).what == report_outcome::repeated);
    CHECK(judge(mission_state::active, 4, t, "other").what == report_outcome::conflict);
    CHECK(judge(mission_state::active, 4, t).what == report_outcome::late);
    // Also below an end, and its very version.
    CHECK(judge(mission_state::revoked, 3, t, t.hash).what == report_outcome::repeated);
    CHECK(judge(mission_state::revoked, 4, t).what == report_outcome::late);
}

TEST_CASE("the content decides what is the same, not its spelling nor a declared hole") {
    const auto t = report("active", 3, R"(,"reason":"r")");
    const auto respelt = read_transition(
        parsed(R"({ "reason":"r", "version":3, "committed_at":"2026-06-01T11:00:00Z",
                    "missing":true, "state":"active" })"),
        types, now);
    REQUIRE(respelt);
    CHECK(respelt->missing);
    CHECK(respelt->hash == t.hash);
    CHECK(report("active", 3, R"(,"reason":"s")").hash != t.hash);
    CHECK(report("suspended", 3, R"(,"reason":"r")").hash != t.hash);
    // What waits is read again from its content.
    CHECK(read_transition(parsed(t.content), types, now)->hash == t.hash);
}

TEST_CASE("beyond a hole a permission waits, a denial does not, and a declared hole is none") {
    CHECK(judge(mission_state::active, 4, report("active", 6)).what == report_outcome::waiting);
    CHECK(judge(mission_state::suspended, 4, report("active", 6)).what == report_outcome::waiting);
    for (const char* denial :
         {"suspended", "completed", "revoked", "expired", "superseded", "cascaded"}) {
        const auto j = judge(mission_state::active, 4, report(denial, 6));
        CHECK(j.what == report_outcome::applied);
        CHECK(j.declared_gap);
    }
    const auto declared =
        judge(mission_state::active, 4, report("active", 6, R"(,"missing":true)"));
    CHECK(declared.what == report_outcome::applied);
    CHECK(declared.declared_gap);
    // Where there is no hole, none is declared.
    CHECK_FALSE(
        judge(mission_state::active, 4, report("active", 5, R"(,"missing":true)")).declared_gap);
}

TEST_CASE("nothing follows an end") {
    for (const auto s : {mission_state::completed, mission_state::revoked, mission_state::expired,
                         mission_state::superseded, mission_state::cascaded})
        for (const char* state : {"active", "suspended", "revoked"}) {
            const auto j = judge(s, 4, report(state, 5));
            CHECK(j.what == report_outcome::conflict);
            CHECK_FALSE(j.why.empty());
            CHECK(judge(s, 4, report(state, 9)).what == report_outcome::conflict);
        }
}

TEST_CASE("a report that cannot be is refused with its member") {
    const auto fault = [](const std::string& text) {
        const auto t = read_transition(parsed(text), types, now);
        return t ? std::string() : t.error().detail.substr(0, t.error().detail.find(':'));
    };
    CHECK(fault(item("active", 2)).empty());
    CHECK(fault(item("sleeping", 2)) == "/state");
    CHECK(fault(item("active", 0)) == "/version");
    CHECK(fault(R"({"state":"active","version":2,"committed_at":"yesterday"})") == "/committed_at");
    CHECK(fault(R"({"state":"active","version":2,"committed_at":"2026-06-01T12:05:00Z"})").empty());
    CHECK(fault(R"({"state":"active","version":2,"committed_at":"2026-06-01T12:05:01Z"})") ==
          "/committed_at");
    CHECK(fault(item("active", 2, R"(,"expires_at":"2026-02-30T00:00:00Z")")) == "/expires_at");
    const std::string until = R"(,"suspend_until":"2026-06-02T00:00:00Z")";
    CHECK(fault(item("suspended", 2, until + R"(,"on_expiry":"revoke")")).empty());
    CHECK(fault(item("active", 2, until + R"(,"on_expiry":"revoke")")) == "/suspend_until");
    CHECK(fault(item("suspended", 2, until)) == "/on_expiry");
    CHECK(fault(item("suspended", 2, until + R"(,"on_expiry":"perhaps")")) == "/on_expiry");
    CHECK(fault(item("revoked", 2, R"(,"successor":"x")")) == "/successor");
    CHECK(fault(item("active", 2, R"(,"authorization_details":[{"type":1}])")) ==
          "/authorization_details/0/type");
}

TEST_CASE(
    "a transition becomes the version it says, with what it says of deadlines and authority") {
    const auto in_force = parsed(set_a);
    auto m = held(mission_state::active, 4);
    const auto p = mirror_transition(
        m, in_force,
        report("suspended", 7,
               R"(,"suspend_until":"2026-06-02T00:00:00Z","on_expiry":"resume","reason":"r")"),
        now);
    CHECK(p.next.state == mission_state::suspended);
    CHECK(p.next.version == 7);
    CHECK(p.next.reason == "r");
    CHECK(p.next.suspend_until == from_rfc3339("2026-06-02T00:00:00Z").value());
    CHECK(p.next.on_expiry == events::on_expiry::resume);
    CHECK(p.next.expires_at == m.expires_at);
    CHECK(p.next.authority_revision == 1);
    CHECK_FALSE(p.change);
    CHECK_FALSE(p.authority_changed);
    // The next one without them has none.
    const auto q = mirror_transition(p.next, in_force, report("active", 8), now);
    CHECK_FALSE(q.next.suspend_until);
    CHECK_FALSE(q.next.reason);
}

TEST_CASE("a change of authority says whether it narrows or extends") {
    const auto m = held(mission_state::active, 4);
    const auto with = [](const std::string& set) { return R"(,"authorization_details":)" + set; };
    const auto narrower =
        mirror_transition(m, parsed(set_a), report("active", 5, with(set_b)), now);
    CHECK(narrower.change == "narrowed");
    CHECK(narrower.authority_changed);
    CHECK(narrower.next.authority_revision == 2);
    CHECK(narrower.authorization_details == set_b);
    const auto wider = mirror_transition(m, parsed(set_b), report("active", 5, with(set_a)), now);
    CHECK(wider.change == "extended");
    const auto same = mirror_transition(m, parsed(set_a), report("active", 5, with(set_a)), now);
    CHECK(same.next.authority_revision == 1);
    CHECK_FALSE(same.authority_changed);
    const auto later = mirror_transition(
        m, parsed(set_a), report("active", 5, R"(,"expires_at":"2027-01-01T00:00:00Z")"), now);
    CHECK(later.change == "extended");
    const auto nearer = mirror_transition(
        m, parsed(set_a), report("active", 5, R"(,"expires_at":"2026-06-01T12:30:00Z")"), now);
    CHECK(nearer.change == "narrowed");
    CHECK(nearer.next.expires_at == from_rfc3339("2026-06-01T12:30:00Z").value());
}

TEST_CASE("version 1 reported after the creation repeats it when nothing differs") {
    store::mission_version first;
    first.version = 1;
    first.state = mission_state::active;
    first.expires_at = from_rfc3339("2026-07-01T00:00:00Z").value();
    const auto approved = parsed(set_a);
    CHECK(repeats_creation(first, approved, report("active", 1)));
    CHECK(repeats_creation(
        first, approved,
        report("active", 1,
               R"(,"expires_at":"2026-07-01T00:00:00Z","authorization_details":)" + set_a)));
    CHECK_FALSE(repeats_creation(first, approved, report("suspended", 1)));
    CHECK_FALSE(repeats_creation(first, approved,
                                 report("active", 1, R"(,"expires_at":"2026-07-02T00:00:00Z")")));
    CHECK_FALSE(repeats_creation(first, approved,
                                 report("active", 1, R"(,"authorization_details":)" + set_b)));
}
