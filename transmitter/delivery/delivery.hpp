// Delivery of one issuer: from the log to every stream that may know, by push and by poll.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.hpp"
#include "store/store.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

// Where one stream stands, for operators.
struct stream_report {
    store::stream config;
    store::seq_t acked_seq = 0;
    std::int64_t lag_signals = 0;       // matching and unsettled
    std::int64_t lag_milliseconds = 0;  // age of the oldest unsettled one
    bool held = false;                  // relation is bad
    wall_time held_since{};             // with `held`
    std::string held_reason;            // with the receiver's words
    wall_time last_success{}, last_failure{};
    std::string last_failure_reason;
    std::uint64_t delivered = 0, failed = 0, dead = 0;
};

struct delivery_counters {
    std::uint64_t signed_sets = 0, pushed = 0, push_failures = 0, polled = 0, acked = 0,
                  set_errors = 0, heartbeats = 0, verifications = 0, dead_letters = 0;
    // Signals that concerned a stream, each counted per stream; those sent again by an operator;
    // streams that we have paused ourselves; signals whose rows could not be read.
    std::uint64_t matched = 0, replayed = 0, paused = 0, unreadable = 0;
};

class delivery {
  public:
    virtual ~delivery() = default;
    // Loads streams, cursors, epochs; starts pushing. Blocking, before the listener opens.
    virtual result<void> start() = 0;
    // First step: no new pushes and polls answered empty; cursors flushed. Blocking.
    virtual void stop() = 0;

    // THREAD: the store's writer, from the commit listener. Hands on at once.
    virtual void committed(std::shared_ptr<const std::vector<store::signal>> batch) = 0;

    // Stream management tells what has been committed. THREAD: any.
    virtual void stream_added(store::stream s, std::vector<store::stream_epoch> epochs,
                              store::cursor c) = 0;
    virtual void stream_removed(store::stream_row row) = 0;

    // What stream management, an operator or the start has changed, as it now stands. Told from the
    // completion, and so before the signals of the same batch (store.hpp).
    struct stream_change {
        store::stream stream;
        std::vector<store::stream_epoch> epochs;  // all that are kept, by from_seq
        // Where the stream stands from now on: enabling a disabled one, replay.
        std::optional<store::cursor> cursor;
        // Committed with it, to be told (stream-updated).
        std::vector<store::stream_event> events;
    };
    virtual void stream_changed(stream_change change) = 0;
    // Rows that were inserted or replaced, by (key, added_seq).
    virtual void subjects_changed(store::stream_row row,
                                  std::vector<store::stream_subject> rows) = 0;
    // The receiver has been heard of: restarts `inactivity_timeout`.
    virtual void touched(store::stream_row row) = 0;

    // Sends again what the stream has settled: the same claims under the same jti. `from` (0: none)
    // is the first seq of a range up to the head, `only` single ones. `done` says how many will go
    // again, after that is durable.
    struct replay_request {
        store::seq_t from = 0;
        std::vector<store::seq_t> only;
    };
    virtual void replay(store::stream_row row, replay_request what,
                        std::function<void(result<std::size_t>)> done) = 0;
    // A requested verification (already judged): answered through `done` when recorded durably.
    virtual void verify(store::stream_row row, std::optional<std::string> state,
                        std::function<void(result<void>)> done) = 0;

    // RFC 8936. The request is authorised and parsed by the caller (api/poll).
    struct poll_request {
        std::size_t max_events = 100;
        bool return_immediately = false;
        std::vector<std::string> acks;
        struct set_error {
            std::string jti, err, description;
        };
        std::vector<set_error> set_errs;
        wall_time until{};  // the token's end
    };
    virtual void poll(store::stream_row row, poll_request request, net::responder respond) = 0;

    // What the routes ask for at every request; from memory. nullopt: no such stream. THREAD: any.
    struct stream_ref {
        store::stream_row row{};
        std::string client_id;
        store::stream_status status = store::stream_status::enabled;
        store::delivery_method method = store::delivery_method::poll;
        std::string status_reason;
    };
    virtual std::optional<stream_ref> find_stream(std::string_view stream_id) const = 0;

    virtual std::vector<stream_report> reports() const = 0;
    virtual std::optional<stream_report> report_of(std::string_view stream_id) const = 0;
    // Which version of a mission each stream that may know of it has acknowledged (0: none).
    struct acked_version {
        std::string stream_id, client_id;
        std::int64_t version = 0;
    };
    virtual void acked_versions(const store::mission& m,
                                std::function<void(result<std::vector<acked_version>>)> done) = 0;
    // How long the oldest unsettled signal has waited, of the streams that are at work: enabled,
    // not held, and with something settled within limits::at_work. 0: none waits. THREAD: any.
    virtual std::chrono::milliseconds healthy_lag() const = 0;
    virtual delivery_counters counters() const = 0;
};

std::unique_ptr<delivery> make_delivery(issuer_service& issuer);

// Routes of /ssf and /admin/streams (api/streams.cpp, api/poll.cpp, api/verify.cpp,
// api/admin_streams.cpp).
class router;
void add_stream_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);
void add_admin_stream_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);

}  // namespace mission::transmitter
