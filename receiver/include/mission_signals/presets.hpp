// Ready-made teardown handlers. Each ends one kind of thing for real, looks whether it is gone, and
// says as evidence what it saw.
//
//   rx->on_effect({.name = "db", .on = {effect::suspended, effect::resumed, effect::revoked},
//                  .timeout = std::chrono::seconds(20)},
//                 postgres_role_handler({.connection = "host=/run/postgresql user=warden",
//                                        .prefix = "agent_", .drop = true}));
//
// What they share:
//  - A second run of the same task acknowledges: what is gone is gone.
//  - They end within their `timeout`; handler_options::timeout has to be longer.
//  - `failed` says what was refused, `unknown` that a connection died after something was sent,
//    `timed_out` that the thing was not seen to be gone in time. All of these are tried again.
//  - Values of a task (a mission's id, the held name and data) are never more than values: they
//    cannot become syntax, another host, another path's parent or another header.
//  - Secrets are never in evidence, also not those that are held (a token); names are: of a role, a
//    file. Secrets in files are read at each run.
//  - On effects that mean nothing to them (scope_changed; what cannot be undone: resumed, fresh,
//    stale) they say "nothing to do".
// THREAD: handlers may be called several at once. Making one throws setup_error for what can never
// work.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mission_signals/receiver.hpp"

namespace mission_signals {

// ---------------------------------------------------------------------------------------- texts

// A value that does not fit where a template puts it; said as `failed`.
struct unfit_value : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Text in which {mission_id}, {issuer}, {effect}, {version}, {name}, {data}, {data.member} (the
// held data is a JSON object; {data.a.b} looks inside of its member), {idempotency_key} and
// {attempt} stand for a task's values; "{{" and "}}" for braces.
class task_text {
  public:
    task_text() = default;
    // setup_error: an unknown name, a brace without its partner.
    task_text(std::string_view text);  // NOLINT: written as plain text
    task_text(const char* text) : task_text(std::string_view(text)) {}
    task_text(const std::string& text) : task_text(std::string_view(text)) {}

    // Is given each value, with its name, and says what is put in its place; may throw unfit_value.
    using encoder = std::function<std::string(std::string_view name, const std::string& value)>;
    // unfit_value: no such member in the held data, or what `encode` says.
    std::string fill(const task& t, const encoder& encode = {}) const;

    const std::string& text() const noexcept { return text_; }
    bool empty() const noexcept { return text_.empty(); }
    bool fixed() const noexcept;                    // names no value
    std::string_view fixed_start() const noexcept;  // what comes before the first value

  private:
    struct part {
        std::string text;
        bool is_name = false;
    };
    std::string text_;
    std::vector<part> parts_;
};

// A secret: its text, or a file that is read each time (line ends at its end are dropped).
struct secret {
    std::string text{}, file{};
    bool empty() const noexcept { return text.empty() && file.empty(); }
};

// Asked between steps: true makes a handler return early, as `unknown`. For hosts that stop.
using stop_query = std::function<bool()>;

// ----------------------------------------------------------------------------------------- http

// One request of an action, or a look at what it has done.
struct http_step {
    std::vector<effect> on{};  // empty: every effect that the handler is called for
    std::string method = "POST";
    // Scheme, host and port are fixed. A value becomes one path segment or query value, percent-
    // encoded; {+data} keeps its slashes. An empty value and "." or ".." as a segment are refused.
    std::string url{};
    // Values with control characters are refused.
    std::vector<std::pair<std::string, task_text>> headers{};
    std::vector<std::pair<std::string, secret>> secret_headers{};  // "X-Vault-Token"
    // JSON text; its strings are templates, and nothing of a value is JSON. Empty: none.
    std::string json{};
    std::string content_type{};  // of `json`: "application/json" when empty
    std::vector<std::pair<std::string, task_text>> form{};  // or a form

    std::vector<int> expect{};  // answers that are success; empty: 200 to 299
    std::vector<int> gone{};    // what was to be ended is not there: success, too

    // A look: repeated until the answer's status is in `gone`, or it is expected and the value at
    // `pointer` (RFC 6901) of its JSON is there and equals `equals`, or differs from `differs`
    // (JSON texts, one of them).
    bool look = false;
    std::string pointer{}, equals{}, differs{};
};

struct http_action {
    std::vector<http_step> steps{};  // in this order; each effect has to have one
    // At most one of: a bearer token (RFC 6750), a user's name and password (RFC 7617).
    secret token{};
    std::string user{};
    secret password{};
    std::string ca_file{};                                   // PEM; empty: the system's trust store
    std::string certificate_file{}, certificate_key_file{};  // PEM, mutual TLS
    // http:// to other hosts than loopback: whoever listens has the credentials.
    bool plain_http = false;
    std::chrono::milliseconds timeout{10'000};  // of all steps together
    std::chrono::milliseconds look_again{250};  // between looks
    stop_query stopping{};
};
// Sends `Idempotency-Key` with every request that is not a look. Redirects are not followed.
// 429 and 503 with Retry-After: asked again within `timeout`, else not before it is over.
handler http_handler(http_action a);

// ------------------------------------------------------------------------------------- OAuth 2.0

// Revokes a token (RFC 7009); with an introspection endpoint it looks that it is inactive
// (RFC 7662).
struct oauth_revocation {
    std::string revocation_endpoint{}, introspection_endpoint{};  // https
    task_text token = "{data}";
    // The held data then names a file below this directory that holds the token.
    std::string token_directory{};
    std::string token_type_hint{};  // "access_token", "refresh_token"; empty: none

    std::string client_id{};
    secret client_secret{};  // client_secret_basic
    bool client_secret_post = false;
    std::string private_key_file{}, private_key_id{};  // or private_key_jwt (RFC 7523)
    std::string assertion_audience{};  // of the assertion; empty: the revocation endpoint
    std::string ca_file{}, certificate_file{}, certificate_key_file{};
    bool plain_http = false;
    std::chrono::milliseconds timeout{10'000};
    std::chrono::milliseconds look_again{250};
    stop_query stopping{};
};
// On suspended and on every end: a revoked token does not come back.
handler oauth_revocation_handler(oauth_revocation o);

// --------------------------------------------------------------------------------- this machine

// Removes a file or a socket below `directory`, on suspended and on every end. Directories, devices
// and symbolic links are refused, and nothing is followed out of it. Whoever has the file open
// keeps what is in it.
struct removed_file {
    std::string directory{};    // absolute
    task_text path = "{data}";  // relative to it
};
handler file_handler(removed_file o);

// A cgroup (v2): frozen on suspended and stale, thawed on resumed and fresh, killed on every end.
// Acknowledged when cgroup.events says so.
struct cgroup_control {
    std::string root = "/sys/fs/cgroup";  // absolute; nothing above or beside is touched
    task_text path = "{data}";            // relative to it, never the root itself
    bool remove = false;                  // the empty cgroup and those below it, at the end
    std::chrono::milliseconds timeout{10'000};
    stop_query stopping{};
};
handler cgroup_handler(cgroup_control o);

// ------------------------------------------------------------------- PostgreSQL, Redis
// In libraries of their own (libmission_signals_postgres, libmission_signals_redis), which link
// libpq and hiredis; the receiver's library links neither.

// A role of PostgreSQL and its sessions: NOLOGIN and terminated on suspended, stale and every end,
// LOGIN on resumed and fresh. Refuses superusers, roles whose name begins with pg_, the role it is
// connected as, and names that do not begin with `prefix`. Sessions of others that have SET ROLE to
// it are not its own.
struct postgres_role {
    std::string connection{};  // libpq connection string or URI, of a role with CREATEROLE
    secret password{};         // where the string has none
    task_text role = "{data}";
    std::string prefix{};
    bool drop = false;          // at the end: DROP OWNED, DROP ROLE
    std::string reassign_to{};  // with `drop`: REASSIGN OWNED to this role before
    // No session may be seen twice, this long apart: one may have been let in as the role lost
    // LOGIN.
    std::chrono::milliseconds settle{200};
    std::chrono::milliseconds timeout{15'000};
    stop_query stopping{};
};
handler postgres_role_handler(postgres_role o);

// A user of Redis (ACL, 6.0 and later) and its connections: off and killed on suspended and stale,
// on on resumed and fresh, deleted on every end. Refuses "default", the user it is connected as,
// and names that do not begin with `prefix`. One handler for each node.
struct redis_user {
    std::string address = "127.0.0.1:6379";  // HOST:PORT, or unix:PATH
    std::string admin{};                     // the user to connect as; empty: default
    secret password{};
    task_text user = "{data}";
    std::string prefix{};
    bool acl_save = false;  // ACL SAVE: else a restart of Redis undoes what was done
    std::chrono::milliseconds timeout{10'000};
    stop_query stopping{};
};
handler redis_user_handler(redis_user o);

}  // namespace mission_signals
