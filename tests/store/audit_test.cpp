// The audit: numbered, chained per issuer, and what its verifier finds.
#include "store/audit.hpp"

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "tests/store/harness.hpp"

namespace mission::store::test {
namespace {

audit_entry refusal(issuer_id issuer, std::string target) {
    audit_entry e;
    e.issuer = issuer;
    e.actor = "ops";
    e.origin = "token 192.0.2.7";
    e.action = "lifecycle.revoke";
    e.target = std::move(target);
    e.outcome = "refused: mission_conflict";
    e.detail = R"({"reason":"x"})";
    return e;
}

std::vector<std::string> lines_of(store& s, issuer_id issuer, std::string_view url) {
    std::vector<std::string> out;
    for (const auto& e : look(s, [&](const rows& r) { return r.audit(issuer, 0, 1000); }))
        out.push_back(audit_line(e, url));
    return out;
}

result<void> verify(const std::vector<std::string>& lines, bool whole = true) {
    audit_verifier v(whole);
    for (const auto& line : lines)
        if (auto r = v.take(line); !r) return r;
    return {};
}

}  // namespace

TEST_CASE("whatever a detail is, its line can be read and verified, also in a page of lines") {
    std::string deep = "{}";
    for (std::size_t i = 1; i < limits::json_depth; ++i) {
        audit_entry e = refusal({}, "m");
        e.seq = 1;
        e.detail = audit_detail(deep);
        e.hash = audit_hash(audit_text(e, "https://t.example"));
        const auto line = audit_line(e, "https://t.example");
        CAPTURE(i);
        CHECK(verify({line}).has_value());
        CHECK(json::parse(R"({"entries":[)" + line + "]}").has_value());
        CHECK((e.detail == deep) == (i <= limits::json_depth - 3));
        deep = R"({"x":)" + deep + "}";
    }
    audit_entry e = refusal({}, "m");
    e.seq = 1;
    e.detail = audit_detail("no \xff UTF-8\n");
    CHECK(e.detail == R"({"text":"no ? UTF-8\n"})");
    e.hash = audit_hash(audit_text(e, "https://t.example"));
    CHECK(verify({audit_line(e, "https://t.example")}).has_value());
}

TEST_CASE("an entry's text is RFC 8785 and its hash is of that text") {
    audit_entry e;
    e.seq = 12;
    e.at = start_time + 5ms;
    e.actor = "ops \"x\"\n\x01";
    e.origin = "clock";
    e.action = "clock.expire";
    e.target = "m1";
    e.version = 3;
    e.outcome = "done";
    e.detail = audit_detail(R"( { "z": 1, "a": [1.50, "\u00e9"] } )");
    e.previous = "AAA";
    const std::string text = audit_text(e, "https://mas.example");
    CHECK(text ==
          R"({"action":"clock.expire","actor":"ops \"x\"\n\u0001","at":"2026-11-02T09:06:40.005Z",)"
          "\"detail\":{\"a\":[1.5,\"\xc3\xa9\"],\"z\":1},"
          R"("issuer":"https://mas.example","origin":"clock","outcome":"done","previous":"AAA",)"
          R"("seq":12,"target":"m1","version":3})");
    CHECK(json::canonical(*json::parse(text)).value() == text);
    e.hash = audit_hash(text);
    CHECK(e.hash == jose::base64url_encode(jose::view(jose::sha256(text))));
    const std::string line = audit_line(e, "https://mas.example");
    CHECK(json::canonical(*json::parse(line)).value() == line);
    auto record = json::parse(line);
    CHECK(json::find_string(*record, "hash") == std::string_view(e.hash));
    record->RemoveMember("hash");
    CHECK(json::canonical(*record).value() == text);
}

TEST_CASE("a detail that is no JSON object is kept as text") {
    CHECK(audit_detail("").empty());
    CHECK(audit_detail("{}") == "{}");
    CHECK(audit_detail("{broken") == R"({"text":"{broken"})");
    CHECK(audit_detail("[1]") == R"({"text":"[1]"})");
    CHECK(audit_detail("a \"b\"") == R"({"text":"a \"b\""})");
    // What RFC 8785 cannot say exactly.
    CHECK(audit_detail(R"({"n":9007199254740993})") == R"({"text":"{\"n\":9007199254740993}"})");
}

TEST_CASE_TEMPLATE("every version has an entry that says who made it", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    changes c = approve(t.issuer, "m");
    c.missions[0].audit.actor = "portal";
    c.missions[0].audit.origin = "certificate 192.0.2.1";
    c.missions[0].audit.action = "mission.create";
    c.missions[0].audit.detail = R"({"approver":"alice"})";
    // The writer's own, whatever a caller says.
    c.missions[0].audit.target = "somebody";
    c.missions[0].audit.outcome = "refused: x";
    c.missions[0].audit.version = 9;
    c.missions[0].audit.seq = 77;
    c.missions[0].audit.hash = "h";
    const auto row = run(*t, c).value().missions[0];
    t.time.advance(1s);
    REQUIRE(run(*t, move_to(t.issuer, "m", state::revoked)));
    REQUIRE(t->read_now([&](const rows& r) {
        const auto all = r.audit(t.issuer, 0, 10);
        REQUIRE(all.size() == 2);
        CHECK(all[0].seq == 1);
        CHECK(all[0].issuer == t.issuer);
        CHECK(all[0].at == start_time);
        CHECK(all[0].actor == "portal");
        CHECK(all[0].origin == "certificate 192.0.2.1");
        CHECK(all[0].action == "mission.create");
        CHECK(all[0].target == long_id("m"));
        CHECK(all[0].version == 1);
        CHECK(all[0].outcome == "done");
        CHECK(all[0].detail == R"({"approver":"alice"})");
        CHECK(all[0].previous.empty());
        CHECK(all[0].hash == audit_hash(audit_text(all[0], "https://mas.example")));
        CHECK(all[1].version == 2);
        CHECK(all[1].at == start_time + 1s);
        CHECK(all[1].previous == all[0].hash);
        CHECK(all[1].hash == audit_hash(audit_text(all[1], "https://mas.example")));
        CHECK(r.find_audit(2) == all[1]);
        CHECK(!r.find_audit(0));
        CHECK(!r.find_audit(3));
        const auto versions = r.versions(row, 0, 10);
        CHECK(versions[0].audit_seq == 1);
        CHECK(versions[1].audit_seq == 2);
    }));
}

TEST_CASE_TEMPLATE("entries are numbered over all issuers and chained per issuer", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    const auto other = t->add_issuer("https://other.example").value();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(run(*t, approve(t.issuer, "m" + std::to_string(i))));
        changes c;
        c.audit.push_back(refusal(other, long_id("n")));
        c.audit.push_back(refusal(t.issuer, long_id("m0")));
        REQUIRE(run(*t, c));
    }
    const auto ours = look(*t, [&](const rows& r) { return r.audit(t.issuer, 0, 100); });
    const auto theirs = look(*t, [&](const rows& r) { return r.audit(other, 0, 100); });
    REQUIRE(ours.size() == 6);
    REQUIRE(theirs.size() == 3);
    CHECK(ours[0].seq == 1);
    CHECK(theirs[0].seq == 2);
    CHECK(ours[1].seq == 3);
    CHECK(ours[5].seq == 9);
    CHECK(theirs[0].previous.empty());
    CHECK(theirs[1].previous == theirs[0].hash);
    CHECK(verify(lines_of(*t, t.issuer, "https://mas.example")));
    CHECK(verify(lines_of(*t, other, "https://other.example")));

    REQUIRE(t->read_now([&](const rows& r) {
        CHECK(r.audit(t.issuer, 3, 2).size() == 2);
        CHECK(r.audit(t.issuer, 3, 2)[0].seq == 4);
        // Of one target: the versions made, and everything else, in one order.
        const auto of = r.audit_of(t.issuer, long_id("m0"), 0, 100);
        REQUIRE(of.size() == 4);
        CHECK(of[0].outcome == "done");
        CHECK(of[1].outcome == "refused: mission_conflict");
        CHECK(of[1].seq == 3);
        CHECK(of[3].seq == 9);
        CHECK(r.audit_of(t.issuer, long_id("m0"), 1, 2).size() == 2);
        CHECK(r.audit_of(t.issuer, long_id("m0"), 1, 2)[0].seq == 3);
        CHECK(r.audit_of(t.issuer, long_id("m1"), 0, 100).size() == 1);
        CHECK(r.audit_of(other, long_id("m0"), 0, 100).empty());
        CHECK(r.audit_of(other, long_id("n"), 0, 100).size() == 3);
    }));

    changes unknown;
    unknown.audit.push_back(refusal(issuer_id{9}, "x"));
    CHECK(run(*t, unknown).error().code == errc::store_conflict);
}

TEST_CASE_TEMPLATE("an entry that says nothing of a mission's version may name one", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "m")));
    changes c;
    c.audit.push_back(refusal(t.issuer, long_id("m")));
    c.audit[0].outcome = "unchanged";
    c.audit[0].version = 1;
    REQUIRE(run(*t, c));
    const auto of =
        look(*t, [&](const rows& r) { return r.audit_of(t.issuer, long_id("m"), 0, 9); });
    REQUIRE(of.size() == 2);
    CHECK(of[1].version == 1);
    CHECK(of[1].outcome == "unchanged");
}

TEST_CASE_TEMPLATE("a refused decision leaves no entry and no hole", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "m")));
    CHECK(!run(*t, approve(t.issuer, "m")));
    REQUIRE(run(*t, approve(t.issuer, "n")));
    const auto all = look(*t, [&](const rows& r) { return r.audit(t.issuer, 0, 9); });
    REQUIRE(all.size() == 2);
    CHECK(all[1].seq == 2);
    CHECK(verify(lines_of(*t, t.issuer, "https://mas.example")));
}

TEST_CASE("a chain that was changed anywhere is found out") {
    opened<memory_kind> t;
    for (int i = 0; i < 4; ++i)
        REQUIRE(run(*t, approve(t.issuer, "m" + std::to_string(i))));
    const auto lines = lines_of(*t, t.issuer, "https://mas.example");
    REQUIRE(verify(lines));
    const auto broken = [&](auto change) {
        auto copy = lines;
        change(copy);
        const auto r = verify(copy);
        REQUIRE(!r);
        CHECK(r.error().code == errc::store_corrupt);
    };
    broken([](auto& l) { l[1].replace(l[1].find("\"done\""), 6, "\"gone\""); });
    broken([](auto& l) { l.erase(l.begin() + 1); });
    broken([](auto& l) { l.erase(l.begin()); });
    broken([](auto& l) { std::swap(l[1], l[2]); });
    broken([](auto& l) { l.insert(l.begin() + 1, l[1]); });
    broken([](auto& l) { l[2] = "{}"; });
    broken([](auto& l) { l[2] = "no JSON"; });
    broken([](auto& l) { l[3].replace(l[3].find("mas.example"), 11, "bad.example"); });
    // One changed with its own hash made anew: the next one does not follow it.
    broken([](auto& l) {
        auto record = json::parse(l[1]);
        record->RemoveMember("hash");
        auto& a = record->GetAllocator();
        record->FindMember("outcome")->value = json::make_string("unchanged", a);
        const std::string hash = audit_hash(*json::canonical(*record));
        json::add(*record, "hash", hash, a);
        l[1] = *json::canonical(*record);
    });
    // A part of it holds together by itself, when it is said to be a part.
    const std::vector<std::string> part(lines.begin() + 2, lines.end());
    CHECK(!verify(part));
    CHECK(verify(part, false));
}

}  // namespace mission::store::test
