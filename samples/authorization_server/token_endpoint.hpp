// The token endpoint: gives an agent tokens for its mission, and none when the mission does not
// permit it any more (draft-mcguinness-oauth-mission "Issuance Gating").
//
//   grant_type                                              for                      gives
//   https://mission-signals.github.io/grant-type/mission    mission_id               access,
//   refresh refresh_token                                           the last refresh token access,
//   refresh urn:ietf:params:oauth:grant-type:token-exchange         an access token of ours  access
//
// The first is how this sample comes from an approved mission to a token; a server with a user at
// its front door has an authorization code there.
#pragma once

#include <mission_signals/receiver.hpp>
#include <optional>
#include <string>
#include <vector>

#include "samples/authorization_server/clients.hpp"
#include "samples/authorization_server/records.hpp"
#include "samples/authorization_server/refresh_tokens.hpp"
#include "samples/common/service.hpp"

namespace sample {

inline constexpr const char* mission_grant = "https://mission-signals.github.io/grant-type/mission";
inline constexpr const char* exchange_grant = "urn:ietf:params:oauth:grant-type:token-exchange";
inline constexpr const char* access_token_type = "urn:ietf:params:oauth:token-type:access_token";

// THREAD: every method from any thread.
class token_endpoint {
  public:
    struct settings {
        std::string issuer;                 // `iss` of the tokens
        std::int64_t access_seconds = 300;  // at most; never beyond the mission's end
        std::int64_t refresh_seconds = 8 * 3600;
    };
    token_endpoint(mission_signals::receiver& receiver, mission_records& records,
                   refresh_tokens& refresh, const client_list& clients, const es256_key& key,
                   settings s);

    // Before start(): an ended mission destroys its refresh tokens.
    void add_handlers();
    // Behind start(): refresh tokens whose hold a crash prevented end now.
    void end_what_is_not_held();
    void answer_request(const httplib::Request& request, httplib::Response& response);

  private:
    // Everything that a decision says, to the client and to the log.
    struct decision {
        std::string action{}, mission{}, client{};
        std::int64_t version = 0;
        std::string error{}, why{}, mission_error{};  // `error` empty: permitted
        std::string body{}, token_id{};
    };
    struct asked {
        std::string client;
        std::vector<std::string> resources;  // RFC 8707
    };

    decision from_mission(const httplib::Request& request, const asked& what);
    decision from_refresh(const httplib::Request& request, const asked& what);
    decision from_exchange(const httplib::Request& request, const asked& what);

    // Is the mission active, by what the library knows? Fills in version, error and why.
    bool permitted(decision& d);
    static bool refuse(decision& d, const mission_signals::answer& standing);
    // Its record as of now; nullopt when it cannot be had (`d` says so, unless it has said more).
    std::optional<mission_record> record(decision& d);
    // By the record's own word; false: `d` says why.
    static bool alive(decision& d, const mission_record& r);
    // Signs an access token for what of the record's authority names one of the resources.
    void give(decision& d, const mission_record& r, const std::vector<authority_entry>& entries,
              std::int64_t not_after, const std::string& refresh_token);

    mission_signals::receiver& receiver_;
    mission_records& records_;
    refresh_tokens& refresh_;
    const client_list& clients_;
    const es256_key& key_;
    const settings settings_;
};

}  // namespace sample
