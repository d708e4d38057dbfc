// An orchestrator: starts agents for missions, and stops, continues and kills them with their
// mission. Started again after a crash it finds the agents it still holds.
//
// A sub-agent works for a mission of its own, the child of another: its end reaches it by its own
// signal, whoever's end it began with. Work can be queued (--queue): whether it is dispatched is
// asked when it is. With `--reports` the transmitter is told what only we can
// know: that an agent has finished its work or failed, and that what was to be halted is gone.

#include <memory>
#include <optional>

#include "samples/common/subscriber.hpp"
#include "samples/orchestrator/agents.hpp"
#include "samples/orchestrator/reporter.hpp"
#include "samples/orchestrator/work_queue.hpp"

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

    // The queue starts agents as this does.
    std::optional<std::string> start_work(const sample::work_item& item, std::string& why) {
        const auto agent = start_agent(item.mission, item.secret, item.steps, why);
        if (!agent) return std::nullopt;
        return agent->name;
    }

    void add_queue(sample::web_server& server, sample::work_queue& queue) {
        server.Post("/work",
                    [this, &queue](const httplib::Request& request, httplib::Response& response) {
                        enqueue(queue, request, response);
                    });
        server.Get("/work", [&queue](const httplib::Request&, httplib::Response& response) {
            std::string items;
            for (const auto& item : queue.list())
                items += (items.empty() ? "" : ",") + item.line().str();
            sample::answer(response, 200, json_object().add_raw("work", "[" + items + "]"));
        });
    }

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

        std::string why;
        const auto agent =
            start_agent(mission, task, body ? sample::int_member(*body, "steps", 0) : 0, why);
        if (!agent) {
            // Ended between the question and hold(): the answer names what it is now.
            if (why.empty()) return deny(response, mission, receiver_.missions().check(mission));
            return sample::refuse(response, 500, "cannot_start", why);
        }
        log("permit", mission, standing, standing.reason());
        json_object answer;
        sample::answer(response, 201, describe(answer, *agent));
    }

    std::optional<sample::agent_view> start_agent(const std::string& mission,
                                                  const std::string& secret, std::int64_t steps,
                                                  std::string& why) {
        auto argv = command_;
        argv.push_back("--mission=" + mission);  // an id may begin with a dash
        if (!secret.empty()) argv.push_back("--secret=" + secret);
        if (steps > 0) argv.push_back("--steps=" + std::to_string(steps));
        return agents_.start(mission, argv, output_directory_ + "/agent-" + mission + ".log", why);
    }

    // Taken for a mission that is active, and for one that may be again.
    void enqueue(sample::work_queue& queue, const httplib::Request& request,
                 httplib::Response& response) {
        const auto body = sample::parse_object(request.body);
        if (!body) return sample::refuse(response, 400, "invalid_request", "no JSON object");
        const std::string mission = sample::text_member(*body, "mission_id");
        const auto steps = sample::int_member(*body, "steps", 1);
        if (steps < 1 || steps > 1'000'000)
            return sample::refuse(response, 400, "invalid_request", "steps: 1 to 1,000,000");
        auto standing = receiver_.missions().check(mission);
        if (standing.what == ms::standing::unknown)
            standing = receiver_.missions().resolve(mission, std::chrono::seconds(2));
        if (standing.what == ms::standing::unknown || ms::is_terminal(standing.what))
            return deny(response, mission, standing);
        try {
            const auto item = queue.add(mission, sample::text_member(*body, "secret"), steps);
            if (!item) return sample::refuse(response, 429, "queue_full", "too much work waits");
            sample::answer(response, 202, item->line());
        } catch (const std::runtime_error& e) {
            sample::refuse(response, 503, "queue", e.what());
        }
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

// The library's handler, with a line in our log for each thing it did. That the agent is gone the
// library reports itself, with our signature.
ms::handler logged(ms::handler inner) {
    return [inner = std::move(inner)](const ms::task& t) {
        const auto outcome = inner(t);
        sample::log_line(sample::event_line("orchestrator", "teardown")
                             .add("mission", t.mission_id)
                             .add("version", t.version)
                             .add("reason", std::string("mission ") + std::string(ms::name(t.why)))
                             .add("agent", t.name)
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
    std::string queue_file;
    std::size_t at_once = 4;
    flags.add_to(app);
    sample::add_receiver_flags(app, options);
    app.add_option("--agent-output", output_directory, "Directory of the agents' output");
    app.add_flag("--reports", with_reports,
                 "Report to the transmitter what agents have finished, and what is gone");
    app.add_option("--queue", queue_file, "Append-only file of JSON lines: POST /work queues work");
    app.add_option("--queue-at-once", at_once, "How many agents of queued work run at once")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("command", command, "The agent's program and its arguments, after --")
        ->required();
    return sample::run_main(app, argc, argv, [&] {
        sample::block_stop_signals();
        options.delivery = ms::delivery::poll;
        options.description = "agent orchestrator";
        options.log = sample::log_to_lines(flags.name);
        options.teardown_reports = with_reports;
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
        // Outlives the threads of receiver and agents, which tell it of changes.
        std::unique_ptr<sample::work_queue> queue;
        sample::work_queue::starter start_work;
        const auto receiver = ms::make_receiver(options);
        sample::log_changes(*receiver, flags.name);
        if (!queue_file.empty()) {
            queue = std::make_unique<sample::work_queue>(
                *receiver, queue_file, at_once,
                [&](const sample::work_item& item, std::string& why) {
                    return start_work(item, why);
                });
            receiver->on_change([&](const ms::mission_view&, ms::effect) { queue->wake(); });
        }
        auto groups = ms::terminal_effects();
        groups.insert(groups.end(), {ms::effect::suspended, ms::effect::resumed, ms::effect::stale,
                                     ms::effect::fresh});
        receiver->on_effect({.name = "process-group", .on = groups},
                            logged(ms::process_group_handler()));
        sample::web_server server(flags);
        receiver->start();
        sample::agent_table agents(
            *receiver, [&](const sample::agent_view& agent, const std::string& how) {
                auto line = sample::event_line("orchestrator", "agent-ended");
                sample::log_line(describe(line, agent).add("reason", how));
                const bool more = queue && queue->agent_ended(agent.name, agent.mission);
                // With more of its work in the queue the mission is not completed by this.
                if (reports && !(more && how == "exited with 0"))
                    report_end(*reports, *receiver, agent, how);
            });
        for (const auto& agent : agents.adopt()) {
            auto line = sample::event_line("orchestrator", "agent-found-again");
            sample::log_line(describe(line, agent));
        }
        orchestrator o(*receiver, agents, command, output_directory);
        o.add_to(server);
        sample::add_view_routes(server, *receiver);
        if (queue) {
            start_work = [&](const sample::work_item& item, std::string& why) {
                return o.start_work(item, why);
            };
            o.add_queue(server, *queue);
            queue->begin([&] {
                std::vector<std::string> names;
                for (const auto& agent : agents.list())
                    names.push_back(agent.name);
                return names;
            });
        }
        // However this ends: nothing is started while what it needs is taken down.
        const std::shared_ptr<void> last(nullptr, [&](void*) {
            if (queue) queue->stop();
        });
        // Agents outlive this program on purpose: the next start finds them again.
        return sample::serve(server, flags, [&] {
            if (queue) queue->stop();
            receiver->stop();
        });
    });
}
