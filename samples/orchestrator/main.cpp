// An orchestrator: starts agents for missions, and stops, continues and kills them with their
// mission. Started again after a crash it finds the agents it still holds.
//
// A sub-agent works for a mission of its own, the child of another: its end reaches it by its own
// signal, whoever's end it began with. With `--reports` the transmitter is told what only we can
// know: that an agent has finished its work or failed, and that what was to be halted is gone.
#include <algorithm>

#include "samples/common/subscriber.hpp"
#include "samples/orchestrator/agents.hpp"
#include "samples/orchestrator/reporter.hpp"

namespace {

namespace ms = mission_signals;
using sample::json_object;

std::string array_of(const std::vector<int>& numbers) {
    std::string text = "[";
    for (const int n : numbers)
        text += (text.size() > 1 ? "," : "") + std::to_string(n);
    return text + "]";
}

json_object& describe(json_object& line, const sample::agent_view& agent) {
    return line.add("agent", agent.name)
        .add("mission", agent.mission)
        .add("pid", agent.pid)
        .add("state", agent.state)
        .add_raw("processes", array_of(agent.processes));
}

class orchestrator {
  public:
    orchestrator(ms::receiver& receiver, sample::agent_table& agents,
                 std::vector<std::string> command, std::string output_directory)
        : receiver_(receiver),
          agents_(agents),
          command_(std::move(command)),
          output_directory_(std::move(output_directory)) {}

    void add_to(sample::web_server& server) {
        server.Post("/agents", [this](const httplib::Request& request,
                                      httplib::Response& response) { start(request, response); });
        server.Get("/agents", [this](const httplib::Request&, httplib::Response& response) {
            std::string items;
            for (const auto& agent : agents_.list()) {
                json_object item;
                items += (items.empty() ? "" : ",") + describe(item, agent).str();
            }
            sample::answer(response, 200, json_object().add_raw("agents", "[" + items + "]"));
        });
    }

  private:
    void start(const httplib::Request& request, httplib::Response& response) {
        const auto body = sample::parse_object(request.body);
        const std::string mission = body ? sample::text_member(*body, "mission_id") : std::string();
        const std::string task = body ? sample::text_member(*body, "secret") : std::string();
        auto standing = receiver_.missions().check(mission);
        if (!standing.permitted())
            standing = receiver_.missions().resolve(mission, std::chrono::seconds(2));
        if (!standing.permitted()) return deny(response, mission, standing);

        auto argv = command_;
        argv.push_back("--mission=" + mission);  // an id may begin with a dash
        if (!task.empty()) argv.push_back("--secret=" + task);
        if (const auto steps = body ? sample::int_member(*body, "steps", 0) : 0; steps > 0)
            argv.push_back("--steps=" + std::to_string(steps));
        std::string why;
        const auto agent =
            agents_.start(mission, argv, output_directory_ + "/agent-" + mission + ".log", why);
        if (!agent) {
            // Ended between the question and hold(): the answer names what it is now.
            if (why.empty()) return deny(response, mission, receiver_.missions().check(mission));
            return sample::refuse(response, 500, "cannot_start", why);
        }
        log("permit", mission, standing, standing.reason());
        json_object answer;
        sample::answer(response, 201, describe(answer, *agent));
    }

    void deny(httplib::Response& response, const std::string& mission, const ms::answer& standing) {
        log("refuse", mission, standing, standing.reason());
        sample::answer(response, 403, sample::refusal_body(standing, mission));
    }

    static void log(const char* decision, const std::string& mission, const ms::answer& standing,
                    std::string_view reason) {
        sample::log_line(sample::event_line("orchestrator", "decision")
                             .add("decision", decision)
                             .add("mission", mission)
                             .add("version", standing.version)
                             .add("action", "start-agent")
                             .add("reason", reason));
    }

    ms::receiver& receiver_;
    sample::agent_table& agents_;
    const std::vector<std::string> command_;
    const std::string output_directory_;
};

// The library's handler, with a line in our log for each thing it did, and a report of what is
// gone.
ms::handler logged(ms::handler inner, sample::reporter* reports) {
    return [inner = std::move(inner), reports](const ms::task& t) {
        const auto outcome = inner(t);
        sample::log_line(sample::event_line("orchestrator", "teardown")
                             .add("mission", t.mission_id)
                             .add("version", t.version)
                             .add("reason", std::string("mission ") + std::string(ms::name(t.why)))
                             .add("agent", t.name)
                             .add("outcome", ms::name(outcome.kind))
                             .add("evidence", outcome.evidence));
        const auto& ends = ms::terminal_effects();
        if (reports != nullptr && outcome.kind == ms::outcome_kind::acknowledged &&
            std::find(ends.begin(), ends.end(), t.why) != ends.end())
            reports->tell(t.mission_id, "teardown", t.name,
                          json_object()
                              .add("version", t.version)
                              .add("outcome", ms::name(outcome.kind))
                              .add("evidence", outcome.evidence));
        return outcome;
    };
}

// An agent whose mission has ended was halted, and has nothing to say; one that ended by itself
// has.
void report_end(sample::reporter& reports, ms::receiver& receiver, const sample::agent_view& agent,
                const std::string& how) {
    if (ms::is_terminal(receiver.missions().check(agent.mission).what)) return;
    reports.tell(agent.mission, how == "exited with 0" ? "completed" : "failed", agent.name,
                 json_object().add("how", how));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Starts agents that end with their mission", "orchestrator"};
    sample::service_flags flags{.name = "orchestrator"};
    ms::options options;
    std::vector<std::string> command;
    std::string output_directory = ".";
    bool with_reports = false;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    app.add_option("--agent-output", output_directory, "Directory of the agents' output");
    app.add_flag("--reports", with_reports,
                 "Report to the transmitter what agents have finished, and what is gone");
    app.add_option("command", command, "The agent's program and its arguments, after --")
        ->required();
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        options.delivery = ms::delivery::poll;
        options.description = "agent orchestrator";
        options.log = sample::log_to_lines(flags.name);
        std::unique_ptr<sample::transmitter_api> api;
        std::unique_ptr<sample::reporter> reports;
        if (with_reports) {
            api = std::make_unique<sample::transmitter_api>(
                sample::transmitter_api::settings{.issuer = options.issuer,
                                                  .ca_file = options.ca_file,
                                                  .client_id = options.client_id,
                                                  .private_key_file = options.private_key_file,
                                                  .scope = "mission.read"});
            reports = std::make_unique<sample::reporter>(*api, flags.name);
        }
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        auto groups = ms::terminal_effects();
        groups.insert(groups.end(), {ms::effect::suspended, ms::effect::resumed, ms::effect::stale,
                                     ms::effect::fresh});
        receiver->on_effect({.name = "process-group", .on = groups},
                            logged(ms::process_group_handler(), reports.get()));
        sample::web_server server(flags);
        receiver->start();
        sample::agent_table agents(
            *receiver, [&](const sample::agent_view& agent, const std::string& how) {
                auto line = sample::event_line("orchestrator", "agent-ended");
                sample::log_line(describe(line, agent).add("reason", how));
                if (reports) report_end(*reports, *receiver, agent, how);
            });
        for (const auto& agent : agents.adopt()) {
            auto line = sample::event_line("orchestrator", "agent-found-again");
            sample::log_line(describe(line, agent));
        }
        orchestrator o(*receiver, agents, command, output_directory);
        o.add_to(server);
        sample::add_view_routes(server, *receiver);
        // Agents outlive this program on purpose: the next start finds them again.
        return sample::serve(server, flags, [&] { receiver->stop(); });
    });
}
