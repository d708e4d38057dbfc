#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "events/mission_event.hpp"
#include "tests/transmitter/delivery/shell_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using testing::transmitter_fixture;

// What streams are told of changes of scope, in both vocabularies.

namespace {

const std::string ours = std::string(events::event_type_base) + "mission-scope-changed";

std::string stream_for(transmitter_fixture& f, const std::string& client, const std::string& type,
                       std::string_view more = "") {
    const auto a = f.post_json("/ssf/streams",
                               R"({"events_requested":[")" + type + "\"]" + std::string(more) + "}",
                               f.token(client));
    CAPTURE(a.body);
    REQUIRE(a.status == 201);
    return a.text("stream_id");
}

// The event objects that the stream has waiting, oldest first; heartbeats left out. One mission's
// come one at a time, so each is acknowledged.
std::vector<json::document> events_of(transmitter_fixture& f, const std::string& client,
                                      const std::string& stream, const std::string& type,
                                      std::size_t expected) {
    std::vector<json::document> out;
    std::string body = R"({"returnImmediately":false})";
    for (int round = 0; round < 20 && out.size() < expected; ++round) {
        const auto sets = testing::poll(f, client, stream, body);
        body = testing::ack_of(sets);
        for (const auto& s : sets) {
            auto claims = json::parse(s.claims);
            REQUIRE(claims);
            if (const auto* e = json::find(*json::find(*claims, "events"), type)) {
                json::document copy;
                copy.CopyFrom(*e, copy.GetAllocator());
                out.push_back(std::move(copy));
            }
        }
    }
    REQUIRE(out.size() == expected);
    return out;
}

std::string entry(std::string_view resource, std::string_view actions, std::string_view more = "") {
    return R"({"type":"mission_resource_access","resource":")" + std::string(resource) +
           R"(","actions":)" + std::string(actions) + std::string(more) + "}";
}
const std::string cap = R"(,"constraints":{"max_amount":{"amount":"500","currency":"EUR"}})";
const std::string erp = entry("https://erp.example", R"(["invoices.read","invoices.pay"])", cap);
const std::string crm = entry("https://crm.example", R"(["contacts.*"])");
const std::string extra = entry("https://stranger.example", R"(["x"])");

void amend(transmitter_fixture& f, const std::string& id, std::string_view change,
           const std::string& members) {
    const auto a =
        f.post_json("/missions/" + id + "/scope",
                    R"({"change":")" + std::string(change) +
                        R"(","approver":{"iss":"i","sub":"s"},"reason":"r",)" + members + "}",
                    f.token("operator"));
    CAPTURE(a.body);
    REQUIRE(a.status == 200);
}

void allow(config& c) {
    c.issuers.front().in_place_extension = true;
}

}  // namespace

TEST_CASE(
    "each stream is told of a change of scope with its own entries, who is new of the first") {
    transmitter_fixture f(allow);
    const auto for_erp = stream_for(f, "erp", ours);
    const auto for_stranger = stream_for(f, "stranger", ours);
    const auto id = f.create();
    amend(f, id, "narrowed", R"("authorization_details":[)" + erp + "]");
    amend(f, id, "extended", R"("authorization_details":[)" + erp + "," + extra + "]");
    amend(f, id, "extended", R"("expires_at":"2100-01-01T00:00:00Z")");

    const auto seen = events_of(f, "erp", for_erp, ours, 3);
    const char* changes[] = {"narrowed", "extended", "extended"};
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(json::find_string(seen[i], "change") == changes[i]);
        CHECK(json::find_int(seen[i], "version") == static_cast<std::int64_t>(i) + 2);
        CHECK(json::find_string(seen[i], "state") == "active");
        CHECK(json::find_string(seen[i], "prior_state") == "active");
        CHECK(json::write(*json::find(seen[i], "authorization_details")) == "[" + erp + "]");
    }
    CHECK(json::find_bool(seen[1], "authority_changed") == true);
    CHECK_FALSE(json::find(seen[2], "authority_changed"));
    CHECK(json::find_string(seen[2], "expires_at") == "2100-01-01T00:00:00Z");

    const auto news = events_of(f, "stranger", for_stranger, ours, 2);
    CHECK(json::find_int(news[0], "version") == 3);
    CHECK(json::write(*json::find(news[0], "authorization_details")) == "[" + extra + "]");
}

TEST_CASE("lifecycle-change tells a new end to all, a new authority to who understands it") {
    transmitter_fixture f(allow);
    const std::string type(events::lifecycle_change_type);
    const auto plain = stream_for(f, "erp", type);
    const auto aware =
        stream_for(f, "crm", type, R"(,"mission_capabilities_supported":["authority_changed"])");
    const auto id = f.create();
    amend(f, id, "narrowed", R"("expires_at":"2098-01-01T00:00:00Z")");
    amend(f, id, "narrowed", R"("authorization_details":[)" + erp + "]");
    amend(f, id, "extended", R"("expires_at":"2100-01-01T00:00:00Z")");

    const auto all = events_of(f, "crm", aware, type, 4);
    CHECK(json::find_int(all[2], "version") == 3);
    CHECK(json::find_bool(all[2], "authority_changed") == true);
    CHECK_FALSE(json::find(all[2], "authorization_details"));
    const auto some = events_of(f, "erp", plain, type, 3);
    CHECK(json::find_int(some[0], "version") == 1);
    CHECK(json::find_int(some[1], "version") == 2);
    CHECK(json::find_string(some[1], "expires_at") == "2098-01-01T00:00:00Z");
    CHECK(json::find_int(some[2], "version") == 4);
    CHECK(json::find_string(some[2], "expires_at") == "2100-01-01T00:00:00Z");
}

TEST_CASE("a narrowed parent is told of its children too") {
    transmitter_fixture f;
    const auto stream = stream_for(f, "erp", ours);
    const auto parent = f.create();
    auto text = json::parse(transmitter_fixture::mission_body());
    json::add(*text, "parent", parent, text->GetAllocator());
    const auto child =
        f.post_json("/missions", json::write(*text), f.token("operator")).text("mission_id");
    const auto small = entry("https://erp.example", R"(["invoices.read"])", cap);
    amend(f, parent, "narrowed", R"("authorization_details":[)" + small + "]");
    const auto seen = events_of(f, "erp", stream, ours, 2);
    CHECK(json::find_string(*json::find(seen[0], "mission"), "id") == parent);
    CHECK(json::find_string(*json::find(seen[1], "mission"), "id") == child);
    CHECK(json::find_string(*json::find(seen[1], "mission"), "parent") == parent);
    for (const auto& e : seen) {
        CHECK(json::find_string(e, "change") == "narrowed");
        CHECK(json::write(*json::find(e, "authorization_details")) == "[" + small + "]");
    }
}
