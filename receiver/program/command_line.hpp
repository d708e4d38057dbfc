// What was typed, as plain data. Nothing is done here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mission::receiver::program {

enum class verb {
    run,
    check_config,
    stream_create,
    stream_get,
    stream_list,
    stream_update,
    stream_replace,
    stream_delete,
    stream_status,
    stream_verify,
    stream_poll,
    stream_add_subject,
    stream_remove_subject,
    tasks_list,
    tasks_retry,
    teardown_run,
    status,
    check,
    hold,
    release,
    held,
};

struct invocation {
    verb what = verb::run;
    std::string config_file;
    std::vector<std::string> more_files;  // check-config takes several
    bool json = false;

    // stream
    std::string stream_id;
    std::string delivery, endpoint_url, body_file;
    std::optional<std::string> description;
    std::optional<std::vector<std::string>> events;
    std::string set_status, reason;
    std::optional<std::string> state;  // of a verification
    bool without_state = false;
    std::string subject, mission;  // JSON text, or a mission's id
    std::optional<bool> verified;
    std::optional<std::int64_t> max_events;
    bool return_immediately = false, verify_sets = false;
    std::vector<std::string> acks, errors;  // errors: JTI:ERR[:DESCRIPTION]

    // a running instance
    bool all = false, resolve = false;
    std::string key;               // of a task
    std::string mission_id, name;  // hold, release, held, check
    std::string data;
    int pid = 0;

    // one handler by hand; mission_id, name, data and key as above
    std::string handler, effect = "revoked", issuer;
    std::int64_t version = 0;
};

// Not to be run: text for standard output (status 0) or standard error (status 2).
struct usage {
    int status = 0;
    std::string text;
};

std::variant<invocation, usage> parse_command_line(const std::vector<std::string>& arguments);

}  // namespace mission::receiver::program
