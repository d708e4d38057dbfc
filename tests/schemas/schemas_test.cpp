#include "schemas/schemas.hpp"

#include <doctest/doctest.h>
#include <rapidjson/internal/regex.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "../events/sample.hpp"
#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"

using namespace mission;
using namespace mission::events;

namespace {

json::document vectors_of(std::string_view schema) {
    std::ifstream file(std::string(MISSION_SCHEMA_VECTORS "/") + std::string(schema) + ".json");
    REQUIRE_MESSAGE(file.good(), "no vectors for " << schema);
    std::ostringstream text;
    text << file.rdbuf();
    return json::parse(text.str()).value();
}

void patterns_in(const json::value& v, std::vector<std::string>& out) {
    if (v.IsArray())
        for (const auto& item : v.GetArray())
            patterns_in(item, out);
    if (!v.IsObject()) return;
    for (const auto& m : v.GetObject()) {
        if (json::view(m.name) == "pattern" && m.value.IsString())
            out.emplace_back(json::view(m.value));
        patterns_in(m.value, out);
    }
}

void refs_in(const json::value& v, std::vector<std::string>& out) {
    if (v.IsArray())
        for (const auto& item : v.GetArray())
            refs_in(item, out);
    if (!v.IsObject()) return;
    for (const auto& m : v.GetObject()) {
        if (json::view(m.name) == "$ref" && m.value.IsString())
            out.emplace_back(json::view(m.value));
        refs_in(m.value, out);
    }
}

result<void> valid(std::string_view schema, const std::string& text) {
    return schemas::validate(schema, json::parse(text).value());
}

// A change of each kind, as the event types tell them apart.
std::vector<mission_change> every_kind() {
    std::vector<mission_change> out;
    const std::pair<const char*, const char*> moves[] = {
        {"active", ""},          {"suspended", "active"},  {"suspended", "suspended"},
        {"active", "suspended"}, {"completed", "active"},  {"revoked", "suspended"},
        {"expired", "active"},   {"superseded", "active"}, {"cascaded", "suspended"}};
    for (const auto& [state, prior] : moves) {
        mission_change c = sample::everything();
        c.state = state;
        c.prior_state.reset();
        if (*prior) c.prior_state = prior;
        c.change.reset();
        c.authority_changed = false;
        c.authorization_details.reset();
        out.push_back(c);
    }
    out.push_back(sample::everything());
    out.push_back(sample::revocation());
    return out;
}

}  // namespace

TEST_CASE("every pattern of every schema is one that the validator understands") {
    for (const std::string_view name : schemas::names()) {
        std::vector<std::string> patterns;
        patterns_in(json::parse(schemas::text(name)).value(), patterns);
        for (const std::string& p : patterns) {
            RAPIDJSON_NAMESPACE::internal::GenericRegex<RAPIDJSON_NAMESPACE::UTF8<>> regex(
                p.c_str());
            CHECK_MESSAGE(regex.IsValid(), name << ": " << p);
        }
    }
}

TEST_CASE("every reference of a schema leads to one of its own definitions") {
    for (const std::string_view name : schemas::names()) {
        const auto doc = json::parse(schemas::text(name)).value();
        std::vector<std::string> refs;
        refs_in(doc, refs);
        for (const std::string& ref : refs) {
            REQUIRE(ref.starts_with("#/definitions/"));
            CHECK_MESSAGE(json::find(doc["definitions"], ref.substr(14)) != nullptr,
                          name << ": " << ref);
        }
    }
}

TEST_CASE("every schema takes its valid vectors and refuses each invalid one") {
    for (const std::string_view name : schemas::names()) {
        const auto vectors = vectors_of(name);
        REQUIRE(vectors["valid"].Size() > 0);
        REQUIRE(vectors["invalid"].Size() > 0);
        for (const auto& v : vectors["valid"].GetArray()) {
            const auto r = schemas::validate(name, v);
            CHECK_MESSAGE(r.has_value(), name << " refuses " << json::write(v) << ": "
                                              << (r ? "" : r.error().detail));
        }
        for (const auto& v : vectors["invalid"].GetArray())
            CHECK_MESSAGE(!schemas::validate(name, v["value"]).has_value(),
                          name << " takes " << v["why"].GetString());
    }
}

TEST_CASE("there is a schema for every event type and every body that comes in") {
    const auto all = schemas::names();
    const std::set<std::string_view> names(all.begin(), all.end());
    for (const std::string_view event : mission_event_names)
        CHECK(names.contains("event-" + std::string(event)));
    for (const event_kind& kind : event_catalog())
        CHECK_MESSAGE(names.contains(kind.schema), kind.schema);
    for (const char* name : {"event-lifecycle-change", "set-claims",    "subject",
                             "mission-create",         "mission-scope", "lifecycle",
                             "stream-create",          "stream-update", "stream-replace",
                             "status-update",          "subject-add",   "subject-remove",
                             "verify-request",         "poll-request",  "signal-emit",
                             "admin-replay",           "admin-status",  "mission",
                             "mission-status-claims",  "stream",        "mission-manage"})
        CHECK_MESSAGE(names.contains(name), name);
}

TEST_CASE("what events/ prints is valid: bodies, subjects, claims, SSF's own events") {
    for (const mission_change& c : every_kind()) {
        for (const form f : {form::ours, form::lifecycle_change}) {
            const std::string schema =
                f == form::ours ? "event-" + std::string(event_name(c)) : "event-lifecycle-change";
            const auto body = valid(schema, event_body(c, f));
            CHECK_MESSAGE(body.has_value(), schema << ": " << (body ? "" : body.error().detail));
            CHECK(valid("subject", to_json(event_subject(c, f))).has_value());
            const set_claims claims{
                "https://as",     "https://erp",   1, "j", "t", event_subject(c, f),
                event_type(c, f), event_body(c, f)};
            const auto set = valid("set-claims", encode(claims));
            CHECK_MESSAGE(set.has_value(), (set ? "" : set.error().detail));
        }
    }
    verification beat;
    beat.as_of = wall_time{};
    beat.continuity = 1;
    beat.log_epoch = "e";
    CHECK(valid("event-verification", to_json(beat)).has_value());
    CHECK(valid("event-stream-updated", to_json(stream_updated{"paused", "why"})).has_value());
    CHECK(valid("subject", to_json(stream_subject("s"))).has_value());
}

TEST_CASE("the schema of subjects and the parser agree on every vector") {
    const auto vectors = vectors_of("subject");
    for (const auto& v : vectors["valid"].GetArray())
        CHECK_MESSAGE(parse_subject(v).has_value(), json::write(v));
    for (const auto& v : vectors["invalid"].GetArray())
        CHECK_MESSAGE(!parse_subject(v["value"]).has_value(), v["why"].GetString());
}

TEST_CASE(
    "what the schema of a standard event takes, its typed reader and the sender's check take") {
    for (const event_kind& kind : event_catalog()) {
        for (const auto& v : vectors_of(kind.schema)["valid"].GetArray()) {
            const auto ok = check_event(kind, subject::email("a@b.c"), v);
            CHECK_MESSAGE(
                (ok.has_value() || kind.deprecated),
                kind.schema << ": " << json::write(v) << ": " << (ok ? "" : ok.error().detail));
        }
    }
}

TEST_CASE("what the sender's check refuses for its shape, the schema refuses too") {
    for (const event_kind& kind : event_catalog()) {
        if (kind.deprecated) continue;
        for (const auto& v : vectors_of(kind.schema)["invalid"].GetArray())
            if (!check_event(kind, subject::email("a@b.c"), v["value"]))
                CHECK_MESSAGE(!schemas::validate(kind.schema, v["value"]).has_value(),
                              kind.schema << " takes " << v["why"].GetString());
    }
}

TEST_CASE("a violation names the place and the keyword, and quotes little") {
    const auto missing = valid("mission-create", "{}");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error() == errc::schema_violation);
    CHECK(missing.error().detail.starts_with("/: required "));
    const auto deep = valid("verify-request", R"({"stream_id":7})");
    CHECK(deep.error().detail == "/stream_id: type");
    std::string long_name(5000, 'n');
    const auto quoted = valid("poll-request", "{\"setErrs\":{\"" + long_name + "\":{}}}");
    REQUIRE_FALSE(quoted.has_value());
    CHECK(quoted.error().detail.size() < 200);
}

TEST_CASE("several threads validate at once") {
    const auto body = json::parse(event_body(sample::revocation(), form::ours)).value();
    std::vector<std::thread> threads;
    std::vector<int> good(4, 0);
    for (std::size_t t = 0; t < good.size(); ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i)
                if (schemas::validate("event-mission-revoked", body).has_value()) ++good[t];
        });
    for (auto& t : threads)
        t.join();
    CHECK(good == std::vector<int>(4, 50));
}
