#include "receiver/program/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "events/mission_event.hpp"

namespace mission::receiver::program {
namespace {

constexpr const char* about =
    "Keeps local truth about missions, and runs what has to be run when they end; calls a "
    "transmitter's stream management from the shell.\n"
    "Exit status: 0 done, 1 refused or failed, 2 usage.";

// Ids of missions and streams, jtis and keys of tasks may begin with '-': one in 64 does. CLI11
// would take them for flags, so they are marked on the way in; no flag of ours is as long as they
// are.
constexpr char mark = '\x01';

std::string marked(const std::string& argument) {
    const bool id = events::valid_mission_id(argument.substr(0, argument.find(':')));
    return argument.starts_with('-') && id ? mark + argument : argument;
}

void unmark(std::string& text) {
    if (text.starts_with(mark)) text.erase(0, 1);
}

void unmark_all(invocation& out) {
    for (auto* text : {&out.stream_id, &out.reason, &out.subject, &out.mission, &out.key,
                       &out.mission_id, &out.name, &out.data, &out.body_file, &out.endpoint_url})
        unmark(*text);
    for (auto* list : {&out.acks, &out.errors})
        for (auto& text : *list)
            unmark(text);
    for (auto* text : {&out.description, &out.state})
        if (*text) unmark(**text);
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, verb v, invocation& out) {
    auto* sub = parent.add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([&out, v] { out.what = v; });
    return sub;
}

void add_stream_id(CLI::App* sub, invocation& out) {
    sub->add_option("--stream-id", out.stream_id,
                    "The stream; without it: stream.stream_id of the configuration, or the only "
                    "one there is");
}

void add_stream_members(CLI::App* sub, invocation& out) {
    auto* how = sub->add_option("--delivery", out.delivery, "poll or push")
                    ->check(CLI::IsMember({"poll", "push"}));
    auto* events =
        sub->add_option("--events", out.events,
                        "events_requested: URIs, or names of CAEP and RISC types, with commas")
            ->delimiter(',');
    auto* url = sub->add_option("--endpoint-url", out.endpoint_url, "Where SETs are pushed to");
    auto* text = sub->add_option("--description", out.description, "For people");
    auto* body = sub->add_option("--json-body", out.body_file,
                                 "The whole body from a file, or from standard input (-)");
    for (auto* o : {how, events, url, text})
        body->excludes(o);
}

void add_streams(CLI::App& app, invocation& out) {
    auto& stream = *app.add_subcommand(
        "stream",
        "One call of the transmitter's stream management (SSF 1.0 section 8): prints the answer's "
        "body, and its HTTP status on standard error");
    stream.require_subcommand(1)->fallthrough();

    add_stream_members(add_verb(stream, "create",
                                "POST a stream; what is not given comes from the "
                                "configuration",
                                verb::stream_create, out),
                       out);
    add_stream_id(add_verb(stream, "get", "GET one stream", verb::stream_get, out), out);
    add_verb(stream, "list", "GET every stream of this client", verb::stream_list, out);
    for (const auto& [name, help, v] :
         {std::tuple{"update", "PATCH what is given, leave the rest", verb::stream_update},
          {"replace", "PUT: what is not given comes from the configuration",
           verb::stream_replace}}) {
        auto* sub = add_verb(stream, name, help, v, out);
        add_stream_id(sub, out);
        add_stream_members(sub, out);
    }
    add_stream_id(add_verb(stream, "delete", "DELETE a stream", verb::stream_delete, out), out);

    auto* status =
        add_verb(stream, "status", "GET the status, or POST another", verb::stream_status, out);
    add_stream_id(status, out);
    auto* set = status->add_option("--set", out.set_status, "enabled, paused or disabled")
                    ->check(CLI::IsMember({"enabled", "paused", "disabled"}));
    status->add_option("--reason", out.reason, "Why, for the other side")->needs(set);

    auto* verify =
        add_verb(stream, "verify", "POST: ask for a verification event", verb::stream_verify, out);
    add_stream_id(verify, out);
    auto* state = verify->add_option("--state", out.state, "Comes back in the event; else random");
    verify->add_flag("--no-state", out.without_state, "Send none")->excludes(state);

    auto* poll = add_verb(stream, "poll", "POST one poll (RFC 8936) to a stream's own endpoint",
                          verb::stream_poll, out);
    add_stream_id(poll, out);
    poll->add_option("--max-events", out.max_events, "maxEvents; 0 only acknowledges")
        ->check(CLI::Range(0, 1'000'000));
    poll->add_flag("--return-immediately", out.return_immediately, "Do not wait for a SET");
    poll->add_option("--ack", out.acks, "Acknowledge this jti (repeatable)")
        ->allow_extra_args(false);
    poll->add_option("--set-err", out.errors, "Refuse a SET: JTI:ERR[:DESCRIPTION] (repeatable)")
        ->allow_extra_args(false);
    poll->add_flag("--verify", out.verify_sets,
                   "Verify each SET against the transmitter's keys and print its claims; exit 1 "
                   "when one fails");

    for (const auto& [name, help, v] :
         {std::tuple{"add-subject", "POST: follow a subject", verb::stream_add_subject},
          {"remove-subject", "POST: follow it no longer", verb::stream_remove_subject}}) {
        auto* sub = add_verb(stream, name, help, v, out);
        add_stream_id(sub, out);
        auto* subject = sub->add_option("subject", out.subject, "Subject (RFC 9493), JSON text");
        auto* mission = sub->add_option("--mission", out.mission, "A mission, by its id");
        mission->excludes(subject);
        if (v == verb::stream_add_subject)
            sub->add_option("--verified", out.verified, "true or false; else not sent");
    }
}

void add_instance(CLI::App& app, invocation& out) {
    auto& tasks = *app.add_subcommand("tasks", "Teardown tasks, of a running instance or at rest");
    tasks.require_subcommand(1)->fallthrough();
    const auto add_filters = [&](CLI::App* sub) {
        sub->add_option("--mission", out.mission_id, "Only of this mission");
        sub->add_option("--handler", out.handler, "Only of this handler");
    };
    auto* list = add_verb(tasks, "list", "What is still open", verb::tasks_list, out);
    list->add_flag("--all", out.all, "Finished and cancelled ones too");
    add_filters(list);
    auto* retry =
        add_verb(tasks, "retry", "Try open tasks now, instead of later", verb::tasks_retry, out);
    auto* key = retry->add_option("key", out.key, "One task's key, as listed");
    retry->add_flag("--all", out.all, "Every open task")->excludes(key);
    add_filters(retry);

    auto& teardown = *app.add_subcommand("teardown", "The handlers of the configuration");
    teardown.require_subcommand(1)->fallthrough();
    auto* run = add_verb(teardown, "run",
                         "Run one handler now, by hand, beside whatever instance runs: prints what "
                         "came of it; exit 0 when it is acknowledged. Nothing is recorded",
                         verb::teardown_run, out);
    run->add_option("--handler", out.handler, "Its name in [[teardown]]")->required();
    run->add_option("--mission", out.mission_id, "Mission id")->required();
    run->add_option("--name", out.name, "Of the held thing");
    run->add_option("--data", out.data, "Of the held thing");
    run->add_option("--effect", out.effect, "What it is run for; default: revoked");
    run->add_option("--issuer", out.issuer, "Of the mission; default: the transmitter");
    run->add_option("--mission-version", out.version, "Of the mission")
        ->check(CLI::NonNegativeNumber);
    run->add_option("--key", out.key, "Idempotency key; else a random one");

    add_verb(app, "status", "How a running instance is; exit 1 while its stream is not live",
             verb::status, out);
    auto* check = add_verb(app, "check",
                           "What a running instance knows of a mission; exit 0 only when it is "
                           "permitted",
                           verb::check, out);
    check->add_option("mission", out.mission_id, "Mission id")->required();
    check->add_flag("--resolve", out.resolve, "Ask Mission Status for what is not known");

    auto* hold = add_verb(app, "hold",
                          "Declare, before it is handed out, what must end with a mission; exit 1 "
                          "when the mission is not permitted",
                          verb::hold, out);
    hold->add_option("mission", out.mission_id, "Mission id")->required();
    hold->add_option("name", out.name, "Of the held thing")->required();
    auto* data = hold->add_option("data", out.data, "Given to the handlers");
    hold->add_option("--pid", out.pid, "Data for process_group: the group this process leads")
        ->check(CLI::Range(2, 0x7fffffff))
        ->excludes(data);
    auto* release = add_verb(app, "release", "It is gone by other means", verb::release, out);
    release->add_option("mission", out.mission_id, "Mission id")->required();
    release->add_option("name", out.name, "Of the held thing")->required();
    add_verb(app, "held", "What is declared", verb::held, out)
        ->add_option("mission", out.mission_id, "Only of this mission");
}

}  // namespace

std::variant<invocation, usage> parse_command_line(const std::vector<std::string>& arguments) {
    invocation out;
    CLI::App app{about, "mission-receiver"};
    app.set_version_flag("--version", std::string("mission-receiver ") + MISSION_VERSION);
    app.require_subcommand(1);
    app.set_help_all_flag("--help-all", "Every command's options");
    app.add_option("--config", out.config_file, "Configuration file (TOML)");
    app.add_flag("--json", out.json, "Answers as they came, or as one line of JSON");
    add_verb(app, "run", "Subscribe, keep the cache, run teardown, log", verb::run, out);
    add_verb(app, "check-config", "Read the configuration and stop", verb::check_config, out)
        ->add_option("config", out.more_files, "Configuration files");
    add_streams(app, out);
    add_instance(app, out);
    std::vector<std::string> reversed;
    for (auto it = arguments.rbegin(); it != arguments.rend(); ++it)
        reversed.push_back(marked(*it));
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::ParseError& e) {
        std::ostringstream text, problem;
        const int status = app.exit(e, text, problem);
        return status == 0 ? usage{0, text.str()} : usage{2, problem.str() + text.str()};
    }
    unmark_all(out);
    if (out.config_file.empty() && !out.more_files.empty()) {
        out.config_file = out.more_files.front();
        out.more_files.erase(out.more_files.begin());
    }
    if (out.config_file.empty()) return usage{2, "--config FILE is needed\n"};
    if (out.what == verb::tasks_retry && out.key.empty() && !out.all && out.mission_id.empty() &&
        out.handler.empty())
        return usage{2, "which tasks: a key, --mission ID, --handler NAME or --all\n"};
    const bool about_subject =
        out.what == verb::stream_add_subject || out.what == verb::stream_remove_subject;
    if (about_subject && out.subject.empty() && out.mission.empty())
        return usage{2, "a subject is needed: its JSON text, or --mission ID\n"};
    return out;
}

}  // namespace mission::receiver::program
