#include <CLI/CLI.hpp>

#include "tools/missionctl/command_line_parts.hpp"

// mission tree, report, reports, history and manage; the inbox of reports; audit.

namespace mission::tools {
namespace {

const std::vector<std::string> operations{"revoke", "suspend", "resume", "complete"};

void add_filter(CLI::App* sub, invocation& out) {
    sub->add_option("--filter", out.filter, "JSON object: the filter, or a part of it");
    // Half of a person would be left out of the filter, and match more than was meant.
    auto* iss = sub->add_option("--subject-iss", out.subject_iss, "Issuer of the person");
    auto* person = sub->add_option("--subject-sub", out.subject_sub, "Missions for this person");
    person->needs(iss);
    iss->needs(person);
    sub->add_option("--agent", out.agent, "Missions of this agent (client_id)");
    sub->add_option("--tenant", out.tenant, "Missions of this tenant");
    sub->add_option("--state", out.states, "Missions in this state; several times: any of them")
        ->allow_extra_args(false);
    sub->add_option("--parent", out.parent, "Children of this mission")->check(is_mission_id());
    sub->add_option("--created-after", out.created_after, "A moment, or how long ago (7d)")
        ->check(is_moment());
    sub->add_option("--created-before", out.created_before, "A moment, or how long ago (7d)")
        ->check(is_moment());
    sub->add_option("--expiring-before", out.expires_at, "A moment, or from now on (7d)")
        ->check(is_moment());
}

void add_manage(CLI::App& mission, invocation& out) {
    auto& manage = *mission.add_subcommand("manage", "Many missions at once, for operators");
    manage.require_subcommand(1)->fallthrough();

    auto* list =
        add_verb(manage, "enumerate", "Which missions there are", verb::manage_enumerate, out);
    add_filter(list, out);
    list->add_option("--purpose", out.reason, "Why, for the audit")->required();
    list->add_option("--cursor", out.cursor, "Go on where a page ended");
    list->add_option("--limit", out.limit, "At most so many")->check(CLI::Range(1, 1000));
    list->add_option("--bulk-token", out.bulk_token, "What a dry run has pinned");
    list->add_option("--nonce", out.nonce, "Asked again with it, the first page comes again");

    auto* bulk = add_verb(manage, "bulk",
                          "One operation on all of them: counts first, then asks, then does it",
                          verb::manage_bulk, out);
    bulk->add_option("operation", out.operation, "revoke, suspend, resume or complete")
        ->required()
        ->check(CLI::IsMember(operations));
    add_filter(bulk, out);
    bulk->add_option("--reason", out.reason, "Why, for the audit and for each mission")->required();
    auto* until = bulk->add_option("--until", out.until, "suspend: when the hold ends by itself")
                      ->check(is_moment());
    auto* then = bulk->add_option("--on-expiry", out.on_expiry, "suspend: what happens then")
                     ->check(CLI::IsMember({"resume", "revoke"}))
                     ->needs(until);
    until->needs(then);
    bulk->add_flag("--review", out.review, "Shows the missions that are pinned");
    auto* execute = bulk->add_flag("--execute", out.execute, "Does it; without: only counts");
    bulk->add_flag("--yes", out.yes, "Without asking")->needs(execute);
    bulk->add_option("--nonce", out.nonce, "Of the execution");
}

}  // namespace

void add_families(CLI::App& mission, invocation& out) {
    auto* tree =
        add_verb(mission, "tree", "A mission and its descendants", verb::mission_tree, out);
    tree->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    tree->add_flag("--from-root", out.from_root, "From where the family's approval began");

    auto* history =
        add_verb(mission, "history", "Every version: when, who, why", verb::mission_history, out);
    history->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());

    auto* report = add_verb(mission, "report", "Tell the operators something about it",
                            verb::mission_report, out);
    report->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    report->add_option("kind", out.kind, "What is reported")
        ->required()
        ->check(
            CLI::IsMember({"completed", "failed", "extension_requested", "anomaly", "teardown"}));
    auto* detail = report->add_option("--detail", out.detail, "In words");
    report->add_option("--detail-json", out.event, "As a JSON object, instead")->excludes(detail);
    report->add_option("--evidence", out.file, "File with a JWS of this client's key")
        ->check(CLI::ExistingFile);
    report->add_option("--idempotency-key", out.idempotency_key,
                       "Asked again with the same key, it is reported once");
    auto* reports =
        add_verb(mission, "reports", "What was reported about it", verb::mission_reports, out);
    reports->add_option("id", out.id, "Mission id")->required()->check(is_mission_id());
    reports->add_option("--cursor", out.cursor, "Go on where a page ended");
    add_manage(mission, out);
}

void add_inbox(CLI::App& app, invocation& out) {
    auto& inbox = *app.add_subcommand("report", "Reports about missions that wait for a decision");
    inbox.require_subcommand(1)->fallthrough();
    auto* list = add_verb(inbox, "list", "What was reported, oldest first", verb::report_list, out);
    list->add_option("--status", out.state, "open, acted or dismissed; without: all")
        ->check(CLI::IsMember({"open", "acted", "dismissed"}));
    list->add_option("--cursor", out.cursor, "Go on where a page ended");
    list->add_option("--limit", out.limit, "At most so many")->check(CLI::Range(1, 1000));
    auto* decide = add_verb(inbox, "decide", "What is done about one", verb::report_decide, out);
    decide->add_option("id", out.id, "Report id")->required();
    decide->add_option("decision", out.decision, "The operation, or dismiss")
        ->required()
        ->check(CLI::IsMember({"complete", "revoke", "suspend", "dismiss"}));
    decide->add_option("--reason", out.reason, "Why, for the record")->required();
}

void add_audit(CLI::App& app, invocation& out) {
    auto* audit =
        add_verb(app, "audit", "Who did what, from where, and what came of it", verb::audit, out);
    auto* mission = audit->add_option("--mission", out.mission_id, "About this mission alone")
                        ->check(is_mission_id());
    audit->add_option("--cursor", out.cursor, "After this entry (seq)")
        ->check(CLI::NonNegativeNumber);
    auto* limit = audit->add_option("--limit", out.limit, "At most so many; without: all")
                      ->check(CLI::Range(1, 1000));
    // A part of the chain cannot tell what is missing from it.
    audit
        ->add_flag("--verify", out.verify,
                   "Checks that no entry was changed, inserted or removed, and prints nothing else")
        ->excludes(mission)
        ->excludes(limit);
}

}  // namespace mission::tools
