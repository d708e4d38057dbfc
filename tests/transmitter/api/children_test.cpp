#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

// POST /missions with `parent` and `predecessor`.

namespace {

const std::string until_2099 = "2099-01-01T00:00:00Z";

std::string erp_entry(std::string_view actions = R"(["invoices.read"])",
                      std::string_view amount = "100", std::string_view more = "") {
    return R"([{"type":"mission_resource_access","resource":"https://erp.example","actions":)" +
           std::string(actions) + R"(,"constraints":{"max_amount":{"amount":")" +
           std::string(amount) + R"(","currency":"EUR"}})" + std::string(more) + "}]";
}

struct proposal_body {
    std::string parent, predecessor;
    std::string set = erp_entry();
    std::string expires_at = until_2099;
    std::string agent = "worker-1";

    std::string text() const {
        std::string out =
            R"({"purpose":"a part of it","approver":{"iss":"https://idp.example","sub":"alice"},)"
            R"("subject":{"iss":"https://idp.example","sub":"bob"},"agent":{"client_id":")" +
            agent + R"("},"expires_at":")" + expires_at + R"(","authorization_details":)" + set;
        if (!parent.empty()) out += R"(,"parent":")" + parent + '"';
        if (!predecessor.empty()) out += R"(,"predecessor":")" + predecessor + '"';
        return out + "}";
    }
};

answer post(transmitter_fixture& f, const proposal_body& b, const std::string& client = "operator",
            const std::string& key = {}) {
    net::headers h;
    h.set("authorization", "Bearer " + f.token(client));
    h.set("content-type", "application/json");
    if (!key.empty()) h.set("idempotency-key", key);
    return f.send("POST", f.url("/missions"), h, b.text());
}

proposal_body child_of(const std::string& parent) {
    proposal_body b;
    b.parent = parent;
    return b;
}

std::string created(transmitter_fixture& f, const proposal_body& b) {
    const auto a = post(f, b);
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    return a.text("mission_id");
}

void check_refused(const answer& a, int status, std::string_view err, std::string_view place) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("err") == err);
    CHECK(a.text("description").starts_with(place));
}

std::string state_of(transmitter_fixture& f, const std::string& id) {
    return f.get("/missions/" + id, f.token("operator")).text("state");
}

}  // namespace

TEST_CASE("a child is a mission of its own that names its parent to who may know it") {
    transmitter_fixture f;
    const auto parent = f.create();
    const auto a = post(f, child_of(parent));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    CHECK(schemas::validate("mission", a.json));
    CHECK(a.text("parent") == parent);
    CHECK(a.number("version") == 1);
    const auto id = a.text("mission_id");
    CHECK(f.get("/missions/" + id, f.token("erp")).text("parent") == parent);
    CHECK(f.get("/missions/" + id, f.token("crm")).status == 404);  // its parent's, not its own
    // One that knows the child alone is not told of the parent.
    auto other = child_of(f.create());
    CHECK(f.get("/missions?parent=" + parent, f.token("operator")).json["missions"].Size() == 1);
}

TEST_CASE("a child beyond its parent is 403 and names the member that exceeds") {
    transmitter_fixture f;
    const auto parent = f.create();
    const auto with = [&](const std::string& set) {
        auto b = child_of(parent);
        b.set = set;
        return post(f, b);
    };
    const std::string at = "/authorization_details/0";
    check_refused(with(R"([{"type":"mission_resource_access","resource":"https://new.example",)"
                       R"("actions":["invoices.read"]}])"),
                  403, "exceeds_authority", at + "/resource");
    check_refused(with(erp_entry(R"(["invoices.delete"])")), 403, "exceeds_authority",
                  at + "/actions");
    check_refused(with(erp_entry(R"(["invoices.read"])", "500.01")), 403, "exceeds_authority",
                  at + "/constraints/max_amount");
    check_refused(with(R"([{"type":"mission_resource_access","resource":"https://erp.example",)"
                       R"("actions":["invoices.read"]}])"),
                  403, "exceeds_authority", at + "/constraints/max_amount");
    check_refused(with(erp_entry(R"(["invoices.read"])", "1", R"(,"delegation":{"max_depth":1})")),
                  403, "exceeds_authority", at + "/delegation");
    check_refused(with(erp_entry(R"(["invoices.read"])", "1", R"(,"x":1)")), 403,
                  "exceeds_authority", at + "/x");
    auto late = child_of(parent);
    late.expires_at = "2099-01-01T00:00:00.001Z";
    check_refused(post(f, late), 403, "exceeds_authority", "/expires_at");
    auto second = child_of(parent);
    second.set = R"([{"type":"mission_resource_access","resource":"https://crm.example",)"
                 R"("actions":["contacts.read"]},{"type":"mission_resource_access",)"
                 R"("resource":"https://crm.example","actions":["invoices.read"]}])";
    check_refused(post(f, second), 403, "exceeds_authority", "/authorization_details/1/actions");
    CHECK(f.get("/missions?parent=" + parent, f.token("operator")).json["missions"].Size() == 0);
}

TEST_CASE("an orphan, a stranger's parent and a cycle are one answer: no such mission") {
    transmitter_fixture f;
    const auto parent = f.create();
    const auto orphan = post(f, child_of("0123456789012345678901"));
    check_refused(orphan, 400, "invalid_request", "/parent: no such mission");
    const auto hidden = post(f, child_of(parent), "stranger");
    CHECK(hidden.status == 400);
    CHECK(hidden.body == orphan.body);
    // Itself: there is none of that name yet, so a cycle cannot begin.
    auto own = child_of("my-own-parent_0123456789");
    auto text = own.text();
    text.insert(1, R"("mission_id":"my-own-parent_0123456789",)");
    const auto cycle = f.post_json("/missions", text, f.token("operator"));
    CHECK(cycle.status == 400);
    CHECK(cycle.body == orphan.body);
}

TEST_CASE("a parent that is not active has no more children") {
    transmitter_fixture f;
    for (const char* operation : {"suspend", "revoke", "complete"}) {
        const auto parent = f.create();
        REQUIRE(f.lifecycle("operator", parent, operation).status == 200);
        check_refused(post(f, child_of(parent)), 409, "conflict", "/parent");
    }
}

TEST_CASE("a parent's end, hold and lift are its child's before anybody reads it") {
    transmitter_fixture f;
    const auto parent = f.create();
    const auto child = created(f, child_of(parent));
    const auto grandchild = created(f, child_of(child));
    f.lifecycle("operator", parent, "suspend");
    auto a = f.get("/missions/" + grandchild, f.token("operator"));
    CHECK(a.text("state") == "suspended");
    CHECK(a.text("own_state") == "active");
    CHECK(a.number("version") == 2);
    f.lifecycle("operator", parent, "resume");
    CHECK(state_of(f, grandchild) == "active");
    f.lifecycle("operator", parent, "revoke");
    a = f.get("/missions/" + grandchild, f.token("operator"));
    CHECK(a.text("state") == "cascaded");
    CHECK(a.number("version") == 4);
    CHECK(state_of(f, child) == "cascaded");
}

TEST_CASE("a child's Status has its parent as it stands, for who may know the parent") {
    transmitter_fixture f([](config& c) {
        c.clients[3].missions.what = mission_visibility::kind::listed;
        c.clients[3].missions.agents = {"worker-1"};
    });
    const auto parent = f.create();
    const auto child = created(f, child_of(parent));
    const auto mission = [&](const std::string& client, const std::string& id) {
        const auto claims = f.claims(f.status(client, id));
        CHECK(schemas::validate("mission-status-claims", claims));
        json::document out;
        out.CopyFrom(claims["mission"], out.GetAllocator());
        return out;
    };
    f.lifecycle("operator", parent, "suspend");
    const auto seen = mission("erp", child);
    const auto* named = json::find(seen, "parent");
    REQUIRE(named);
    CHECK(json::find_string(*named, "id") == parent);
    CHECK(json::find_string(*named, "issuer") == f.issuer());
    CHECK(json::find_string(*named, "state") == "suspended");
    CHECK(json::find_string(*named, "cascade_mode") == "immediate");
    CHECK(json::find_string(*named, "fresh_until") == json::find_string(seen, "fresh_until"));
    // The child's agent is this client's business, its parent is not.
    CHECK_FALSE(json::find(mission("stranger", child), "parent"));
    CHECK_FALSE(json::find(mission("operator", parent), "parent"));
    f.lifecycle("operator", parent, "revoke");
    CHECK(json::find_string(*json::find(mission("erp", child), "parent"), "state") == "revoked");
}

TEST_CASE("the parent that a status names is as it stands, also when the child ended before it") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto parent = f.create("2030-01-01T00:01:00Z");
    auto b = child_of(parent);
    b.expires_at = "2030-01-01T00:01:00Z";
    const auto id = created(f, b);
    REQUIRE(f.lifecycle("operator", id, "complete").status == 200);
    clock.advance(std::chrono::seconds(90));
    const auto claims = f.claims(f.status("operator", id));
    const auto& told = *json::find(claims, "mission");
    CHECK(json::find_string(told, "state") == "completed");
    const auto* above = json::find(told, "parent");
    REQUIRE(above);
    CHECK(json::find_string(*above, "state") == "expired");
}

TEST_CASE("a narrowed parent narrows its children") {
    transmitter_fixture f;
    const auto parent = f.create();
    auto b = child_of(parent);
    b.set = erp_entry(R"(["invoices.read","invoices.pay"])", "200");
    const auto child = created(f, b);
    const auto a = f.post_json(
        "/missions/" + parent + "/scope",
        R"({"change":"narrowed","approver":{"iss":"https://idp","sub":"alice"},"reason":"less",)"
        R"("expires_at":"2098-01-01T00:00:00Z","authorization_details":)" +
            erp_entry(R"(["invoices.read"])", "50") + "}",
        f.token("operator"));
    REQUIRE(a.status == 200);
    const auto seen = f.get("/missions/" + child, f.token("operator"));
    CHECK(seen.text("expires_at") == "2098-01-01T00:00:00Z");
    CHECK(json::write(seen.json["authorization_details"]) ==
          erp_entry(R"(["invoices.read"])", "50"));
    CHECK(seen.number("version") == 2);
    CHECK(seen.text("state") == "active");
}

TEST_CASE("families are as deep and as broad as the configuration says") {
    transmitter_fixture f([](config& c) {
        c.missions.max_depth = 2;
        c.missions.max_children = 2;
    });
    const auto root = f.create();
    const auto child = created(f, child_of(root));
    const auto grandchild = created(f, child_of(child));
    check_refused(post(f, child_of(grandchild)), 403, "exceeds_authority", "/parent");
    created(f, child_of(root));
    check_refused(post(f, child_of(root)), 403, "exceeds_authority", "/parent");
}

TEST_CASE("delegation.children of the parent's entry is enforced") {
    transmitter_fixture f;
    proposal_body root;
    root.set = erp_entry(R"(["invoices.read"])", "500",
                         R"(,"delegation":{"max_depth":1,"children":{"max_children":2,)"
                         R"("allowed_child_actors":[{"sub":"worker-1"},{"sub":"worker-2"}]}})");
    const auto parent = created(f, root);
    const auto first = created(f, child_of(parent));
    auto other = child_of(parent);
    other.agent = "worker-3";
    check_refused(post(f, other), 403, "exceeds_authority", "/agent");
    created(f, child_of(parent));
    check_refused(post(f, child_of(parent)), 403, "exceeds_authority", "/authorization_details/0");
    // One that has ended makes room.
    REQUIRE(f.lifecycle("operator", first, "complete").status == 200);
    const auto third = created(f, child_of(parent));
    // The lineage ends here: max_child_depth is 1 when nothing is said.
    check_refused(post(f, child_of(third)), 403, "exceeds_authority", "/authorization_details/0");
}

TEST_CASE("a successor may be wider and longer, and supersedes in the same moment") {
    transmitter_fixture f;
    const auto old = f.create();
    const auto child = created(f, child_of(old));
    proposal_body b;
    b.predecessor = old;
    b.expires_at = "2100-01-01T00:00:00Z";
    b.set = R"([{"type":"mission_resource_access","resource":"https://stranger.example",)"
            R"("actions":["everything"]}])";
    const auto a = post(f, b, "operator", "key-1");
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    CHECK(a.text("predecessor") == old);
    const auto seen = f.get("/missions/" + old, f.token("operator"));
    CHECK(seen.text("state") == "superseded");
    CHECK(seen.number("version") == 2);
    CHECK(seen.text("successor") == a.text("mission_id"));
    CHECK(schemas::validate("mission", seen.json));
    CHECK(state_of(f, child) == "cascaded");
    // The predecessor's audience does not know the successor, and is not told its name.
    const auto blind = f.get("/missions/" + old, f.token("erp"));
    CHECK(blind.text("state") == "superseded");
    CHECK(blind.text("successor").empty());
    CHECK(f.get("/missions/" + a.text("mission_id"), f.token("erp")).status == 404);
    // Repeated: the first outcome, and no second supersession.
    CHECK(post(f, b, "operator", "key-1").body == a.body);
    check_refused(post(f, b), 409, "conflict", "/predecessor");
}

TEST_CASE("only an active predecessor is superseded, and nobody learns of one it may not know") {
    transmitter_fixture f;
    for (const char* operation : {"suspend", "revoke", "complete"}) {
        const auto old = f.create();
        REQUIRE(f.lifecycle("operator", old, operation).status == 200);
        proposal_body b;
        b.predecessor = old;
        check_refused(post(f, b), 409, "conflict", "/predecessor");
    }
    proposal_body b;
    b.predecessor = "0123456789012345678901";
    const auto unknown = post(f, b);
    check_refused(unknown, 400, "invalid_request", "/predecessor: no such mission");
    b.predecessor = f.create();
    CHECK(post(f, b, "stranger").body == unknown.body);
    CHECK(state_of(f, b.predecessor) == "active");
}

TEST_CASE("a predecessor is not everybody's to end who knows of it") {
    transmitter_fixture f([](config& c) {
        for (auto& one : c.clients)
            if (one.id == "erp") one.lifecycle = {"suspend"};
    });
    proposal_body b;
    b.predecessor = f.create();
    CHECK(f.get("/missions/" + b.predecessor, f.token("erp")).status == 200);
    CHECK(post(f, b, "erp").status == 403);
    CHECK(state_of(f, b.predecessor) == "active");
    // What it has made itself it may replace.
    const auto own = post(f, {}, "erp");
    REQUIRE(own.status == 201);
    b.predecessor = own.text("mission_id");
    CHECK(post(f, b, "erp").status == 201);
    CHECK(state_of(f, b.predecessor) == "superseded");
}

TEST_CASE("a child's successor keeps its parent and stays within it") {
    transmitter_fixture f;
    const auto parent = f.create();
    const auto child = created(f, child_of(parent));
    proposal_body b;
    b.predecessor = child;
    check_refused(post(f, b), 400, "invalid_request", "/parent");
    b.parent = f.create();
    check_refused(post(f, b), 400, "invalid_request", "/parent");
    b.parent = parent;
    b.set = erp_entry(R"(["invoices.delete"])");
    check_refused(post(f, b), 403, "exceeds_authority", "/authorization_details/0/actions");
    CHECK(state_of(f, child) == "active");
    b.set = erp_entry(R"(["invoices.read","invoices.pay"])", "500");
    const auto next = created(f, b);
    CHECK(state_of(f, child) == "superseded");
    // A mission that was nobody's child gets no parent by succession.
    proposal_body adopted;
    adopted.predecessor = parent;
    adopted.parent = f.create();
    check_refused(post(f, adopted), 400, "invalid_request", "/parent");
    f.lifecycle("operator", parent, "revoke");
    CHECK(state_of(f, next) == "cascaded");
}

TEST_CASE("a successor takes its predecessor's place among a limited number of children") {
    transmitter_fixture f;
    proposal_body root;
    root.set = erp_entry(R"(["invoices.read"])", "500",
                         R"(,"delegation":{"max_depth":1,"children":{"max_children":1}})");
    const auto parent = created(f, root);
    const auto child = created(f, child_of(parent));
    check_refused(post(f, child_of(parent)), 403, "exceeds_authority", "/authorization_details/0");
    auto b = child_of(parent);
    b.predecessor = child;
    created(f, b);
    check_refused(post(f, child_of(parent)), 403, "exceeds_authority", "/authorization_details/0");
}

TEST_CASE("a type that nobody has declared is refused at the door, at its place") {
    transmitter_fixture f;
    proposal_body b;
    b.set = R"([{"type":"account_information","policy":"p"}])";
    check_refused(post(f, b), 400, "invalid_request", "/authorization_details/0/type");
    transmitter_fixture declared([](config& c) {
        c.authorization_types.push_back(
            {"account_information", R"({"type":"object","required":["policy"]})"});
    });
    CHECK(post(declared, b).status == 201);
    b.set = R"([{"type":"account_information"}])";
    check_refused(post(declared, b), 400, "invalid_request", "/authorization_details/0");
}
