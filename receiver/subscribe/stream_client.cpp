#include "receiver/subscribe/stream_client.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {

std::chrono::milliseconds reconnect_delay(unsigned failures, std::chrono::milliseconds cap,
                                          random_source& random) {
    auto d = std::chrono::milliseconds(50);
    for (unsigned n = 1; n < failures && d < cap; ++n)
        d *= 2;
    d = std::min(d, cap);
    return d - std::chrono::milliseconds(random.below(static_cast<std::uint64_t>(d.count() / 2)));
}

namespace {

using std::chrono::milliseconds;

constexpr auto retry_cap = milliseconds(5000);
// A refused connection costs nothing: looked at often for the first minute.
constexpr auto refused_cap = milliseconds(400);
constexpr unsigned refused_quick_tries = 150;
constexpr auto poll_timeout = milliseconds(limits::poll_wait) + milliseconds(15'000);
constexpr auto verify_again_after = milliseconds(10'000);
constexpr std::size_t poll_batch = 100;

struct answers {
    std::vector<std::string> acks;
    std::vector<std::pair<std::string, errc>> errors;
    std::size_t left = 0, retried = 0;
    std::mutex m;
};

class client final : public stream_client, public std::enable_shared_from_this<client> {
  public:
    client(net::runtime& rt, link& l, engine& e, std::shared_ptr<intake> sets, options o)
        : strand_(rt.make_strand()),
          link_(l),
          engine_(e),
          sets_(std::move(sets)),
          o_(std::move(o)) {}

    void start() override {
        post([](client& c) { c.discover(); });
    }

    void stop() override { stopped_.store(true); }

    void verified() override {
        {
            std::lock_guard lock(m_);
            view_.verified = true;
            view_.problem.clear();
        }
        post([](client& c) {
            c.verify_timer_.reset();
            if (c.o_.log) c.o_.log(ms::log_level::info, "the stream is verified", {});
            c.verify_regularly();
        });
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

    template <class F>
    void again(const error& e, F&& next) {
        ++failures_;
        problem(e.message());
        const bool quick = e == errc::connect_failed && failures_ < refused_quick_tries;
        const auto wait =
            reconnect_delay(failures_, quick ? refused_cap : retry_cap, system_random());
        timer_ = strand_->after(wait, [weak = weak_from_this(), next] {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) next(*self);
        });
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
        if (m.has_error()) return again(m.error(), [](client& c) { c.discover(); });
        const auto kept = engine_.setting("issuer");
        if (!kept.empty() && kept != m->issuer) {
            return again({errc::bad_configuration, "the state belongs to the transmitter " + kept},
                         [](client& c) { c.discover(); });
        }
        engine_.set_setting("issuer", m->issuer);
        engine_.set_issuers(m->issuer, o_.mission_issuers);
        engine_.set_max_stale(m->max_stale);
        meta_ = *m;
        failures_ = 0;
        if (m->max_stale.count() <= 0) {
            log(ms::log_level::warning,
                "the transmitter names no mission_max_stale_seconds: missions are never fresh by "
                "the stream");
        }
        list_streams();
    }

    // --- the stream
    void call(link::call c, std::function<void(client&, const result<net::http_response>&)> next) {
        link_.send(std::move(c), [weak = weak_from_this(), next](result<net::http_response> r) {
            auto self = weak.lock();
            if (!self) return;
            self->post([next, r = std::make_shared<result<net::http_response>>(std::move(r))](
                           client& me) { next(me, *r); });
        });
    }

    void list_streams() {
        call({"GET", meta_.configuration_endpoint, {}, {}},
             [](client& c, const result<net::http_response>& r) { c.listed(r); });
    }

    static error unexpected(const net::http_response& r, const char* what) {
        return {errc::http_status, std::string(what) + " answered " + std::to_string(r.status)};
    }

    void listed(const result<net::http_response>& r) {
        auto restart = [](client& c) { c.discover(); };
        if (r.has_error()) return again(r.error(), restart);
        if (r->status != 200) return again(unexpected(*r, "the list of streams"), restart);
        auto existing = parse_streams(r->body);
        if (existing.has_error()) return again(existing.error(), restart);
        auto wanted = o_.wanted;
        if (lifecycle_only_) wanted.events = {std::string(events::lifecycle_change_type)};
        wanted.known_id = engine_.setting("stream_id");
        wanted.header_changed = engine_.setting("push_header") != header_digest();
        const auto step = plan_stream(*existing, wanted);
        switch (step.what) {
            case stream_step::kind::adopt:
                return settled(step.stream);
            case stream_step::kind::create:
                return create(wanted);
            case stream_step::kind::remove:
                return remove(step.stream.stream_id);
            case stream_step::kind::refuse:
                return again({errc::stream_conflict, step.why}, restart);
        }
    }

    std::string header_digest() const {
        if (o_.wanted.authorization_header.empty()) return {};
        const auto d = jose::sha256(o_.wanted.authorization_header);
        return jose::base64url_encode(jose::view(d).substr(0, 12));
    }

    void create(const wanted_stream& wanted) {
        call({"POST", meta_.configuration_endpoint, create_body(wanted), "application/json"},
             [wanted](client& c, const result<net::http_response>& r) { c.created(r, wanted); });
    }

    void created(const result<net::http_response>& r, const wanted_stream& wanted) {
        auto restart = [](client& c) { c.discover(); };
        if (r.has_error()) return again(r.error(), restart);
        if (r->status != 201) return again(unexpected(*r, "the creation of the stream"), restart);
        auto s = parse_stream(r->body);
        if (s.has_error()) return again(s.error(), restart);
        if (should_try_lifecycle_change(*s, wanted)) {
            lifecycle_only_ = true;
            return remove(s->stream_id);
        }
        log(ms::log_level::info, "the stream is created", {{"stream_id", s->stream_id}});
        settled(*s);
    }

    void remove(const std::string& stream_id) {
        call({"DELETE",
              meta_.configuration_endpoint + "?stream_id=" + net::percent_encode(stream_id),
              {},
              {}},
             [](client& c, const result<net::http_response>& r) {
                 if (r.has_error()) return c.again(r.error(), [](client& m) { m.discover(); });
                 if (r->status != 204 && r->status != 404) {
                     return c.again(unexpected(*r, "the deletion of the stream"),
                                    [](client& m) { m.discover(); });
                 }
                 c.list_streams();
             });
    }

    void settled(const stream_config& s) {
        auto restart = [](client& c) { c.discover(); };
        // wire.md section 5: iss and aud are compared, not taken over unseen.
        if (s.iss != meta_.issuer) {
            return again({errc::wrong_issuer, "the stream names another issuer"}, restart);
        }
        const auto audience = !o_.audience.empty() ? o_.audience
                              : s.aud.empty()      ? std::string()
                                                   : s.aud.front();
        if (audience.empty() || std::find(s.aud.begin(), s.aud.end(), audience) == s.aud.end()) {
            return again({errc::wrong_audience, "the stream's aud is not ours"}, restart);
        }
        if (o_.poll && s.endpoint_url.empty()) {
            return again({errc::bad_response, "the poll stream has no endpoint_url"}, restart);
        }
        const auto& subjects =
            s.default_subjects.empty() ? meta_.default_subjects : s.default_subjects;
        stream_ = s;
        engine_.set_setting("push_header", header_digest());
        engine_.on_stream({s.stream_id, s.events_delivered, subjects == "ALL"});
        proves_ = std::find(s.events_delivered.begin(), s.events_delivered.end(),
                            events::lifecycle_change_type) != s.events_delivered.end();
        engine_.set_verification_proves(proves_);
        sets_->set_audience(audience);
        {
            std::lock_guard lock(m_);
            view_.stream_id = s.stream_id;
            view_.iss = s.iss;
            view_.aud = audience;
            view_.verified = false;
        }
        if (!carries_all_missions(s.events_delivered) || subjects != "ALL") {
            log(ms::log_level::warning,
                "the stream does not carry everything about all missions: freshness comes from "
                "Status alone");
        }
        failures_ = 0;
        if (o_.on_audience) o_.on_audience(audience);
        if (o_.on_ready) o_.on_ready();
        acks_ = std::make_shared<answers>();
        if (o_.poll) poll();
        verify();
    }

    // --- verification
    void verify() {
        if (meta_.verification_endpoint.empty()) return;
        const auto state = jose::random_id(18);
        engine_.expect_verification(state, [weak = weak_from_this(), state](bool kept) {
            auto self = weak.lock();
            if (self && kept) self->post([state](client& c) { c.request_verification(state); });
        });
        // Not heard of it by then, however that came about: asked again.
        verify_timer_ = strand_->after(verify_again_after, [weak = weak_from_this()] {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) self->verify();
        });
    }

    void request_verification(const std::string& state) {
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::member(w, "stream_id", stream_.stream_id);
        json::member(w, "state", state);
        w.EndObject();
        call({"POST", meta_.verification_endpoint, json::text(b), "application/json"},
             [](client& c, const result<net::http_response>& r) {
                 if (r.has_error()) return c.problem(r.error().message());
                 if (r->status != 204 && r->status != 200) {
                     c.problem(unexpected(*r, "the verification endpoint").message());
                 }
             });
    }

    // Where a verification is the proof of liveness, it is asked for before the last one ends.
    void verify_regularly() {
        if (!proves_ || meta_.max_stale.count() <= 0) return;
        verify_timer_ =
            strand_->after(milliseconds(meta_.max_stale) / 3, [weak = weak_from_this()] {
                auto self = weak.lock();
                if (self && !self->stopped_.load()) self->verify();
            });
    }

    // --- polling (RFC 8936 section 2)
    void poll() {
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        json::key(w, "maxEvents");
        w.Uint64(poll_batch);
        json::key(w, "returnImmediately");
        w.Bool(false);
        if (!acks_->acks.empty()) {
            json::key(w, "ack");
            w.StartArray();
            for (const auto& jti : acks_->acks)
                json::string(w, jti);
            w.EndArray();
        }
        if (!acks_->errors.empty()) {
            json::key(w, "setErrs");
            w.StartObject();
            for (const auto& [jti, code] : acks_->errors) {
                json::key(w, jti);
                w.StartObject();
                json::member(w, "err", set_error_code(code));
                json::member(w, "description", set_error_description(code));
                w.EndObject();
            }
            w.EndObject();
        }
        w.EndObject();
        call({"POST", stream_.endpoint_url, json::text(b), "application/json", poll_timeout},
             [](client& c, const result<net::http_response>& r) { c.polled(r); });
    }

    void polled(const result<net::http_response>& r) {
        // What the lost request carried is sent again: acknowledging twice is harmless.
        auto retry = [](client& c) { c.poll(); };
        if (r.has_error()) {
            if (r.error() == errc::timed_out) return poll();
            return again(r.error(), retry);
        }
        if (r->status == 404) {
            return again(unexpected(*r, "the poll endpoint"), [](client& c) { c.discover(); });
        }
        if (r->status != 200) return again(unexpected(*r, "the poll endpoint"), retry);
        auto body = json::parse(r->body, limits::http_response_bytes);
        const json::value* sets = body.has_value() ? json::find(*body, "sets") : nullptr;
        if (sets == nullptr || !sets->IsObject()) {
            return again({errc::bad_response, "the poll answer is no JSON with sets"}, retry);
        }
        failures_ = 0;
        acks_ = std::make_shared<answers>();
        if (sets->ObjectEmpty()) return poll();
        take(*sets);
    }

    void take(const json::value& sets) {
        auto all = acks_;
        all->left = sets.MemberCount();
        for (const auto& m : sets.GetObject()) {
            const std::string jti(json::view(m.name));
            auto settle = [weak = weak_from_this(), all, jti](set_outcome o) {
                bool last = false;
                {
                    std::lock_guard lock(all->m);
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
                if (o.fate != set_fate::acknowledge) self->report(jti, o);
                if (last) self->post([](client& c) { c.next_poll(); });
            };
            if (!m.value.IsString()) {
                settle({set_fate::reject, errc::malformed_token});
                continue;
            }
            sets_->accept(std::string(json::view(m.value)), jti, settle);
        }
    }

    void report(const std::string& jti, const set_outcome& o) {
        log(ms::log_level::warning,
            o.fate == set_fate::reject ? "a SET is rejected" : "a SET has to come again",
            {{"jti", jti.substr(0, 64)}, {"error", o.why.message()}});
    }

    // The acknowledgements go at once, on the next long poll.
    void next_poll() {
        if (acks_->retried == 0 || !acks_->acks.empty()) return poll();
        // Nothing could be settled: the same SETs would come back as fast as we ask.
        timer_ = strand_->after(milliseconds(200), [weak = weak_from_this()] {
            auto self = weak.lock();
            if (self && !self->stopped_.load()) self->poll();
        });
    }

    const std::shared_ptr<net::strand> strand_;
    link& link_;
    engine& engine_;
    const std::shared_ptr<intake> sets_;
    const options o_;
    std::atomic<bool> stopped_{false};

    // On the strand alone:
    transmitter_metadata meta_;
    stream_config stream_;
    bool lifecycle_only_ = false, proves_ = false;
    unsigned failures_ = 0;
    std::shared_ptr<answers> acks_ = std::make_shared<answers>();
    std::unique_ptr<net::timer> timer_, verify_timer_;

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
