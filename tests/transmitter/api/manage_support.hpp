// What the tests of /mission/manage share: clients with different grants, and calls whose signed
// answers are checked.
//   operator   all missions, every operation      erp   tenant acme or agent agent-9, no resume
//   stranger   its audience alone                 crm   no mission_management
#pragma once

#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include "tests/transmitter/fixture.hpp"

namespace mission::transmitter::testing {

inline void give_grants(config& c) {
    for (auto& k : c.clients) {
        if (k.id == "operator" || k.id == "erp" || k.id == "stranger")
            k.scopes.emplace_back("mission_management");
        if (k.id != "erp") continue;
        k.missions.what = mission_visibility::kind::listed;
        k.missions.tenants = {"acme"};
        k.missions.agents = {"agent-9"};
        k.lifecycle = {"revoke", "suspend", "complete"};
    }
}

class manage_world : public transmitter_fixture {
  public:
    explicit manage_world(std::function<void(config&)> change = {}, const clock* time = nullptr)
        : transmitter_fixture(
              [change](config& c) {
                  give_grants(c);
                  if (change) change(c);
              },
              time) {}

    // Members of a request, without braces; authenticated by assertion, with a fresh nonce unless
    // it brings one.
    answer manage(const std::string& client, const std::string& members) {
        std::string body = "{" + members;
        if (members.find("\"nonce\"") == std::string::npos)
            body += R"(,"nonce":"m)" + std::to_string(++counter_) + "\"";
        body += R"(,"client_assertion_type":")"
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                R"(","client_assertion":")" +
                assertion(client, url("/mission/manage")) + "\"}";
        return post_json("/mission/manage", body);
    }
    answer enumerate(const std::string& client, const std::string& filter,
                     const std::string& more = "") {
        return manage(client, R"("operation":"enumerate","purpose":"a look","filter":)" + filter +
                                  (more.empty() ? "" : "," + more));
    }
    answer dry_run(const std::string& client, const std::string& operation,
                   const std::string& filter, const std::string& more = "") {
        return manage(client, R"("mode":"dry_run","reason":"an incident","operation":")" +
                                  operation + R"(","filter":)" + filter +
                                  (more.empty() ? "" : "," + more));
    }
    answer execute(const std::string& client, const std::string& operation,
                   const std::string& filter, const std::string& bulk_token,
                   const std::string& more = "") {
        return manage(client, R"("mode":"execute","reason":"an incident","operation":")" +
                                  operation + R"(","filter":)" + filter + R"(,"bulk_token":")" +
                                  bulk_token + "\"" + (more.empty() ? "" : "," + more));
    }

    // The verified claims of a management answer.
    json::document managed(const answer& a) {
        if (a.status != 200) MESSAGE(a.body);
        REQUIRE(a.status == 200);
        CHECK(a.fields.get("content-type") == "application/mission-management-response+jwt");
        CHECK(a.fields.get("cache-control") == "no-store");
        const auto keys = jose::key_set::parse(get("/jwks.json").body);
        REQUIRE(keys);
        const auto token = jose::parse_compact(a.body, limits::http_response_bytes);
        REQUIRE(token);
        CHECK(token->typ == "mission-management-response+jwt");
        const jose::alg allowed[] = {jose::alg::es256};
        REQUIRE(jose::verify(*token, *keys, allowed));
        auto parsed = json::parse(token->payload, limits::http_response_bytes);
        REQUIRE(parsed);
        return std::move(*parsed);
    }
    std::string pinned(const std::string& client, const std::string& operation,
                       const std::string& filter) {
        return std::string(
            json::find_string(managed(dry_run(client, operation, filter)), "bulk_token")
                .value_or(""));
    }

    // A mission with some members of its body replaced by others.
    std::string create_other(const std::vector<std::pair<std::string, std::string>>& replaced,
                             std::string_view expires_at = "2099-01-01T00:00:00Z") {
        auto body = mission_body(expires_at);
        for (const auto& [was, is] : replaced) {
            const auto at = body.find(was);
            REQUIRE(at != std::string::npos);
            body.replace(at, was.size(), is);
        }
        const auto a = post_json("/missions", body, token("operator"));
        if (a.status != 201) MESSAGE(a.body);
        REQUIRE(a.status == 201);
        return a.text("mission_id");
    }

    // {mission_id: outcome} of a manifest.
    static std::map<std::string, std::string> outcomes(const json::document& manifest) {
        std::map<std::string, std::string> out;
        for (const auto& r : manifest["results"].GetArray())
            out[r["mission_id"].GetString()] = r["outcome"].GetString();
        return out;
    }
    static std::vector<std::string> ids(const json::document& page) {
        std::vector<std::string> out;
        for (const auto& m : page["missions"].GetArray())
            out.emplace_back(m["id"].GetString());
        return out;
    }
    std::string state_of(const std::string& id) {
        return get("/missions/" + id, token("operator")).text("state");
    }

    // Audit entries of the management endpoint, oldest first.
    std::vector<store::audit_entry> audited(std::string_view action) {
        std::vector<store::audit_entry> out;
        REQUIRE(running().db().read_now([&](const store::rows& rows) {
            out.clear();
            for (auto& e : rows.audit(store::issuer_id{1}, 0, 10'000))
                if (e.action == action && e.target.empty()) out.push_back(std::move(e));
        }));
        return out;
    }

  private:
    int counter_ = 0;
};

inline void check_refusal(const answer& a, int status, std::string_view code) {
    CAPTURE(a.body);
    CHECK(a.status == status);
    CHECK(a.text("error") == code);
    CHECK_FALSE(a.text("error_description").empty());
    CHECK(a.fields.get("cache-control") == "no-store");
}

}  // namespace mission::transmitter::testing
