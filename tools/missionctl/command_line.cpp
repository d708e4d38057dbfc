#include "tools/missionctl/command_line.hpp"

#include <algorithm>
#include <sstream>

#include "events/mission_event.hpp"
#include "tools/missionctl/command_line_parts.hpp"
#include "tools/missionctl/duration.hpp"

namespace mission::tools {
namespace {

// An id may begin with '-': one in 64 does. CLI11 would take it for a flag, so it is marked on the
// way in; no flag of ours is as long as an id.
constexpr char mark = '\x01';

std::string marked(const std::string& argument) {
    return argument.starts_with('-') && events::valid_mission_id(argument) ? mark + argument
                                                                           : argument;
}

void unmark(std::string& text) {
    if (text.starts_with(mark)) text.erase(0, 1);
}

}  // namespace

// CLI11 validators return an empty text when the value is fine, and see the marked text.
const CLI::Validator& is_mission_id() {
    static const CLI::Validator check(
        [](std::string& text) {
            unmark(text);
            return events::valid_mission_id(text)
                       ? std::string()
                       : "no mission id: 22 to 128 of A-Z a-z 0-9 _ - are needed";
        },
        "MISSION_ID");
    return check;
}

const CLI::Validator& is_moment() {
    static const CLI::Validator check(
        [](std::string& text) {
            return parse_moment(text, wall_time{}).has_value()
                       ? std::string()
                       : "neither RFC 3339 (2026-11-02T09:00:00Z) nor a duration (90s, 30m, 8h, "
                         "7d)";
        },
        "WHEN");
    return check;
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, verb v, invocation& out) {
    auto* sub = parent.add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([&out, v] { out.what = v; });
    return sub;
}

namespace {

void add_global(CLI::App& app, invocation& out) {
    app.add_option("--server", out.server, "Issuer of the transmitter, https://...");
    app.add_option("--config", out.config_file,
                   "TOML file with server, client_id, private_key, token_file, ca_file");
    app.add_option("--client-id", out.client_id, "Who asks");
    app.add_option("--private-key", out.private_key_file, "PEM file, for private_key_jwt");
    app.add_option("--token-file", out.token_file, "File with a bearer token, instead of a key");
    app.add_option("--ca-file", out.ca_file, "PEM file of trusted authorities");
    app.add_flag("--json", out.json, "Answers as JSON, for programs");
}

void add_operation(CLI::App* sub, invocation& out) {
    sub->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    sub->add_option("--reason", out.reason, "Why, for the record");
    sub->add_option("--expected-version", out.expected_version,
                    "Refuse unless the mission is at this version")
        ->check(CLI::PositiveNumber);
    sub->add_option("--nonce", out.nonce,
                    "Asked again with the same nonce, the operation is answered once");
}

void add_missions(CLI::App& app, invocation& out) {
    auto& mission = *app.add_subcommand("mission", "Missions: the record of approved work");
    mission.require_subcommand(1)->fallthrough();

    auto* create = add_verb(mission, "create", "Record an approval", verb::mission_create, out);
    create->add_option("file", out.file, "JSON file of the mission; -: standard input")->required();
    create->add_option("--expires-at,--expires-in", out.expires_at, "When it ends by itself")
        ->check(is_moment());
    create->add_option("--mission-id", out.mission_id, "Instead of one made by the transmitter")
        ->check(is_mission_id());
    create->add_option("--purpose", out.purpose, "Instead of the file's");
    create->add_option("--agent", out.agent, "client_id of the agent, instead of the file's");
    create->add_option("--tenant", out.tenant, "Instead of the file's");
    create->add_option("--parent", out.parent, "A child of this mission, within its authority")
        ->check(is_mission_id());
    create
        ->add_option("--predecessor", out.predecessor,
                     "The successor of this mission, which is superseded")
        ->check(is_mission_id());
    create->add_option("--idempotency-key", out.idempotency_key,
                       "Asked again with the same key, one mission is created");

    auto* get = add_verb(mission, "get", "One mission, and which stream has heard of what",
                         verb::mission_get, out);
    get->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    get->add_option("--at", out.at, "As it was then: a moment, or how long ago (7d)")
        ->check(is_moment());
    auto* status =
        add_verb(mission, "status", "The signed status of a mission", verb::mission_status, out);
    status->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());

    auto* list = add_verb(mission, "list", "Missions", verb::mission_list, out);
    list->add_option("--state", out.state, "Only those in this state")
        ->check(CLI::IsMember(
            {"active", "suspended", "completed", "revoked", "expired", "superseded", "cascaded"}));
    list->add_option("--agent", out.agent, "Only those of this agent (client_id)");
    list->add_option("--tenant", out.tenant, "Only those of this tenant");
    list->add_option("--parent", out.parent, "Only children of this mission")
        ->check(is_mission_id());
    list->add_option("--cursor", out.cursor, "Go on where a page ended");
    list->add_option("--limit", out.limit, "At most so many")->check(CLI::Range(1, 1000));

    add_operation(
        add_verb(mission, "revoke", "End it: the approval is withdrawn", verb::mission_revoke, out),
        out);
    add_operation(
        add_verb(mission, "complete", "End it: the work is done", verb::mission_complete, out),
        out);
    add_operation(add_verb(mission, "resume", "Lift a suspension", verb::mission_resume, out), out);
    auto* suspend = add_verb(mission, "suspend", "Hold it", verb::mission_suspend, out);
    add_operation(suspend, out);
    auto* until = suspend->add_option("--until", out.until, "When the hold ends by itself")
                      ->check(is_moment());
    auto* then = suspend->add_option("--on-expiry", out.on_expiry, "What happens then")
                     ->check(CLI::IsMember({"resume", "revoke"}))
                     ->needs(until);
    // Which of the two is nobody's default: one gives the agent its work back, one ends it.
    until->needs(then);

    auto* scope = add_verb(mission, "scope", "Change what it covers", verb::mission_scope, out);
    scope
        ->add_option("--change", out.change,
                     "narrowed (unless said otherwise) or extended, where the issuer allows it")
        ->check(CLI::IsMember({"narrowed", "extended"}));
    scope->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    scope->add_option("file", out.file,
                      "JSON: the full new authorization_details, or the whole request; -: stdin");
    scope->add_option("--expires-at,--expires-in", out.expires_at, "Another end")
        ->check(is_moment());
    scope->add_option("--reason", out.reason, "Why, for the record");
    scope->add_option("--approver-iss", out.approver_iss, "Issuer of who approved");
    scope->add_option("--approver-sub", out.approver_sub, "Who approved");
    scope
        ->add_option("--expected-version", out.expected_version,
                     "Refuse unless the mission is at this version")
        ->check(CLI::PositiveNumber);
    add_families(mission, out);
}

void add_streams(CLI::App& app, invocation& out) {
    auto& stream = *app.add_subcommand("stream", "Streams: who listens");
    stream.require_subcommand(1)->fallthrough();
    add_verb(stream, "list", "All streams and how far behind they are", verb::stream_list, out);
    auto* show = add_verb(stream, "show", "One stream", verb::stream_show, out);
    show->add_option("id", out.id, "Stream id")->required();
    auto* pause =
        add_verb(stream, "pause", "Hold it until an operator enables it", verb::stream_pause, out);
    auto* enable =
        add_verb(stream, "enable", "Let it go on where it stopped", verb::stream_enable, out);
    for (auto* sub : {pause, enable}) {
        sub->add_option("id", out.id, "Stream id")->required();
        sub->add_option("--reason", out.reason, "Why; the receiver is told");
    }
    auto* replay =
        add_verb(stream, "replay", "Send again what it has settled", verb::stream_replay, out);
    replay->add_option("id", out.id, "Stream id")->required();
    auto& what = *replay->add_option_group("what", "What is to go again");
    what.require_option(1);
    what.add_option("--since", out.since, "Everything committed since then, or within the last 8h")
        ->check(is_moment());
    what.add_option("--from-seq", out.from_seq, "Everything from this place in the log on")
        ->check(CLI::PositiveNumber);
    what.add_option("--mission-id", out.mission_id, "Every version of this mission")
        ->check(is_mission_id());
    what.add_option("--signal-id", out.signal_id, "One emitted event");
    auto* dead =
        add_verb(stream, "dead", "What its receiver has refused for good", verb::stream_dead, out);
    dead->add_option("id", out.id, "Stream id")->required();
    dead->add_flag("--forget", out.forget, "Delete them");
}

void add_signals(CLI::App& app, invocation& out) {
    auto& signal = *app.add_subcommand("signal", "Events of CAEP, RISC and configured types");
    signal.require_subcommand(1)->fallthrough();
    auto* emit = add_verb(signal, "emit", "Emit one", verb::signal_emit, out);
    emit->add_option("file", out.file, "JSON of the request, -: standard input; or the flags");
    emit->add_option("--type", out.type, "Event type URI");
    emit->add_option("--subject", out.subject, "Subject identifier, JSON");
    emit->add_option("--event", out.event, "The event object, JSON");
    emit->add_option("--audience", out.audience, "Client ids, or all")->delimiter(',');
    emit->add_option("--txn", out.txn, "Transaction identifier");
    emit->add_option("--idempotency-key", out.idempotency_key,
                     "Asked again with the same key, one event is emitted");
    auto* tail = add_verb(app, "tail", "Watch what is committed", verb::tail, out);
    tail->add_option("--count", out.count, "End after so many")->check(CLI::PositiveNumber);
}

}  // namespace

std::variant<invocation, usage> parse_command_line(const std::vector<std::string>& arguments) {
    invocation out;
    CLI::App app{"Missions and streams of a mission transmitter", "missionctl"};
    app.require_subcommand(1);
    add_global(app, out);
    add_missions(app, out);
    add_streams(app, out);
    add_signals(app, out);
    add_inbox(app, out);
    add_audit(app, out);
    try {
        std::vector<std::string> reversed;
        for (auto it = arguments.rbegin(); it != arguments.rend(); ++it)
            reversed.push_back(marked(*it));
        app.parse(reversed);
    } catch (const CLI::ParseError& e) {
        std::ostringstream text;
        const int status = app.exit(e, text, text);
        return usage{status == 0 ? 0 : 2, text.str()};
    }
    for (auto* text :
         {&out.id, &out.file, &out.reason, &out.nonce, &out.purpose, &out.agent, &out.tenant,
          &out.cursor, &out.parent, &out.mission_id, &out.idempotency_key, &out.predecessor,
          &out.detail, &out.bulk_token, &out.subject_sub, &out.subject_iss})
        unmark(*text);
    if (out.what == verb::mission_scope && out.file.empty() && out.expires_at.empty())
        return usage{2, "mission scope: a file or --expires-at is needed\n"};
    const bool all_missions = out.filter.empty() && out.subject_sub.empty() && out.agent.empty() &&
                              out.tenant.empty() && out.states.empty() && out.parent.empty() &&
                              out.created_after.empty() && out.created_before.empty() &&
                              out.expires_at.empty();
    if (out.what == verb::manage_bulk && all_missions)
        return usage{2, "mission manage bulk: a filter is needed (--filter '{}': all missions)\n"};
    if (out.what == verb::signal_emit && out.file.empty() &&
        (out.type.empty() || out.subject.empty() || out.audience.empty()))
        return usage{2, "signal emit: a file, or --type, --subject and --audience are needed\n"};
    return out;
}

}  // namespace mission::tools
