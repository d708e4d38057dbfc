#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

namespace {

using sets = std::vector<read_set>;

std::size_t versions(const sets& all) {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](const auto& s) { return s.version > 0; }));
}

std::function<bool(const sets&)> at_least(std::size_t n) {
    return [n](const sets& all) { return versions(all) >= n; };
}

net::http_response refusal(std::string_view code) {
    return push_receiver::reply(
        400, R"({"err":")" + std::string(code) + R"(","description":"the receiver's words"})");
}

stream_report report_of(transmitter_fixture& f) {
    const auto all = f.running().delivery_of(0).reports();
    REQUIRE(all.size() == 1);
    return all.front();
}

}  // namespace

TEST_CASE("a commit is pushed at once, signed, with the authorization header verbatim") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) { receiver.trusted_by(c, folder.path()); });
    make_push_stream(f, "erp", receiver, "Bearer the receiver's own");
    commit(f, 1, 1);
    REQUIRE(receiver.wait(at_least(1)));
    CHECK(receiver.last_authorization() == "Bearer the receiver's own");
    CHECK(transmitter_fixture::eventually([&] { return report_of(f).lag_signals == 0; }));
    CHECK(report_of(f).delivered >= 1);
}

TEST_CASE("a broken relation holds the stream, and what was held arrives once it is mended") {
    for (const int fault : {401, 403, 404, 429, 500, 503, 302, 4001, 0}) {
        CAPTURE(fault);
        push_receiver receiver;
        temporary_folder folder;
        transmitter_fixture f([&](config& c) {
            receiver.trusted_by(c, folder.path());
            c.push.timeout = 300ms;
        });
        auto broken = std::make_shared<std::atomic<bool>>(true);
        receiver.answer_with([=](const read_set&) -> std::optional<net::http_response> {
            if (!*broken) return push_receiver::reply(202);
            if (fault == 0) return std::nullopt;  // hangs
            if (fault == 4001) return refusal("invalid_key");
            return push_receiver::reply(fault);
        });
        make_push_stream(f, "erp", receiver);
        commit(f, 1, 1);
        commit(f, 1, 2);
        CHECK(transmitter_fixture::eventually([&] { return report_of(f).held; }));
        CHECK_FALSE(report_of(f).held_reason.empty());
        *broken = false;
        REQUIRE(receiver.wait([](const sets& all) {
            return std::any_of(all.begin(), all.end(),
                               [](const auto& s) { return s.version == 2; });
        }));
        CHECK(transmitter_fixture::eventually(
            [&] { return !report_of(f).held && report_of(f).lag_signals == 0; }));
        CHECK(report_of(f).dead == 0);
        CHECK(report_of(f).config.continuity == 0);
    }
}

TEST_CASE("a SET refused for good is a dead letter, and the receiver is told of the gap") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.ssf.max_stale = 1s;
        c.ssf.heartbeat = 200ms;
    });
    receiver.answer_with([](const read_set& s) -> std::optional<net::http_response> {
        if (s.mission_id == committed_mission(1)) return refusal("invalid_request");
        return push_receiver::reply(202);
    });
    make_push_stream(f, "erp", receiver);
    commit(f, 1, 1);
    commit(f, 2, 1);
    REQUIRE(receiver.wait([](const sets& all) {
        return std::any_of(all.begin(), all.end(),
                           [](const auto& s) { return s.heartbeat() && s.continuity == 1; });
    }));
    const auto all = receiver.received();
    CHECK(std::count_if(all.begin(), all.end(), [](const auto& s) {
              return s.mission_id == committed_mission(1);
          }) == limits::dead_letter_tries);
    const auto updated = std::find_if(all.begin(), all.end(), [](const auto& s) {
        return s.type == events::stream_updated_type;
    });
    const auto raised =
        std::find_if(all.begin(), all.end(), [](const auto& s) { return s.continuity == 1; });
    CHECK(updated < raised);
    CHECK(report_of(f).dead == 1);
}

TEST_CASE("one hanging receiver delays nobody else (I6)") {
    push_receiver hangs, healthy;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        hangs.trusted_by(c, folder.path());
        healthy.trusted_by(c, folder.path());
    });
    hangs.answer_with([](const read_set&) { return std::nullopt; });
    make_push_stream(f, "erp", hangs);
    make_push_stream(f, "erp", healthy);
    const auto other = make_poll_stream(f, "crm");
    for (int n = 1; n <= 50; ++n)
        commit(f, n, 1);
    CHECK(healthy.wait(at_least(50)));
    const auto polled = poll(f, "crm", other, R"({"returnImmediately":true})");
    CHECK(versions(polled) == 50);
    CHECK(hangs.received().size() <= 16);
}

TEST_CASE("3,000 signals reach three streams, the versions of each mission in order (I5)") {
    push_receiver one, two;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        one.trusted_by(c, folder.path());
        two.trusted_by(c, folder.path());
    });
    make_push_stream(f, "erp", one);
    make_push_stream(f, "crm", two);
    const auto polled = make_poll_stream(f, "erp");
    for (std::int64_t version = 1; version <= 10; ++version) {
        for (int n = 1; n <= 300; ++n)
            commit(f, n, version);
    }
    std::map<std::string, std::int64_t> last;
    std::string body = "{}";
    for (std::size_t seen = 0; seen < 3000;) {
        const auto sets_now = poll(f, "erp", polled, body);
        for (const auto& s : sets_now) {
            if (s.version == 0) continue;
            ++seen;
            CHECK(s.version == ++last[s.mission_id]);
        }
        body = ack_of(sets_now);
    }
    for (auto* r : {&one, &two}) {
        REQUIRE(r->wait(at_least(3000)));
        std::map<std::string, std::int64_t> order;
        for (const auto& s : r->received()) {
            if (s.version > 0) CHECK(s.version == ++order[s.mission_id]);
        }
        CHECK(order.size() == 300);
    }
}

TEST_CASE("a heartbeat's as_of never covers a signal that is not settled") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.ssf.heartbeat = 50ms;
    });
    make_push_stream(f, "erp", receiver);
    int n = 0;
    const auto beats = [&] {
        const auto all = receiver.received();
        return std::count_if(all.begin(), all.end(), [](const auto& s) { return s.heartbeat(); });
    };
    while (beats() < 20 && n < 20'000) {
        commit(f, ++n, 1);
        // Never caught up, never far behind: heartbeats and signals race.
        REQUIRE(receiver.wait(at_least(static_cast<std::size_t>(std::max(n - 10, 0)))));
    }
    REQUIRE(receiver.wait(at_least(static_cast<std::size_t>(n))));
    const auto all = receiver.received();
    std::set<std::string> before;
    std::map<std::string, wall_time> committed;
    for (const auto& s : all) {
        if (s.version > 0) committed[s.mission_id] = from_rfc3339(s.committed_at).value();
    }
    std::size_t checked = 0;
    for (const auto& s : all) {
        if (s.version > 0) before.insert(s.mission_id);
        if (!s.heartbeat()) continue;
        ++checked;
        const auto as_of = from_rfc3339(s.as_of).value();
        for (const auto& [id, at] : committed) {
            if (at <= as_of) CHECK(before.count(id) == 1);
        }
    }
    CHECK(checked >= 20);
}

TEST_CASE("a requested verification reaches a push stream with its state") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) { receiver.trusted_by(c, folder.path()); });
    const auto id = make_push_stream(f, "erp", receiver);
    const auto a = f.post_json("/ssf/verify", R"({"stream_id":")" + id + R"(","state":"xyz"})",
                               f.token("erp"));
    CHECK(a.status == 204);
    CHECK(receiver.wait([](const sets& all) {
        return std::any_of(all.begin(), all.end(), [](const auto& s) { return s.state == "xyz"; });
    }));
}
