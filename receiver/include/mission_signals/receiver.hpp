// Mission Signals receiver: local truth about missions, kept by signed Security Event Tokens.
//
//   auto rx = mission_signals::make_receiver(options);          // throws setup_error
//   rx->on_effect({.name = "vault", .on = {effect::revoked}}, destroy_credentials);
//   rx->start();
//   if (auto a = rx->missions().check(id); !a.permitted()) return refuse(a.reason());
//
// This header and those beside it include the standard library alone. No logging, option or metrics
// library is linked into the host; the host supplies functions instead.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mission_signals {

// ---------------------------------------------------------------------------------------- check

// What is known of a mission. Only `active` permits; everything else denies and says why
// (wire.md section 5; draft-mcguinness-oauth-mission-signals "Consumer Behavior on Receipt").
enum class standing : std::uint8_t {
    active,
    suspended,
    completed,
    revoked,
    expired,  // told so, or `expires_at` has passed by the receiver's own clock
    superseded,
    cascaded,
    ended,    // a state we do not know the name of: not active
    unknown,  // never heard of, or Status says not_found
    stale,    // no fresh word from the transmitter within its bound
    gap,      // a version was missed, or authority changed: Status has to be asked first
};
std::string_view name(standing s) noexcept;  // "suspended"
constexpr bool is_terminal(standing s) noexcept {
    return s >= standing::completed && s <= standing::ended;
}

// Why a denial could not be mended; said by resolve() and confirm(), never by check().
enum class cause : std::uint8_t {
    none,
    not_found,           // Status says that it does not know the mission, or that we may not
    status_unreachable,  // no answer, or none that can be relied on
    status_limited,      // too many missions are being asked for: not asked, or told to wait
    cache_full,          // the answer came, and there is no room to keep it
    timed_out,           // the caller's own patience
};
std::string_view name(cause c) noexcept;  // "status_unreachable"

struct answer {
    standing what = standing::unknown;
    std::int64_t version = 0;  // last applied; 0 when unknown
    cause why = cause::none;

    bool permitted() const noexcept { return what == standing::active; }
    // "active", "mission revoked", "state is stale: no heartbeat within its bound" ...
    std::string_view reason() const noexcept;
};

// One entry of `authorization_details` (RFC 9396) addressed to this receiver's audience.
struct authority_entry {
    std::string type;
    std::string resource;
    std::vector<std::string> actions;
    std::string json;  // the whole entry, JSON text
};

struct authority {
    std::int64_t version = 0;  // of the mission, as of which this set is in force
    std::vector<authority_entry> entries;
    // Some entry names `resource` and an action that is or covers `action` ("invoices.*").
    bool permits(std::string_view resource, std::string_view action) const noexcept;
};

// May the mission do this, here and now? Its standing first, then its authority.
struct permission {
    answer now;
    enum class grant : std::uint8_t {
        granted,
        not_granted,  // the authority in force names no such resource and action
        not_known,    // the authority is not known, or changed since: resolve() brings it
    } authority = grant::not_known;

    bool permitted() const noexcept { return now.permitted() && authority == grant::granted; }
    std::string_view reason() const noexcept;
};

// Everything held of a mission, for logs and decision records; not for the hot path.
struct mission_view {
    std::string id, issuer;
    answer now;
    std::string state;  // as last told: stays "active" when `now` says stale
    std::int64_t log_version = 0;
    std::optional<std::chrono::system_clock::time_point> expires_at, fresh_until, suspend_until;
    std::string successor, reason;
    // When the transmitter committed `log_version`, by its clock; nullopt where it does not say.
    std::optional<std::chrono::system_clock::time_point> committed_at;
};

// What Mission Status said to one question of one caller: for what cannot be taken back. The times
// of the monotonic clock tell how old the answer is; `issued_at` is the transmitter's word.
struct confirmation {
    std::string error = "not asked";  // why there is no answer; empty: there is one, as follows
    std::string state;
    std::int64_t version = 0;
    std::shared_ptr<const mission_signals::authority> authority;  // for this receiver's audience
    std::chrono::system_clock::time_point issued_at{};            // `iat`
    std::optional<std::chrono::system_clock::time_point> expires_at, fresh_until, committed_at;
    // At the latest when the request left, and when its verified answer was here.
    std::chrono::steady_clock::time_point sent_at{}, received_at{};
    answer now;  // check() once the answer was applied

    bool answered() const noexcept { return error.empty(); }
    // The answer permits, and nothing that was heard meanwhile denies.
    bool permitted() const noexcept { return answered() && state == "active" && now.permitted(); }
};

// THREAD: every method from any thread; check() takes no lock shared between readers, allocates
// nothing and makes no system call.
class mission_cache {
  public:
    virtual ~mission_cache() = default;
    // `mission_id` as the token or request names it; any text (a malformed id is unknown).
    virtual answer check(std::string_view mission_id) const noexcept = 0;
    // For receivers whose transmitter speaks for several mission issuers.
    virtual answer check(std::string_view issuer, std::string_view mission_id) const noexcept = 0;

    // Asks Mission Status when check() says unknown, stale or gap (or always, with `force`), then
    // answers. Concurrent callers for one mission share one request. `done` runs on the host
    // executor, exactly once; a failure of Status leaves the denial as it is.
    virtual void resolve(std::string_view mission_id, std::function<void(answer)> done,
                         bool force = false) = 0;
    // The same, blocking for at most `timeout`.
    virtual answer resolve(std::string_view mission_id,
                           std::chrono::milliseconds timeout = std::chrono::seconds(5)) = 0;

    // Asks Mission Status anew: one request with a nonce of its own, sent after this call began and
    // shared with nobody, however fresh the mission is thought to be. An active answer is thus of a
    // moment after the call, and whatever was acknowledged before the call is in it. The answer is
    // applied to the cache like any other. `done` runs on the host executor, exactly once.
    // (A double of a host's tests need not override it: it denies.)
    virtual void confirm(std::string_view mission_id, std::function<void(confirmation)> done);
    // The same, blocking for at most `timeout`; what comes later is applied, and not told.
    virtual confirmation confirm(std::string_view mission_id,
                                 std::chrono::milliseconds timeout = std::chrono::seconds(5));

    // The authority in force for this receiver's audience; nullptr while it is not known (never
    // asked for, or changed since: resolve() brings it). Does not look at the mission's standing.
    virtual std::shared_ptr<const authority> authority_of(std::string_view mission_id) const = 0;
    // check() and authority_of() in one consistent look.
    virtual std::pair<answer, std::shared_ptr<const authority>> look(
        std::string_view mission_id) const = 0;

    // look() and authority::permits() in one.
    virtual permission permits(std::string_view mission_id, std::string_view resource,
                               std::string_view action) const;

    virtual std::optional<mission_view> view(std::string_view mission_id) const = 0;
    virtual std::vector<mission_view> list(std::size_t limit = 1000) const = 0;
    virtual std::size_t size() const noexcept = 0;
};

// ------------------------------------------------------------------------------------- teardown

// What a handler is called for. `stale` and `fresh` are the pause and continue of freshness: they
// are not durable, and never end anything.
enum class effect : std::uint8_t {
    suspended,
    resumed,
    completed,
    revoked,
    expired,
    superseded,
    cascaded,
    ended,
    scope_changed,
    stale,
    fresh,
};
std::string_view name(effect e) noexcept;
// All terminal effects: completed, revoked, expired, superseded, cascaded, ended.
const std::vector<effect>& terminal_effects();

struct task {
    std::string idempotency_key;  // the same again on every try of this task, also after a crash
    effect why{};
    std::string mission_id, issuer;
    std::int64_t version = 0;
    std::string name;      // the held thing's name, empty for mission-wide handlers
    std::string data;      // what hold() was given
    unsigned attempt = 1;  // from 1
};

enum class outcome_kind : std::uint8_t { acknowledged, failed, timed_out, unknown };
std::string_view name(outcome_kind k) noexcept;

struct outcome {
    outcome_kind kind = outcome_kind::unknown;  // anything but acknowledged: tried again
    std::string evidence;                       // "pid 4711 gone", kept with the task
    static outcome done(std::string evidence = {});
    static outcome failed(std::string why);
};

struct handler_options {
    std::string name;  // unique within the receiver; part of the idempotency key
    std::vector<effect> on;
    bool per_hold = true;  // once per held thing of the mission; false: once per mission
    std::chrono::milliseconds timeout{10'000};
    std::chrono::milliseconds retry_first{100}, retry_max{30'000};  // exponential, with jitter
    // Calls at a time, over all missions. With 1, a call that never returns (a pause, say) keeps
    // every later task of this handler waiting, the end of a mission too: take 2 or more unless the
    // target truly takes one call at a time.
    unsigned concurrency = 4;
};
// Runs on the host executor (worker threads of the library by default); may block up to `timeout`.
// A call that outlives it is recorded as timed_out and keeps its slot of `concurrency` until it
// returns; its late acknowledgement still counts. Meanwhile the task is tried once more beside it,
// where that does not take the last slot: the same task may be in two calls then, never in three.
using handler = std::function<outcome(const task&)>;

// One durable teardown task, as listed.
struct task_view {
    task what;
    std::string handler;
    outcome_kind last = outcome_kind::unknown;
    std::string evidence;
    bool finished = false, cancelled = false;
    std::chrono::system_clock::time_point created, updated;
    bool orphaned =
        false;             // open, and no handler of that name is registered now: kept until one is
    bool running = false;  // a call of the handler has not returned
    // Of an open task that waits: when it is tried next, as things are.
    std::optional<std::chrono::system_clock::time_point> next_try{};
};

// A process group to be stopped, continued and killed with its mission. Identified by pid, start
// time and boot id, so that a reused pid is never signalled.
struct process_group {
    int pid = 0;                   // group leader; the group id equals it
    std::uint64_t start_time = 0;  // clock ticks since boot (proc(5), field 22)
    std::string boot_id;
    int session = 0;  // tells members apart once the leader itself has gone
    // Reads all of it for a live process; nullopt when it is gone.
    static std::optional<process_group> of(int pid);
    std::string to_data() const;  // for hold()
    static std::optional<process_group> from_data(std::string_view data);
};
// A handler for holds whose data is a process_group: SIGSTOP on suspended and stale, SIGCONT on
// resumed and fresh, SIGTERM then SIGKILL after `grace` on every end; acknowledged when no process
// of the group is left.
handler process_group_handler(std::chrono::milliseconds grace = std::chrono::milliseconds(0));

// How a handler fares, for metrics. Counts are since start.
struct handler_status {
    std::string name;
    std::uint64_t acknowledged = 0, failed = 0, timed_out = 0, unknown = 0;
    std::size_t open = 0, running = 0;  // tasks now; running ones are open too
    std::optional<std::chrono::system_clock::time_point> oldest_open;  // when it was made
    // Calls that have outlived the timeout and have not returned. Each keeps its slot.
    std::size_t overdue = 0;
    bool registered = true;  // false: tasks of a name that no handler has now
};

// ---------------------------------------------------------------------------------- other events

// A security event that is not about a mission: CAEP, RISC, or a type of somebody else's. Typed
// readers of the standard ones are in mission_signals/events.hpp.
struct security_event {
    std::string type;  // event type URI
    std::string iss, jti, txn;
    std::chrono::system_clock::time_point issued_at{};
    std::string subject;  // sub_id, JSON text (RFC 9493)
    std::string event;    // the event object, JSON text
    unsigned attempt = 1;
};
// Durable before the SET is acknowledged, then called until it says `acknowledged`; the same
// (iss, jti) is never begun again once it was. Runs on the host executor.
using event_handler = std::function<outcome(const security_event&)>;

// -------------------------------------------------------------------------------------- receiver

enum class log_level : std::uint8_t { debug, info, warning, error };
struct log_field {
    std::string_view name;
    std::string value;
};
using log_function =
    std::function<void(log_level, std::string_view message, const std::vector<log_field>&)>;
// Runs a blocking job; default: the library's own worker threads.
using executor = std::function<void(std::function<void()>)>;

enum class delivery : std::uint8_t { poll, push };

struct options {
    std::string issuer;        // the transmitter; or:
    std::string metadata_url;  // taken as it is, its `issuer` still has to match if both given
    std::string ca_file;       // PEM; empty: the system's trust store

    std::string client_id;
    std::string private_key_file;     // PEM: private_key_jwt for tokens, Status
    std::string private_key_id;       // `kid` of assertions, where the server insists; empty: none
    std::string client_secret;        // or client_secret_basic
    bool client_secret_post = false;  // the secret in the form instead
    // Mutual TLS: PEM files; the client is known by its certificate (RFC 8705).
    std::string certificate_file, certificate_key_file;
    std::string token;     // or a static token
    std::string audience;  // what SETs' `aud` must equal; empty: taken from the stream

    mission_signals::delivery delivery = delivery::poll;
    // Poll: a poll that is not answered within this is told as a problem, and begun anew. Longer
    // than the transmitter holds one open (ours: 30 s).
    std::chrono::milliseconds poll_timeout{45'000};
    std::string description = "mission-signals receiver";
    std::vector<std::string> events;  // empty: our mission types if offered, else lifecycle-change
    std::vector<std::string> mission_issuers;  // may speak for; empty: the transmitter's own

    // Push: where the library listens (empty: the host mounts handle_push() itself) and what the
    // transmitter is told.
    std::string push_listen;  // "127.0.0.1:0": any free port
    std::string push_certificate_file, push_private_key_file;
    std::string push_public_url;  // may contain "{port}"
    std::string push_authorization_header;

    std::vector<std::string> subjects;  // added to the stream at its creation, JSON texts
    std::string stream_id;              // a stream that the transmitter has made: adopted, or fails
    std::string metadata_json;          // static metadata, for transmitters without discovery
    std::vector<std::string> token_hosts;  // besides the issuer's origin, where tokens may go
    std::string token_endpoint;            // where metadata does not name one
    std::string token_scope;               // asked for at the token endpoint; empty: none named
    // Tolerance of a peer that does not follow the specifications; each is off, and the first use
    // of each is logged (wire.md section 5).
    struct {
        bool typ_missing = false;       // SETs without `typ`
        bool issuer_slash = false;      // issuers equal but for a trailing slash
        bool created_with_200 = false;  // 200 for 201
        bool several_events = false;    // more than one event in a SET
    } quirks;

    std::string state_path;  // SQLite file; empty: nothing outlives the process
    unsigned worker_threads = 2;
    std::size_t max_missions = 1'000'000;
    // Once everything of an ended mission is torn down, a signed report of what was done, when and
    // on what evidence goes to the transmitter (wire.md section 4, kind `teardown`); only with
    // `state_path`, and a client that can sign (`private_key_file`).
    bool teardown_reports = true;
    // What is not confirmed after this time is told in an interim report; the final one follows.
    std::chrono::milliseconds teardown_report_after{60'000};
    std::string reports_url;  // where to; "{mission_id}" stands for the id. Empty: the issuer's own
    bool replace_stream = false;  // a stream of ours with another configuration: false refuses

    log_function log;  // null: silence
    executor run;      // null: own worker threads
};

// A request to the push endpoint, for hosts that mount it (RFC 8935).
struct push_request {
    std::string content_type, authorization, body;
};
struct push_response {
    int status = 202;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};

struct status {
    bool streaming = false;  // verified, and live
    std::string stream_id, iss, aud, log_epoch;
    std::int64_t continuity = 0;
    std::optional<std::chrono::system_clock::time_point> live_until;
    std::uint64_t sets_received = 0, sets_rejected = 0, sets_duplicate = 0, status_requests = 0,
                  gaps = 0, heartbeats = 0, tasks_pending = 0, unknown_events = 0;
    std::uint64_t missions = 0, missions_evicted = 0, missions_refused = 0;  // refused: no room
    std::uint64_t reports_sent = 0, reports_pending = 0;                     // of teardown
    std::uint64_t reports_refused = 0;  // by the transmitter, for good
    std::string last_error;
};

struct setup_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// FORK: a receiver belongs to the process that called start(). In a child of fork(2), however made,
// check() and everything else deny from the first instruction on (`unknown`, false, empty),
// callbacks of resolve() and confirm() are called at once with a denial, and stop() and the
// destructor let go without touching the parent's state file and connections. A child makes a
// receiver of its own.
class receiver {
  public:
    virtual ~receiver() = default;  // stops

    // Registers before start(). A handler of a known name picks up its unfinished tasks.
    virtual void on_effect(handler_options what, handler run) = 0;
    // Told of every applied change after it is durable; for logs and metrics. A mission first seen
    // active is told as `resumed`, a change of deadlines alone as `scope_changed`. Before start().
    // While 100,000 changes wait for slow callbacks further ones are not told, and that is logged.
    virtual void on_change(std::function<void(const mission_view&, effect)> fn) = 0;
    // Told of every outcome of a durable task once it is recorded, and of its cancellation; on the
    // host executor, in order per task. Before start().
    virtual void on_task(std::function<void(const task_view&)> fn) = 0;
    // Events that are not about missions; `types` empty: every type no other handler names. Before
    // start(). Without a handler they are acknowledged and counted (status::unknown_events).
    virtual void on_event(std::string name, std::vector<std::string> types, event_handler fn) = 0;

    // Opens state, starts discovery, stream and teardown in the background; returns at once.
    // Until the stream lives, check() denies. setup_error for what can never work (unreadable key,
    // state of a newer version).
    virtual void start() = 0;
    // Blocks until the stream is verified and live, or `timeout`; false then.
    virtual bool wait_live(std::chrono::milliseconds timeout) = 0;
    // Two-step. Handlers that run are waited for until their timeout has passed; one that still
    // runs then is left behind, with its thread: its task is tried again by the next start, and
    // what it refers to has to outlive it. Not from a handler or a callback of this receiver.
    virtual void stop() = 0;

    virtual mission_cache& missions() noexcept = 0;

    // Declares what this host holds for a mission, durably, before it is handed out: its end then
    // runs the handlers for it, also if it is missed while nobody was listening. False when the
    // mission is not permitted right now (nothing is recorded): do not hand out. Repeating a
    // (mission, name) replaces its data.
    virtual bool hold(std::string_view mission_id, std::string_view name,
                      std::string_view data) = 0;
    virtual void release(std::string_view mission_id, std::string_view name) = 0;
    struct held_thing {
        std::string mission_id, name, data;
    };
    virtual std::vector<held_thing> held(std::string_view mission_id = {}) const = 0;

    virtual std::vector<task_view> tasks(bool unfinished_only = true) const = 0;
    virtual bool retry_task(std::string_view idempotency_key) = 0;  // now, instead of later
    virtual std::vector<handler_status> handlers() const = 0;

    // For hosts that mount the push endpoint; `done` may run later, on another thread, and only
    // after everything the SET says is durable.
    virtual void handle_push(push_request request, std::function<void(push_response)> done) = 0;
    virtual std::uint16_t push_port() const noexcept = 0;

    virtual mission_signals::status current_status() const = 0;
    virtual std::string last_setup_problem() const = 0;  // why the stream is not live, for people
};

// Checks the options' form; setup_error names the option.
std::unique_ptr<receiver> make_receiver(options o);

}  // namespace mission_signals
