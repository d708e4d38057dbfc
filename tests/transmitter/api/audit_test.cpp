#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <sstream>

#include "store/audit.hpp"
#include "tests/transmitter/fixture.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::answer;
using testing::transmitter_fixture;

namespace {

answer get_lines(transmitter_fixture& f, const std::string& query) {
    net::headers fields;
    fields.set("authorization", "Bearer " + f.token("operator"));
    fields.set("accept", "application/x-ndjson");
    return f.send("GET", f.url("/admin/audit" + query), std::move(fields));
}

std::vector<std::string> lines_of(const answer& a) {
    std::vector<std::string> out;
    std::istringstream text(a.body);
    for (std::string line; std::getline(text, line);)
        out.push_back(line);
    return out;
}

std::string text(const json::value& v, std::string_view member) {
    return std::string(json::find_string(v, member).value_or(""));
}

// Entries of that action about that target, waited for: some are written after the answer.
std::size_t count_of(transmitter_fixture& f, std::string_view action, const std::string& target,
                     std::string_view outcome) {
    std::size_t out = 0;
    const auto a = f.get("/admin/audit?limit=1000", f.token("operator"));
    for (const auto& e : a.json["entries"].GetArray())
        out += text(e, "action") == action && text(e, "target") == target &&
               text(e, "outcome").starts_with(outcome);
    return out;
}

}  // namespace

TEST_CASE("the audit can be exported line by line, and anybody can recompute its chain") {
    transmitter_fixture f;
    for (int i = 0; i < 3; ++i) {
        const auto id = f.create();
        REQUIRE(f.lifecycle("operator", id, "suspend", {{"reason", "ünsure \"why\""}}).status ==
                200);
    }
    const auto whole = get_lines(f, "");
    REQUIRE(whole.status == 200);
    CHECK(whole.fields.get("content-type") == "application/x-ndjson");
    const auto lines = lines_of(whole);
    REQUIRE(lines.size() >= 6);
    store::audit_verifier all;
    for (const auto& line : lines)
        CHECK(all.take(line));

    // Page by page it is the same text, and a page may be verified by itself.
    std::string query = "?limit=4", joined;
    for (int pages = 0; pages < 10; ++pages) {
        const auto page = get_lines(f, query);
        REQUIRE(page.status == 200);
        CHECK(lines_of(page).size() <= 4);
        joined += page.body;
        store::audit_verifier part(pages == 0);
        for (const auto& line : lines_of(page))
            CHECK(part.take(line));
        const auto link = std::string(page.fields.get("link"));
        if (link.empty()) break;
        const auto at = link.find("?cursor=");
        REQUIRE(at != std::string::npos);
        CHECK(link.ends_with(">; rel=\"next\""));
        query = link.substr(at, link.find('>') - at);
    }
    CHECK(joined == whole.body);

    // One changed letter, one missing line: seen.
    auto changed = lines;
    changed[1].replace(changed[1].find("\"done\""), 6, "\"gone\"");
    store::audit_verifier spoilt, cut;
    CHECK(spoilt.take(changed[0]));
    CHECK_FALSE(spoilt.take(changed[1]));
    CHECK(cut.take(lines[0]));
    CHECK_FALSE(cut.take(lines[2]));
}

TEST_CASE("a page of JSON holds the same records and says where the next one is") {
    transmitter_fixture f;
    const auto a = f.create(), b = f.create();
    REQUIRE(f.lifecycle("operator", a, "revoke", {{"reason", "over"}}).status == 200);
    const auto first = f.get("/admin/audit?limit=2", f.token("operator"));
    REQUIRE(first.json["entries"].Size() == 2);
    const auto next = first.text("next_cursor");
    REQUIRE_FALSE(next.empty());
    const auto rest = f.get("/admin/audit?limit=1000&cursor=" + next, f.token("operator"));
    REQUIRE(rest.json["entries"].Size() >= 1);
    CHECK_FALSE(rest.json.HasMember("next_cursor"));
    CHECK(text(rest.json["entries"][0], "previous") == text(first.json["entries"][1], "hash"));

    const auto of_a = f.get("/admin/audit?mission=" + a, f.token("operator"));
    REQUIRE(of_a.json["entries"].Size() == 2);
    const auto& end = of_a.json["entries"][1];
    CHECK(text(end, "action") == "lifecycle.revoke");
    CHECK(text(end, "actor") == "operator");
    CHECK(text(end, "origin").starts_with("private_key_jwt from 127.0.0.1"));
    CHECK(text(end["detail"], "reason") == "over");
    CHECK(json::find_int(end, "version") == 2);
    CHECK(f.get("/admin/audit?mission=" + b, f.token("operator")).json["entries"].Size() == 1);
}

TEST_CASE("who is no operator reads no audit, and what cannot be read is refused") {
    transmitter_fixture f;
    CHECK(f.get("/admin/audit").status == 401);
    CHECK(f.get("/admin/audit", "poor-static-token").status == 403);
    for (const auto* query : {"limit=0", "limit=1001", "limit=-1", "cursor=x", "cursor=-1",
                              "cursor=", "mission=short", "limit=1&limit=1"})
        CHECK_MESSAGE(
            f.get(std::string("/admin/audit?") + query, f.token("operator")).status == 400, query);
    net::headers fields;
    fields.set("authorization", "Bearer " + f.token("operator"));
    CHECK(f.send("GET", f.admin_url("/admin/audit"), std::move(fields)).status == 200);
}

TEST_CASE("one issuer's audit shows nothing of another's") {
    transmitter_fixture f([](config& c) {
        issuer_config other;
        other.url = c.issuers.front().url + "/other";
        other.path = "/other";
        c.issuers.push_back(other);
        auto theirs = c.clients.front();
        theirs.id = "their-operator";
        theirs.issuer = other.url;
        theirs.token = "their-static-token";
        c.clients.push_back(theirs);
    });
    const auto id = f.create();
    const auto theirs = f.get("/other/admin/audit", "their-static-token");
    REQUIRE(theirs.status == 200);
    CHECK(theirs.json["entries"].Size() == 0);
    CHECK(f.get("/other/admin/audit?mission=" + id, "their-static-token").json["entries"].Size() ==
          0);
}

TEST_CASE("what is refused to a client leaves a trace; what is refused to nobody leaves none") {
    transmitter_fixture f;
    const auto id = f.create();
    CHECK(f.lifecycle("stranger", id, "revoke").status == 404);
    CHECK(f.eventually(
        [&] { return count_of(f, "lifecycle.revoke", id, "refused: mission_not_found") == 1; }));
    CHECK(f.lifecycle("operator", id, "resume").status == 409);
    CHECK(f.eventually(
        [&] { return count_of(f, "lifecycle.resume", id, "refused: mission_conflict") == 1; }));
    // A success that changes nothing is told from one that does.
    CHECK(f.lifecycle("operator", id, "revoke").status == 200);
    CHECK(f.lifecycle("operator", id, "revoke").status == 200);
    CHECK(f.eventually([&] { return count_of(f, "lifecycle.revoke", id, "unchanged") == 1; }));
    CHECK(count_of(f, "lifecycle.revoke", id, "done") == 1);

    const auto before =
        f.get("/admin/audit?limit=1000", f.token("operator")).json["entries"].Size();
    CHECK(f.post_form("/mission/lifecycle",
                      {{"mission_id", id}, {"operation", "revoke"}, {"nonce", "n"}})
              .status == 401);
    CHECK(f.post_json("/missions", transmitter_fixture::mission_body()).status == 401);
    CHECK(f.get("/admin/audit?limit=1000", f.token("operator")).json["entries"].Size() == before);
}

TEST_CASE("a refused creation and a refused change of scope leave a trace") {
    transmitter_fixture f;
    const auto id = f.create();
    auto again = transmitter_fixture::mission_body();
    again.pop_back();
    CHECK(f.post_json("/missions", again + R"(,"mission_id":")" + id + "\"}", f.token("operator"))
              .status == 409);
    CHECK(f.eventually(
        [&] { return count_of(f, "mission.create", id, "refused: mission_exists") == 1; }));
    CHECK(f.post_json("/missions/" + id + "/scope",
                      R"({"change":"narrowed","expires_at":"2098-01-01T00:00:00Z","reason":"x",)"
                      R"("approver":{"iss":"https://idp.example","sub":"a"}})",
                      f.token("stranger"))
              .status == 404);
    CHECK(f.eventually(
        [&] { return count_of(f, "scope.narrow", id, "refused: mission_not_found") == 1; }));
}

TEST_CASE("what an operator does to a stream is on record, and what its receiver does is not") {
    transmitter_fixture f;
    const auto made = f.post_json("/ssf/streams", R"({"events_requested":[]})", f.token("erp"));
    REQUIRE(made.status == 201);
    const auto id = made.text("stream_id");
    const auto post = [&](const std::string& what, const std::string& body) {
        return f.post_json("/admin/streams/" + id + "/" + what, body, f.token("operator")).status;
    };
    REQUIRE(f.post_json("/ssf/status", R"({"stream_id":")" + id + R"(","status":"paused"})",
                        f.token("erp"))
                .status == 200);
    REQUIRE(post("pause", R"({"reason":"maintenance"})") == 200);
    REQUIRE(post("enable", "{}") == 200);
    REQUIRE(post("enable", "{}") == 200);
    REQUIRE(post("replay", R"({"from_seq":1})") == 200);
    net::headers fields;
    fields.set("authorization", "Bearer " + f.token("operator"));
    REQUIRE(f.send("DELETE", f.url("/admin/streams/" + id + "/dead"), std::move(fields)).status ==
            200);
    CHECK(f.eventually([&] { return count_of(f, "stream.replay", id, "done") == 1; }));
    CHECK(count_of(f, "stream.pause", id, "") == 1);
    CHECK(count_of(f, "stream.enable", id, "done") == 1);
    CHECK(count_of(f, "stream.enable", id, "unchanged") == 1);
    CHECK(count_of(f, "stream.forget_dead", id, "unchanged") == 1);
    const auto a = f.get("/admin/audit?limit=1000", f.token("operator"));
    for (const auto& e : a.json["entries"].GetArray())
        if (text(e, "action") == "stream.pause") {
            CHECK(text(e, "actor") == "operator");
            CHECK(text(e["detail"], "reason") == "maintenance");
        }
}
