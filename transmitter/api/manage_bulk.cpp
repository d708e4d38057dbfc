#include <algorithm>

#include "jose/digest.hpp"
#include "transmitter/api/manage.hpp"
#include "transmitter/missions/bulk_step.hpp"

// Bulk Mission Lifecycle: the dry run pins what its filter matches, the execution consumes the
// token and hands on.

namespace mission::transmitter {
namespace {

constexpr std::size_t token_octets = 32;  // 256 bits

std::int64_t random_job_id(random_source& random) {
    return static_cast<std::int64_t>(random.below(std::uint64_t{1} << 62)) + 1;
}

struct pinning {
    manage_ptr call;
    store::bulk_job job;
    std::string token;
    std::vector<found_mission> members;
    std::size_t written = 0;
};

// The next members, at most a step of them.
void add_members(const pinning& p, store::changes& changes) {
    const auto until = std::min(p.members.size(), p.written + limits::bulk_pin_step);
    for (auto i = p.written; i < until; ++i)
        changes.bulk_members.push_back(
            {p.job.id, static_cast<std::int64_t>(i), p.members[i].row, {}, {}});
}

void finish_pinning(const std::shared_ptr<pinning>& p) {
    const auto& call = p->call;
    manage_outcome out;
    out.kept = true;
    out.bulk_token = p->token;
    out.claims = manage_claims(*call, p->job.created_at, [&](json::writer& w) {
        json::member(w, "operation", call->request.operation());
        json::key(w, "match_count");
        w.Int64(p->job.total);
        json::member(w, "bulk_token_expires_at", to_rfc3339(p->job.expires_at));
    });
    p->job.status = store::bulk_status::pinned;
    conclude(call, std::move(out),
             {{"match_count", std::to_string(p->job.total)},
              {"bulk_job", "\"" + std::to_string(p->job.id) + "\""}},
             [p](const store::rows&, wall_time, store::changes& changes) -> result<void> {
                 changes.bulk_jobs.push_back(p->job);
                 add_members(*p, changes);
                 return {};
             });
}

void pin(const std::shared_ptr<pinning>& p) {
    if (p->members.size() - p->written <= limits::bulk_pin_step) return finish_pinning(p);
    p->call->issuer.common->db->submit(
        [p](const store::rows&, wall_time) -> result<store::changes> {
            store::changes changes;
            changes.bulk_jobs.push_back(p->job);
            add_members(*p, changes);
            return changes;
        },
        [p](result<store::receipt> done) {
            p->call->issuer.common->runtime->post_work([p, done] {
                if (!done)
                    return p->call->respond(manage_error_answer(done.error(), p->call->nonce));
                p->written += limits::bulk_pin_step;
                pin(p);
            });
        });
}

void matched(const manage_ptr& call, std::vector<found_mission> members) {
    const auto& common = *call->issuer.common;
    if (members.size() > common.settings.missions.bulk_limit)
        return conclude(call,
                        manage_refusal({errc::filter_too_broad,
                                        "the filter matches more than " +
                                            std::to_string(common.settings.missions.bulk_limit) +
                                            " missions; narrow it"},
                                       true),
                        {});
    auto p = std::make_shared<pinning>();
    p->call = call;
    p->members = std::move(members);
    p->token = jose::random_id(token_octets, *common.random);
    p->job.id = random_job_id(*common.random);
    p->job.issuer = call->issuer.id;
    p->job.token_hash = hash_of_token(p->token);
    p->job.client_id = call->client.id;
    p->job.request = call->request.binding;
    p->job.total = static_cast<std::int64_t>(p->members.size());
    p->job.created_at = common.time->now();
    // Whole seconds, as the answer says it.
    p->job.expires_at =
        from_numeric_date(to_numeric_date(p->job.created_at + limits::bulk_token_lifetime));
    pin(p);
}

bool refused_for_its_deadline(const manage_ptr& call) {
    const auto ahead = check_deadline(call->request, call->issuer.common->time->now());
    if (!ahead) conclude(call, manage_refusal(ahead.error(), true), {});
    return !ahead;
}

void walk_and_pin(const manage_ptr& call) {
    if (call->request.filter.matches_nothing) return matched(call, {});
    mission_walk walk;
    walk.filter = call->request.filter.rows;
    walk.want = call->issuer.common->settings.missions.bulk_limit + 1;
    walk.settled = !walk.filter.states.empty() || walk.filter.expires_before;
    walk_missions(call, std::move(walk), [call](result<std::vector<found_mission>> found) {
        if (!found) return call->respond(manage_error_answer(found.error(), call->nonce));
        matched(call, std::move(*found));
    });
}

// ---- Execution.

std::string execution_of(const manage_call& call) {
    bulk_execution e;
    e.txn = call.txn;
    e.actor = call.audit.actor;
    e.origin = call.audit.origin;
    e.reason = *call.request.bulk.reason;
    e.filter = call.request.filter.canonical;
    return to_json(e);
}

// The token is consumed by the commit: whatever the outcome, it is used once.
void consume(const manage_ptr& call, const store::bulk_job& pinned) {
    manage_outcome out;
    out.kept = true;
    out.job = pinned.token_hash;
    conclude(call, std::move(out),
             {{"bulk_job", "\"" + std::to_string(pinned.id) + "\""},
              {"members", std::to_string(pinned.total)}},
             [call, pinned](const store::rows& rows, wall_time now,
                            store::changes& changes) -> result<void> {
                 auto job = rows.find_bulk_job(call->issuer.id, pinned.token_hash);
                 if (auto ok = check_bulk_token(job, call->client.id, call->request.binding, now);
                     !ok)
                     return ok;
                 job->status = store::bulk_status::running;
                 job->execution = execution_of(*call);
                 changes.bulk_jobs.push_back(std::move(*job));
                 return {};
             });
}

}  // namespace

void manage_dry_run(const manage_ptr& call) {
    if (refused_for_its_deadline(call)) return;
    auto waiting = std::make_shared<std::size_t>();
    call->issuer.common->db->read(
        [call, waiting](const store::rows& rows) {
            const auto now = call->issuer.common->time->now();
            const auto jobs = rows.bulk_jobs(call->issuer.id, store::bulk_status::pinned);
            *waiting = static_cast<std::size_t>(
                std::count_if(jobs.begin(), jobs.end(), [&](const store::bulk_job& j) {
                    return j.client_id == call->client.id && j.expires_at > now;
                }));
        },
        [call, waiting](result<void> done) {
            call->issuer.common->runtime->post_work([call, waiting, done] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                if (*waiting >= limits::bulk_pinned_per_client)
                    return conclude(call, manage_refusal(errc::rate_limited, false), {});
                walk_and_pin(call);
            });
        });
}

void manage_execute(const manage_ptr& call) {
    if (refused_for_its_deadline(call)) return;
    auto job = std::make_shared<std::optional<store::bulk_job>>();
    call->issuer.common->db->read(
        [call, job](const store::rows& rows) {
            *job = rows.find_bulk_job(call->issuer.id, hash_of_token(call->request.bulk_token));
        },
        [call, job](result<void> done) {
            call->issuer.common->runtime->post_work([call, job, done] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                const auto good = check_bulk_token(*job, call->client.id, call->request.binding,
                                                   call->issuer.common->time->now());
                if (!good) return conclude(call, manage_refusal(good.error(), true), {});
                check_members(call, **job, [call, job](result<void> current) {
                    if (current) return consume(call, **job);
                    if (current.error() == errc::stale_bulk_token)
                        return conclude(call, manage_refusal(current.error(), true), {});
                    call->respond(manage_error_answer(current.error(), call->nonce));
                });
            });
        });
}

}  // namespace mission::transmitter
