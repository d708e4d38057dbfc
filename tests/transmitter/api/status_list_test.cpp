#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <zlib.h>

#include <future>
#include <set>
#include <tuple>

#include "jose/base64url.hpp"
#include "schemas/schemas.hpp"
#include "tests/transmitter/fixture.hpp"
#include "transmitter/missions/status_list.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using testing::answer;
using testing::transmitter_fixture;

namespace {

struct read_list {
    json::document claims;
    std::string octets;
    int status_at(std::int64_t index) const {
        const auto octet = static_cast<unsigned char>(octets[static_cast<std::size_t>(index / 4)]);
        return octet >> (index % 4 * 2) & 3;
    }
};

read_list read(transmitter_fixture& f, const answer& a) {
    REQUIRE(a.status == 200);
    CHECK(a.fields.get("content-type") == "application/statuslist+jwt");
    const auto keys = jose::key_set::parse(f.get("/jwks.json").body);
    const auto token = jose::parse_compact(a.body);
    REQUIRE(token);
    CHECK(token->typ == "statuslist+jwt");
    const jose::alg allowed[] = {jose::alg::es256};
    REQUIRE(jose::verify(*token, *keys, allowed));
    read_list out;
    out.claims = std::move(*json::parse(token->payload));
    const auto packed =
        jose::base64url_decode(json::find_string(out.claims["status_list"], "lst").value_or(""));
    REQUIRE(packed);
    out.octets.resize(1u << 20);
    auto size = static_cast<uLongf>(out.octets.size());
    REQUIRE(uncompress(reinterpret_cast<Bytef*>(out.octets.data()), &size,
                       reinterpret_cast<const Bytef*>(packed->data()),
                       static_cast<uLong>(packed->size())) == Z_OK);
    out.octets.resize(size);
    return out;
}

struct place {
    std::int64_t idx = -1;
    std::string uri;
};

place place_of(transmitter_fixture& f, const std::string& id) {
    const auto claims = f.claims(f.status("erp", id));
    CHECK(schemas::validate("mission-status-claims", claims));
    const auto& at = claims["mission"]["status_list"];
    return {json::find_int(at, "idx").value_or(-1),
            std::string(json::find_string(at, "uri").value_or(""))};
}

// One look past the second for which a list stands.
read_list look(transmitter_fixture& f, manual_clock& clock, const std::string& uri) {
    clock.advance(1s);
    return read(f, f.send("GET", uri));
}

}  // namespace

TEST_CASE("a list tells of each mission by the index that Status gave") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto active = f.create(), held = f.create(), gone = f.create();
    REQUIRE(f.lifecycle("operator", held, "suspend").status == 200);
    REQUIRE(f.lifecycle("operator", gone, "revoke").status == 200);
    const auto a = place_of(f, active), h = place_of(f, held), g = place_of(f, gone);
    CHECK(a.uri == f.url("/status-lists/0"));
    CHECK(std::set{a.idx, h.idx, g.idx}.size() == 3);

    const auto got = f.send("GET", a.uri);  // without a token
    const auto list = read(f, got);
    CHECK(got.fields.get("cache-control") == "max-age=30");
    CHECK(json::find_string(list.claims, "iss") == f.issuer());
    CHECK(json::find_string(list.claims, "sub") == a.uri);
    CHECK(json::find_int(list.claims, "iat") == to_numeric_date(clock.now()));
    CHECK(json::find_int(list.claims, "exp") == to_numeric_date(clock.now()) + 30);
    CHECK(json::find_int(list.claims, "ttl") == 30);
    CHECK(json::find_int(list.claims["status_list"], "bits") == 2);
    REQUIRE(list.octets.size() == 16'384);
    CHECK(list.status_at(a.idx) == 0);
    CHECK(list.status_at(h.idx) == 2);
    CHECK(list.status_at(g.idx) == 1);
    int valid = 0;
    for (std::int64_t i = 0; i < 65'536; ++i)
        valid += list.status_at(i) == 0;
    CHECK(valid == 1);  // unassigned ones are invalid
    CHECK(a.idx == place_of(f, active).idx);
    CHECK(f.get("/missions/" + active, f.token("operator")).body.find("status_list") ==
          std::string::npos);
}

TEST_CASE("every change is in the next list, without reading the others anew") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto id = f.create("2030-01-01T01:00:00Z");
    const auto p = place_of(f, id);
    CHECK(look(f, clock, p.uri).status_at(p.idx) == 0);
    REQUIRE(f.lifecycle("operator", id, "suspend").status == 200);
    // Signed at most once a second: this is the one from before.
    CHECK(read(f, f.send("GET", p.uri)).status_at(p.idx) == 0);
    CHECK(look(f, clock, p.uri).status_at(p.idx) == 2);
    REQUIRE(f.lifecycle("operator", id, "resume").status == 200);
    CHECK(look(f, clock, p.uri).status_at(p.idx) == 0);
    const auto later = f.create();
    const auto q = place_of(f, later);
    CHECK(look(f, clock, p.uri).status_at(q.idx) == 0);
    REQUIRE(f.lifecycle("operator", later, "complete").status == 200);
    const auto list = look(f, clock, p.uri);
    CHECK(list.status_at(q.idx) == 1);
    CHECK(list.status_at(p.idx) == 0);
}

TEST_CASE("an acknowledged revocation is in every list that is signed after it") {
    transmitter_fixture f;
    std::vector<place> places;
    std::vector<std::string> ids;
    for (int i = 0; i < 20; ++i) {
        ids.push_back(f.create());
        places.push_back(place_of(f, ids.back()));
    }
    read(f, f.get("/status-lists/0"));
    for (std::size_t i = 0; i < ids.size(); i += 2)
        REQUIRE(f.lifecycle("operator", ids[i], "revoke").status == 200);
    // The next one that differs has them all.
    REQUIRE(f.eventually([&] {
        const auto list = read(f, f.get("/status-lists/0"));
        int ended = 0;
        for (const auto& p : places)
            ended += list.status_at(p.idx) == 1;
        CHECK((ended == 0 || ended == 10));
        return ended == 10;
    }));
}

TEST_CASE("a list speaks of no moment after a deadline that is due and not yet written") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f({}, &clock);
    const auto id = f.create("2030-01-01T00:01:00Z");
    const auto p = place_of(f, id);
    const auto deadline = *from_rfc3339("2030-01-01T00:01:00Z");
    // A jump of the clock: deadlines wait until somebody confirms it (design section 4).
    clock.jump_wall(75s);
    REQUIRE(f.eventually([&] {
        return f.send("GET", f.admin_url("/metrics")).body.find("mission_clock_trusted 0") !=
               std::string::npos;
    }));
    clock.advance(1s);
    const auto list = read(f, f.send("GET", p.uri));
    CHECK(json::find_int(list.claims, "iat") == to_numeric_date(deadline));
    CHECK(list.status_at(p.idx) == 0);
    const auto left = std::string(f.send("GET", p.uri).fields.get("cache-control"));
    CHECK(left == "max-age=14");
    clock.advance(20s);  // nothing fresh enough can be said any more
    const auto none = f.send("GET", p.uri);
    CHECK(none.status == 503);
    CHECK_FALSE(none.fields.get("retry-after").empty());
}

TEST_CASE("lists that are not there are not found, and none is there when they are off") {
    transmitter_fixture f;
    CHECK(f.get("/status-lists/0").status == 200);
    for (const auto* path :
         {"1", "15", "-1", "00", "01", "x", "0x0", "99999999999999999999", "0%00"})
        CHECK_MESSAGE(f.get(std::string("/status-lists/") + path).status == 404, path);
    CHECK(f.send("POST", f.url("/status-lists/0")).status == 405);
    transmitter_fixture off([](config& c) { c.missions.status_list_ttl = 0s; });
    CHECK(off.get("/status-lists/0").status == 404);
    const auto claims = off.claims(off.status("erp", off.create()));
    CHECK_FALSE(claims["mission"].HasMember("status_list"));
}

TEST_CASE("one issuer's list says nothing of another's missions") {
    transmitter_fixture f([](config& c) {
        issuer_config other;
        other.url = c.issuers.front().url + "/other";
        other.path = "/other";
        c.issuers.push_back(other);
    });
    const auto id = f.create();
    const auto p = place_of(f, id);
    REQUIRE(read(f, f.get("/status-lists/0")).status_at(p.idx) == 0);
    const auto keys = jose::key_set::parse(f.get("/other/jwks.json").body);
    const auto got = f.get("/other/status-lists/0");
    const auto theirs = jose::parse_compact(got.body);
    REQUIRE(theirs);
    const jose::alg allowed[] = {jose::alg::es256};
    REQUIRE(jose::verify(*theirs, *keys, allowed));
    const auto claims = json::parse(theirs->payload);
    CHECK(json::find_string((*claims)["status_list"], "lst") == status_bits().compressed());
}

TEST_CASE("a mirror's list tells what was reported") {
    manual_clock clock(*from_rfc3339("2030-01-01T00:00:00Z"));
    transmitter_fixture f([](config& c) { c.issuers.front().mirror = true; }, &clock);
    const auto id = f.create();
    const auto p = place_of(f, id);
    CHECK(look(f, clock, p.uri).status_at(p.idx) == 0);
    for (const auto& [state, version, value] :
         {std::tuple{"suspended", 2, 2}, std::tuple{"active", 3, 0}, std::tuple{"revoked", 4, 1}}) {
        REQUIRE(f.post_json("/missions/" + id + "/transitions",
                            R"([{"state":")" + std::string(state) + R"(","version":)" +
                                std::to_string(version) +
                                R"(,"committed_at":"2030-01-01T00:00:00Z"}])",
                            f.token("operator"))
                    .status == 200);
        CHECK(look(f, clock, p.uri).status_at(p.idx) == value);
    }
}

TEST_CASE("who asks too often is refused cheaply, and nobody else is") {
    transmitter_fixture f([](config& c) { c.missions.status_rate = 2; });
    const auto id = f.create();
    int refused = 0;
    answer last;
    for (int i = 0; i < 40; ++i) {
        auto a = f.status("erp", id);
        if (a.status == 429) {
            ++refused;
            last = std::move(a);
        } else {
            CHECK(a.status == 200);
        }
    }
    CHECK(refused >= 20);
    CHECK(last.text("error") == "rate_limited");
    CHECK(last.text("nonce").starts_with("s"));
    CHECK(last.number("retry_after") == 1);
    CHECK(last.fields.get("retry-after") == "1");
    CHECK(f.status("operator", id).status == 200);
    // Whether the mission is there makes no difference to who is over the limit.
    CHECK(f.status("erp", "0123456789012345678901").status == 429);
}
