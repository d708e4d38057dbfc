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
