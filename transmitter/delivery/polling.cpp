// Poll (RFC 8936), with true long polling: a poll that waits is answered at the commit.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "transmitter/api/router.hpp"
#include "transmitter/delivery/issuer_delivery.hpp"
#include "transmitter/streams/members.hpp"

namespace mission::transmitter {

net::http_response poll_answer_json(const std::vector<std::pair<std::string, std::string>>& sets,
                                    bool more_available) {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::key(w, "sets");
    w.StartObject();
    for (const auto& [jti, token] : sets)
        json::member(w, jti, token);
    w.EndObject();
    if (more_available) {
        json::key(w, "moreAvailable");
        w.Bool(true);
    }
    w.EndObject();
    return json_answer(200, json::text(out));
}

void issuer_delivery::poll(store::stream_row row, delivery::poll_request request,
                           net::responder respond) {
    strand_->post([self = shared_from_this(), row, request = std::move(request),
                   respond = std::move(respond)]() mutable {
        if (self->stopped_) return respond(poll_answer_json({}, false));
        const stream_ptr s = self->find(row);
        if (!s) return respond(error_answer({errc::stream_not_found}));
        self->on_poll(s, std::move(request), std::move(respond));
    });
}

void issuer_delivery::on_poll(const stream_ptr& s, delivery::poll_request request,
                              net::responder respond) {
    const instant at = now();
    s->last_heard = at.steady;
    ++count_.polled;
    // RFC 8936 section 2.4: acks and errors count whatever the answer will be.
    count_.acked += apply_acks(s->state, request.acks, at);
    std::vector<set_error_report> errors;
    for (auto& e : request.set_errs) {
        ++count_.set_errors;
        if (errors.size() < limits::poll_errors_logged)
            log(level::warning, "receiver reports a SET",
                {{"stream", s->config.stream_id},
                 {"jti", cut_utf8(e.jti, limits::peer_words_bytes)},
                 {"reason", e.err}});
        errors.push_back({std::move(e.jti), std::move(e.err), std::move(e.description)});
    }
    if (errors.size() > limits::poll_errors_logged)
        log(level::warning, "receiver reports more SETs",
            {{"stream", s->config.stream_id},
             {"count", std::to_string(errors.size() - limits::poll_errors_logged)}});
    apply_set_errors(s->state, errors, at, random());
    if (!errors.empty() && given_up(s->state, settings().push.pause_after, at)) {
        pause(s, "the receiver cannot use what it is sent: " + s->state.receiver.reason);
    }
    // A poll on a stream that is paused or disabled waits as on an empty one: what tells of the
    // pause may still come (SSF 1.0 section 8.1.5).
    const bool known = s->newest() != nullptr;
    const bool enabled = s->enabled() && known;
    if (enabled && s->wants_heartbeat && sample_ && request.max_events > 0) {
        s->wants_heartbeat = false;
        make_heartbeat(s->state, *sample_, s->config.continuity, issuer_.common->log_epoch, at.wall,
                       random());
        ++count_.heartbeats;
        heartbeats_.set(s->config.row, at.steady + settings().ssf.heartbeat);
    }
    const bool may_wait = known && !request.return_immediately && request.max_events > 0;
    const auto wait =
        std::min<std::chrono::milliseconds>(limits::poll_wait, request.until - at.wall);
    load_if_behind(s);
    sync(*s);
    if (known && serve(s, request.max_events, respond)) {
        // answered
    } else if (!may_wait || wait <= std::chrono::milliseconds{0}) {
        respond(poll_answer_json({}, false));
    } else {
        waiting_poll p;
        p.id = next_poll_id_++;
        p.max_events = request.max_events;
        p.respond = std::move(respond);
        p.deadline =
            after(wait, [weak = std::weak_ptr<live_stream>(s), id = p.id](issuer_delivery& d) {
                if (const auto stream = weak.lock()) d.end_poll(stream, id);
            });
        s->polls.push_back(std::move(p));
        if (s->polls.size() > limits::waiting_polls) {
            s->polls.front().respond(poll_answer_json({}, false));
            s->polls.pop_front();
        }
    }
    pump(s);
}

void issuer_delivery::end_poll(const stream_ptr& s, std::uint64_t id) {
    const auto it = std::find_if(s->polls.begin(), s->polls.end(),
                                 [&](const waiting_poll& p) { return p.id == id; });
    if (it == s->polls.end()) return;
    const net::responder respond = std::move(it->respond);
    s->polls.erase(it);
    s->last_heard = now().steady;
    respond(poll_answer_json({}, false));
}

// True when the poll is answered (or will be, from the workers).
bool issuer_delivery::serve(const stream_ptr& s, std::size_t max_events,
                            const net::responder& respond) {
    const instant at = now();
    auto selection = select_for_poll(s->state, max_events, s->newest(), s->behind, at.steady);
    if (selection.sets.empty()) {
        arm_poll(s, selection.next);
        return false;
    }
    answer_poll(s, std::move(selection.sets), selection.more_available, respond);
    return true;
}

void issuer_delivery::serve_waiting(const stream_ptr& s) {
    // The newest first: an older one may belong to a connection that died silently.
    while (!s->polls.empty()) {
        if (s->polls.back().respond.gone()) {
            s->polls.pop_back();
            continue;
        }
        if (!serve(s, s->polls.back().max_events, s->polls.back().respond)) return;
        s->polls.pop_back();
    }
}

void issuer_delivery::arm_poll(const stream_ptr& s, std::optional<steady_time> at) {
    s->wake.reset();
    if (!at) return;
    const auto delay = std::chrono::ceil<std::chrono::milliseconds>(*at - now().steady);
    s->wake = after(delay, [weak = std::weak_ptr<live_stream>(s)](issuer_delivery& d) {
        if (const auto stream = weak.lock()) d.pump(stream);
    });
}

namespace {

// The SETs of one answer while they are signed. Workers share it; the last one to finish answers.
struct signing : std::enable_shared_from_this<signing> {
    net::runtime* runtime = nullptr;
    std::vector<outgoing_set> sets;
    std::vector<std::pair<std::string, std::string>> tokens;
    std::size_t chunks = 0;
    std::atomic<std::size_t> next{0};  // chunk
    std::atomic<std::size_t> left{0};
    std::atomic<bool> failed{false};
    std::function<bool(const outgoing_set&, std::string&)> sign_one;
    std::function<void()> finish;

    // A chunk for each processor, and each of them asks for the next one when it is done: who comes
    // to the workers meanwhile (an operation to be answered) waits for these, not for all.
    void start() {
        chunks = (sets.size() + limits::sign_chunk - 1) / limits::sign_chunk;
        left = chunks;
        const std::size_t at_once = std::max(1u, std::thread::hardware_concurrency());
        for (std::size_t n = 0; n < std::min(chunks, at_once); ++n)
            post();
    }
    void post() {
        runtime->post_work([self = shared_from_this()] { self->sign_chunk(); });
    }
    void sign_chunk() {
        const std::size_t chunk = next++;
        if (chunk >= chunks) return;
        const std::size_t end = std::min((chunk + 1) * limits::sign_chunk, sets.size());
        for (std::size_t i = chunk * limits::sign_chunk; i < end; ++i) {
            if (sign_one(sets[i], tokens[i].second))
                tokens[i].first = sets[i].jti;
            else
                failed = true;
        }
        if (--left == 0) return finish();
        post();
    }
};

}  // namespace

void issuer_delivery::answer_poll(const stream_ptr& s, std::vector<outgoing_set> sets, bool more,
                                  const net::responder& respond) {
    auto work = std::make_shared<signing>();
    work->runtime = issuer_.common->runtime;
    work->sets = std::move(sets);
    work->tokens.resize(work->sets.size());
    work->sign_one = [self = shared_from_this(), s](const outgoing_set& set, std::string& out) {
        auto token = self->sign(set);
        if (!token) {
            log(level::error, "cannot sign a SET",
                {{"stream", s->config.stream_id}, {"reason", token.error().message()}});
            return false;
        }
        out = std::move(*token);
        return true;
    };
    // Not a circle: whoever signs holds the work, and the work holds this without itself.
    work->finish = [self = shared_from_this(), s, weak = std::weak_ptr(work), more, respond] {
        const auto done = weak.lock();
        std::size_t bytes = 0, kept = 0;
        for (const auto& [jti, token] : done->tokens) {
            bytes += jti.size() + token.size();
            if (kept > 0 && bytes > limits::poll_answer_bytes) break;
            ++kept;
        }
        if (done->failed || respond.gone()) kept = 0;
        const bool cut = kept < done->tokens.size();
        done->tokens.resize(kept);
        auto answer = done->failed ? error_answer({errc::unavailable})
                                   : poll_answer_json(done->tokens, more || cut);
        if (!cut) return respond(std::move(answer));
        // Nobody gets the rest: the next poll need not wait for the redelivery delay. Put
        // back before the answer goes, or that poll would find what follows it first.
        self->strand_->post([self, s, done, kept, respond, answer = std::move(answer)] {
            for (std::size_t n = kept; n < done->sets.size(); ++n) {
                not_sent(s->state, done->sets[n].jti);
            }
            respond(answer);
            if (!self->stopped_) self->pump(s);
        });
    };
    work->start();
}

}  // namespace mission::transmitter
