#include "receiver/subscribe/intake.hpp"

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "events/set_reader.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

// The outcome of a SET's events, which are settled one by one.
struct joint {
    std::mutex m;
    std::size_t left = 0;
    set_outcome worst;
    std::function<void(set_outcome)> done;
};

// The same claims once for each member of `events`, in the order of the text.
std::vector<std::string> split_events(std::string_view payload) {
    std::vector<std::string> out;
    auto doc = json::parse(payload, limits::token_bytes);
    if (doc.has_error() || !doc->IsObject()) return out;
    const auto* all = json::find(*doc, "events");
    if (all == nullptr || !all->IsObject()) return out;
    for (const auto& event : all->GetObject()) {
        json::buffer b;
        json::writer w(b);
        w.StartObject();
        for (const auto& claim : std::as_const(*doc).GetObject()) {
            json::key(w, json::view(claim.name));
            if (json::view(claim.name) != "events") {
                claim.value.Accept(w);
                continue;
            }
            w.StartObject();
            json::key(w, json::view(event.name));
            event.value.Accept(w);
            w.EndObject();
        }
        w.EndObject();
        out.push_back(json::text(b));
    }
    return out;
}

// Each thread reads one SET after the other in memory of its own. A completion that hands in
// another SET while the first is being looked at gets none.
class reading {
  public:
    reading() : memory_(of_this_thread().taken ? nullptr : &of_this_thread()) {
        if (memory_ != nullptr) memory_->taken = true;
    }
    ~reading() {
        if (memory_ != nullptr) memory_->taken = false;
    }
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;

    result<events::received_set> decode(std::string_view payload) {
        return memory_ != nullptr ? events::decode(payload, memory_->area)
                                  : events::decode(payload);
    }

  private:
    struct memory {
        json::scratch area;
        bool taken = false;
    };
    static memory& of_this_thread() {
        thread_local memory m;
        return m;
    }
    memory* const memory_;
};

class intake_impl final : public intake, public std::enable_shared_from_this<intake_impl> {
  public:
    intake_impl(link& l, engine& e, std::function<instant()> now, std::shared_ptr<quirk_log> quirks)
        : link_(l),
          engine_(e),
          now_(std::move(now)),
          quirks_(quirks ? std::move(quirks) : std::make_shared<quirk_log>()) {}

    void accept(std::string_view token, std::string_view expected_jti,
                std::function<void(set_outcome)> done) override {
        run(token, expected_jti, std::move(done), true);
    }

    std::shared_ptr<void> gather() override {
        engine_.begin_gathering();
        return {static_cast<void*>(nullptr),
                [self = shared_from_this()](void*) { self->engine_.end_gathering(); }};
    }

    void set_audience(std::string audience) override {
        std::lock_guard lock(m_);
        audience_ = std::move(audience);
    }
    std::string audience() const override {
        std::lock_guard lock(m_);
        return audience_;
    }

  private:
    void fail(error e, const std::function<void(set_outcome)>& done) {
        const bool retry = disposal_of(e.code) == disposal::retry;
        if (!retry) engine_.counts().sets_rejected.fetch_add(1, std::memory_order_relaxed);
        done({retry ? set_fate::retry : set_fate::reject, std::move(e)});
    }

    void run(std::string_view token, std::string_view expected_jti,
             std::function<void(set_outcome)> done, bool may_refetch) {
        auto parsed = parse_set(token, quirks_->allows(quirk_log::kind::typ_missing));
        if (parsed.has_error()) return fail(parsed.error(), done);
        const auto keys = link_.keys();
        auto verified = keys ? verify_set(*parsed, *keys) : result<void>(errc::unknown_kid);
        if (verified.has_error()) {
            // A kid that is not among the keys; or one whose key was changed under it.
            const bool newer_keys_help =
                verified.error() == errc::bad_signature ||
                (verified.error() == errc::unknown_kid && (!keys || !parsed->kid.empty()));
            if (!may_refetch || !newer_keys_help) return fail(verified.error(), done);
            return wait_for_keys(std::string(token), std::string(expected_jti), std::move(done),
                                 verified.error());
        }
        if (parsed->typ.empty()) (void)quirks_->use(quirk_log::kind::typ_missing);
        // A revoked key, or one of another owner, does not serve for ever.
        if (link_.keys_aged()) link_.refetch_keys([](const result<void>&) {});
        reading memory;  // outlives what is read, which take() looks at before it returns
        auto sets = decode(parsed->payload, memory);
        if (sets.has_error()) return fail(sets.error(), done);
        take(std::move(*sets), expected_jti, std::move(done));
    }

    // One; or, where that is tolerated, one of each event of the SET.
    result<std::vector<events::received_set>> decode(const std::string& payload, reading& memory) {
        std::vector<events::received_set> out;
        auto one = memory.decode(payload);
        if (one.has_value()) {
            out.push_back(std::move(*one));
            return out;
        }
        auto parts = quirks_->allows(quirk_log::kind::several_events) ? split_events(payload)
                                                                      : std::vector<std::string>();
        if (parts.size() < 2) return one.error();
        (void)quirks_->use(quirk_log::kind::several_events);
        for (const auto& part : parts) {
            auto set = events::decode(part);
            if (set.has_error()) return set.error();
            out.push_back(std::move(*set));
        }
        return out;
    }

    void take(std::vector<events::received_set> sets, std::string_view expected_jti,
              std::function<void(set_outcome)> done) {
        const auto issuer = engine_.transmitter();
        const auto aud = audience();
        if (issuer.empty() || aud.empty()) {
            return before_the_stream(sets.front(), issuer, std::move(done));
        }
        auto same = [this](std::string_view a, std::string_view b) {
            return quirks_->same_issuer(a, b);
        };
        for (auto& set : sets) {
            if (auto r = check_set(set, issuer, aud, now_(), same); r.has_error()) {
                return fail(r.error(), done);
            }
            if (set.jti.size() > limits::set_text_bytes) {
                return fail({errc::bad_claims, "jti is too long"}, done);
            }
            if (!expected_jti.empty() && set.jti != expected_jti) {
                return fail({errc::bad_claims, "jti is not the poll answer's key"}, done);
            }
            set.iss = issuer;  // as we know it, were it not for a slash
        }
        if (sets.size() == 1) {
            return engine_.receive(std::move(sets.front()),
                                   [self = shared_from_this(), done = std::move(done)](
                                       set_outcome o) { self->tell(std::move(o), done); });
        }
        auto all = std::make_shared<joint>();
        all->left = sets.size();
        all->done = std::move(done);
        for (std::size_t n = 0; n < sets.size(); ++n) {
            // Each is remembered by itself.
            sets[n].jti += '#' + std::to_string(n + 1);
            engine_.receive(std::move(sets[n]), [self = shared_from_this(), all](set_outcome o) {
                self->settled(*all, std::move(o));
            });
        }
    }

    void settled(joint& all, set_outcome o) {
        {
            std::lock_guard lock(all.m);
            // Once more for all, if one needs it; those that have had their effect have no second.
            if (o.fate == set_fate::retry || all.worst.fate == set_fate::acknowledge) {
                if (all.worst.fate != set_fate::retry) all.worst = std::move(o);
            }
            if (--all.left != 0) return;
        }
        tell(std::move(all.worst), all.done);
    }

    void tell(set_outcome o, const std::function<void(set_outcome)>& done) {
        if (o.fate == set_fate::reject)
            engine_.counts().sets_rejected.fetch_add(1, std::memory_order_relaxed);
        done(std::move(o));
    }

    // Pushed before our create call was answered: it comes again. A transmitter's own verification
    // is welcome all the same, and says nothing that we would have to keep (wire.md section 5).
    void before_the_stream(const events::received_set& set, const std::string& issuer,
                           const std::function<void(set_outcome)>& done) {
        const auto* state = json::find(*set.event, "state");
        if (!issuer.empty() && quirks_->same_issuer(set.iss, issuer) &&
            set.type == events::verification_type && state == nullptr) {
            engine_.counts().sets_received.fetch_add(1, std::memory_order_relaxed);
            return done({});
        }
        fail({errc::unavailable, "the stream is not set up yet"}, done);
    }

    void wait_for_keys(std::string token, std::string expected_jti,
                       std::function<void(set_outcome)> done, error why) {
        if (waiting_.fetch_add(1) >= limits::waiting_for_keys) {
            waiting_.fetch_sub(1);
            return fail({errc::keys_unavailable, "too many SETs wait for keys"}, done);
        }
        link_.refetch_keys([self = shared_from_this(), token = std::move(token),
                            expected_jti = std::move(expected_jti), done = std::move(done),
                            why = std::move(why)](const result<void>& r) mutable {
            self->waiting_.fetch_sub(1);
            if (r.has_error()) {
                // Fetched a moment ago, and the signature is wrong: that will not get better.
                if (why == errc::bad_signature) return self->fail(std::move(why), done);
                // Given up on only after one more try: the endpoint may be back long since, and
                // nobody else would have asked it.
                if (self->link_.keys_given_up()) return self->fail(errc::unknown_kid, done);
                return self->fail({errc::keys_unavailable, r.error().detail}, done);
            }
            self->run(token, expected_jti, std::move(done), false);
        });
    }

    link& link_;
    engine& engine_;
    const std::function<instant()> now_;
    const std::shared_ptr<quirk_log> quirks_;
    std::atomic<int> waiting_{0};
    mutable std::mutex m_;
    std::string audience_;
};

}  // namespace

std::shared_ptr<intake> make_intake(link& l, engine& e, std::function<instant()> now,
                                    std::shared_ptr<quirk_log> quirks) {
    return std::make_shared<intake_impl>(l, e, std::move(now), std::move(quirks));
}

}  // namespace mission::receiver
