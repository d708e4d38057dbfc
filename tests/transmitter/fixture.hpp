// A transmitter in this process: TLS on loopback, memory store, a handful of clients; and what it
// takes to talk to it. Nothing here sleeps: every call waits for its answer, with a bound.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "jose/jws.hpp"
#include "net/client.hpp"
#include "transmitter/program/app.hpp"

namespace mission::transmitter::testing {

// A folder of its own, gone at the end.
class temporary_folder {
  public:
    temporary_folder();
    ~temporary_folder();
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

struct answer {
    int status = 0;
    net::headers fields;
    std::string body;
    json::document json;  // null when the body is none

    std::string text(std::string_view member) const;  // "" when absent
    std::int64_t number(std::string_view member) const;
};

// Clients of the fixture. All are of one issuer.
//   operator   everything, missions = all           private_key_jwt
//   erp        audience https://erp.example         private_key_jwt, disclose reason
//   crm        audience https://crm.example         secret "crm-secret"
//   stranger   audience https://stranger.example    private_key_jwt, all scopes, knows nothing
//   poor       no scopes but ssf.read               static token "poor-static-token"
config fixture_config(const std::string& folder);

class transmitter_fixture {
  public:
    // `change` may alter the configuration before the start.
    explicit transmitter_fixture(std::function<void(config&)> change = {},
                                 const clock* time = nullptr);
    ~transmitter_fixture();

    app& running() { return *app_; }
    const std::string& issuer() const { return issuer_; }
    const std::string& ca_pem() const { return ca_pem_; }  // what clients of it trust
    std::string url(std::string_view path) const { return issuer_ + std::string(path); }
    std::string admin_url(std::string_view path) const;
    const std::string& folder() const { return folder_.path(); }
    const jose::private_key& key_of(const std::string& client) const { return keys_.at(client); }

    answer send(std::string method, std::string url, net::headers fields = {},
                std::string body = {});
    answer get(std::string_view path, std::string_view token = {});
    answer post_json(std::string_view path, std::string body, std::string_view token = {});
    answer post_form(std::string_view path,
                     const std::vector<std::pair<std::string, std::string>>& fields);

    // An access token of the built-in endpoint; kept.
    std::string token(const std::string& client);
    // A fresh client assertion.
    std::string assertion(const std::string& client, const std::string& audience);
    std::string sign(const std::string& client, const std::string& payload);
    std::string assertion_payload(const std::string& client, const std::string& audience);

    using field_list = std::vector<std::pair<std::string, std::string>>;
    // The members of an authentication by assertion for that endpoint, then `rest`.
    field_list with_assertion(const std::string& client, std::string_view path, field_list rest);
    answer lifecycle(const std::string& client, const std::string& mission_id,
                     const std::string& operation, field_list rest = {});
    answer status(const std::string& client, const std::string& mission_id, field_list rest = {});
    // Claims of a signed answer, after checking typ and signature against the JWKS.
    json::document claims(const answer& a);

    // A mission for erp and crm; its id.
    std::string create(std::string_view expires_at = "2099-01-01T00:00:00Z");
    static std::string mission_body(std::string_view expires_at = "2099-01-01T00:00:00Z");

    // Waits until `done` says so, by asking again; the bound is 10 s. For effects that no answer
    // announces.
    static bool eventually(const std::function<bool()>& done);

    // Stops and starts again on the same store file (needs a sqlite store), with a configuration
    // that may have changed.
    void restart(const std::function<void(config&)>& change = {});

  private:
    void start();

    temporary_folder folder_;
    std::string issuer_, ca_pem_, certificate_pem_, private_key_pem_;
    config settings_;
    const clock* time_;
    std::map<std::string, jose::private_key> keys_;
    std::map<std::string, std::string> tokens_;
    std::unique_ptr<app> app_;
    std::unique_ptr<net::runtime> runtime_;
    std::unique_ptr<net::http_client> client_;
    int counter_ = 0;
};

// A port that was free a moment ago.
std::uint16_t free_port();

}  // namespace mission::transmitter::testing
