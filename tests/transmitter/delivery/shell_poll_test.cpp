#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <map>

#include "shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto at_once = R"({"returnImmediately":true})";

// Without heartbeats and other events of the stream itself.
std::vector<read_set> missions(std::vector<read_set> all) {
    std::erase_if(all, [](const auto& s) { return s.version == 0; });
    return all;
}

// Takes and acknowledges the heartbeat that a new stream is given.
void take_first_heartbeat(transmitter_fixture& f, const std::string& stream) {
    bool beat = false;
    CHECK(transmitter_fixture::eventually([&] {
        const auto got = poll(f, "erp", stream, at_once);
        for (const auto& s : got)
            beat = beat || s.heartbeat();
        poll(f, "erp", stream, ack_of(got, R"("maxEvents":0)"));
        return beat;
    }));
}

}  // namespace

TEST_CASE("a long poll is answered at the commit, not at its end") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    take_first_heartbeat(f, stream);
    const auto start = std::chrono::steady_clock::now();
    auto waiting = std::async(std::launch::async, [&] { return poll(f, "erp", stream, "{}"); });
    CHECK(waiting.wait_for(100ms) == std::future_status::timeout);
    commit(f, 1, 1);
    const auto got = waiting.get();
    CHECK(std::chrono::steady_clock::now() - start < 15s);
    REQUIRE(got.size() == 1);
    CHECK(got[0].mission_id == committed_mission(1));
}

TEST_CASE("sweeps see how far the streams at work are behind, and none that takes nothing") {
    transmitter_fixture f;
    const auto& delivery = f.running().delivery_of(0);
    const auto stream = make_poll_stream(f, "erp");
    make_poll_stream(f, "crm");  // never polled
    take_first_heartbeat(f, stream);
    CHECK(delivery.healthy_lag() == 0ms);
    commit(f, 1, 1);
    const auto got = heard(f, "erp", stream);
    REQUIRE(got.size() == 1);
    CHECK(transmitter_fixture::eventually([&] { return delivery.healthy_lag() > 0ms; }));
    poll(f, "erp", stream, ack_of(got, R"("maxEvents":0)"));
    // What waits for the other one counts for nothing.
    CHECK(transmitter_fixture::eventually([&] { return delivery.healthy_lag() == 0ms; }));
    const auto reports = delivery.reports();
    CHECK(std::count_if(reports.begin(), reports.end(),
                        [](const auto& r) { return r.lag_signals > 0; }) == 1);
}

TEST_CASE("a waiting poll is answered with the heartbeat when it is due") {
    transmitter_fixture f([](config& c) { c.ssf.heartbeat = 300ms; });
    const auto stream = make_poll_stream(f, "erp");
    take_first_heartbeat(f, stream);
    const auto got = poll(f, "erp", stream, "{}");
    REQUIRE(got.size() == 1);
    CHECK(got[0].heartbeat());
    CHECK(got[0].continuity == 0);
}

TEST_CASE("an unacknowledged SET comes again after the redelivery delay, the same") {
    transmitter_fixture f([](config& c) { c.ssf.redelivery = 200ms; });
    const auto stream = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    const auto first = missions(heard(f, "erp", stream));
    REQUIRE(first.size() == 1);
    std::vector<read_set> again;
    CHECK(transmitter_fixture::eventually([&] {
        again = missions(heard(f, "erp", stream));
        return !again.empty();
    }));
    REQUIRE(again.size() == 1);
    CHECK(again[0].claims == first[0].claims);
    poll(f, "erp", stream, ack_of(again, R"("maxEvents":0)"));
    CHECK(f.running().delivery_of(0).reports().front().lag_signals == 0);
}

TEST_CASE("after a restart what was not acknowledged comes with the same jti and claims (I4)") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) { c.store_url = "sqlite:" + folder.path() + "/t.db"; });
    const auto stream = make_poll_stream(f, "erp");
    for (int n = 1; n <= 5; ++n)
        commit(f, n, 1);
    // The writer answers before it tells delivery: the last ones may come with the next answer.
    std::vector<read_set> first;
    CHECK(transmitter_fixture::eventually([&] {
        const auto some = missions(poll(f, "erp", stream, at_once));
        first.insert(first.end(), some.begin(), some.end());
        return first.size() >= 5;
    }));
    REQUIRE(first.size() == 5);
    // The third is acknowledged ahead of the others.
    poll(f, "erp", stream, ack_of({first[2]}, R"("maxEvents":0)"));
    commit(f, 1, 2);  // the mission goes on
    f.restart();
    std::map<std::string, std::string> before;
    for (const auto& s : first)
        before[s.jti] = s.claims;
    const auto again = missions(heard(f, "erp", stream));
    CHECK(again.size() == 4);
    for (const auto& s : again) {
        CHECK(s.jti != first[2].jti);
        CHECK(before[s.jti] == s.claims);
    }
    // An ack of before the restart still names its SET.
    poll(f, "erp", stream, ack_of(first, R"("maxEvents":0)"));
    const auto rest = missions(poll(f, "erp", stream, at_once));
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].version == 2);
}

TEST_CASE("nothing of before its creation is delivered to a stream") {
    transmitter_fixture f;
    commit(f, 1, 1);
    const auto stream = make_poll_stream(f, "erp");
    commit(f, 1, 2);
    const auto got = missions(heard(f, "erp", stream));
    REQUIRE(got.size() == 1);
    CHECK(got[0].version == 2);
}

TEST_CASE("who may not know of a mission is not sent its events") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "stranger");
    const auto known = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    CHECK(missions(heard(f, "erp", known)).size() == 1);
    CHECK(missions(poll(f, "stranger", stream, at_once)).empty());
}

TEST_CASE("a poll answer stays below a megabyte, and says that there is more") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    for (int n = 1; n <= 1000; ++n)
        commit(f, n, 1);
    const auto a = f.post_json("/ssf/poll/" + stream,
                               R"({"maxEvents":1000,"returnImmediately":true})", f.token("erp"));
    CHECK(a.status == 200);
    CHECK(a.body.size() < limits::json_bytes);
    CHECK(json::find_bool(a.json, "moreAvailable") == true);
    // What was cut off is had at once, not after the redelivery delay.
    CHECK(transmitter_fixture::eventually(
        [&] { return !missions(poll(f, "erp", stream, at_once)).empty(); }));
}

TEST_CASE("the largest authority there may be still makes a SET that a receiver takes") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    const auto authority_of = [](std::size_t octets, const std::string& actions) {
        std::string out = R"("authorization_details":[)", entry, long_ones;
        for (int n = 10; n < 24; ++n)
            long_ones += (n > 10 ? ",\"" : "\"") + std::string(200, 'x') + std::to_string(n) + "\"";
        while (out.size() + entry.size() < octets) {
            entry = R"({"type":"mission_resource_access","resource":"https://erp.example",)"
                    R"("actions":[)" +
                    actions + long_ones + "]}";
            out += (out.back() == '[' ? "" : ",") + entry;
        }
        return out + "]";
    };
    const auto create = [&](const std::string& authority) {
        auto body = transmitter_fixture::mission_body();
        body.replace(body.find("\"authorization_details\""), std::string::npos, authority + "}");
        return f.post_json("/missions", body, f.token("operator"));
    };
    constexpr auto most = limits::authorization_details_bytes;
    CHECK(create(authority_of(most + 5000, "\"a\",")).status == 400);
    const auto made = create(authority_of(most - 4000, "\"a\","));
    REQUIRE(made.status == 201);
    const auto narrowed = f.post_json(
        "/missions/" + made.text("mission_id") + "/scope",
        R"({"change":"narrowed","approver":{"iss":"https://idp","sub":"alice"},"reason":"less",)" +
            authority_of(most - 8000, "") + "}",
        f.token("operator"));
    CAPTURE(narrowed.body.substr(0, 300));
    REQUIRE(narrowed.status == 200);
    REQUIRE(missions(heard(f, "erp", stream)).size() == 1);  // version 1; it stays unacknowledged
    std::size_t longest = 0;
    CHECK(transmitter_fixture::eventually([&] {
        const auto a = f.post_json("/ssf/poll/" + stream, at_once, f.token("erp"));
        std::string acks;
        for (const auto& one : a.json["sets"].GetObject()) {
            longest = std::max<std::size_t>(longest, one.value.GetStringLength());
            acks += (acks.empty() ? "\"" : ",\"") + std::string(json::view(one.name)) + "\"";
        }
        f.post_json("/ssf/poll/" + stream, R"({"maxEvents":0,"ack":[)" + acks + "]}",
                    f.token("erp"));
        return longest > most;
    }));
    CHECK(longest < limits::token_bytes);
}

TEST_CASE("signals that do not fit the window wait in the log and arrive in their order") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    const int all = static_cast<int>(limits::stream_window) + 700;
    for (int n = 1; n <= all; ++n)
        commit(f, n, 1);
    std::string body = R"({"maxEvents":1000})";
    int seen = 0;
    while (seen < all) {
        const auto got = poll(f, "erp", stream, body);
        for (const auto& s : missions(got)) {
            REQUIRE(s.mission_id == committed_mission(++seen));
        }
        body = ack_of(got, R"("maxEvents":1000)");
    }
    CHECK(seen == all);
}

TEST_CASE("a hold that is overrun raises continuity and tells so before the next heartbeat (I3)") {
    transmitter_fixture f([](config& c) {
        c.ssf.hold_signals = 10;
        c.ssf.heartbeat = 100ms;
        c.ssf.redelivery = 50ms;
    });
    const auto stream = make_poll_stream(f, "erp");
    for (int n = 1; n <= 40; ++n)
        commit(f, n, 1);
    // The limits are looked at every few seconds.
    REQUIRE(transmitter_fixture::eventually(
        [&] { return f.running().delivery_of(0).reports().front().config.continuity == 1; }));
    bool told = false, beat = false;
    CHECK(transmitter_fixture::eventually([&] {
        const auto got = poll(f, "erp", stream, "{}");
        for (const auto& s : got) {
            told = told || s.type == events::stream_updated_type;
            if (s.continuity == 1) {
                CHECK(told);
                beat = true;
            }
        }
        poll(f, "erp", stream, ack_of(got, R"("maxEvents":0)"));
        return beat;
    }));
}

TEST_CASE("acked_versions says who has heard of which version") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    make_poll_stream(f, "stranger");
    const auto id = f.create();
    REQUIRE(f.lifecycle("operator", id, "suspend").status == 200);
    const auto versions = [&] {
        const auto a = f.get("/missions/" + id, f.token("operator"));
        REQUIRE(a.status == 200);
        return a.body;
    };
    CHECK(versions().find(stream) != std::string::npos);
    const auto got = poll(f, "erp", stream, "{}");
    poll(f, "erp", stream, ack_of(got, R"("maxEvents":0)"));
    std::optional<store::mission> m;
    const auto issuer = f.running().db().add_issuer(f.issuer()).value();
    CHECK(f.running()
              .db()
              .read_now([&](const store::rows& r) { m = r.find_mission(issuer, id); })
              .has_value());
    REQUIRE(m);
    std::promise<std::vector<delivery::acked_version>> promise;
    f.running().delivery_of(0).acked_versions(
        *m, [&](result<std::vector<delivery::acked_version>> r) { promise.set_value(r.value()); });
    const auto acked = promise.get_future().get();
    REQUIRE(acked.size() == 1);
    CHECK(acked[0].stream_id == stream);
    CHECK(acked[0].version == 1);  // version 2 waits for the ack of 1
}
