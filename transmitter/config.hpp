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
#include "jose/key.hpp"

namespace mission::transmitter {

// Which missions a client may know of (wire.md section 3).
struct mission_visibility {
    enum class kind { audience, all, listed } what = kind::audience;
    std::vector<std::string> tenants, agents;  // kind::listed; audience always counts too
    std::string to_json() const;               // kept in a stream's epoch
    static result<mission_visibility> from_json(std::string_view text);
};

struct client_config {
    std::string id;
    std::string issuer;        // url of one of ours; resolved when there is only one
    std::string token_issuer;  // empty: the built-in token endpoint
    std::string secret, token;
    jose::key_set jwks;
    std::string certificate;  // PEM, for mTLS
    std::string audience;
    std::vector<std::string> scopes;
    std::vector<std::string> lifecycle;  // operations it may use
    std::vector<std::string> events;     // event type URIs offered; empty: all mission types
    mission_visibility missions;
    std::vector<std::string> disclose;  // tenant | user | reason
    std::string caep_bridge, signals_to;
    std::optional<bool> default_subjects_all;
    std::optional<jose::alg> alg;
};

struct issuer_config {
    std::string url;   // no trailing slash, no query
    std::string path;  // of the url: "" or "/tenant"
    bool mirror = false, in_place_extension = false;
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
    } ssf;
    struct {
        std::string ca_file;
        std::vector<std::string> allow;
        std::chrono::milliseconds timeout{10'000};
        std::size_t window = 16;
    } push;
    struct {
        bool token_endpoint = true, allow_bearer = false;
    } auth;
    std::string event_type_base;  // default events::event_type_base
    std::vector<client_config> clients;

    const client_config* find_client(std::string_view issuer, std::string_view id) const noexcept;
};

}  // namespace mission::transmitter
