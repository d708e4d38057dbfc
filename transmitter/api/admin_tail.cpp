// GET /admin/tail: what is committed, as server-sent events (WHATWG HTML section 9.2).
//
// An answer carries what has happened since `Last-Event-ID` and ends; the client asks again, as
// every reader of server-sent events does, and so nothing waits here for a slow reader. Without an
// id the answer is the position to go on from.
#include <charconv>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/limits.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/delivery/emitted.hpp"
#include "transmitter/missions/commit.hpp"

namespace mission::transmitter {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_again{200};
// Signals of other issuers lie between ours: so many pages of the log are looked at in one go.
constexpr std::size_t pages_at_once = 32;

struct tail_request {
    std::uint64_t number = 0;
    std::optional<store::seq_t> after;
    // Looked at up to here, without a signal of this issuer; at first what `after` says.
    store::seq_t passed = 0;
    steady_time until{};
    net::responder respond;
    std::unique_ptr<net::timer> timer;
};

void event(std::string& out, store::seq_t seq, std::string_view type, std::string_view data) {
    out.append("id: ").append(std::to_string(seq));
    out.append("\nevent: ").append(type);
    out.append("\ndata: ").append(data).append("\n\n");
}

std::string signal_json(const store::signal& s) {
    json::buffer text;
    json::writer w(text);
    w.StartObject();
    json::key(w, "seq");
    w.Int64(s.seq);
    json::member(w, "committed_at", to_rfc3339(s.committed_at));
    json::member(w, "txn", s.txn);
    if (s.kind == store::signal_kind::mission) {
        json::member(w, "mission_id", s.keys.mission_id);
        json::key(w, "version");
        w.Int64(s.version);
        if (const auto change = recorded_change(s)) json::member(w, "state", change->state);
        json::member(w, "agent", s.keys.agent_client_id);
    } else {
        json::member(w, "signal_id", s.signal_id);
        if (const auto emitted = from_record_event(s.body)) {
            json::member(w, "type", emitted->type);
            json::member(w, "emitted_by", emitted->emitted_by);
        }
    }
    w.EndObject();
    return json::text(text);
}

net::http_response events_answer(std::string body) {
    net::http_response r;
    r.fields.set("content-type", "text/event-stream");
    r.fields.set("cache-control", "no-store");
    r.body = "retry: 200\n\n" + std::move(body);
    return r;
}

// The requests that wait; bounded. THREAD: any. Owned by the route, and so gone before the runtime
// whose timers it holds.
class tails : public std::enable_shared_from_this<tails> {
  public:
    explicit tails(issuer_service& issuer) : issuer_(issuer) {}

    void begin(std::optional<store::seq_t> after, const net::responder& respond) {
        auto t = std::make_shared<tail_request>();
        t->after = after;
        t->passed = after.value_or(0);
        t->until = issuer_.common->time->steady_now() + limits::tail_wait;
        t->respond = respond;
        {
            const std::lock_guard lock(mutex_);
            if (waiting_.size() >= limits::tails)
                return respond(error_answer({errc::rate_limited}));
            t->number = ++last_;
            waiting_.emplace(t->number, t);
        }
        look(t);
    }

  private:
    void look(const std::shared_ptr<tail_request>& t) {
        auto found = std::make_shared<std::string>();
        issuer_.common->db->read(
            [found, t, id = issuer_.id](const store::rows& rows) {
                found->clear();
                // A position beyond the log's end is of another log: a store that was put back.
                if (!t->after || *t->after > rows.head())
                    return event(*found, rows.head(), "position",
                                 R"({"seq":)" + std::to_string(rows.head()) + "}");
                auto last = std::max(t->passed, rows.tail() - 1);
                for (std::size_t page = 0; page < pages_at_once && found->empty(); ++page) {
                    const auto signals = rows.signals(last, rows.head(), limits::load_page);
                    for (const auto& s : signals)
                        if (s.issuer == id) event(*found, s.seq, "signal", signal_json(s));
                    if (signals.empty()) break;
                    last = signals.back().seq;
                }
                t->passed = last;
            },
            [self = shared_from_this(), found, t](const result<void>& read) {
                if (!read) return self->end(t, error_answer(read.error()));
                const bool over = self->issuer_.common->time->steady_now() >= t->until;
                // Past what is other issuers': the reader need not go there again.
                if (found->empty() && over && t->passed > *t->after)
                    event(*found, t->passed, "position",
                          R"({"seq":)" + std::to_string(t->passed) + "}");
                if (!found->empty() || over || t->respond.gone())
                    return self->end(t, events_answer(std::move(*found)));
                self->wait(t);
            });
    }

    void wait(const std::shared_ptr<tail_request>& t) {
        const std::lock_guard lock(mutex_);
        t->timer = issuer_.common->runtime->after(
            look_again, [weak = weak_from_this(), one = std::weak_ptr(t)] {
                const auto self = weak.lock();
                const auto again = one.lock();
                if (self && again) self->look(again);
            });
    }

    void end(const std::shared_ptr<tail_request>& t, net::http_response answer) {
        {
            const std::lock_guard lock(mutex_);
            waiting_.erase(t->number);
        }
        t->respond(std::move(answer));
    }

    issuer_service& issuer_;
    std::mutex mutex_;
    std::uint64_t last_ = 0;
    std::unordered_map<std::uint64_t, std::shared_ptr<tail_request>> waiting_;
};

result<std::optional<store::seq_t>> position_of(const net::http_request& request) {
    if (request.fields.count("last-event-id") == 0) return std::optional<store::seq_t>{};
    const auto text = request.fields.get("last-event-id");
    store::seq_t seq = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seq);
    if (failed != std::errc{} || end != text.data() + text.size() || seq < 0)
        return error{errc::invalid_request, "Last-Event-ID: not one of these events"};
    return std::optional<store::seq_t>(seq);
}

}  // namespace

void add_admin_tail_route(router& r, issuer_service& issuer, authenticator& auth) {
    auto waiting = std::make_shared<tails>(issuer);
    r.add("GET", "/admin/tail",
          [&auth, waiting](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.admin"});
              if (!who) return respond(error_answer(who.error()));
              const auto after = position_of(request);
              if (!after) return respond(error_answer(after.error()));
              waiting->begin(*after, respond);
          });
}

}  // namespace mission::transmitter
