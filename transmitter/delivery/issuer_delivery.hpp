// The shell of delivery: executes what the pure rules of this folder decide. Private.
//
//      writer thread --committed()--> strand: route, admit --> workers: build, sign
//                                        ^                        |
//                                        |     push: http_client <+> poll: responder
//                                        +------- answer ---------+
//                                        |
//                                        +--> flush (<= 20 ms): cursors, exceptions, continuity
//
// THREAD: one strand per issuer owns every `live_stream`; what other threads ask for (find_stream,
// reports, counters) is published under `shared_`. Nothing here blocks the strand. Callbacks hold
// the object (shared_from_this), which lives until the last of them has run; after stop() they do
// nothing.
//
// A stream that has settled everything *follows*: it is not touched by a signal that does not
// concern it, and its window is brought up to `routed_` when it is next looked at. One that has no
// room, or starts from an older cursor, is *behind*: it reads the log by itself until it follows.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/client.hpp"
#include "net/runtime.hpp"
#include "transmitter/delivery/audience_index.hpp"
#include "transmitter/delivery/classify.hpp"
#include "transmitter/delivery/delivery.hpp"
#include "transmitter/delivery/heartbeat.hpp"
#include "transmitter/delivery/outcome.hpp"
#include "transmitter/delivery/poll_select.hpp"
#include "transmitter/delivery/position_ledger.hpp"
#include "transmitter/delivery/subject_index.hpp"

namespace mission::transmitter {

// RFC 8936 section 2.3: jti -> SET.
net::http_response poll_answer_json(const std::vector<std::pair<std::string, std::string>>& sets,
                                    bool more_available);

class issuer_delivery : public std::enable_shared_from_this<issuer_delivery> {
  public:
    explicit issuer_delivery(issuer_service& issuer);

    // delivery's interface, see delivery.hpp.
    result<void> start();
    void stop();
    void committed(std::shared_ptr<const std::vector<store::signal>> batch);
    void stream_added(store::stream s, std::vector<store::stream_epoch> epochs, store::cursor c);
    void stream_removed(store::stream_row row);
    void stream_changed(delivery::stream_change change);
    void subjects_changed(store::stream_row row, std::vector<store::stream_subject> rows);
    void touched(store::stream_row row);
    void replay(store::stream_row row, delivery::replay_request what,
                std::function<void(result<std::size_t>)> done);
    void verify(store::stream_row row, std::optional<std::string> state,
                std::function<void(result<void>)> done);
    void poll(store::stream_row row, delivery::poll_request request, net::responder respond);
    std::optional<delivery::stream_ref> find_stream(std::string_view stream_id) const;
    std::vector<stream_report> reports() const;
    std::optional<stream_report> report_of(std::string_view stream_id) const;
    void acked_versions(const store::mission& m,
                        std::function<void(result<std::vector<delivery::acked_version>>)> done);
    std::chrono::milliseconds healthy_lag() const;
    delivery_counters counters() const;

  private:
    // A long poll that waits. The timer ends it at its deadline.
    struct waiting_poll {
        std::uint64_t id = 0;
        std::size_t max_events = 0;
        net::responder respond;
        std::unique_ptr<net::timer> deadline;
    };

    // Everything of one stream. THREAD: strand.
    struct live_stream {
        store::stream config;
        std::string authorization;     // opened; never logged
        std::vector<terms_ptr> terms;  // by from_seq
        store::cursor restored;        // what was settled ahead of the window
        std::map<store::seq_t, store::exception> restored_exceptions;
        delivery_state state;
        bool behind = false;           // reads the log by itself
        bool loading = false;          // such a read is under way
        bool subjects = false;         // has rows in the subject index
        bool unconfigured = false;     // its client is gone from the configuration: held
        bool untold_loss = false;      // continuity rose, and no stream-updated could say so
        bool pausing = false;          // a decision to pause it is under way
        bool wants_heartbeat = false;  // due; a poll will take it
        std::size_t verifying = 0;     // verifications that are being written
        // Requests of an earlier generation are given up: their answers count no more.
        std::uint64_t generation = 0;
        steady_time last_heard{};
        std::unique_ptr<net::timer> wake;
        std::deque<waiting_poll> polls;
        // In flight; destroying one cancels it.
        std::map<std::string, std::shared_ptr<net::pending_request>, std::less<>> requests;

        bool push() const noexcept { return config.method == store::delivery_method::push; }
        terms_ptr newest() const { return terms.empty() ? nullptr : terms.back(); }
        bool enabled() const noexcept {
            return config.status == store::stream_status::enabled && !unconfigured;
        }
        bool disabled() const noexcept { return config.status == store::stream_status::disabled; }
    };
    using stream_ptr = std::shared_ptr<live_stream>;

    struct counter_cells {
        std::atomic<std::uint64_t> signed_sets{0}, pushed{0}, push_failures{0}, polled{0}, acked{0},
            set_errors{0}, heartbeats{0}, verifications{0}, dead_letters{0}, matched{0},
            replayed{0}, paused{0}, unreadable{0};
    };

    // Runs `fn` on the strand unless stopped meanwhile.
    template <class F>
    void on_strand(F fn) {
        strand_->post([self = shared_from_this(), fn = std::move(fn)]() mutable {
            if (!self->stopped_) fn(*self);
        });
    }
    template <class F>
    std::unique_ptr<net::timer> after(std::chrono::milliseconds delay, F fn) {
        // Weak: a timer is owned by this object.
        return strand_->after(delay, [weak = weak_from_this(), fn = std::move(fn)]() mutable {
            if (auto self = weak.lock(); self && !self->stopped_) fn(*self);
        });
    }

    const config& settings() const noexcept { return issuer_.common->settings; }
    instant now() const noexcept {
        return {issuer_.common->time->steady_now(), issuer_.common->time->now()};
    }
    random_source& random() const noexcept { return *issuer_.common->random; }
    store::store& db() const noexcept { return *issuer_.common->db; }
    stream_ptr find(store::stream_row row) const;
    std::shared_ptr<const jose::signer> signer_for(const stream_terms& terms) const;

    // starting.cpp: what the store holds, and what the configuration has made of it meanwhile
    struct loaded_stream {
        store::stream config;
        std::vector<store::stream_epoch> epochs;
        store::cursor cursor;
        std::vector<store::exception> exceptions;
        std::vector<store::stream_event> events;
    };
    struct loaded_issuer {
        std::vector<loaded_stream> streams;
        store::seq_t head = 0, tail = 1, routed = 0;
        std::optional<wall_time> first_removal;
        std::unique_ptr<subject_index> subjects;
        std::set<store::stream_row> with_subjects;
    };
    result<loaded_issuer> load();
    result<void> reconcile(std::vector<loaded_stream>& streams);
    result<void> write_reconciled(std::vector<loaded_stream*> changed);

    // streams.cpp: what is told of streams
    void adopt(loaded_stream loaded, store::seq_t tail, bool fresh);
    bool read_config(live_stream& s, store::stream config, std::vector<store::stream_epoch> epochs);
    void list(live_stream& s);
    void apply_change(delivery::stream_change change);
    void apply_status(live_stream& s, store::stream_status before,
                      const std::vector<store::stream_event>& told);
    void move_to(live_stream& s, store::cursor c);
    void give_up_requests(live_stream& s);
    void publish_ref(const store::stream& s);

    // routing.cpp: from the log to the windows
    void on_committed(const std::shared_ptr<const std::vector<store::signal>>& batch);
    void catch_up();
    void route(const std::shared_ptr<const std::vector<store::signal>>& page, store::seq_t until);
    void route_signal(const std::shared_ptr<const store::signal>& row);
    std::vector<store::stream_row> candidates_of(const store::signal& row, const routed_ptr& event,
                                                 const signal_subjects& about) const;
    routed_ptr read_row(const std::shared_ptr<const store::signal>& row);
    signal_subjects about(const store::signal& row, const routed_ptr& event) const;
    bool interested_in(const live_stream& s, const stream_terms& terms,
                       const signal_subjects& about, store::seq_t seq) const;
    void fall_behind(live_stream& s);
    void lose_unreadable(live_stream& s, const store::signal& row, const signal_subjects& about);
    void consider(live_stream& s, const routed_ptr& signal, const signal_subjects& about);
    void load_if_behind(const stream_ptr& s);
    void on_loaded(const stream_ptr& s, store::seq_t after, store::seq_t until,
                   std::vector<store::signal> signals);
    void sync(live_stream& s);
    // Sends, answers, writes and arms whatever became due on this stream.
    void pump(const stream_ptr& s);
    void note_position(live_stream& s);
    void publish(live_stream& s);

    // ticking.cpp: what time makes due
    void tick();
    void on_sample(log_sample sample);
    void heartbeat_due(const stream_ptr& s);
    void remove_due_subjects();

    // pausing.cpp: by ourselves
    void pause(const stream_ptr& s, std::string reason);
    void inactive(const stream_ptr& s);

    // replaying.cpp
    struct replay_job;
    void count_replayed(std::shared_ptr<replay_job> job);
    void rewind(const std::shared_ptr<replay_job>& job);

    // pushing.cpp
    result<void> make_client();
    void push_due(const stream_ptr& s);
    void send(const stream_ptr& s, outgoing_set set);
    void request(const stream_ptr& s, const std::string& jti, std::string token,
                 std::uint64_t generation);
    void on_answer(const stream_ptr& s, const std::string& jti, std::uint64_t generation,
                   const result<net::http_response>& answer);
    void arm_push(const stream_ptr& s);
    result<std::string> sign(const outgoing_set& set);  // THREAD: worker

    // polling.cpp
    void on_poll(const stream_ptr& s, delivery::poll_request request, net::responder respond);
    bool serve(const stream_ptr& s, std::size_t max_events, const net::responder& respond);
    void serve_waiting(const stream_ptr& s);
    void answer_poll(const stream_ptr& s, std::vector<outgoing_set> sets, bool more,
                     const net::responder& respond);
    void end_poll(const stream_ptr& s, std::uint64_t id);
    void arm_poll(const stream_ptr& s, std::optional<steady_time> at);

    // persist.cpp
    struct flush_item {
        store::stream_row row{};
        std::string stream_id;
        delivery_effects effects;
        std::optional<store::cursor> cursor;
        std::optional<store::stream_event> announcement;  // stream-updated, with raised continuity
        std::int64_t continuity = 0;                      // written by the decision
    };
    struct flush_batch {
        std::vector<flush_item> items;
        store::seq_t routed = 0;  // 0: not raised
        bool empty() const noexcept { return items.empty() && routed == 0; }
    };
    void mark_dirty(const live_stream& s);
    void arm_flush(std::chrono::milliseconds delay);
    void flush();
    // `everything`: also what need not be written before the end.
    flush_batch collect(bool everything = false);
    std::optional<flush_item> collect_stream(live_stream& s);
    store::stream_event stream_updated_event(const live_stream& s, std::string reason);
    void on_flushed(flush_batch batch, const result<void>& outcome);
    static result<store::changes> flush_decision(flush_batch& batch, store::issuer_id issuer,
                                                 const store::rows& rows);
    void trim();
    void on_trim_limits(store::seq_t head, store::seq_t tail, store::seq_t last_too_old);
    void cut_log();

    issuer_service& issuer_;
    std::shared_ptr<net::strand> strand_;
    std::unique_ptr<net::http_client> client_;
    jti_maker jti_;
    bool stopped_ = false;  // strand
    std::atomic<bool> stop_called_{false};

    std::unordered_map<store::stream_row, stream_ptr> streams_;
    audience_index audiences_;
    subject_index subjects_;
    position_ledger ledger_;
    // The log's end as far as it is known, and the last signal that has been looked at.
    store::seq_t head_ = 0, routed_ = 0;
    store::seq_t routed_written_ = 0;  // durably
    bool routed_dirty_ = false;        // something was settled that R alone will tell
    bool started_ = false;             // the streams are here
    bool catching_up_ = false;
    store::seq_t sampled_head_ = 0;
    std::vector<store::stream_row> touched_;  // by the signals being routed
    std::set<store::stream_row> behind_;
    // Streams with an event that waits until that much has been routed.
    std::set<std::pair<store::seq_t, store::stream_row>> waiting_for_;
    heartbeat_schedule heartbeats_, inactivity_;
    std::optional<wall_time> next_removal_;  // of a subject whose grace ends
    bool removing_ = false;
    std::optional<log_sample> sample_;
    bool sampling_ = false;
    std::chrono::milliseconds tick_interval_, trim_interval_;
    std::unique_ptr<net::timer> tick_timer_, flush_timer_, trim_timer_;
    std::map<store::stream_row, bool> dirty_;
    bool flushing_ = false;
    std::uint64_t next_poll_id_ = 1;
    std::vector<store::issuer_id> all_issuers_;  // whose cursors bound the trimming

    counter_cells count_;
    mutable std::mutex shared_;
    std::map<std::string, delivery::stream_ref, std::less<>> refs_;  // by stream_id
    struct published {
        stream_report report;
        wall_time oldest{};    // commit of the oldest unsettled signal
        bool follows = false;  // stands at published_routed_
    };
    stream_report report_from(const published& p) const;
    std::atomic<store::seq_t> published_routed_{0};
    std::map<store::stream_row, published> reports_;
    // Those of reports_ that are enabled, not held, and have something unsettled: the few that
    // healthy_lag() looks at.
    std::set<store::stream_row> waiting_streams_;
};

}  // namespace mission::transmitter
