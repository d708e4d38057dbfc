#include <doctest/doctest.h>

#include "receiver/program/log.hpp"
#include "receiver/program/stream_calls.hpp"
#include "receiver/program/template.hpp"
#include "receiver/program/views.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::program;

namespace {

invocation typed(std::vector<std::string> words) {
    words.insert(words.end(), {"--config", "c.toml"});
    auto out = parse_command_line(words);
    if (const auto* u = std::get_if<usage>(&out)) FAIL(u->text);
    return std::get<invocation>(out);
}

int refused(const std::vector<std::string>& words) {
    const auto out = parse_command_line(words);
    const auto* u = std::get_if<usage>(&out);
    return u ? u->status : -1;
}

stream_call call(std::vector<std::string> words, const ms::options& o = {},
                 std::string_view body = {}) {
    const auto what = typed(std::move(words));
    const auto c = plan_call(what, o, names_a_stream(what.what) ? "s-1" : "", body, "random");
    if (!c) FAIL(c.error().detail);
    return *c;
}

const std::string ours = "https://t.example";

error problem(std::vector<std::string> words, const ms::options& o = {}) {
    const auto c = plan_call(typed(std::move(words)), o, "s-1", {}, "random");
    REQUIRE(!c);
    return c.error();
}

ms::options configured() {
    ms::options o;
    o.description = "ours";
    o.events = {"urn:a"};
    return o;
}

}  // namespace

TEST_CASE("create sends what is configured, and nothing that is the transmitter's to say") {
    const auto c = call({"stream", "create"}, configured());
    CHECK(c.method == "POST");
    CHECK(c.where == endpoint::configuration);
    CHECK(
        c.body ==
        R"({"delivery":{"method":"urn:ietf:rfc:8936"},"events_requested":["urn:a"],"description":"ours"})");
}

TEST_CASE("what is typed goes before what is configured") {
    CHECK(
        call({"stream", "create", "--delivery", "push", "--endpoint-url", "https://r.example/e",
              "--events", "session-revoked,urn:b", "--description", "d"},
             configured())
            .body ==
        R"({"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://r.example/e"},)"
        R"("events_requested":["https://schemas.openid.net/secevent/caep/event-type/session-revoked","urn:b"],)"
        R"("description":"d"})");
}

TEST_CASE("the authorization header of the configuration goes with a push stream") {
    auto o = configured();
    o.push_authorization_header = "Bearer p";
    const auto c = call({"stream", "replace", "--endpoint-url", "https://r.example/e"}, o);
    CHECK(c.method == "PUT");
    CHECK(c.body.find(R"("authorization_header":"Bearer p")") != std::string::npos);
    CHECK(c.body.find(R"("stream_id":"s-1")") != std::string::npos);
}

TEST_CASE("update sends what was typed and nothing else") {
    CHECK(call({"stream", "update", "--description", ""}, configured()).body ==
          R"({"stream_id":"s-1","description":""})");
    CHECK(call({"stream", "update", "--events", "urn:b"}, configured()).body ==
          R"({"stream_id":"s-1","events_requested":["urn:b"]})");
    CHECK(call({"stream", "update"}, configured()).method == "PATCH");
}

TEST_CASE("a body from a file is sent as it is, with the stream's id where it lacks one") {
    CHECK(call({"stream", "update", "--json-body", "-"}, {}, R"({"description":5})").body ==
          R"({"description":5,"stream_id":"s-1"})");
    CHECK(call({"stream", "update", "--json-body", "-"}, {}, R"({"stream_id":"x"})").body ==
          R"({"stream_id":"x"})");
    // Rubbish too: to see what the other side says to it.
    CHECK(call({"stream", "create", "--json-body", "-"}, {}, "{broken").body == "{broken");
}

TEST_CASE("the id is encoded in a query") {
    const auto what = typed({"stream", "get"});
    CHECK(plan_call(what, {}, "a&b=c", {}, {})->query == "stream_id=a%26b%3Dc");
    CHECK(call({"stream", "delete"}).method == "DELETE");
    CHECK(call({"stream", "list"}).query.empty());
}

TEST_CASE("status is read, or set with a reason") {
    CHECK(call({"stream", "status"}).method == "GET");
    CHECK(call({"stream", "status"}).query == "stream_id=s-1");
    const auto c = call({"stream", "status", "--set", "paused", "--reason", "night"});
    CHECK(c.method == "POST");
    CHECK(c.query.empty());
    CHECK(c.body == R"({"stream_id":"s-1","status":"paused","reason":"night"})");
    CHECK(refused({"stream", "status", "--set", "asleep", "--config", "c"}) == 2);
    CHECK(refused({"stream", "status", "--reason", "r", "--config", "c"}) == 2);
}

TEST_CASE("a verification carries a random state unless another or none is typed") {
    CHECK(call({"stream", "verify"}).body == R"({"stream_id":"s-1","state":"random"})");
    CHECK(call({"stream", "verify", "--state", "x"}).body == R"({"stream_id":"s-1","state":"x"})");
    CHECK(call({"stream", "verify", "--no-state"}).body == R"({"stream_id":"s-1"})");
}

TEST_CASE("a poll acknowledges and refuses by jti") {
    CHECK(call({"stream", "poll"}).body == "{}");
    const auto c = call({"stream", "poll", "--max-events", "0", "--return-immediately", "--ack",
                         "j-1", "--ack", "j-2", "--set-err", "j-3:invalid_key:no such key: k"});
    CHECK(c.poll);
    CHECK(c.body == R"({"maxEvents":0,"returnImmediately":true,"ack":["j-1","j-2"],)"
                    R"("setErrs":{"j-3":{"err":"invalid_key","description":"no such key: k"}}})");
    CHECK(problem({"stream", "poll", "--set-err", "j-3"}).code == errc::invalid_argument);
    CHECK(problem({"stream", "poll", "--set-err", ":x"}).code == errc::invalid_argument);
}

TEST_CASE("a subject is JSON text, or a mission by its id") {
    const auto c = call(
        {"stream", "add-subject", R"({"format":"email","email":"a@b"})", "--verified", "false"});
    CHECK(c.where == endpoint::add_subject);
    CHECK(c.body ==
          R"({"stream_id":"s-1","subject":{"format":"email","email":"a@b"},"verified":false})");
    CHECK(call({"stream", "remove-subject", "--mission", "m-1"}).body ==
          R"({"stream_id":"s-1","subject":{"format":"opaque","id":"m-1"}})");
    CHECK(problem({"stream", "add-subject", "{nonsense"}).code == errc::invalid_argument);
    CHECK(refused({"stream", "add-subject", "--config", "c"}) == 2);
}

TEST_CASE("push without an address is refused before anybody is asked") {
    CHECK(problem({"stream", "replace", "--delivery", "push"}).detail.find("--endpoint-url") !=
          std::string::npos);
    CHECK(problem({"stream", "update", "--delivery", "poll", "--endpoint-url", "https://x"}).code ==
          errc::invalid_argument);
}

TEST_CASE("the only stream is found, several are not guessed at") {
    CHECK(only_stream(R"([{"stream_id":"a"}])").value() == "a");
    CHECK(only_stream(R"({"stream_id":"a"})").value() == "a");
    CHECK(only_stream("[]").error().code == errc::invalid_argument);
    CHECK(only_stream(R"([{"stream_id":"a"},{"stream_id":"b"}])").error().detail.find("a b") !=
          std::string::npos);
    CHECK(only_stream("<html>").error().code == errc::bad_response);
}

TEST_CASE("usage is status 2, help and version are status 0") {
    CHECK(refused({}) == 2);
    CHECK(refused({"run"}) == 2);  // without --config
    CHECK(refused({"fly", "--config", "c"}) == 2);
    CHECK(refused({"stream", "--config", "c"}) == 2);
    CHECK(refused({"--help"}) == 0);
    CHECK(refused({"--version"}) == 0);
    CHECK(typed({"check-config"}).what == verb::check_config);
    CHECK(typed({"hold", "m", "n", "--pid", "77"}).pid == 77);
    CHECK(refused({"hold", "m", "n", "--pid", "1", "--config", "c"}) == 2);
}

TEST_CASE("ids that begin with a hyphen are no flags") {
    const std::string id = "-iimiLEiix0_Xm8HnL40L8SC";
    CHECK(typed({"check", id}).mission_id == id);
    CHECK(typed({"tasks", "retry", "-" + id}).key == "-" + id);
    CHECK(typed({"stream", "get", "--stream-id", id}).stream_id == id);
    const auto poll = typed({"stream", "poll", "--ack", id, "--set-err", id + ":invalid_key"});
    CHECK(poll.acks == std::vector<std::string>{id});
    CHECK(poll.errors == std::vector<std::string>{id + ":invalid_key"});
    CHECK(refused({"check", "--no-such-flag", "--config", "c"}) == 2);
}

TEST_CASE("a template knows its names and pairs its braces") {
    const auto parse = [](std::string_view text) {
        return argument_template::parse(text, task_names());
    };
    CHECK(parse("a{name}b")->fill({{"name", "{data}"}, {"data", "no"}}).value() == "a{data}b");
    CHECK(parse("{{}}")->fill({}).value() == "{}");
    CHECK(parse("{name}")->fill({}).value().empty());
    CHECK(parse("{nonsense}").has_error());
    CHECK(parse("{name").has_error());
    CHECK(parse("name}").has_error());
    CHECK(parse("{name}")->fill({{"name", std::string("\0", 1)}}).has_error());
}

TEST_CASE("a log line is one line of valid JSON whatever is in it") {
    const std::string hostile = "a\nb\x01\"\\\xff\xc3\x28\xed\xa0\x80";
    const auto line = log_line(wall_time{}, ms::log_level::warning, hostile,
                               {{"field", std::string(10'000, 'x')}, {"hostile", hostile}});
    CHECK(line.find('\n') == std::string::npos);
    const auto parsed = json::parse(line);
    REQUIRE(parsed.has_value());
    CHECK(json::find_string(*parsed, "level") == "warning");
    CHECK(json::find_string(*parsed, "time") == "1970-01-01T00:00:00Z");
    CHECK(json::find_string(*parsed, "message") ==
          "a\nb\x01\"\\?"
          "?("
          "???");
    CHECK(json::find_string(*parsed, "field")->size() < 3000);
}

TEST_CASE("each configuration of an answer has to name the transmitter's issuer") {
    const std::string own = R"({"stream_id":"a","iss":"https://t.example"})";
    const std::string other = R"({"stream_id":"b","iss":"https://evil.example"})";
    CHECK(check_issuer(own, ours, false).has_value());
    CHECK(check_issuer("[]", ours, false).has_value());
    CHECK(check_issuer("[" + own + "," + own + "]", ours, false).has_value());
    CHECK(check_issuer("", ours, false).has_value());  // a deletion's
    CHECK(check_issuer(other, ours, false).error() == errc::wrong_issuer);
    CHECK_FALSE(check_issuer("[" + own + "," + other + "]", ours, false).has_value());
    CHECK_FALSE(check_issuer(R"({"stream_id":"a"})", ours, false).has_value());
    CHECK_FALSE(check_issuer(own, ours + "/", false).has_value());
    CHECK(check_issuer(own, ours + "/", true).has_value());
}

TEST_CASE("what a peer says does not move the cursor") {
    CHECK(pretty("<html>\x1b[2J") == "<html>?[2J");
    const auto rows = json::parse(R"([{"a":"x\u001b\n","b":12},{"a":null}])");
    CHECK(table(*rows, {"a", "b"}) == "a    b\nx?   12\n\n");
}
