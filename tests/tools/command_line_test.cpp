#include "tools/missionctl/command_line.hpp"

#include <doctest/doctest.h>

#include "tools/missionctl/duration.hpp"

using namespace mission;
using namespace mission::tools;

namespace {

const std::string id = "mis_0123456789abcdefghij";

invocation parsed(const std::vector<std::string>& arguments) {
    const auto p = parse_command_line(arguments);
    if (const auto* u = std::get_if<usage>(&p)) FAIL(u->text);
    return std::get<invocation>(p);
}

int refused(const std::vector<std::string>& arguments) {
    const auto p = parse_command_line(arguments);
    REQUIRE(std::holds_alternative<usage>(p));
    CHECK_FALSE(std::get<usage>(p).text.empty());
    return std::get<usage>(p).status;
}

}  // namespace

TEST_CASE("help is asked for, anything else that does nothing is a usage error") {
    CHECK(refused({"--help"}) == 0);
    CHECK(refused({"mission", "suspend", "--help"}) == 0);
    CHECK(refused({}) == 2);
    CHECK(refused({"mission"}) == 2);
    CHECK(refused({"stream"}) == 2);
    CHECK(refused({"mission", "obliterate", id}) == 2);
    CHECK(refused({"mission", "get"}) == 2);
    CHECK(refused({"mission", "get", id, id}) == 2);
    CHECK(refused({"--colour", "mission", "list"}) == 2);
}

TEST_CASE("global flags may stand before and after the command") {
    for (const auto& arguments :
         {std::vector<std::string>{"--server", "https://mas.example", "--json", "mission", "get",
                                   id},
          {"mission", "get", id, "--json", "--server", "https://mas.example"}}) {
        const auto i = parsed(arguments);
        CHECK(i.what == verb::mission_get);
        CHECK(i.id == id);
        CHECK(i.server == "https://mas.example");
        CHECK(i.json);
    }
}

TEST_CASE("every command is recognised by its name") {
    CHECK(parsed({"mission", "create", "-"}).what == verb::mission_create);
    CHECK(parsed({"mission", "list"}).what == verb::mission_list);
    CHECK(parsed({"mission", "status", id}).what == verb::mission_status);
    CHECK(parsed({"mission", "revoke", id}).what == verb::mission_revoke);
    CHECK(parsed({"mission", "suspend", id}).what == verb::mission_suspend);
    CHECK(parsed({"mission", "resume", id}).what == verb::mission_resume);
    CHECK(parsed({"mission", "complete", id}).what == verb::mission_complete);
    CHECK(parsed({"mission", "scope", id, "new.json"}).what == verb::mission_scope);
    CHECK(parsed({"stream", "list"}).what == verb::stream_list);
    CHECK(parsed({"stream", "show", "s1"}).what == verb::stream_show);
}

TEST_CASE("a malformed mission id is a usage error before anything is sent") {
    CHECK(refused({"mission", "revoke", "short"}) == 2);
    CHECK(refused({"mission", "revoke", "mis_0123456789abcdefgh/.."}) == 2);
    CHECK(refused({"mission", "revoke", std::string(129, 'a')}) == 2);
}

TEST_CASE("an id that begins with a dash is an id") {
    const std::string dashed = "-VpzJiwyCJdRuRfKtzf3Glj-", dashes = "--pzJiwyCJdRuRfKtzf3Glj-";
    CHECK(parsed({"mission", "get", dashed}).id == dashed);
    CHECK(parsed({"mission", "revoke", dashes, "--reason", dashed}).id == dashes);
    CHECK(parsed({"mission", "revoke", dashes, "--reason", dashed}).reason == dashed);
    CHECK(parsed({"mission", "list", "--parent", dashed}).parent == dashed);
    CHECK(parsed({"stream", "show", dashed}).id == dashed);
    CHECK(refused({"mission", "get", "--no-such-flag"}) == 2);
}

TEST_CASE("an operation carries its reason, nonce and expected version") {
    const auto i = parsed({"mission", "revoke", id, "--reason", "left the company", "--nonce",
                           "n-1", "--expected-version", "4"});
    CHECK(i.reason == "left the company");
    CHECK(i.nonce == "n-1");
    CHECK(i.expected_version == 4);
    CHECK(refused({"mission", "revoke", id, "--expected-version", "0"}) == 2);
    CHECK(refused({"mission", "revoke", id, "--expected-version", "four"}) == 2);
}

TEST_CASE("a deadline and what happens then need each other") {
    const auto i = parsed({"mission", "suspend", id, "--until", "30m", "--on-expiry", "revoke"});
    CHECK(i.until == "30m");
    CHECK(i.on_expiry == "revoke");
    CHECK(refused({"mission", "suspend", id, "--on-expiry", "revoke"}) == 2);
    CHECK(refused({"mission", "suspend", id, "--until", "30m", "--on-expiry", "explode"}) == 2);
    CHECK(refused({"mission", "suspend", id, "--until", "30m"}) == 2);
    CHECK(refused({"mission", "suspend", id, "--until", "soon", "--on-expiry", "resume"}) == 2);
}

TEST_CASE("a scope change that changes nothing is a usage error") {
    CHECK(refused({"mission", "scope", id}) == 2);
    CHECK(parsed({"mission", "scope", id, "--expires-at", "1h"}).file.empty());
}

TEST_CASE("a moment is RFC 3339 or a duration with a unit") {
    const auto now = from_milliseconds(1'000'000);
    CHECK(parse_moment("90s", now) == now + std::chrono::seconds(90));
    CHECK(parse_moment("30m", now) == now + std::chrono::minutes(30));
    CHECK(parse_moment("8h", now) == now + std::chrono::hours(8));
    CHECK(parse_moment("7d", now) == now + std::chrono::hours(24 * 7));
    CHECK(parse_moment("2026-11-02T09:00:00Z", now) ==
          from_rfc3339("2026-11-02T09:00:00Z").value());
    for (const auto* bad : {"", "s", "0s", "-1h", "1", "1w", "1 h", "99999999999999999999s",
                            "9999999999d", "2026-11-02"})
        CHECK_MESSAGE(!parse_moment(bad, now), bad);
}
