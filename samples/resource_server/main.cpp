// A resource server: an accounting API that serves an agent only while its mission permits it.
//
// Every request names the mission it is made for. In production that is a claim of the access token
// (the mission id the authorization server bound it to); here it is the header `Mission-Id`, so
// that the sample stays about missions and not about tokens.
#include "samples/common/subscriber.hpp"

#include <atomic>
#include <mutex>
#include <set>

namespace {

namespace ms = mission_signals;
using sample::json_object;
using std::chrono::steady_clock;

// How old the word of Mission Status may be when a period is closed, from the question on.
constexpr std::chrono::milliseconds word_max_age{2000};

class accounting_api {
  public:
    accounting_api(ms::receiver& receiver, std::string audience)
        : receiver_(receiver), audience_(std::move(audience)) {}

    void add_to(sample::web_server& server) {
        server.Get("/invoices", guarded("invoices.read", [](json_object& body) {
                       body.add_raw("invoices",
                                    R"([{"id":"INV-2041","amount":"1280.00","currency":"EUR"},)"
                                    R"({"id":"INV-2042","amount":"310.50","currency":"EUR"}])");
                   }));
        server.Get("/journal-entries", guarded("journal-entries.read", [this](json_object& body) {
                       body.add("posted", posted_.load());
                   }));
        server.Post("/journal-entries", guarded("journal-entries.write", [this](json_object& body) {
                        body.add("entry", ++posted_);
                    }));
        server.Post(R"(/periods/([0-9A-Za-z-]{1,16})/close)",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        close_period(request, response);
                    });
    }

  private:
    // The question asked before every call: is the mission active, and does it cover this?
    httplib::Server::Handler guarded(std::string action, std::function<void(json_object&)> work) {
        return [this, action = std::move(action), work = std::move(work)](
                   const httplib::Request& request, httplib::Response& response) {
            const std::string mission = request.get_header_value("Mission-Id");
            auto [standing, authority] = receiver_.missions().look(mission);
            if (standing.what == ms::standing::unknown || standing.what == ms::standing::gap ||
                (standing.permitted() && !authority)) {
                // Not heard of it yet: Status knows. Callers of one mission share one request.
                receiver_.missions().resolve(mission, std::chrono::seconds(2));
                std::tie(standing, authority) = receiver_.missions().look(mission);
            } else if (standing.what == ms::standing::stale) {
                // Denied at once; asking again is done behind the caller's back.
                receiver_.missions().resolve(mission, [](ms::answer) {});
            }

            json_object body;
            if (!standing.permitted()) {
                body = sample::refusal_body(standing, mission);
                return decide(response, 403, body, mission, standing, action, standing.reason());
            }
            if (!authority || !authority->permits(audience_, action)) {
                const std::string why = "the mission's authority does not cover " + action;
                body.add("error", "insufficient_authority")
                    .add("state", ms::name(standing.what))
                    .add("reason", why)
                    .add("mission", mission)
                    .add("version", standing.version);
                return decide(response, 403, body, mission, standing, action, why);
            }
            body.add("mission", mission).add("version", standing.version);
            work(body);
            decide(response, 200, body, mission, standing, action, standing.reason());
        };
    }

    // The commit boundary: nothing is asked any more between the last look and the deed.
    void close_period(const httplib::Request& request, httplib::Response& response) {
        static const std::string action = "journal-entries.write";
        const std::string mission = request.get_header_value("Mission-Id");
        const std::string period = request.matches[1];
        // What is known to be over, or held, needs no question.
        auto heard = receiver_.missions().check(mission);
        ms::confirmation word;
        if (!ms::is_terminal(heard.what) && heard.what != ms::standing::suspended)
            word = receiver_.missions().confirm(mission, word_max_age);

        const std::lock_guard hold(closing_);
        heard = receiver_.missions().check(mission);
        const auto age = steady_clock::now() - word.sent_at;
        std::string why;
        if (word.answered() && word.state != "active") {
            why = "mission " + word.state;
        } else if (!heard.permitted()) {
            why = heard.reason();
        } else if (!word.answered()) {
            why = "not confirmed: " + word.error;
        } else if (!word.authority || !word.authority->permits(audience_, action)) {
            why = "the mission's authority does not cover " + action;
        } else if (age > word_max_age) {
            why = "the word of Mission Status is older than " +
                  std::to_string(word_max_age.count()) + " ms";
        }
        json_object body;
        if (!why.empty()) {
            body.add("error", "not_confirmed")
                .add("state", ms::name(heard.what))
                .add("reason", why)
                .add("mission", mission)
                .add("version", heard.version);
            return decide(response, 403, body, mission, heard, "periods.close", why);
        }
        const bool first = closed_.insert(period).second;
        using std::chrono::duration_cast;
        body.add("mission", mission)
            .add("version", word.version)
            .add("period", period)
            .add("closed", true)
            .add("repeated", !first)
            .add(
                "status_iat",
                static_cast<std::int64_t>(
                    duration_cast<std::chrono::seconds>(word.issued_at.time_since_epoch()).count()))
            .add("age_us",
                 static_cast<std::int64_t>(duration_cast<std::chrono::microseconds>(age).count()));
        decide(response, 200, body, mission, heard, "periods.close",
               "confirmed by Mission Status, version " + std::to_string(word.version));
    }

    void decide(httplib::Response& response, int status, const json_object& body,
                const std::string& mission, const ms::answer& standing, const std::string& action,
                std::string_view reason) {
        sample::answer(response, status, body);
        sample::log_line(sample::event_line("resource_server", "decision")
                             .add("decision", status == 200 ? "permit" : "refuse")
                             .add("mission", mission)
                             .add("version", standing.version)
                             .add("action", action)
                             .add("reason", reason));
    }

    ms::receiver& receiver_;
    const std::string audience_;
    std::atomic<std::int64_t> posted_{0};
    std::mutex closing_;
    std::set<std::string> closed_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"An accounting API for agents on missions", "resource_server"};
    sample::service_flags flags{.name = "resource_server"};
    ms::options options;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        options.delivery = ms::delivery::poll;
        options.description = "accounting API";
        options.log = sample::log_to_lines(flags.name);
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        sample::web_server server(flags);
        accounting_api api(*receiver, options.audience);
        api.add_to(server);
        sample::add_view_routes(server, *receiver);
        // Calls are answered from the first moment: denied until the stream lives.
        receiver->start();
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
