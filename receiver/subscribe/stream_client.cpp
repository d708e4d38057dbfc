#include "receiver/subscribe/stream_client.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <utility>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "receiver/subscribe/backoff.hpp"
#include "receiver/subscribe/poller.hpp"
#include "receiver/subscribe/stream_watch.hpp"

namespace mission::receiver {
namespace {

using std::chrono::milliseconds;

constexpr auto push_status_interval = milliseconds(60'000);

std::string digest_text(std::string_view text) {
    const auto d = jose::sha256(text);
    return jose::base64url_encode(jose::view(d).substr(0, 12));
}

std::string id_query(const std::string& stream_id) {
    return "?stream_id=" + net::percent_encode(stream_id);
}

class client final : public stream_client, public std::enable_shared_from_this<client> {
  public:
    client(net::runtime& rt, link& l, engine& e, std::shared_ptr<intake> sets, options o)
        : strand_(rt.make_strand()),
          link_(l),
          engine_(e),
          sets_(std::move(sets)),
          o_(std::move(o)) {}

    void start() override {
        poller::hooks h;
        h.log = o_.log;
        h.problem = [weak = weak_from_this()](const error& e) {
            auto self = weak.lock();
            if (!self || self->stopped_.load()) return;
            // The address came with the stream, and no token goes there: looked at again.
            if (e == errc::bad_configuration) return self->from_start(e);
            self->problem(e.message());
        };
        h.fine = [weak = weak_from_this()] {
            auto self = weak.lock();
            if (!self) return;
            self->failures_ = 0;
            self->fine();
        };
        h.gone = [weak = weak_from_this()] {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) {
                self->again({errc::stream_not_found, "the poll endpoint is gone"},
                            [](client& c) { c.discover(); });
            }
        };
        poller_ = make_poller(strand_, link_, sets_, o_.poll_timeout, std::move(h));
        watch_ = make_stream_watch(strand_, link_, engine_, watch_hooks());
        post([](client& c) { c.discover(); });
    }

    void stop() override {
        stopped_.store(true);
        strand_->post([self = shared_from_this()] { self->quiet(); });
    }

    void verified() override {
        post([](client& c) {
            if (!c.watch_->verified()) return;
            c.failures_ = 0;
            {
                std::lock_guard lock(c.m_);
                c.view_.verified = true;
                c.view_.problem.clear();
            }
            if (c.o_.log) c.o_.log(ms::log_level::info, "the stream is verified", {});
        });
    }

    void updated(const std::string& status, const std::string& reason) override {
        post([status, reason](client& c) { c.watch_->updated(status, reason); });
    }

    view look() const override {
        std::lock_guard lock(m_);
        return view_;
    }

  private:
    template <class F>
    void post(F&& f) {
        strand_->post([weak = weak_from_this(), f = std::forward<F>(f)]() mutable {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) f(*self);
        });
    }
    template <class F>
    [[nodiscard]] std::unique_ptr<net::timer> later(milliseconds delay, F&& f) {
        return strand_->after(delay, [weak = weak_from_this(), f = std::forward<F>(f)] {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) f(*self);
        });
    }

    void log(ms::log_level level, std::string_view text, std::vector<ms::log_field> fields = {}) {
        if (o_.log) o_.log(level, text, fields);
    }

    void problem(const std::string& text) {
        {
            std::lock_guard lock(m_);
            if (view_.problem == text) return;
            view_.problem = text;
        }
        log(ms::log_level::warning, "the stream is not up", {{"error", text}});
    }

    void fine() {
        {
            std::lock_guard lock(m_);
            if (view_.problem.empty() || !watch_->is_enabled()) return;
            view_.problem.clear();
        }
        log(ms::log_level::info, "the transmitter answers again");
    }

    void quiet() {
        timer_.reset();
        watch_->stop();
        poller_->stop();
    }

    stream_watch::hooks watch_hooks() {
        stream_watch::hooks h;
        h.log = o_.log;
        h.problem = [weak = weak_from_this()](const std::string& text) {
            if (auto self = weak.lock()) self->problem(text);
        };
        h.stopped = [weak = weak_from_this()](const std::string& text) {
            auto self = weak.lock();
            if (!self) return;
            {
                std::lock_guard lock(self->m_);
                self->view_.verified = false;
            }
            self->problem(text);
        };
        h.enabled = [weak = weak_from_this()] {
            if (auto self = weak.lock()) self->fine();
        };
        h.gone = [weak = weak_from_this()](const error& e) {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) self->from_start(e);
        };
        return h;
    }

    // Back to an earlier step, after a while. What belongs to the stream ends.
    template <class F>
    void again(const error& e, F&& next, milliseconds at_least = milliseconds(0)) {
        ++failures_;
        problem(e.message());
        quiet();
        timer_ = later(std::max({retry_after_failure(e, failures_, system_random()), at_least,
                                 link_.asked_to_wait()}),
                       std::forward<F>(next));
    }
    void from_start(const error& e, milliseconds at_least = milliseconds(0)) {
        again(
            e, [](client& c) { c.discover(); }, at_least);
    }
    void refused(const net::http_response& r, std::string_view what) {
        from_start(link_.unexpected_answer(r, what), retry_after_of(r));
    }

    // --- discovery
    void discover() {
        link_.discover([weak = weak_from_this()](result<transmitter_metadata> m) {
            if (auto self = weak.lock()) {
                self->post([m = std::move(m)](client& c) { c.discovered(m); });
            }
        });
    }

    void discovered(const result<transmitter_metadata>& m) {
        if (m.has_error()) return from_start(m.error());
        const auto kept = engine_.setting("issuer");
        if (!kept.empty() && kept != m->issuer) {
            return from_start(
                {errc::bad_configuration, "the state belongs to the transmitter " + kept});
        }
        const auto& methods = m->delivery_methods;
        if (!methods.empty() &&
            std::find(methods.begin(), methods.end(), o_.wanted.method) == methods.end()) {
            return from_start({errc::bad_configuration,
                               "the transmitter does not deliver by " + o_.wanted.method});
        }
        engine_.set_setting("issuer", m->issuer);
        engine_.set_issuers(m->issuer, o_.mission_issuers);
        engine_.set_max_stale(m->max_stale);
        engine_.set_critical_members(m->critical_subject_members);
        meta_ = *m;
        list_streams();
    }

    // --- the stream
    using answer = const result<net::http_response>&;
    void call(link::call c, std::function<void(client&, answer)> next) {
        link_.send(std::move(c), [weak = weak_from_this(), next](result<net::http_response> r) {
            auto self = weak.lock();
            if (!self) return;
            self->post([next, r = std::make_shared<result<net::http_response>>(std::move(r))](
                           client& me) { next(me, *r); });
        });
    }
    void post_json(const std::string& url, std::string body,
                   std::function<void(client&, answer)> next) {
        call({"POST", url, std::move(body), "application/json"}, std::move(next));
    }

    void list_streams() {
        auto url = meta_.configuration_endpoint;
        if (!o_.stream_id.empty()) url += id_query(o_.stream_id);
        call({"GET", url, {}, {}}, [](client& c, answer r) { c.listed(r); });
    }

    wanted_stream wanted_now() const {
        auto w = o_.wanted;
        if (lifecycle_only_) w.events = {std::string(events::lifecycle_change_type)};
        w.known_id = o_.stream_id.empty() ? engine_.setting("stream_id") : o_.stream_id;
        w.header_changed = engine_.setting("push_header") != header_digest();
        w.may_update = !updated_;
        return w;
    }

    void listed(answer r) {
        if (r.has_error()) return from_start(r.error());
        if (r->status == 404 && !o_.stream_id.empty()) {
            return from_start({errc::stream_not_found,
                               "the transmitter has no stream " + o_.stream_id + " (stream_id)"});
        }
        result<std::vector<stream_config>> existing = std::vector<stream_config>{};
        // An empty 204 where JSON was due: there is none (wire.md section 5).
        if (r->status == 200) existing = parse_streams(r->body);
        if (r->status != 200 && r->status != 204) {
            return refused(*r, "the list of streams");
        }
        if (existing.has_error()) return from_start(existing.error());
        auto wanted = wanted_now();
        if (!o_.stream_id.empty()) {
            if (existing->size() != 1 || existing->front().stream_id != o_.stream_id) {
                return from_start({errc::bad_response, "the answer is not the stream asked for"});
            }
            // The transmitter's choice, unless the host has one.
            if (!o_.wanted.events_chosen) wanted.events = existing->front().events_requested;
            wanted.description = existing->front().description;
            wanted.replace = false;
        }
        const auto step = plan_stream(*existing, wanted);
        const bool kept =
            step.what == stream_step::kind::adopt || step.what == stream_step::kind::update;
        // It is older than what we remember: we have lost that, or never had it.
        if (kept && engine_.setting("stream_id") != step.stream.stream_id)
            engine_.on_older_stream();
        switch (step.what) {
            case stream_step::kind::adopt:
                return settled(step.stream);
            case stream_step::kind::create:
                return create(wanted);
            case stream_step::kind::update:
                return update(step.stream.stream_id, wanted, step.why);
            case stream_step::kind::remove:
                return remove(step.stream.stream_id);
            case stream_step::kind::refuse:
                return from_start({errc::stream_conflict, step.why});
        }
    }

    std::string header_digest() const {
        if (o_.wanted.authorization_header.empty()) return {};
        return digest_text(o_.wanted.authorization_header);
    }

    void create(const wanted_stream& wanted) {
        if (std::exchange(created_blindly_, false)) {
            return from_start({errc::bad_response, "the stream was created, but is not listed"});
        }
        post_json(meta_.configuration_endpoint, create_body(wanted),
                  [wanted](client& c, answer r) { c.created(r, wanted); });
    }

    void created(answer r, const wanted_stream& wanted) {
        if (r.has_error()) return from_start(r.error());
        const bool taken = r->status == 201 || r->status == 204 ||
                           (r->status == 200 && o_.quirks->use(quirk_log::kind::created_with_200));
        if (!taken) return refused(*r, "the creation of the stream");
        if (r->body.empty()) {
            // It is there, and was not shown: looked at.
            created_blindly_ = true;
            return list_streams();
        }
        auto s = parse_stream(r->body);
        if (s.has_error()) return from_start(s.error());
        if (should_try_lifecycle_change(*s, wanted)) {
            lifecycle_only_ = true;
            return remove(s->stream_id);
        }
        log(ms::log_level::info, "the stream is created", {{"stream_id", s->stream_id}});
        settled(*s);
    }

    // SSF 1.0 section 8.1.1.3. Whatever comes of it, the next look decides.
    void update(const std::string& stream_id, const wanted_stream& wanted, const std::string& why) {
        updated_ = true;
        log(ms::log_level::info, "our stream is updated", {{"stream_id", stream_id}, {"why", why}});
        call({"PATCH", meta_.configuration_endpoint, update_body(stream_id, wanted),
              "application/json"},
             [](client& c, answer r) {
                 if (r.has_error()) {
                     c.updated_ = false;
                     return c.from_start(r.error());
                 }
                 if (r->status >= 200 && r->status < 300) {
                     const auto now = parse_stream(r->body);
                     if (now && !c.o_.quirks->same_issuer(now->iss, c.meta_.issuer)) {
                         return c.from_start(
                             {errc::wrong_issuer, "the updated stream names another issuer"});
                     }
                     c.engine_.set_setting("push_header", c.header_digest());
                 } else {
                     c.log(
                         ms::log_level::warning, "the stream cannot be updated",
                         {{"error",
                           c.link_.unexpected_answer(*r, "the configuration endpoint").message()}});
                 }
                 c.list_streams();
             });
    }

    void remove(const std::string& stream_id) {
        call({"DELETE", meta_.configuration_endpoint + id_query(stream_id), {}, {}},
             [](client& c, answer r) {
                 if (r.has_error()) return c.from_start(r.error());
                 if (r->status != 204 && r->status != 200 && r->status != 404) {
                     return c.refused(*r, "the deletion of the stream");
                 }
                 c.list_streams();
             });
    }

    void settled(const stream_config& s) {
        // wire.md section 5: iss and aud are compared, not taken over unseen.
        if (!o_.quirks->same_issuer(s.iss, meta_.issuer)) {
            return from_start({errc::wrong_issuer, "the stream names another issuer"});
        }
        audience_ = !o_.audience.empty() ? o_.audience
                    : s.aud.empty()      ? std::string()
                                         : s.aud.front();
        if (audience_.empty() || std::find(s.aud.begin(), s.aud.end(), audience_) == s.aud.end()) {
            return from_start({errc::wrong_audience, "the stream's aud is not ours"});
        }
        if (o_.poll && s.endpoint_url.empty()) {
            return from_start({errc::bad_response, "the poll stream has no endpoint_url"});
        }
        stream_ = s;
        updated_ = created_blindly_ = false;
        engine_.set_setting("push_header", header_digest());
        plan_subjects();
        next_subject();
    }

    // --- subjects (SSF 1.0 section 8.1.3)

    // Adding again changes nothing: what an earlier run added and is not wanted any more goes, all
    // that is wanted is added.
    void plan_subjects() {
        subject_calls_ =
            plan_subject_calls(stream_.stream_id, engine_.setting("subjects"), o_.subjects);
    }

    void next_subject() {
        if (subject_calls_.empty()) return subjects_done();
        const auto& [add, text] = subject_calls_.front();
        const auto& url = add ? meta_.add_subject_endpoint : meta_.remove_subject_endpoint;
        if (url.empty()) {
            return from_start({errc::bad_configuration,
                               "the transmitter has no endpoint for subjects (option subjects)"});
        }
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::member(w, "stream_id", stream_.stream_id);
        json::key(w, "subject");
        json::raw(w, text);
        w.EndObject();
        post_json(url, json::text(b), [](client& c, answer r) { c.subject_answered(r); });
    }

    void subject_answered(answer r) {
        if (r.has_error()) return from_start(r.error());
        if (r->status == 429) {
            return again(
                link_.unexpected_answer(*r, "the subject endpoint"),
                [](client& c) { c.next_subject(); }, retry_after_of(*r));
        }
        if (r->status != 200 && r->status != 204) {
            return refused(*r, "the subject endpoint");
        }
        subject_calls_.pop_front();
        next_subject();
    }

    void subjects_done() {
        std::string all;
        for (const auto& text : o_.subjects)
            all += '\n' + text;
        if (all.empty() && engine_.setting("subjects").empty()) return ready();
        engine_.set_setting("subjects", all.empty() ? "" : stream_.stream_id + all);
        ready();
    }

    // --- it is there

    void ready() {
        const auto& s = stream_;
        const auto& scope =
            s.default_subjects.empty() ? meta_.default_subjects : s.default_subjects;
        auto added = o_.subjects;
        std::sort(added.begin(), added.end());
        std::string all;
        for (const auto& text : added)
            all += text + '\n';
        stream_identity identity;
        identity.stream_id = s.stream_id;
        identity.events_delivered = s.events_delivered;
        identity.all_subjects = scope == "ALL";
        if (!identity.all_subjects) identity.missions = missions_named(added);
        if (!all.empty()) identity.subjects = digest_text(all);
        engine_.on_stream(std::move(identity));
        const bool proves = std::find(s.events_delivered.begin(), s.events_delivered.end(),
                                      events::lifecycle_change_type) != s.events_delivered.end();
        engine_.set_verification_proves(proves);
        sets_->set_audience(audience_);
        {
            std::lock_guard lock(m_);
            view_.stream_id = s.stream_id;
            view_.iss = s.iss;
            view_.aud = audience_;
            view_.verified = false;
        }
        const bool missions = o_.missions_wanted || any_mission_event(s.events_delivered);
        if (missions) warn_of_freshness(scope == "ALL");
        if (o_.on_audience) o_.on_audience(audience_);
        if (o_.on_ready) o_.on_ready(missions);
        if (o_.poll) poller_->start(s.endpoint_url);
        // Of a push stream nobody would tell us that it is gone.
        watch_->start({s.stream_id, meta_.status_endpoint, meta_.verification_endpoint,
                       s.inactivity_timeout, s.min_verification_interval,
                       o_.poll ? milliseconds(0) : push_status_interval,
                       proves ? meta_.max_stale : std::chrono::seconds(0)});
    }

    void warn_of_freshness(bool all_subjects) {
        if (meta_.max_stale.count() <= 0) {
            if (!std::exchange(told_bound_, true)) {
                log(ms::log_level::warning,
                    "the transmitter names no mission_max_stale_seconds: missions are never fresh "
                    "by the stream");
            }
        } else if (!carries_all_missions(stream_.events_delivered) || !all_subjects) {
            log(ms::log_level::warning,
                "the stream does not carry everything about all missions: for those that were not "
                "added by their id freshness comes from Status alone");
        }
    }

    const std::shared_ptr<net::strand> strand_;
    link& link_;
    engine& engine_;
    const std::shared_ptr<intake> sets_;
    const options o_;
    std::shared_ptr<poller> poller_;
    std::shared_ptr<stream_watch> watch_;
    std::atomic<bool> stopped_{false};

    // On the strand alone:
    transmitter_metadata meta_;
    stream_config stream_;
    std::string audience_;
    bool lifecycle_only_ = false, updated_ = false, created_blindly_ = false, told_bound_ = false;
    // Since the stream last showed that it lives: to be discovered, or listed, is not that.
    unsigned failures_ = 0;
    std::deque<subject_call> subject_calls_;
    std::unique_ptr<net::timer> timer_;

    mutable std::mutex m_;
    view view_;
};

}  // namespace

std::shared_ptr<stream_client> make_stream_client(net::runtime& rt, link& l, engine& e,
                                                  std::shared_ptr<intake> sets,
                                                  stream_client::options o) {
    return std::make_shared<client>(rt, l, e, std::move(sets), std::move(o));
}

}  // namespace mission::receiver
