/* Mission Signals receiver for C, and for every language that can call C.
 *
 *     ms_options *o = ms_options_new();
 *     ms_options_set(o, "issuer", "https://mas.example");          // names as in receiver.hpp
 *     ms_receiver *rx = NULL;
 *     if (ms_receiver_new(o, &rx) != MS_OK || ms_receiver_start(rx) != MS_OK) die(ms_error());
 *     if (!ms_check(rx, mission_id, NULL)) return refuse();
 *
 * RULES
 *   Every function may be called from any thread, unless it says otherwise. An object is not to be
 *   freed while another thread is in a call with it.
 *   Texts are UTF-8 and end with NUL. Texts and structs that are handed to a callback are valid
 *   until it returns. A null pointer where one is not allowed is MS_E_ARGUMENT, and denies.
 *   CALLBACKS run on threads of the library (or where ms_options_on_run puts them), several at a
 *   time; they must not throw, longjmp, or end their thread, and must not stop or free their
 *   receiver (that is refused with MS_E_STATE). Log callbacks must not call the receiver at all.
 *   `user` is handed through; `free_user`, if any, is called once with it when it is needed no
 *   more, on any thread.
 *   FORK: a receiver belongs to the process that started it. In a child of fork() every check
 *   denies from the first instruction on, every other call says MS_E_FORKED or returns nothing,
 *   and ms_receiver_free() only lets go of memory: state file and connections stay the parent's.
 *   A child that wants a receiver makes its own, with a state file of its own.
 *   GROWTH: structs begin with `size`. Who fills one sets it (MS_..._INIT does); members are only
 *   ever added at the end, and neither side touches what lies behind the other's size. Values of
 *   enumerations are never reused; there may come more. Zero never permits.
 *
 * Symbols carry the version MISSION_SIGNALS_0; the library exports nothing else.
 */
#ifndef MISSION_SIGNALS_MS_H
#define MISSION_SIGNALS_MS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MS_API __attribute__((visibility("default")))
#else
#define MS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------- version, results */

#define MS_ABI_MAJOR 0 /* of the shared object's name; another one is not compatible */
#define MS_ABI_MINOR 1 /* raised when something is added */

typedef struct ms_version_info {
    uint32_t size;
    uint32_t abi_major, abi_minor;
    uint32_t major, minor, patch; /* of Mission Signals */
} ms_version_info;
#define MS_VERSION_INFO_INIT \
    { (uint32_t)sizeof(ms_version_info), 0, 0, 0, 0, 0 }

/* MS_ABI_MAJOR << 16 | MS_ABI_MINOR of the library that was found at run time. */
MS_API uint32_t ms_abi_version(void);

typedef int32_t ms_result;
enum {
    MS_OK = 0,
    MS_E_ARGUMENT = 1, /* a null pointer, a name or value that is none */
    MS_E_SETUP = 2,    /* what can never work: an unreadable key, a call out of order */
    MS_E_STATE = 3,    /* not now: from a callback of the same receiver */
    MS_E_TIMEOUT = 4,
    MS_E_NOT_FOUND = 5,
    MS_E_DENIED = 6, /* the mission is not permitted right now */
    MS_E_FORKED = 7, /* this process is a child of the receiver's */
    MS_E_MEMORY = 8,
    MS_E_INTERNAL = 9 /* a bug of ours, or a callback has thrown; ms_error() says what */
};

MS_API ms_result ms_version(ms_version_info* out);

/* What the last call of this thread that failed had to say; never null, and valid until the next
 * failing call of this thread. */
MS_API const char* ms_error(void);

typedef void (*ms_free_fn)(void* user);

/* -------------------------------------------------------------------------------------- words */

/* Only MS_STANDING_ACTIVE permits. */
typedef int32_t ms_standing;
enum {
    MS_STANDING_UNKNOWN = 0, /* never heard of, or Status says not_found */
    MS_STANDING_ACTIVE = 1,
    MS_STANDING_SUSPENDED = 2,
    MS_STANDING_COMPLETED = 3,
    MS_STANDING_REVOKED = 4,
    MS_STANDING_EXPIRED = 5,
    MS_STANDING_SUPERSEDED = 6,
    MS_STANDING_CASCADED = 7,
    MS_STANDING_ENDED = 8, /* a state we do not know the name of: not active */
    MS_STANDING_STALE = 9, /* no fresh word from the transmitter within its bound */
    MS_STANDING_GAP = 10   /* a version was missed: Status has to be asked first */
};

/* Why a denial could not be mended; told by ms_resolve() and ms_confirm() alone. */
typedef int32_t ms_cause;
enum {
    MS_CAUSE_NONE = 0,
    MS_CAUSE_NOT_FOUND = 1,
    MS_CAUSE_STATUS_UNREACHABLE = 2,
    MS_CAUSE_STATUS_LIMITED = 3,
    MS_CAUSE_CACHE_FULL = 4,
    MS_CAUSE_TIMED_OUT = 5
};

typedef int32_t ms_grant;
enum {
    MS_GRANT_NOT_KNOWN = 0, /* the authority is not known, or changed: ms_resolve() brings it */
    MS_GRANT_GRANTED = 1,
    MS_GRANT_NOT_GRANTED = 2
};

typedef int32_t ms_effect;
enum {
    MS_EFFECT_SUSPENDED = 1,
    MS_EFFECT_RESUMED = 2,
    MS_EFFECT_COMPLETED = 3,
    MS_EFFECT_REVOKED = 4,
    MS_EFFECT_EXPIRED = 5,
    MS_EFFECT_SUPERSEDED = 6,
    MS_EFFECT_CASCADED = 7,
    MS_EFFECT_ENDED = 8,
    MS_EFFECT_SCOPE_CHANGED = 9,
    MS_EFFECT_STALE = 10,
    MS_EFFECT_FRESH = 11
};
#define MS_ON(effect) ((uint32_t)1 << (effect)) /* for ms_handler_options.on */
#define MS_ON_END                                                                       \
    (MS_ON(MS_EFFECT_COMPLETED) | MS_ON(MS_EFFECT_REVOKED) | MS_ON(MS_EFFECT_EXPIRED) | \
     MS_ON(MS_EFFECT_SUPERSEDED) | MS_ON(MS_EFFECT_CASCADED) | MS_ON(MS_EFFECT_ENDED))

typedef int32_t ms_outcome_kind;
enum {
    MS_OUTCOME_UNKNOWN = 0, /* treat as still running */
    MS_OUTCOME_ACKNOWLEDGED = 1,
    MS_OUTCOME_FAILED = 2,
    MS_OUTCOME_TIMED_OUT = 3
};

typedef int32_t ms_log_level;
enum { MS_LOG_DEBUG = 0, MS_LOG_INFO = 1, MS_LOG_WARNING = 2, MS_LOG_ERROR = 3 };

/* The words of receiver.hpp: "revoked", "status_unreachable". "unknown" for a number that is none;
 * static texts. */
MS_API const char* ms_standing_name(ms_standing standing);
MS_API const char* ms_cause_name(ms_cause cause);
MS_API const char* ms_effect_name(ms_effect effect);
MS_API const char* ms_outcome_name(ms_outcome_kind kind);

/* ------------------------------------------------------------------------------------ options */

typedef struct ms_options ms_options;
typedef struct ms_receiver ms_receiver;

/* Null when there is no memory. Not to be used by two threads at once. */
MS_API ms_options* ms_options_new(void);
MS_API void ms_options_free(ms_options* options); /* null is allowed */

/* Keys are the members of mission_signals::options (receiver.hpp), where they are described:
 * "issuer", "client_id", "private_key_file", "state_path" ... Numbers are decimal, truth is "true"
 * or "false". poll_timeout is "poll_timeout_ms"; delivery is "poll" or "push"; the quirks are
 * "quirks.typ_missing" and so on. A list ("events", "subjects", "mission_issuers", "token_hosts")
 * becomes `value` alone; ms_options_add() appends to one. Values are copied; their form is judged
 * by ms_receiver_new(). */
MS_API ms_result ms_options_set(ms_options* options, const char* key, const char* value);
MS_API ms_result ms_options_add(ms_options* options, const char* key, const char* value);

typedef struct ms_log_field {
    const char *name, *value;
} ms_log_field;
typedef void (*ms_log_fn)(void* user, ms_log_level level, const char* message,
                          const ms_log_field* fields, size_t field_count);
/* Without it the library is silent. */
MS_API ms_result ms_options_on_log(ms_options* options, ms_log_fn log, void* user,
                                   ms_free_fn free_user);

/* Where handlers and callbacks run. `run` gets a job and returns soon; later, on a thread of the
 * host's that may block, exactly one of ms_job_run() and ms_job_drop() is called with it. Jobs that
 * are run after ms_receiver_stop() do nothing. Without it: threads of the library. */
typedef struct ms_job ms_job;
typedef void (*ms_run_fn)(void* user, ms_job* job);
MS_API ms_result ms_options_on_run(ms_options* options, ms_run_fn run, void* user,
                                   ms_free_fn free_user);
MS_API void ms_job_run(ms_job* job);
MS_API void ms_job_drop(ms_job* job);

/* ----------------------------------------------------------------------------------- receiver */

/* Copies the options; they may be freed, or used again. MS_E_SETUP names the option. */
MS_API ms_result ms_receiver_new(const ms_options* options, ms_receiver** out);
/* Returns at once; until the stream lives, everything is denied. */
MS_API ms_result ms_receiver_start(ms_receiver* receiver);
/* MS_OK once the stream is verified and live, else MS_E_TIMEOUT. */
MS_API ms_result ms_receiver_wait_live(ms_receiver* receiver, int64_t timeout_ms);
/* Running handlers finish. Then only denials, and ms_receiver_free(). */
MS_API ms_result ms_receiver_stop(ms_receiver* receiver);
/* Stops. MS_E_STATE (and nothing is freed) from a callback of it; null is allowed. */
MS_API ms_result ms_receiver_free(ms_receiver* receiver);
/* Why the stream is not live, for people: written to `out` with its NUL, cut to `capacity`. Returns
 * the length of the whole. */
MS_API size_t ms_receiver_problem(const ms_receiver* receiver, char* out, size_t capacity);

/* -------------------------------------------------------------------------------------- check */

typedef struct ms_answer {
    uint32_t size;
    ms_standing standing;
    int64_t version; /* last applied; 0 when unknown */
    ms_cause cause;
    uint32_t reserved;
} ms_answer;
#define MS_ANSWER_INIT \
    { (uint32_t)sizeof(ms_answer), 0, 0, 0, 0 }

/* 1 when the mission is active, known, fresh and unexpired; 0 else. Nanoseconds: takes no lock,
 * allocates nothing and makes no system call. `out` may be null. A malformed id is an unknown
 * mission. */
MS_API int ms_check(const ms_receiver* receiver, const char* mission_id, ms_answer* out);
/* The same for an id that does not end with NUL. */
MS_API int ms_check_n(const ms_receiver* receiver, const char* mission_id, size_t length,
                      ms_answer* out);
/* For people and refusals: "mission revoked". A static text. */
MS_API const char* ms_reason(const ms_answer* answer);

typedef struct ms_permission {
    uint32_t size;
    ms_standing standing;
    int64_t version;
    ms_grant grant;
    uint32_t reserved;
} ms_permission;
#define MS_PERMISSION_INIT \
    { (uint32_t)sizeof(ms_permission), 0, 0, 0, 0 }

/* 1 when the mission may do this, here and now: its standing first, then its authority. */
MS_API int ms_permits(const ms_receiver* receiver, const char* mission_id, const char* resource,
                      const char* action, ms_permission* out);

/* Asks Mission Status when ms_check() says unknown, stale or gap, or when the authority is not
 * known, then answers as ms_check(). Blocks for at most `timeout_ms`; concurrent callers of one
 * mission share one request. */
MS_API int ms_resolve(ms_receiver* receiver, const char* mission_id, int64_t timeout_ms,
                      ms_answer* out);

typedef void (*ms_answer_fn)(void* user, const ms_answer* answer);
#define MS_RESOLVE_FORCE 1u /* ask in any case */
/* The same without blocking. MS_OK: `done` is called exactly once, perhaps before this returns;
 * anything else: never. (Where the host's executor runs the job after ms_receiver_stop(), no more.)
 */
MS_API ms_result ms_resolve_async(ms_receiver* receiver, const char* mission_id, uint32_t flags,
                                  ms_answer_fn done, void* user);

typedef struct ms_authority ms_authority; /* of a mission, for this receiver's audience */
MS_API int ms_authority_permits(const ms_authority* authority, const char* resource,
                                const char* action);
typedef struct ms_authority_entry {
    uint32_t size;
    uint32_t action_count;
    const char *type, *resource;
    const char* const* actions;
    const char* json; /* the whole entry (RFC 9396) */
} ms_authority_entry;
/* Callbacks that go through many: 0 goes on, anything else ends it. */
typedef int (*ms_authority_entry_fn)(void* user, const ms_authority_entry* entry);
MS_API ms_result ms_authority_each(const ms_authority* authority, ms_authority_entry_fn each,
                                   void* user);
/* The authority in force; MS_E_NOT_FOUND while it is not known. Says nothing of the standing. */
MS_API ms_result ms_authority_of(const ms_receiver* receiver, const char* mission_id,
                                 ms_authority_entry_fn each, void* user);

typedef struct ms_confirmation {
    uint32_t size;
    int32_t permitted; /* the answer permits, and nothing that was heard meanwhile denies */
    const char* error; /* why there is no answer; empty: there is one */
    const char* state;
    int64_t version;
    const ms_authority* authority; /* may be null */
    int64_t issued_at_ms;          /* since 1970, as all of these; 0: not said */
    int64_t expires_at_ms, fresh_until_ms, committed_at_ms;
    int64_t age_at_most_ms; /* of the answer, when this is called; -1 without an answer */
    ms_standing now;        /* ms_check() once the answer was applied */
    uint32_t reserved;
} ms_confirmation;
typedef void (*ms_confirmation_fn)(void* user, const ms_confirmation* confirmation);
/* Asks Mission Status anew, for what cannot be taken back: a request of its own, sent after this
 * call began. `told` (may be null) is called once, in this thread, before this returns. 1 when
 * permitted. */
MS_API int ms_confirm(ms_receiver* receiver, const char* mission_id, int64_t timeout_ms,
                      ms_confirmation_fn told, void* user);
/* Without blocking; as ms_resolve_async(). */
MS_API ms_result ms_confirm_async(ms_receiver* receiver, const char* mission_id,
                                  ms_confirmation_fn told, void* user);

typedef struct ms_mission {
    uint32_t size;
    ms_standing standing;
    int64_t version, log_version;
    const char *id, *issuer;
    const char* state; /* as last told: stays "active" when `standing` says stale */
    const char *successor, *reason;
    int64_t expires_at_ms, fresh_until_ms, suspend_until_ms, committed_at_ms; /* 0: none */
} ms_mission;
typedef int (*ms_mission_fn)(void* user, const ms_mission* mission);
/* One mission, MS_E_NOT_FOUND when nothing is held of it; at most `limit` of them. For logs. */
MS_API ms_result ms_mission_view(const ms_receiver* receiver, const char* mission_id,
                                 ms_mission_fn told, void* user);
MS_API ms_result ms_missions(const ms_receiver* receiver, size_t limit, ms_mission_fn each,
                             void* user);

/* ----------------------------------------------------------------------------------- teardown */

/* Declares what this host holds for a mission, durably, before it is handed out. MS_E_DENIED: do
 * not hand out. `data` may be anything (null with length 0). */
MS_API ms_result ms_hold(ms_receiver* receiver, const char* mission_id, const char* name,
                         const void* data, size_t data_length);
MS_API ms_result ms_release(ms_receiver* receiver, const char* mission_id, const char* name);
typedef struct ms_held {
    uint32_t size;
    uint32_t reserved;
    const char *mission_id, *name;
    const char* data; /* a NUL follows it */
    size_t data_length;
} ms_held;
typedef int (*ms_held_fn)(void* user, const ms_held* held);
/* `mission_id` null or empty: of all missions. */
MS_API ms_result ms_held_each(const ms_receiver* receiver, const char* mission_id, ms_held_fn each,
                              void* user);

typedef struct ms_task {
    uint32_t size;
    ms_effect why;
    const char* idempotency_key; /* the same again on every try, also after a crash */
    const char *mission_id, *issuer;
    int64_t version;
    const char* name; /* of the held thing; empty for handlers per mission */
    const char* data; /* what ms_hold() was given; a NUL follows it */
    size_t data_length;
    uint32_t attempt; /* from 1 */
    uint32_t reserved;
} ms_task;

/* What a handler says. A handler that says nothing has said MS_OUTCOME_UNKNOWN, and is called
 * again. Evidence is copied, and kept with the task; null is empty. */
typedef struct ms_outcome ms_outcome;
MS_API void ms_outcome_done(ms_outcome* outcome, const char* evidence);
MS_API void ms_outcome_failed(ms_outcome* outcome, const char* why);

typedef void (*ms_handler_fn)(void* user, const ms_task* task, ms_outcome* outcome);
typedef struct ms_handler_options {
    uint32_t size;
    uint32_t on;         /* MS_ON(MS_EFFECT_...) | ..., or MS_ON_END */
    const char* name;    /* unique within the receiver */
    int32_t per_mission; /* 1: once per mission; 0: once per held thing of it */
    /* Calls at a time, over all missions. With 1, a call that never returns keeps every later task
     * of this handler waiting, the end of a mission too: take 2 or more. Here and below, 0: as the
     * library has it. */
    uint32_t concurrency;
    int64_t timeout_ms, retry_first_ms, retry_max_ms;
} ms_handler_options;
#define MS_HANDLER_OPTIONS_INIT \
    { (uint32_t)sizeof(ms_handler_options), 0, NULL, 0, 0, 0, 0, 0 }
/* Before ms_receiver_start(), as all ms_on_...(). When one of these fails, `free_user` has been
 * called nevertheless. */
MS_API ms_result ms_on_effect(ms_receiver* receiver, const ms_handler_options* options,
                              ms_handler_fn handler, void* user, ms_free_fn free_user);

/* A process group as data for ms_hold(): pid, start time and boot id, so that a reused pid is never
 * signalled. Written with its NUL. MS_E_NOT_FOUND when there is no such live process, MS_E_ARGUMENT
 * when `capacity` (MS_PROCESS_GROUP_DATA is enough) does not do. */
#define MS_PROCESS_GROUP_DATA 256
MS_API ms_result ms_process_group_data(int32_t pid, char* out, size_t capacity);
/* Stops, continues and ends such holds; `grace_ms` between SIGTERM and SIGKILL. */
MS_API ms_result ms_on_effect_process_group(ms_receiver* receiver,
                                            const ms_handler_options* options, int64_t grace_ms);

typedef struct ms_task_view {
    uint32_t size;
    ms_outcome_kind last;
    const ms_task* task;
    const char *handler, *evidence;
    int32_t finished, cancelled;
    int64_t created_ms, updated_ms;
} ms_task_view;
typedef int (*ms_task_view_fn)(void* user, const ms_task_view* task);
MS_API ms_result ms_tasks(const ms_receiver* receiver, int unfinished_only, ms_task_view_fn each,
                          void* user);
/* Now, instead of later; MS_E_NOT_FOUND when there is no such unfinished task. */
MS_API ms_result ms_task_retry(ms_receiver* receiver, const char* idempotency_key);
/* Of each outcome once it is recorded; the returned number is not looked at. */
MS_API ms_result ms_on_task(ms_receiver* receiver, ms_task_view_fn told, void* user,
                            ms_free_fn free_user);

typedef struct ms_handler_status {
    uint32_t size;
    uint32_t reserved;
    const char* name;
    uint64_t acknowledged, failed, timed_out, unknown; /* since start */
    uint64_t open, running;                            /* tasks now */
    int64_t oldest_open_ms;                            /* when it was made; 0: none */
} ms_handler_status;
typedef int (*ms_handler_status_fn)(void* user, const ms_handler_status* handler);
MS_API ms_result ms_handlers(const ms_receiver* receiver, ms_handler_status_fn each, void* user);

/* ---------------------------------------------------------------------------- what is heard */

typedef void (*ms_change_fn)(void* user, const ms_mission* mission, ms_effect effect);
MS_API ms_result ms_on_change(ms_receiver* receiver, ms_change_fn told, void* user,
                              ms_free_fn free_user);

typedef struct ms_event {
    uint32_t size;
    uint32_t attempt;
    const char *type, *iss, *jti, *txn;
    int64_t issued_at_ms;
    const char *subject, *event; /* JSON texts */
} ms_event;
typedef void (*ms_event_fn)(void* user, const ms_event* event, ms_outcome* outcome);
/* Security events that are not about missions; `types` null: every type no other handler names. */
MS_API ms_result ms_on_event(ms_receiver* receiver, const char* name, const char* const* types,
                             size_t type_count, ms_event_fn handler, void* user,
                             ms_free_fn free_user);

/* A request to the push endpoint, for hosts that mount it (RFC 8935). Copied. */
typedef struct ms_push_request {
    uint32_t size;
    uint32_t reserved;
    const char *content_type, *authorization; /* field values; null: none */
    const char* body;
    size_t body_length;
} ms_push_request;
#define MS_PUSH_REQUEST_INIT \
    { (uint32_t)sizeof(ms_push_request), 0, NULL, NULL, NULL, 0 }
typedef struct ms_push_response {
    uint32_t size;
    int32_t status;
    const ms_log_field* headers;
    size_t header_count;
    const char* body;
    size_t body_length;
} ms_push_response;
typedef void (*ms_push_fn)(void* user, const ms_push_response* response);
/* MS_OK: `done` is called exactly once, perhaps later and on another thread. */
MS_API ms_result ms_handle_push(ms_receiver* receiver, const ms_push_request* request,
                                ms_push_fn done, void* user);
MS_API uint16_t ms_push_port(const ms_receiver* receiver); /* 0: the library does not listen */

typedef struct ms_status {
    uint32_t size;
    int32_t streaming; /* verified, and live */
    const char *stream_id, *iss, *aud, *log_epoch, *last_error;
    int64_t continuity, live_until_ms;
    uint64_t sets_received, sets_rejected, sets_duplicate, status_requests, gaps, heartbeats;
    uint64_t tasks_pending, unknown_events, missions, missions_evicted, missions_refused;
    uint64_t reports_sent, reports_pending;
} ms_status;
typedef void (*ms_status_fn)(void* user, const ms_status* status);
MS_API ms_result ms_status_get(const ms_receiver* receiver, ms_status_fn told, void* user);

#ifdef __cplusplus
}
#endif

#endif /* MISSION_SIGNALS_MS_H */
