// The shell of delivery: executes what the pure rules of this folder decide. Private.
//
//      writer thread --committed()--> strand: match, admit --> workers: build, sign
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
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/client.hpp"
#include "net/runtime.hpp"
#include "transmitter/delivery/classify.hpp"
#include "transmitter/delivery/delivery.hpp"
#include "transmitter/delivery/heartbeat.hpp"
#include "transmitter/delivery/outcome.hpp"
#include "transmitter/delivery/poll_select.hpp"

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
    void verify(store::stream_row row, std::optional<std::string> state,
                std::function<void(result<void>)> done);
    void poll(store::stream_row row, delivery::poll_request request, net::responder respond);
    std::optional<delivery::stream_ref> find_stream(std::string_view stream_id) const;
    std::vector<stream_report> reports() const;
    void acked_versions(const store::mission& m,
                        std::function<void(result<std::vector<delivery::acked_version>>)> done);
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
        store::cursor restored;        // at start: what was settled ahead
        std::map<store::seq_t, store::exception> restored_exceptions;
        delivery_state state;
        store::seq_t written = 0;      // position of the last cursor handed to the store
        bool loading = false;          // a read of the log is under way
        bool wants_heartbeat = false;  // due; a poll will take it
        std::unique_ptr<net::timer> wake;
        std::deque<waiting_poll> polls;
        // In flight; destroying one cancels it.
        std::map<std::string, std::shared_ptr<net::pending_request>, std::less<>> requests;

        bool push() const noexcept { return config.method == store::delivery_method::push; }
        terms_ptr newest() const { return terms.empty() ? nullptr : terms.back(); }
    };
    using stream_ptr = std::shared_ptr<live_stream>;

    struct counter_cells {
        std::atomic<std::uint64_t> signed_sets{0}, pushed{0}, push_failures{0}, polled{0}, acked{0},
            set_errors{0}, heartbeats{0}, verifications{0}, dead_letters{0};
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
    const jose::signer& signer_for(const stream_terms& terms) const;

    // issuer_delivery.cpp: streams and the log
    struct loaded_stream {
        store::stream config;
        std::vector<store::stream_epoch> epochs;
        store::cursor cursor;
        std::vector<store::exception> exceptions;
        std::vector<store::stream_event> events;
    };
    void adopt(loaded_stream loaded, store::seq_t tail, bool fresh);
    void on_committed(const std::shared_ptr<const std::vector<store::signal>>& batch);
    void consider(live_stream& s, const routed_ptr& signal);
    void load_if_behind(const stream_ptr& s);
    void on_loaded(const stream_ptr& s, store::seq_t after, store::seq_t until,
                   std::vector<store::signal> signals);
    // Sends, answers, writes and arms whatever became due on this stream.
    void pump(const stream_ptr& s);
    void publish(live_stream& s);
    void tick();
    void on_sample(log_sample sample);
    void heartbeat_due(const stream_ptr& s);

    // pushing.cpp
    result<void> make_client();
    void push_due(const stream_ptr& s);
    void send(const stream_ptr& s, outgoing_set set);
    void request(const stream_ptr& s, const std::string& jti, std::string token);
    void on_answer(const stream_ptr& s, const std::string& jti,
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
    void mark_dirty(const live_stream& s);
    void arm_flush(std::chrono::milliseconds delay);
    void flush();
    std::vector<flush_item> collect();
    void on_flushed(std::vector<flush_item> items, const result<void>& outcome);
    static result<store::changes> flush_decision(std::vector<flush_item>& items,
                                                 store::issuer_id issuer, const store::rows& rows);
    void trim();
    void on_trim_limits(store::seq_t head, store::seq_t last_too_old);

    issuer_service& issuer_;
    std::shared_ptr<net::strand> strand_;
    std::unique_ptr<net::http_client> client_;
    jti_maker jti_;
    bool stopped_ = false;  // strand
    std::atomic<bool> stop_called_{false};

    std::unordered_map<store::stream_row, stream_ptr> streams_;
    store::seq_t head_ = 0;
    heartbeat_schedule heartbeats_;
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
        wall_time oldest{};  // commit of the oldest unsettled signal
    };
    std::map<store::stream_row, published> reports_;
};

}  // namespace mission::transmitter
