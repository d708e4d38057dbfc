// The http handler: steps in their order, each done before the next; the last word has a look.
#include <algorithm>

#include "jose/base64url.hpp"
#include "mission_signals/presets.hpp"
#include "receiver/presets/http_request.hpp"
#include "receiver/presets/limits.hpp"
#include "receiver/presets/secret.hpp"
#include "receiver/presets/wire.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission_signals {
namespace {

using namespace mission::receiver::presets;
using mission::errc;
using mission::receiver::words_of;
namespace net = mission::net;
namespace limits = mission::receiver::presets::limits;

class action {
  public:
    explicit action(http_action a)
        : a_(std::move(a)),
          wire_({a_.ca_file, a_.certificate_file, a_.certificate_key_file, a_.plain_http}) {
        if (a_.steps.empty()) throw setup_error("an http handler needs a request");
        if (!a_.token.empty() && (!a_.user.empty() || !a_.password.empty()))
            throw setup_error("a token or a user's password, not both");
        if (a_.user.empty() != a_.password.empty())
            throw setup_error("user and password belong together");
        if (a_.user.find(':') != std::string::npos)
            throw setup_error("a user's name has no colon (RFC 7617)");
        for (auto& s : a_.steps)
            steps_.emplace_back(std::move(s), a_.plain_http);
    }

    outcome run(const task& t) const {
        const patience time(a_.timeout, a_.stopping);
        std::string evidence;
        bool any = false;
        for (const auto& s : steps_) {
            if (!s.is_for(t.why)) continue;
            any = true;
            auto filled = s.fill(t);
            authorize(filled);
            auto said = s.step().look ? look(s, filled, time) : send(s, filled, time);
            if (!evidence.empty()) said.evidence = evidence + "; " + said.evidence;
            if (said.evidence.size() > limits::evidence_bytes)
                said.evidence.resize(limits::evidence_bytes);
            if (said.kind != outcome_kind::acknowledged) return said;
            evidence = std::move(said.evidence);
        }
        // An effect that was asked for and has no step is a mistake, not a success.
        if (!any) return outcome::failed("no request is for " + std::string(name(t.why)));
        return outcome::done(evidence);
    }

  private:
    void authorize(filled_request& r) const {
        if (!a_.token.empty()) {
            const auto token = read_secret(a_.token);
            for (const char c : token)
                if (c < 0x21 || c == 0x7f) throw unfit_value("the token is no header value");
            r.known.push_back(token);
            r.request.fields.set("authorization", "Bearer " + token);
        } else if (!a_.user.empty()) {
            const auto password = read_secret(a_.password);
            const auto both = mission::jose::base64_encode(a_.user + ":" + password);
            r.known.push_back(password);
            r.known.push_back(both);
            r.request.fields.set("authorization", "Basic " + both);
        }
    }

    outcome send(const request_template& s, const filled_request& f, const patience& time) const {
        const auto answer = wire_.ask(f.request, time);
        if (!answer) return without_answer(answer.error(), f.shown);
        const auto text = f.shown + ": " + std::to_string(answer->status);
        if (s.gone(answer->status)) return outcome::done(text + ", gone");
        if (s.expected(answer->status)) return outcome::done(text);
        if (answer->status >= 300 && answer->status < 400)
            return outcome::failed(text + ": redirects are not followed");
        const auto words = words_of(*answer, f.known);
        return outcome::failed(text + (words.empty() ? "" : ": " + words));
    }

    outcome look(const request_template& s, const filled_request& f, const patience& time) const {
        std::string seen = "no answer yet";
        std::size_t looks = 0;
        do {
            const auto answer = wire_.ask(f.request, time);
            ++looks;
            if (!answer) {
                // A look changes nothing: it can be repeated whatever has become of it.
                seen = without_answer(answer.error(), "no answer").evidence;
                continue;
            }
            if (s.satisfied(*answer, seen))
                return outcome::done(f.shown + ": " + seen + ", at look " + std::to_string(looks));
            const bool hopeless = answer->status >= 300 && answer->status < 500 &&
                                  answer->status != 404 && answer->status != 409 &&
                                  answer->status != 429 && !s.expected(answer->status);
            if (hopeless) {
                const auto words = words_of(*answer, f.known);
                return outcome::failed(f.shown + ": " + seen + (words.empty() ? "" : ": " + words));
            }
        } while (time.wait(a_.look_again));
        return time.gave_up(f.shown + ": " + seen + ", after " + counted(looks, "look"));
    }

    http_action a_;
    mutable wire wire_;
    std::vector<request_template> steps_;
};

}  // namespace

handler http_handler(http_action a) {
    return [run = std::make_shared<const action>(std::move(a))](const task& t) -> outcome {
        try {
            return run->run(t);
        } catch (const unfit_value& e) {
            return outcome::failed(e.what());
        }
    };
}

}  // namespace mission_signals
