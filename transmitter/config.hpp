// The configuration of `mission-transmitter`, as wire.md section 6 has it, already checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "jose/key.hpp"

namespace mission::transmitter {

// Which missions a client may know of (wire.md section 3).
struct mission_visibility {
    enum class kind { audience, all, listed } what = kind::audience;
    std::vector<std::string> tenants, agents;  // kind::listed; audience always counts too
    std::string to_json() const;               // kept in a stream's epoch
    static result<mission_visibility> from_json(std::string_view text);
};

// [[auth.issuer]]: whose access tokens are taken beside our own.
struct token_issuer_config {
    std::string issuer;
    std::string jwks_uri;                  // RFC 9068 tokens; or:
    std::string introspection;             // RFC 7662 endpoint
    std::string audience;                  // what `aud` must name
    std::string client_id, client_secret;  // towards the introspection endpoint
    bool typ_jwt = false;                  // `typ` may be "JWT" (wire.md section 1)
    std::string ca_file;                   // PEM; empty: the system's trust store
    std::vector<std::string> algs;         // empty: ES256, RS256, PS256, EdDSA
};

// [[foreign_event]]: an event type that `POST /signals` takes beside CAEP and RISC.
struct foreign_event_config {
    std::string type;         // URI
    std::string schema_json;  // JSON Schema text of the event object (read from `schema`, a file)
};

// [[report_rule]]: what a report does by itself (POST /missions/{id}/reports). The first rule that
// fits decides; none: an operator does.
struct report_rule_config {
    std::string name;
    std::string kind;    // completed | failed | extension_requested | anomaly | teardown
    std::string issuer;  // url of one of ours; empty: any
    std::vector<std::string> clients;  // who reports; empty: any
    std::string agent, tenant;         // of the mission; empty: any
    enum class action { none, complete, revoke, suspend } what = action::none;
    std::optional<std::chrono::seconds> suspend_for;  // together with
    std::string on_expiry;                            // resume | revoke
};

// [[authorization_type]]: a type of authorization_details beside mission_resource_access.
struct authorization_type_config {
    std::string type;
    std::string schema_json;  // JSON Schema text of an entry (read from `schema`, a file)
};

struct client_config {
    std::string id;
    std::string issuer;        // url of one of ours; resolved when there is only one
    std::string token_issuer;  // empty: the built-in token endpoint
    std::string secret, token;
    std::optional<wall_time> token_expires;  // of the static token; none: as long as it is here
    jose::key_set jwks;
    std::string certificate;         // PEM, for mTLS
    std::string certificate_sha256;  // of its DER, 32 octets
    std::string audience;
    std::vector<std::string> scopes;
    std::vector<std::string> lifecycle;  // operations it may use
    std::vector<std::string> events;     // event type URIs offered; empty: all mission types
    mission_visibility missions;
    std::vector<std::string> disclose;  // tenant | user | reason
    std::string caep_bridge;            // "" | "session" | "user"
    std::string signals_to;             // "" | "all": may address `POST /signals` to everybody
    std::optional<bool> default_subjects_all;
    std::optional<jose::alg> alg;
};

struct issuer_config {
    std::string url;   // as configured, maybe with a trailing slash: this is `iss`
    std::string path;  // of the url, without a trailing slash: "" or "/tenant"
    bool mirror = false, in_place_extension = false;

    // What paths are appended to: the url without its trailing slash.
    std::string base() const { return url.ends_with('/') ? url.substr(0, url.size() - 1) : url; }
};

struct config {
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 8443;
    std::vector<issuer_config> issuers;
    struct {
        std::string certificate, private_key, client_ca;  // file paths
    } tls;
    struct {
        std::string address;  // empty: no admin listener
        std::uint16_t port = 0;
    } admin;
    std::string store_url = "sqlite:state/transmitter.db";
    std::string signing_directory = "state/keys";
    // See key_ring_options, whose defaults these are but for one: unset, a key of SETs alone is
    // retained for hold_days and one day more.
    std::chrono::seconds signing_lead{600};
    std::optional<std::chrono::seconds> signing_retain, signing_status_retain;
    std::string secrets_key_file = "state/secret.key";
    std::string secrets_key;  // 32 octets once loaded
    struct {
        bool default_subjects_all = true;
        std::size_t streams_per_receiver = 16;
        std::chrono::seconds min_verification_interval{0};
        std::optional<std::chrono::seconds> inactivity_timeout;
        std::chrono::milliseconds heartbeat{30'000};
        std::chrono::seconds max_stale{90};
        std::chrono::milliseconds redelivery{5'000};
        std::chrono::days hold_days{7};
        std::int64_t hold_signals = 1'000'000;
        // How long a removed subject is still delivered (SSF 1.0 section 9.3).
        std::chrono::milliseconds removal_grace{0};
        std::size_t subjects_per_stream = 2'000'000;
    } ssf;
    struct {
        std::string ca_file;
        std::vector<std::string> allow;
        std::chrono::milliseconds timeout{10'000};
        std::size_t window = 16;
        // A relation that was bad for so long is paused, and told so.
        std::chrono::milliseconds pause_after{86'400'000};
    } push;
    struct {
        bool token_endpoint = true, allow_bearer = false;
        std::vector<token_issuer_config> issuers;
    } auth;
    struct {
        // Requests per second and client; 0: as many as come.
        std::int64_t status_rate = 5000, lifecycle_rate = 1000, manage_rate = 100,
                     report_rate = 1000;
        // How long a token status list may be relied on; 0: there are none.
        std::chrono::seconds status_list_ttl{30};
        // Families: generations below a root, and children that one mission may ever have.
        std::int64_t max_depth = 16, max_children = 100'000;
        // authorization_details of a type that nobody has declared.
        bool accept_unknown_types = false;
        // Missions of one bulk operation.
        std::size_t bulk_limit = 10'000;
    } missions;
    std::vector<report_rule_config> report_rules;
    std::vector<authorization_type_config> authorization_types;
    std::vector<foreign_event_config> foreign_events;
    std::string event_type_base;  // default events::event_type_base
    std::vector<client_config> clients;

    const client_config* find_client(std::string_view issuer, std::string_view id) const noexcept;
};

}  // namespace mission::transmitter
