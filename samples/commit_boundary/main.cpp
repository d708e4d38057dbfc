// A commit boundary: payments that cannot be taken back, for agents on missions.
//
// The cache is good enough to refuse by, and not to pay by: it may be a signal behind. So each
// payment asks Mission Status for itself, with a nonce of its own, and is made only on an answer
// that says active, permits it, and is younger than `--max-age-ms` from the moment the question
// left. A revocation that was acknowledged before that moment is in the answer; one that comes
// after it may overlap the payment by no more than that age, and the ledger says so.
#include "samples/commit_boundary/ledger.hpp"
#include "samples/common/jwt.hpp"
#include "samples/common/subscriber.hpp"
#include "samples/common/times.hpp"

namespace {

namespace ms = mission_signals;
using sample::json_object;
using sample::ledger;
using sample::payment;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr const char* action = "payments.execute";

// A moment of the monotonic clock, as the wall clock has it now.
system_clock::time_point wall_of(steady_clock::time_point at) {
    return system_clock::now() -
           std::chrono::duration_cast<system_clock::duration>(steady_clock::now() - at);
}

bool ended_or_held(const ms::answer& a) {
    return ms::is_terminal(a.what) || a.what == ms::standing::suspended;
}

class payments {
  public:
    payments(ms::receiver& receiver, ledger& book, std::string audience,
             std::chrono::milliseconds max_age)
        : receiver_(receiver), book_(book), audience_(std::move(audience)), max_age_(max_age) {}

    void add_to(sample::web_server& server) {
        server.Post("/payments", [this](const httplib::Request& request,
                                        httplib::Response& response) { pay(request, response); });
        server.Get(R"(/payments/(pay-[A-Za-z0-9_-]+))",
                   [this](const httplib::Request& request, httplib::Response& response) {
                       const auto p = book_.find(request.matches[1].str());
                       if (!p) return sample::refuse(response, 404, "not_found", "no such payment");
                       sample::answer(response, 200, p->line());
                   });
    }

    // Before start(): what a mission's end means for payments that were made already.
    void watch_endings() {
        receiver_.on_change([this](const ms::mission_view& view, ms::effect) {
            // As it was told, whatever the clock or the stream's silence say by now.
            if (view.state == "active") return;
            sample::ending e{.mission = view.id,
                             .state = view.state,
                             .version = view.log_version,
                             .committed_us = {},
                             .committed_at = {},
                             .heard_at = sample::utc_text(system_clock::now())};
            if (view.committed_at) {
                e.committed_us = sample::microseconds_of(*view.committed_at);
                e.committed_at = sample::utc_text(*view.committed_at);
            }
            for (const auto& id : book_.mark_overlapped(e))
                sample::log_line(sample::event_line("commit_boundary", "overlap")
                                     .add("payment", id)
                                     .add("mission", e.mission)
                                     .add("version", e.version)
                                     .add("reason", "mission " + e.state));
        });
    }

  private:
    void pay(const httplib::Request& request, httplib::Response& response) {
        const std::string key = request.get_header_value("Idempotency-Key");
        const std::string mission = request.get_header_value("Mission-Id");
        const auto order = sample::parse_object(request.body);
        if (key.empty() || key.size() > 128)
            return sample::refuse(response, 400, "invalid_request",
                                  "Idempotency-Key: 1 to 128 characters");
        if (!order || sample::text_member(*order, "amount").empty() ||
            sample::text_member(*order, "to").empty())
            return sample::refuse(response, 400, "invalid_request", "amount, to: needed");

        const auto id = "pay-" + sample::random_text(12);
        const auto hash = sample::base64url(sample::sha256(mission + "\n" + request.body));
        auto [begun, p] = book_.begin(key, hash);
        switch (begun) {
            case ledger::start::known:
                return tell(response, p, true);
            case ledger::start::other_request:
                return sample::refuse(response, 409, "idempotency_conflict",
                                      "the key was used for another payment");
            case ledger::start::under_way:
                response.set_header("Retry-After", "1");
                return sample::refuse(response, 409, "under_way", "the payment is under way");
            case ledger::start::begun:
                break;
        }
        p.mission = mission;
        p.order = json_object()
                      .add("amount", sample::text_member(*order, "amount"))
                      .add("currency", sample::text_member(*order, "currency"))
                      .add("to", sample::text_member(*order, "to"))
                      .str();
        p.id = id;

        // What is known to be over needs no question.
        auto standing = receiver_.missions().check(mission);
        ms::confirmation c;
        if (!ended_or_held(standing)) c = receiver_.missions().confirm(mission, max_age_);
        // Under the ledger's lock, with nothing between the last look and the write: an ending that
        // is heard before is seen by check(), one that is heard after finds the payment's line.
        p = book_.settle(std::move(p), [&](payment& it) { decide(it, c); });
        tell(response, p, false);
    }

    void decide(payment& p, const ms::confirmation& c) const {
        const auto heard = receiver_.missions().check(p.mission);
        const auto age = steady_clock::now() - c.sent_at;
        p.version = c.answered() ? c.version : heard.version;
        if (c.sent_at != steady_clock::time_point())
            p.sent_at = sample::utc_text(wall_of(c.sent_at));
        if (c.answered()) {
            p.status_iat = sample::microseconds_of(c.issued_at) / 1'000'000;
            p.received_at = sample::utc_text(wall_of(c.received_at));
            p.age_us = std::chrono::duration_cast<std::chrono::microseconds>(age).count();
        }
        if (ended_or_held(heard)) {
            p.reason = heard.reason();
            p.overlapped = c.answered() && c.state == "active";
            p.version = heard.version;
        } else if (!c.answered()) {
            p.reason = "not confirmed: " + c.error;
        } else if (c.state != "active") {
            p.reason = "mission " + c.state;
        } else if (!c.permitted()) {
            p.reason = heard.reason();
        } else if (!c.authority || !c.authority->permits(audience_, action)) {
            p.reason = std::string("the mission's authority does not cover ") + action;
        } else if (age > max_age_) {
            p.reason = "the answer is older than " + std::to_string(max_age_.count()) + " ms";
        } else {
            // The point of no return: from here to the write nothing is asked any more.
            const auto now = system_clock::now();
            p.committed = true;
            p.committed_at = sample::utc_text(now);
            p.committed_us = sample::microseconds_of(now);
            p.reason = "active";
        }
    }

    static void tell(httplib::Response& response, const payment& p, bool again) {
        auto body = p.line();
        if (again) body.add("repeated", true);
        if (!p.committed) body.add("error", "not_permitted");
        sample::answer(response, p.committed ? (again ? 200 : 201) : 403, body);
        if (again) return;
        sample::log_line(sample::event_line("commit_boundary", "decision")
                             .add("decision", p.committed ? "permit" : "refuse")
                             .add("mission", p.mission)
                             .add("version", p.version)
                             .add("action", action)
                             .add("payment", p.id)
                             .add("reason", p.reason));
    }

    ms::receiver& receiver_;
    ledger& book_;
    const std::string audience_;
    const std::chrono::milliseconds max_age_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Payments that are confirmed with Mission Status right before they are made",
                 "commit_boundary"};
    sample::service_flags flags{.name = "commit_boundary"};
    ms::options options;
    std::string ledger_file;
    int max_age_ms = 2000;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    app.add_option("--ledger", ledger_file, "Append-only file of JSON lines")->required();
    app.add_option("--max-age-ms", max_age_ms,
                   "How old a Status answer may be when the payment is made, from the sending of "
                   "the request on")
        ->check(CLI::Range(1, 60'000))
        ->capture_default_str();
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        options.delivery = ms::delivery::poll;
        options.description = "payments";
        options.log = sample::log_to_lines(flags.name);
        ledger book(ledger_file);
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        payments service(*receiver, book, options.audience, std::chrono::milliseconds(max_age_ms));
        service.watch_endings();
        sample::web_server server(flags);
        service.add_to(server);
        sample::add_view_routes(server, *receiver);
        receiver->start();
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
