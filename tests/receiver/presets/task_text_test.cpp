#include "tests/receiver/presets/sample.hpp"

using namespace mission_signals;

TEST_CASE("a template's names stand for the task's values") {
    auto t = task_of("secret");
    t.attempt = 3;
    CHECK(task_text("{mission_id}|{issuer}|{effect}|{version}|{name}|{data}|{idempotency_key}|"
                    "{attempt}")
              .fill(t) ==
          "mission-0123456789abcdef01|https://t.example|revoked|7|db|secret|key-1|3");
    CHECK(task_text("{{{name}}}").fill(t) == "{db}");
    CHECK(task_text("plain").fixed());
    CHECK_FALSE(task_text("a{name}").fixed());
    CHECK(task_text("a{name}").fixed_start() == "a");
    CHECK(task_text("{name}a").fixed_start().empty());
}

TEST_CASE("a member of the held data is a value when it is one") {
    const auto t =
        task_of(R"({"role":"agent_1","port":5432,"on":true,"in":{"side":"x"},"no":null})");
    CHECK(task_text("{data.role}:{data.port}:{data.on}:{data.in.side}").fill(t) ==
          "agent_1:5432:true:x");
    for (const auto* name : {"{data.other}", "{data.in}", "{data.no}", "{data.role.deeper}"})
        CHECK_THROWS_AS((void)task_text(name).fill(t), unfit_value);
    CHECK_THROWS_AS((void)task_text("{data.role}").fill(task_of("agent_1")), unfit_value);
    CHECK_THROWS_AS((void)task_text("{data.role}").fill(task_of("[1]")), unfit_value);
}

TEST_CASE("what a value holds is not read as a template") {
    CHECK(task_text("<{data}>").fill(task_of("{name}{{")) == "<{name}{{>");
}

TEST_CASE("an unknown name or a lone brace is refused when the template is read") {
    for (const auto* text : {"{nobody}", "{", "}", "{name", "name}", "{}", "{data.}", "{data..a}",
                             "{data.a.}", "{ name}", "{++data}"})
        CHECK_THROWS_AS((void)task_text(text), setup_error);
}
