#include "receiver/program/exec.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "base/json.hpp"
#include "receiver/program/handlers.hpp"
#include "scratch.hpp"

using namespace mission;
using namespace mission::receiver::program;
using namespace std::chrono_literals;

namespace {

exec_result sh(const std::string& script, std::chrono::milliseconds timeout = 10s,
               std::vector<std::string> arguments = {}, std::string input = {}) {
    const exec_gate gate;
    std::vector<std::string> words{"-c", script, "sh"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run({"/bin/sh", std::move(words), child_environment(), std::move(input), timeout}, gate);
}

ms::task some_task() {
    ms::task t;
    t.idempotency_key = "key-1";
    t.why = ms::effect::revoked;
    t.mission_id = "mis_0123456789012345678901";
    t.issuer = "https://t.example";
    t.version = 7;
    t.name = "db";
    t.data = "$(touch /tmp/never) 'x'";
    t.attempt = 2;
    return t;
}

command_config command(const std::string& file, const std::vector<std::string>& arguments) {
    command_config c;
    c.file = file;
    for (const auto& a : arguments)
        c.arguments.push_back(*argument_template::parse(a, task_names()));
    return c;
}

}  // namespace

TEST_CASE("exit 0 acknowledges, every other end does not, and each says what it was") {
    CHECK(outcome_of(sh("echo gone; exit 0")).kind == ms::outcome_kind::acknowledged);
    CHECK(outcome_of(sh("echo gone; exit 0")).evidence == "exit 0: gone");
    const auto refused = outcome_of(sh("echo no >&2; exit 3"));
    CHECK(refused.kind == ms::outcome_kind::failed);
    CHECK(refused.evidence == "exit 3: no");
    const auto signalled = outcome_of(sh("kill -9 $$"));
    CHECK(signalled.kind == ms::outcome_kind::unknown);
    CHECK(signalled.evidence == "ended by signal 9");
    const exec_gate gate;
    const auto missing = outcome_of(run({"/no/such/program", {}, {}, {}, 1s}, gate));
    CHECK(missing.kind == ms::outcome_kind::failed);
    CHECK(missing.evidence.starts_with("not started: /no/such/program"));
}

TEST_CASE("a command that outlives its timeout is killed with its whole group") {
    const scratch dir;
    // The child of the command holds a FIFO open; once the group is dead, the reader sees its end.
    const auto fifo = dir.at("fifo");
    REQUIRE(std::system(("mkfifo " + fifo).c_str()) == 0);
    std::atomic<bool> ended = false;
    std::thread reader([&] {
        std::ifstream in(fifo);
        const std::string all((std::istreambuf_iterator<char>(in)),
                              std::istreambuf_iterator<char>());
        ended = all == "held\n";
    });
    const auto begun = std::chrono::steady_clock::now();
    const auto r = sh("(exec > " + fifo + "; echo held; sleep 300) & sleep 300", 500ms);
    reader.join();
    CHECK(ended.load());
    CHECK(std::chrono::steady_clock::now() - begun < 60s);
    CHECK(r.how == exec_result::kind::timed_out);
    CHECK(outcome_of(r).kind == ms::outcome_kind::timed_out);
    CHECK(r.text == "killed after 500 ms");
}

TEST_CASE("a closing gate ends what runs, and nothing begins any more") {
    exec_gate gate;
    const scratch dir;
    const auto fifo = dir.at("fifo");
    REQUIRE(std::system(("mkfifo " + fifo).c_str()) == 0);
    std::thread closer([&] {
        std::ifstream in(fifo);  // opens once the command runs
        std::string line;
        std::getline(in, line);
        gate.close();
    });
    const auto r =
        run({"/bin/sh", {"-c", "echo up > " + fifo + "; sleep 300"}, child_environment(), {}, 60s},
            gate);
    closer.join();
    CHECK(r.how == exec_result::kind::interrupted);
    CHECK(outcome_of(r).kind == ms::outcome_kind::unknown);
    CHECK(run({"/bin/true", {}, {}, {}, 1s}, gate).how == exec_result::kind::interrupted);
}

TEST_CASE("the tail of the output is kept, on one printable line") {
    const auto r =
        sh("i=0; while [ $i -lt 5000 ]; do echo line-$i; i=$((i+1)); done; "
           "printf 'a\\033[2Jb\\nend'");
    CHECK(r.text.size() <= 1024);
    CHECK(r.text.ends_with("a?[2Jb end"));
    CHECK(r.text.find("line-4999") != std::string::npos);
    CHECK(r.text.find("line-1 ") == std::string::npos);
}

TEST_CASE("a child left behind does not keep a command that has ended") {
    const auto r = sh("sleep 300 & echo $!", 60s);
    CHECK(r.how == exec_result::kind::exited);
    const int left = std::atoi(r.text.c_str());
    REQUIRE(left > 1);
    CHECK(::kill(left, SIGKILL) == 0);  // it was, and still is: not ours to end
}

TEST_CASE("the environment of the program is not the command's") {
    ::setenv("MISSION_RECEIVER_AUTH_TOKEN", "top-secret", 1);
    const auto r = sh("env");
    ::unsetenv("MISSION_RECEIVER_AUTH_TOKEN");
    CHECK(r.text.find("top-secret") == std::string::npos);
    CHECK(r.text.find("PATH=") != std::string::npos);
}

TEST_CASE("no descriptor of the program is inherited") {
    const scratch dir;
    const auto file = dir.write("open", "x");
    std::FILE* inherited = std::fopen(file.c_str(), "r");  // without O_CLOEXEC
    REQUIRE(inherited);
    const auto r = sh("ls -l /proc/self/fd");
    std::fclose(inherited);
    CHECK(r.text.find(file) == std::string::npos);
    CHECK(r.how == exec_result::kind::exited);
}

TEST_CASE("values fill arguments without a shell, one value one argument") {
    const scratch dir;
    const auto script = dir.script("s", "printf '%s|' \"$@\"\n");
    const auto c = command(script, {"--mission={mission_id}", "{data}", "{effect}@{version}",
                                    "{{literal}}", "{name}"});
    const auto request = request_of(c, some_task());
    REQUIRE(request.has_value());
    const exec_gate gate;
    const auto r = run(*request, gate);
    CHECK(r.text ==
          "--mission=mis_0123456789012345678901|$(touch /tmp/never) 'x'|revoked@7|{literal}|db|");
}

TEST_CASE("a task is in the environment and on standard input as well") {
    const scratch dir;
    const auto script =
        dir.script("s",
                   "echo \"$MISSION_ID $MISSION_EFFECT $MISSION_VERSION $MISSION_NAME "
                   "$MISSION_IDEMPOTENCY_KEY $MISSION_ATTEMPT $OWN\"; cat > " +
                       dir.at("stdin") + "\n");
    auto c = command(script, {});
    c.environment["OWN"] = "mine";
    const auto request = request_of(c, some_task());
    REQUIRE(request.has_value());
    const exec_gate gate;
    const auto r = run(*request, gate);
    CHECK(r.text == "mis_0123456789012345678901 revoked 7 db key-1 2 mine");
    const auto given = json::parse(dir.read("stdin"));
    REQUIRE(given.has_value());
    CHECK(json::find_string(*given, "data") == "$(touch /tmp/never) 'x'");
    CHECK(json::find_int(*given, "version") == 7);
}

TEST_CASE("a value with a NUL starts nothing") {
    auto t = some_task();
    t.data = std::string("a\0b", 3);
    CHECK(request_of(command("/bin/true", {}), t).has_error());
    const auto o = exec_handler(command("/bin/true", {}), std::make_shared<exec_gate>())(t);
    CHECK(o.kind == ms::outcome_kind::failed);
}

TEST_CASE("an event's body is on standard input, however large") {
    ms::security_event e;
    e.type = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    e.iss = "https://t.example";
    e.jti = "j-1";
    e.subject = R"({"format":"opaque","id":"s"})";
    e.event = R"({"reason_admin":{"en":")" + std::string(200'000, 'x') + R"("}})";
    const scratch dir;
    command_config c;
    c.file = dir.script("s", "cat > " + dir.at("stdin") + "; echo $MISSION_EVENT_JTI\n");
    const auto o = exec_event_handler(c, std::make_shared<exec_gate>())(e);
    CHECK(o.evidence == "exit 0: j-1");
    const auto given = json::parse(dir.read("stdin"));
    REQUIRE(given.has_value());
    REQUIRE(json::find(*given, "event"));
    CHECK(json::write(*json::find(*given, "event")) == e.event);
    CHECK(json::find_string(*json::find(*given, "sub_id"), "id") == "s");
}
