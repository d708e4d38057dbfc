#include "receiver/subscribe/stream_watch.hpp"

#include <algorithm>
#include <utility>

#include "base/json.hpp"
#include "jose/digest.hpp"
#include "net/http.hpp"

namespace mission::receiver {
namespace {

using std::chrono::milliseconds;

constexpr auto verify_again_after = milliseconds(10'000);

class watch_impl final : public stream_watch, public std::enable_shared_from_this<watch_impl> {
  public:
    watch_impl(std::shared_ptr<net::strand> strand, link& l, engine& e, hooks h)
        : strand_(std::move(strand)), link_(l), engine_(e), hooks_(std::move(h)) {}

    void start(watched w) override {
        stop();
        stream_ = std::move(w);
        enabled_ = running_ = true;
        verify();
        ask_status();
    }

    void stop() override {
        ++run_;
        running_ = false;
        verify_timer_.reset();
        status_timer_.reset();
    }

    bool verified() override {
        if (!running_ || !enabled_) return false;
        verify_timer_.reset();
        // Where a verification is the proof of liveness, it is asked for before the last one ends.
        if (stream_.proof_lasts.count() > 0) verify_after(milliseconds(stream_.proof_lasts) / 3);
        return true;
    }

    void updated(const std::string& status, const std::string& reason) override {
        if (!running_) return;  // its status is read once it is
        const bool was = std::exchange(enabled_, status == "enabled");
        if (enabled_) {
            if (!was) hooks_.enabled();
            return verify();
        }
        verify_timer_.reset();
        hooks_.stopped("the transmitter has " + peer_words(status) + " the stream" +
                       (reason.empty() ? "" : ": " + peer_words(reason)));
    }

    bool is_enabled() const override { return enabled_; }

  private:
    using answer = const result<net::http_response>&;

    // What belongs to another run is dropped.
    template <class F>
    auto in_this_run(F f) {
        return [weak = weak_from_this(), run = run_, f = std::move(f)](auto&&... args) {
            auto self = weak.lock();
            if (self && self->run_ == run) f(*self, args...);
        };
    }
    [[nodiscard]] std::unique_ptr<net::timer> later(milliseconds delay,
                                                    void (watch_impl::*step)()) {
        return strand_->after(delay, in_this_run([step](watch_impl& w) { (w.*step)(); }));
    }
    void call(link::call c, std::function<void(watch_impl&, answer)> next) {
        link_.send(std::move(c), [strand = strand_, next = in_this_run(std::move(next))](
                                     result<net::http_response> r) {
            auto kept = std::make_shared<result<net::http_response>>(std::move(r));
            strand->post([next, kept] { next(*kept); });
        });
    }

    // --- its status (SSF 1.0 section 8.1.2)

    // wire.md section 5: every third of inactivity_timeout.
    void status_regularly() {
        auto every = stream_.status_every;
        if (stream_.inactivity_timeout.count() > 0) {
            const auto third = milliseconds(stream_.inactivity_timeout) / 3;
            every = every.count() == 0 ? third : std::min(every, third);
        }
        if (every.count() == 0) return;
        status_timer_ = later(every, &watch_impl::ask_status);
    }

    void ask_status() {
        if (stream_.status_endpoint.empty()) return;
        call({"GET",
              stream_.status_endpoint + "?stream_id=" + net::percent_encode(stream_.stream_id),
              {},
              {}},
             [](watch_impl& w, answer r) { w.status_read(r); });
    }

    void status_read(answer r) {
        if (r.has_value() && r->status == 404) {
            return hooks_.gone({errc::stream_not_found, "the stream is gone"});
        }
        status_regularly();
        if (r.has_error() || r->status != 200) {
            // Nothing hangs on this one answer: the stream shows by itself whether it lives.
            log("the status of the stream cannot be read",
                {{"error", r.has_error()
                               ? r.error().message()
                               : link_.unexpected_answer(*r, "the status endpoint").message()}});
            return;
        }
        const auto doc = json::parse(r->body);
        if (doc.has_error()) return;
        const std::string status(json::find_string(*doc, "status").value_or("enabled"));
        const std::string reason(json::find_string(*doc, "reason").value_or(""));
        const bool is_enabled = status == "enabled";
        if (!is_enabled && !std::exchange(tried_enabling_, true)) return enable(status, reason);
        // What a lost stream-updated would have said.
        if (is_enabled != enabled_) engine_.note_status(status, reason);
    }

    // It was stopped while we were away, for inactivity perhaps: asked for once in each run of the
    // program. The transmitter decides (SSF 1.0 section 8.1.2.2).
    void enable(const std::string& status, const std::string& reason) {
        log("our stream is stopped: asking for it to be enabled",
            {{"status", peer_words(status)}, {"reason", peer_words(reason)}});
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::member(w, "stream_id", stream_.stream_id);
        json::member(w, "status", "enabled");
        w.EndObject();
        call({"POST", stream_.status_endpoint, json::text(b), "application/json"},
             [status, reason](watch_impl& me, answer r) {
                 const bool done = r.has_value() && (r->status == 200 || r->status == 204);
                 if (!done) return me.engine_.note_status(status, reason);
                 me.verify();
             });
    }

    // --- verification (SSF 1.0 section 8.1.4)

    void verify() {
        if (stream_.verification_endpoint.empty()) return;
        const auto state = jose::random_id(18);
        auto request = in_this_run([state](watch_impl& w) { w.request_verification(state); });
        engine_.expect_verification(state, [strand = strand_, request](bool kept) {
            if (kept) strand->post(request);
        });
        // Not heard of it by then, however that came about: asked again.
        verify_after(verify_again_after);
    }

    void verify_after(milliseconds delay) {
        // SSF 1.0 section 8.1.1: not more often than the stream allows.
        verify_timer_ = later(std::max(delay, milliseconds(stream_.min_verification_interval)),
                              &watch_impl::verify);
    }

    void request_verification(const std::string& state) {
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::member(w, "stream_id", stream_.stream_id);
        json::member(w, "state", state);
        w.EndObject();
        call({"POST", stream_.verification_endpoint, json::text(b), "application/json"},
             [](watch_impl& me, answer r) { me.verification_answered(r); });
    }

    void verification_answered(answer r) {
        if (r.has_error()) return hooks_.problem(r.error().message());
        if (r->status == 204 || r->status == 200 || r->status == 202) return;
        hooks_.problem(link_.unexpected_answer(*r, "the verification endpoint").message());
        if (r->status == 429) verify_after(std::max(verify_again_after, retry_after_of(*r)));
    }

    void log(std::string_view text, std::vector<ms::log_field> fields) {
        if (hooks_.log) hooks_.log(ms::log_level::warning, text, fields);
    }

    const std::shared_ptr<net::strand> strand_;
    link& link_;
    engine& engine_;
    const hooks hooks_;
    watched stream_;
    std::uint64_t run_ = 0;
    bool running_ = false, enabled_ = true, tried_enabling_ = false;
    std::unique_ptr<net::timer> verify_timer_, status_timer_;
};

}  // namespace

std::shared_ptr<stream_watch> make_stream_watch(std::shared_ptr<net::strand> strand, link& l,
                                                engine& e, stream_watch::hooks h) {
    return std::make_shared<watch_impl>(std::move(strand), l, e, std::move(h));
}

}  // namespace mission::receiver
