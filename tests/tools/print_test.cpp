#include "tools/missionctl/print.hpp"

#include <doctest/doctest.h>

using namespace mission;
using namespace mission::tools;

TEST_CASE("columns are as wide as their longest cell, counted in characters") {
    CHECK(table({"A", "B"}, {{"x", "1"}, {"größer", "2"}, {"y"}}) ==
          "A       B\n"
          "x       1\n"
          "größer  2\n"
          "y\n");
}

TEST_CASE("text of others cannot move the cursor") {
    const auto d = json::parse(R"({"reason":"done\u001b[2Jnow\nnew line"})").value();
    CHECK(cell(d, "reason") == "done?[2Jnow?new line");
    const auto c1 = json::parse(R"({"reason":"a\u009b2Jb\u0085c\u00e9"})").value();
    CHECK(cell(c1, "reason") == "a?2Jb?c\u00e9");
}

TEST_CASE("a mission shows which listener has heard of its version and which has not") {
    const auto d = json::parse(R"({"mission_id":"m1","state":"revoked","version":3,
        "agent":{"client_id":"finance-agent"},
        "approver":{"iss":"https://idp.example","sub":"anna"},
        "authorization_details":[{"type":"mission_resource_access","resource":"https://erp",
                                  "actions":["a.read","a.write"]}],
        "streams":[{"stream_id":"s1","client_id":"erp","acked_version":3},
                   {"stream_id":"s2","client_id":"pam","acked_version":2},
                   {"stream_id":"s3","client_id":"new","acked_version":0}]})")
                       .value();
    const std::string text = print_mission(d);
    CHECK(text.find("anna at https://idp.example") != std::string::npos);
    CHECK(text.find("https://erp  a.read, a.write") != std::string::npos);
    CHECK(text.find("erp       s1      3             yes") != std::string::npos);
    CHECK(text.find("pam       s2      2             not yet") != std::string::npos);
    CHECK(text.find("new       s3      -             not yet") != std::string::npos);
}

TEST_CASE("of a mission that has ended it is shown who has stopped and who has told nothing") {
    const auto with = [](const std::string& crm, const std::string& pam) {
        return json::parse(R"({"mission_id":"m1","state":"revoked","version":3,
        "streams":[{"stream_id":"s1","client_id":"erp","acked_version":3,"teardown":"complete"},
                   {"stream_id":"s2","client_id":"crm","acked_version":3,"teardown":")" +
                           crm +
                           R"("},
                   {"stream_id":"s3","client_id":"pam","acked_version":2,"teardown":")" +
                           pam +
                           R"("}],
        "teardown":[{"client_id":"crm","at":"2026-11-02T09:00:02Z","status":")" +
                           crm +
                           R"(","verified":true,"detail":{"version":3,"complete":false,"total":3,
                     "acknowledged":1,"released":1,"unconfirmed":1,"tasks":[
                       {"handler":"drop","name":"role-1","outcome":"acknowledged","attempts":1},
                       {"handler":"drop","name":"role-7","outcome":"timed_out","attempts":4,
                        "evidence":"no answer"}]}},
                    {"client_id":"erp","at":"2026-11-02T09:00:01Z","status":"complete",
                     "verified":false,"detail":{"version":3,"complete":true,"total":2,
                     "acknowledged":2,"released":0,"unconfirmed":0,"tasks":[]}}]})")
            .value();
    };
    const auto text = print_mission(with("incomplete", "not_reported"));
    for (const char* line :
         {"erp       s1      3             yes        complete (2 of 2 confirmed)",
          "crm       s2      3             yes        incomplete (2 of 3 confirmed)",
          "pam       s3      2             not yet    not reported",
          "crm: drop role-7: timed_out after 4 tries, no answer",
          "stopped: 1 of 3; incomplete: crm; no word: pam"})
        CHECK_MESSAGE(text.find(line) != std::string::npos, line, "\n", text);
    // What is confirmed is nobody's worry.
    CHECK(text.find("role-1") == std::string::npos);
    CHECK(print_mission(with("complete", "complete")).find("everybody has stopped") !=
          std::string::npos);
}

TEST_CASE("a list names the cursor with which it goes on") {
    const auto d = json::parse(
                       R"({"missions":[{"mission_id":"m1","state":"active","version":1,
            "agent":{"client_id":"a"},"purpose":"p"}],"next_cursor":"c9"})")
                       .value();
    const std::string text = print_mission_list(d);
    CHECK(text.find("m1") != std::string::npos);
    CHECK(text.find("more: --cursor c9") != std::string::npos);
}

TEST_CASE("an answer of another form than expected is shown as empty, not as a crash") {
    const auto d = json::parse(R"({"missions":5,"streams":"x"})").value();
    CHECK(print_mission_list(d) == "no missions\n");
    CHECK(print_stream_list(d) == "no streams\n");
    const auto number = json::parse("7").value();
    CHECK(print_mission_list(number) == "no missions\n");
    print_mission(number);
    print_status(number);
    print_stream(number);
}
