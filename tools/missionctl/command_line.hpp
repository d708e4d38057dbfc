// What was typed, as a value. Nothing is read or sent here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mission::tools {

enum class verb {
    mission_create,
    mission_get,
    mission_list,
    mission_status,
    mission_revoke,
    mission_suspend,
    mission_resume,
    mission_complete,
    mission_scope,
    mission_tree,
    mission_history,
    mission_report,
    mission_reports,
    manage_enumerate,
    manage_bulk,
    audit,
    report_list,
    report_decide,
    stream_list,
    stream_show,
    stream_pause,
    stream_enable,
    stream_replay,
    stream_dead,
    signal_emit,
    tail,
};

struct invocation {
    verb what{};
    // Who and where. Flags win over the file named by --config.
    std::string server, config_file, client_id, private_key_file, token_file, ca_file;
    bool json = false;

    std::string id;    // of the mission or stream
    std::string file;  // create, scope: JSON, "-" for standard input
    std::string reason, nonce;
    std::optional<std::int64_t> expected_version;
    std::string until, on_expiry;  // suspend
    std::string expires_at;        // create, scope; a moment or a duration
    std::string mission_id, idempotency_key, purpose, agent, tenant;  // create
    std::string predecessor;   // create; parent: list, create
    std::string change;        // scope
    std::string at;            // get: as it was then
    bool from_root = false;    // tree
    std::string kind, detail;  // report
    std::string decision;      // report decide
    // manage: the members of a filter, and a bulk operation's steps.
    std::string filter, subject_iss, subject_sub, created_after, created_before;
    std::vector<std::string> states;
    std::string operation, bulk_token;
    bool review = false, execute = false, yes = false;
    bool verify = false;  // audit
    std::string approver_iss, approver_sub;
    std::string state, parent, cursor;  // list
    int limit = 0;                      // list; 0: the server's own
    std::string since, signal_id;       // stream replay
    std::optional<std::int64_t> from_seq;
    bool forget = false;                    // stream dead
    std::string type, subject, event, txn;  // signal emit; subject and event are JSON
    std::vector<std::string> audience;
    int count = 0;  // tail: ends after so many; 0: never
};

// What to print and exit with instead of doing anything: help (0) or a usage error (2).
struct usage {
    int status = 2;
    std::string text;
};

std::variant<invocation, usage> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace mission::tools
