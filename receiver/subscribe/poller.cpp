#include "receiver/subscribe/poller.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "base/random.hpp"
#include "receiver/subscribe/backoff.hpp"
#include "receiver/subscribe/http_calls.hpp"
#include "receiver/subscribe/poll_answer.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {

std::chrono::milliseconds idle_poll_delay(unsigned empty) noexcept {
    if (empty <= 1) return std::chrono::milliseconds(0);
    return std::min(std::chrono::milliseconds(100) * (1 << std::min(empty - 2, 6u)),
                    std::chrono::milliseconds(5000));
}

namespace {

using std::chrono::milliseconds;

constexpr auto retry_unsettled = milliseconds(200);
// SETs asked for at once: what an answer costs beside them is shared by so many. They are one
// transaction of some 20 ms, and teardown begins after it.
constexpr std::size_t poll_batch = 200;
constexpr std::size_t words_bytes = 4096;     // of a body that is no answer: more is not told
constexpr auto at_once = milliseconds(1000);  // a long poll lasts longer than that

struct answers {
    std::vector<std::string> acks;
    std::vector<std::pair<std::string, errc>> errors;
    std::size_t left = 0, retried = 0, told = 0;
    std::mutex m;
};

std::string poll_body(const answers& a) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::key(w, "maxEvents");
    w.Uint64(poll_batch);
    json::key(w, "returnImmediately");
    w.Bool(false);
    if (!a.acks.empty()) {
        json::key(w, "ack");
        w.StartArray();
        for (const auto& jti : a.acks)
            json::string(w, jti);
        w.EndArray();
    }
    if (!a.errors.empty()) {
        json::key(w, "setErrs");
        w.StartObject();
        for (const auto& [jti, code] : a.errors) {
            json::key(w, jti);
            w.StartObject();
            json::member(w, "err", set_error_code(code));
            json::member(w, "description", set_error_description(code));
            w.EndObject();
        }
        w.EndObject();
    }
    w.EndObject();
    return json::text(b);
}

class poller_impl final : public poller, public std::enable_shared_from_this<poller_impl> {
  public:
    poller_impl(std::shared_ptr<net::strand> strand, link& l, std::shared_ptr<intake> sets,
                milliseconds patience, hooks h)
        : strand_(std::move(strand)),
          link_(l),
          sets_(std::move(sets)),
          patience_(patience),
          hooks_(std::move(h)) {}

    void start(std::string endpoint_url) override {
        ++run_;
        url_ = std::move(endpoint_url);
        acks_ = std::make_shared<answers>();
        failures_ = empty_ = 0;
        poll();
    }

    void stop() override {
        ++run_;
        timer_.reset();
    }

  private:
    void poll_after(milliseconds delay) {
        timer_ = strand_->after(delay, [weak = weak_from_this(), run = run_] {
            auto self = weak.lock();
            if (self && self->run_ == run) self->poll();
        });
    }

    void poll() {
        link::call c{"POST", url_, poll_body(*acks_), "application/json", patience_};
        // RFC 8936 section 2.6: what language the descriptions in setErrs are in.
        if (!acks_->errors.empty()) c.content_language = "en";
        asked_at_ = std::chrono::steady_clock::now();
        link_.send(std::move(c),
                   [weak = weak_from_this(), run = run_](result<net::http_response> r) {
                       auto self = weak.lock();
                       if (!self) return;
                       auto kept = std::make_shared<result<net::http_response>>(std::move(r));
                       self->strand_->post([weak, run, kept] {
                           auto me = weak.lock();
                           if (me && me->run_ == run) me->polled(*kept);
                       });
                   });
    }

    // What the lost request carried is sent again: acknowledging twice is harmless.
    void again(const error& e, milliseconds at_least = milliseconds(0)) {
        ++failures_;
        const auto run = run_;
        hooks_.problem(e);
        if (run != run_) return;  // stopped by whom it was told
        poll_after(std::max(
            {retry_after_failure(e, failures_, system_random()), at_least, link_.asked_to_wait()}));
    }

    // It has had its time already: asked again at once, and told that it was silent.
    void unanswered(const error& e) {
        const auto run = run_;
        hooks_.problem({errc::timed_out, "the poll is not answered: " + e.detail});
        if (run == run_) poll();
    }

    void polled(result<net::http_response>& r) {
        if (r.has_error()) {
            if (r.error() == errc::timed_out) return unanswered(r.error());
            return again(r.error());
        }
        if (r->status == 404) return hooks_.gone();
        // An empty 204 where JSON was due: nothing is there (wire.md section 5).
        if (r->status == 204) return nothing();
        if (r->status != 200) {
            return again(link_.unexpected_answer(*r, "the poll endpoint"), retry_after_of(*r));
        }
        auto start = r->body.substr(0, words_bytes);  // reading it overwrites it
        const auto sets = parse_poll_answer(r->body);
        if (sets.has_error()) {
            r->body = std::move(start);
            return again({sets.error().code, sets.error().detail + ": " + words_of(*r)});
        }
        if (sets->empty()) return nothing();
        succeeded();
        empty_ = 0;
        take(*sets);
    }

    void succeeded() {
        failures_ = 0;
        acks_ = std::make_shared<answers>();
        hooks_.fine();
    }

    void nothing() {
        succeeded();
        empty_ = std::chrono::steady_clock::now() - asked_at_ < at_once ? empty_ + 1 : 0;
        const auto delay = idle_poll_delay(empty_);
        if (delay.count() == 0) return poll();
        poll_after(delay);
    }

    void take(const std::vector<polled_set>& sets) {
        auto all = acks_;
        all->left = sets.size();
        std::size_t gathered = 0;
        auto together = sets_->gather();
        for (const auto& [name, token] : sets) {
            // More than was asked for: nothing waits for the end of an answer without end.
            if (++gathered % poll_batch == 0) {
                together.reset();  // first: gatherings nest, and the outer one would go on
                together = sets_->gather();
            }
            std::function<void(set_outcome)> settle = [weak = weak_from_this(), run = run_, all,
                                                       jti = std::string(name)](set_outcome o) {
                bool last = false, tell = false;
                {
                    std::lock_guard lock(all->m);
                    tell = o.fate != set_fate::acknowledge &&
                           ++all->told <= limits::poll_errors_logged;
                    switch (o.fate) {
                        case set_fate::acknowledge:
                            all->acks.push_back(jti);
                            break;
                        case set_fate::reject:
                            all->errors.emplace_back(jti, o.why.code);
                            break;
                        case set_fate::retry:
                            ++all->retried;
                            break;
                    }
                    last = --all->left == 0;
                }
                auto self = weak.lock();
                if (!self) return;
                if (tell) self->report(jti, o);
                if (!last) return;
                self->report_rest(*all);
                self->strand_->post([weak, run] {
                    auto me = weak.lock();
                    if (me && me->run_ == run) me->next_poll();
                });
            };
            if (token)
                sets_->accept(*token, name, std::move(settle));
            else
                settle({set_fate::reject, errc::malformed_token});
        }
    }

    void report(const std::string& jti, const set_outcome& o) {
        if (!hooks_.log) return;
        hooks_.log(ms::log_level::warning,
                   o.fate == set_fate::reject ? "a SET is rejected" : "a SET has to come again",
                   {{"jti", peer_words(jti.substr(0, 64))}, {"error", o.why.message()}});
    }

    // A peer does not decide how much we write into our log.
    void report_rest(const answers& all) {
        if (!hooks_.log || all.told <= limits::poll_errors_logged) return;
        hooks_.log(ms::log_level::warning, "more SETs of the same poll are not taken",
                   {{"count", std::to_string(all.told - limits::poll_errors_logged)}});
    }

    // The acknowledgements go at once, on the next long poll.
    void next_poll() {
        if (acks_->retried == 0 || !acks_->acks.empty()) return poll();
        // Nothing could be settled: the same SETs would come back as fast as we ask.
        poll_after(retry_unsettled);
    }

    const std::shared_ptr<net::strand> strand_;
    link& link_;
    const std::shared_ptr<intake> sets_;
    const milliseconds patience_;
    const hooks hooks_;
    // On the strand alone:
    std::string url_;
    std::uint64_t run_ = 0;  // what belongs to another one is dropped
    unsigned failures_ = 0, empty_ = 0;
    std::chrono::steady_clock::time_point asked_at_{};
    std::shared_ptr<answers> acks_ = std::make_shared<answers>();
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

std::shared_ptr<poller> make_poller(std::shared_ptr<net::strand> strand, link& l,
                                    std::shared_ptr<intake> sets,
                                    std::chrono::milliseconds patience, poller::hooks h) {
    return std::make_shared<poller_impl>(std::move(strand), l, std::move(sets), patience,
                                         std::move(h));
}

}  // namespace mission::receiver
