#include "transmitter/missions/bulk_step.hpp"

#include <functional>

#include "transmitter/missions/management.hpp"
#include "transmitter/missions/settlement.hpp"

namespace mission::transmitter {
namespace {

struct running_job {
    store::bulk_job job;
    bulk_execution execution;
    operation_request request;
};

// The audit of one transition; with `more`, of the whole execution.
store::audit_entry entry_of(const running_job& run,
                            const std::function<void(json::writer&)>& more = {}) {
    store::audit_entry by;
    by.issuer = run.job.issuer;
    by.actor = run.execution.actor;
    by.origin = run.execution.origin;
    by.action = "manage." + std::string(name(run.request.what));
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "bulk_job", std::to_string(run.job.id));
    json::member(w, "reason", run.execution.reason);
    if (more) more(w);
    w.EndObject();
    by.detail = json::text(buffer);
    return by;
}

store::audit_entry summary_of(const running_job& run) {
    const auto& e = run.execution;
    auto by = entry_of(run, [&](json::writer& w) {
        json::member(w, "mode", "execute");
        json::key(w, "filter");
        json::raw(w, e.filter);
        json::key(w, "outcomes");
        w.StartObject();
        for (const auto& [o, n] :
             {std::pair{bulk_outcome::applied, e.applied},
              std::pair{bulk_outcome::already_terminal, e.already_terminal},
              std::pair{bulk_outcome::illegal_transition, e.illegal_transition},
              std::pair{bulk_outcome::error, e.failed}}) {
            json::key(w, name(o));
            w.Int64(n);
        }
        w.EndObject();
    });
    by.outcome = "done";
    return by;
}

std::int64_t& counter(bulk_execution& e, bulk_outcome o) {
    switch (o) {
        case bulk_outcome::applied:
            return e.applied;
        case bulk_outcome::already_terminal:
            return e.already_terminal;
        case bulk_outcome::illegal_transition:
            return e.illegal_transition;
        case bulk_outcome::error:
            return e.failed;
    }
    return e.failed;
}

// One member, under the rules of one mission.
bulk_outcome process(settlement& s, const running_job& run, const std::optional<error>& giving_up,
                     store::bulk_member& member) {
    if (giving_up) {
        member.detail = std::string(mission::name(giving_up->code));
        return bulk_outcome::error;
    }
    const auto m = s.settle(member.mission);
    if (!m) {
        member.detail = "not found";
        return bulk_outcome::error;
    }
    const auto verdict = judge_member(m->state, run.request, s.context().now);
    if (verdict.change) s.commit(*m, *verdict.change, entry_of(run));
    return verdict.outcome;
}

}  // namespace

result<store::changes> bulk_step(const store::rows& rows, wall_time now,
                                 const bulk_step_request& request, bool& over) {
    over = true;
    auto job = rows.find_bulk_job(request.issuer, request.token_hash);
    if (!job || job->status != store::bulk_status::running) return store::changes{};
    auto execution = parse_execution(job->execution);
    if (!execution) return execution.error();
    auto operation = operation_of(*job);
    if (!operation) return operation.error();
    operation->reason = execution->reason;
    running_job run{std::move(*job), std::move(*execution), std::move(*operation)};

    settlement s(rows, {request.issuer_url, rows.log_epoch(), run.execution.txn, now, nullptr},
                 request.clock_ok);
    std::vector<store::bulk_member> members;
    if (run.job.next < run.job.total)
        members = rows.bulk_members(run.job.id, run.job.next, request.most);
    for (auto& member : members) {
        const auto outcome = process(s, run, request.giving_up, member);
        member.outcome = name(outcome);
        ++counter(run.execution, outcome);
        run.job.next = member.position + 1;
    }
    // No member is left although the count says so: nothing may be waited for.
    over = run.job.next >= run.job.total || members.empty();
    if (over) {
        run.job.status = store::bulk_status::done;
        run.execution.iat = to_numeric_date(now);
    }
    run.job.execution = to_json(run.execution);
    auto changes = s.take();
    if (over) changes.audit.push_back(summary_of(run));
    changes.bulk_jobs.push_back(std::move(run.job));
    changes.bulk_members = std::move(members);
    return changes;
}

std::string to_json(const bulk_execution& e) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "txn", e.txn);
    json::member(w, "actor", e.actor);
    json::member(w, "origin", e.origin);
    json::member(w, "reason", e.reason);
    json::key(w, "filter");
    json::raw(w, e.filter);
    for (const auto& [member, n] :
         {std::pair{"applied", e.applied}, std::pair{"already_terminal", e.already_terminal},
          std::pair{"illegal_transition", e.illegal_transition}, std::pair{"failed", e.failed},
          std::pair{"iat", e.iat}}) {
        json::key(w, member);
        w.Int64(n);
    }
    w.EndObject();
    return json::text(buffer);
}

result<bulk_execution> parse_execution(std::string_view text) {
    const auto parsed = json::parse(text);
    const auto* filter = parsed ? json::find(*parsed, "filter") : nullptr;
    if (!filter) return error{errc::store_corrupt, "a bulk job has no execution"};
    bulk_execution e;
    e.filter = json::write(*filter);
    for (auto [member, into] : {std::pair{"txn", &e.txn}, std::pair{"actor", &e.actor},
                                std::pair{"origin", &e.origin}, std::pair{"reason", &e.reason}})
        *into = std::string(json::find_string(*parsed, member).value_or(""));
    for (auto [member, into] :
         {std::pair{"applied", &e.applied}, std::pair{"already_terminal", &e.already_terminal},
          std::pair{"illegal_transition", &e.illegal_transition}, std::pair{"failed", &e.failed},
          std::pair{"iat", &e.iat}})
        *into = json::find_int(*parsed, member).value_or(0);
    return e;
}

}  // namespace mission::transmitter
