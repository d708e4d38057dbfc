// Push (RFC 8935): one SET per request, over kept-alive connections.
#include <fstream>
#include <sstream>

#include "base/crash_point.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/delivery/notices.hpp"

namespace mission::transmitter {

result<void> issuer_delivery::make_client() {
    net::client_options options;
    const auto& push = settings().push;
    if (!push.ca_file.empty()) {
        std::ifstream file(push.ca_file);
        std::ostringstream text;
        text << file.rdbuf();
        if (!file || text.str().empty()) {
            return error{errc::bad_configuration, "push.ca_file: cannot read " + push.ca_file};
        }
        options.ca_pem = text.str();
    }
    auto policy = net::egress_policy::parse(push.allow);
    if (!policy) return error{errc::bad_configuration, "push.allow: " + policy.error().detail};
    options.egress = std::make_shared<const net::egress_policy>(std::move(*policy));
    options.max_response = 64 << 10;  // an error body; nothing else is of interest
    auto client = net::make_http_client(*issuer_.common->runtime, std::move(options));
    if (!client) return client.error();
    client_ = std::move(*client);
    return {};
}

void issuer_delivery::push_due(const stream_ptr& s) {
    const terms_ptr terms = s->newest();
    if (!terms) return;
    for (auto& set : next_pushes(s->state, terms, now().steady))
        send(s, std::move(set));
    arm_push(s);
}

void issuer_delivery::arm_push(const stream_ptr& s) {
    const steady_time at = now().steady;
    const auto next = next_push_time(s->state, at);
    s->wake.reset();
    if (!next) return;
    const auto delay = std::chrono::ceil<std::chrono::milliseconds>(*next - at);
    s->wake = after(delay, [weak = std::weak_ptr<live_stream>(s)](issuer_delivery& d) {
        if (const auto stream = weak.lock()) d.pump(stream);
    });
}

result<std::string> issuer_delivery::sign(const outgoing_set& set) {
    const std::string claims =
        set.signal ? encode_set(*set.signal, *set.terms, set.form, set.type, set.jti, set.shape)
                   : events::encode(build_stream_set(*set.terms, set.type, set.event, set.jti,
                                                     set.created_at));
    ++count_.signed_sets;
    return signer_for(*set.terms)->sign(claims);
}

void issuer_delivery::send(const stream_ptr& s, outgoing_set set) {
    issuer_.common->runtime->post_work(
        [self = shared_from_this(), s, set = std::move(set), generation = s->generation] {
            auto token = self->sign(set);
            self->on_strand([s, jti = set.jti, generation,
                             token = std::move(token)](issuer_delivery& d) mutable {
                if (!token) {
                    log(level::error, "cannot sign a SET",
                        {{"stream", s->config.stream_id}, {"reason", token.error().message()}});
                    // Ours is the fault, but waiting is right here too.
                    d.on_answer(s, jti, generation, token.error());
                    return;
                }
                d.request(s, jti, std::move(*token), generation);
            });
        });
}

void issuer_delivery::request(const stream_ptr& s, const std::string& jti, std::string token,
                              std::uint64_t generation) {
    // Removed, or given another endpoint, while the SET was signed.
    if (find(s->config.row) != s || s->generation != generation) return;
    if (!s->enabled()) {
        // Paused meanwhile: only what says so goes.
        const stream_special* special = s->state.find_special(jti);
        if (special == nullptr || !special->tells_status) {
            not_sent(s->state, jti);
            return pump(s);  // the news of the pause waits for what was under way
        }
    }
    net::client_request r;
    r.method = "POST";
    r.url = s->config.endpoint_url;
    // RFC 8935 section 2.1.
    r.fields.add("content-type", std::string(events::set_content_type));
    r.fields.add("accept", "application/json");
    if (!s->authorization.empty()) r.fields.add("authorization", s->authorization);
    r.body = std::move(token);
    r.timeout = settings().push.timeout;
    ++count_.pushed;
    // The completion comes back through the strand, so it finds the request registered.
    s->requests[jti] = client_->send(std::move(r), [self = shared_from_this(), s, jti,
                                                    generation](result<net::http_response> answer) {
        self->on_strand([s, jti, generation, answer = std::move(answer)](issuer_delivery& d) {
            if (s->generation == generation) s->requests.erase(jti);
            d.on_answer(s, jti, generation, answer);
        });
    });
}

void issuer_delivery::on_answer(const stream_ptr& s, const std::string& jti,
                                std::uint64_t generation,
                                const result<net::http_response>& answer) {
    // What was given up has been counted as not sent, and may have been sent elsewhere since.
    if (find(s->config.row) != s || s->generation != generation) return;
    const instant at = now();
    const push_outcome outcome = classify_push(answer, at.wall);
    switch (outcome.what) {
        case verdict::delivered:
            crash_point("push_answer_cursor");
            accepted(s->state, jti, at);
            ++count_.acked;
            break;
        case verdict::set_rejected:
            ++count_.push_failures;
            ++count_.set_errors;
            log(level::warning, "receiver refuses a SET",
                {{"stream", s->config.stream_id}, {"jti", jti}, {"reason", outcome.reason()}});
            rejected(s->state, jti, outcome.err, outcome.description, at, random());
            break;
        case verdict::relation_failed: {
            ++count_.push_failures;
            const bool news = !s->state.receiver.held;
            relation_failed(s->state, jti, outcome.reason(), outcome.retry_after, at, random());
            if (news) {
                log(level::warning, "stream held",
                    {{"stream", s->config.stream_id}, {"reason", outcome.reason()}});
            }
            if (given_up(s->state, settings().push.pause_after, at)) {
                pause(s, "delivery failed for too long: " + outcome.reason());
            }
            break;
        }
    }
    // A notice of a status that the stream has left while it was under way is not repeated.
    if (outcome.what != verdict::delivered)
        review_notices(s->state, s->config.status, paused_by_us(s->config));
    pump(s);
}

}  // namespace mission::transmitter
